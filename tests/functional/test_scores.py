"""Scores against NumPy, their invariances, and the identities between them."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.oracles.objectives import area, projected, volume
from tuplet import InputError
from tuplet.functional.scores import (
    cosine,
    multilinear,
    paired_area,
    paired_volume,
    simplex_volume,
    span_projection,
    triangle_area,
    unit,
)


def draw(k, *, n=5, b=4, d=9, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(b, d, generator=g, dtype=torch.float64).to(dtype),
        [torch.randn(n, d, generator=g, dtype=torch.float64).to(dtype) for _ in range(k)],
    )


def table(q, rest, f):
    """Loop over queries and candidates."""
    return torch.tensor([[f(x.numpy(), [c[j].numpy() for c in rest]) for j in range(len(rest[0]))] for x in q])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_scores_equal_numpy_loops(k):
    q, rest = draw(k)

    def lstsq(x, cs):
        a = np.stack(cs, axis=1)
        fitted = a @ np.linalg.lstsq(a, x, rcond=None)[0]
        return x @ fitted / np.linalg.norm(x) / np.linalg.norm(fitted)

    def mean_cosine(x, cs):
        return np.mean([x @ c / np.linalg.norm(x) / np.linalg.norm(c) for c in cs])

    torch.testing.assert_close(simplex_volume(q, rest), table(q, rest, lambda x, cs: volume([x, *cs])))
    torch.testing.assert_close(span_projection(q, rest), table(q, rest, lstsq))
    torch.testing.assert_close(cosine(q, rest), table(q, rest, mean_cosine))
    torch.testing.assert_close(multilinear(q, rest), table(q, rest, lambda x, cs: (x * np.prod(cs, axis=0)).sum()))
    for ridge in (1e-8, 1e-3, 2.0):

        def shrunk(x, cs, ridge=ridge):
            p = projected(x, cs, ridge)
            return x @ p / np.linalg.norm(x) / np.linalg.norm(p)

        torch.testing.assert_close(span_projection(q, rest, ridge=ridge), table(q, rest, shrunk))


def test_triangle_equals_numpy_loops():
    q, rest = draw(2)
    expected = table(q, rest, lambda x, cs: area(x, *cs))
    torch.testing.assert_close(triangle_area(q, rest), expected)
    torch.testing.assert_close(triangle_area(q, rest, squared=False), (expected / 2).sqrt())
    same = [q, rest[0][:4], rest[1][:4]]
    for squared in (True, False):
        torch.testing.assert_close(
            paired_area(same, squared=squared), triangle_area(q, [c[:4] for c in rest], squared=squared).diagonal()
        )


@pytest.mark.parametrize("k", [1, 2, 4])
def test_projection_and_volume_are_two_views_of_one_geometry(k):
    q, rest = draw(k)
    q, rest = unit(q), [unit(c) for c in rest]
    tuples = torch.stack(rest, dim=1)
    det = torch.linalg.det(tuples @ tuples.mT)
    torch.testing.assert_close(span_projection(q, rest) ** 2, 1 - simplex_volume(q, rest) ** 2 / det)


def test_projection_depends_on_the_span_only():
    q, rest = draw(3)
    mixed = [2 * rest[0] - rest[1], rest[1] + 0.3 * rest[2], -5 * rest[2]]
    torch.testing.assert_close(span_projection(q, mixed), span_projection(q, rest))
    turn = torch.linalg.qr(draw(1, b=9)[0])[0]
    torch.testing.assert_close(span_projection(q @ turn, [c @ turn for c in rest]), span_projection(q, rest))
    inside = 0.2 * rest[0] - rest[2]
    torch.testing.assert_close(span_projection(inside, rest).diagonal(), torch.ones(5, dtype=torch.float64))


def test_projection_onto_orthogonal_complement_is_zero():
    e = torch.eye(4)
    assert span_projection(e[:1], [e[1:2], e[2:3]]).item() == 0


def test_dependent_members_count_once():
    q, (c,) = draw(1)
    for dtype in (torch.float32, torch.float64):
        x, y = q.to(dtype), c.to(dtype)
        torch.testing.assert_close(span_projection(x, [y, y]), span_projection(x, [y]), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(span_projection(x, [y, -y]), span_projection(x, [y]), rtol=1e-5, atol=1e-6)
    assert simplex_volume(q, [c, c]).abs().max() < 1e-7


@pytest.mark.parametrize("spread", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_paired_volume_keeps_its_digits_where_determinants_lose_them(spread):
    g = torch.Generator().manual_seed(0)
    base = torch.randn(6, 64, generator=g, dtype=torch.float64)
    members = [unit(base + spread * torch.randn(6, 64, generator=g, dtype=torch.float64)).float() for _ in range(3)]
    exact = [m.double().numpy() for m in members]
    expected = []
    for i in range(6):  # QR of the differences in float64: no determinant
        a = np.stack([exact[0][i], exact[1][i] - exact[0][i], exact[2][i] - exact[0][i]], axis=1)
        expected.append(np.abs(np.prod(np.diag(np.linalg.qr(a)[1]))))
    seen = paired_volume(members).double()
    torch.testing.assert_close(seen, torch.tensor(expected), rtol=1e-3, atol=0)


def in_a_cluster(k, close, spread, *, side=1.0, seed=1, n=5, d=24):
    """Draw float32 tuples of ``k`` members of which two are nearly parallel (or antiparallel) unit rows."""
    g = torch.Generator().manual_seed(seed)
    drawn = [unit(torch.randn(n, d, generator=g, dtype=torch.float64)) for _ in range(k + 1)]
    i, j = close
    drawn[j] = side * unit(drawn[i] + spread * unit(torch.randn(n, d, generator=g, dtype=torch.float64)))
    q, *rest = [drawn[-1].float(), *[m.float() for m in drawn[:-1]]]
    return q, rest


CLOSE = [(2, (0, 1)), (3, (0, 1)), (3, (1, 2)), (3, (0, 2)), (5, (3, 1))]


@pytest.mark.parametrize(("k", "close"), CLOSE)
def test_projection_keeps_its_digits_onto_nearly_parallel_members(k, close):
    i, j = close

    def shrunk(
        x, cs, side, ridge
    ):  # in float64, from the rows that float32 holds; QR of the difference where there is no ridge
        x, cs = x.astype(np.float64), [c.astype(np.float64) for c in cs]
        if not ridge:
            w = np.linalg.qr(np.stack([c - side * cs[i] if m == j else c for m, c in enumerate(cs)], axis=1))[0]
            return np.linalg.norm(w.T @ x) / np.linalg.norm(x)
        p = projected(x, cs, ridge)
        return x @ p / np.linalg.norm(x) / np.linalg.norm(p)

    for side, spread, ridge in product((1.0, -1.0), (1e-1, 1e-3, 1e-5), (0.0, 1e-8, 1e-4)):
        q, rest = in_a_cluster(k, close, spread, side=side)
        expected = table(q, rest, partial(shrunk, side=side, ridge=ridge))
        seen = span_projection(q, rest, ridge=ridge).double()
        assert (seen - expected).abs().max() < 1e-5, (side, spread, ridge)


@pytest.mark.parametrize(("k", "close"), CLOSE)
@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-5])
def test_paired_volume_and_its_gradient_do_not_depend_on_which_members_are_close(k, close, spread):
    _, rest = in_a_cluster(k, close, spread)

    def run(members):
        leaves = [m.clone().requires_grad_() for m in members]
        volume = paired_volume(leaves)
        return volume.detach(), torch.autograd.grad(volume.sum(), leaves)

    value, grads = run(rest)
    exact, exact_grads = run([m.double() for m in rest])
    turned, turned_grads = run(rest[::-1])
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(turned, value, rtol=1e-5, atol=0)
    for seen, expected, back in zip(grads, exact_grads, turned_grads[::-1], strict=True):
        torch.testing.assert_close(seen.double(), expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(back, seen, rtol=1e-4, atol=1e-6)


def test_lengths_of_members_do_not_matter_to_spans():
    q, rest = draw(3, dtype=torch.float32)
    stretched = [1e5 * rest[0], rest[1], 1e-4 * rest[2]]
    torch.testing.assert_close(span_projection(q, stretched), span_projection(q, rest), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(simplex_volume(q, stretched), 10 * simplex_volume(q, rest), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(simplex_volume(1e-4 * q, rest), 1e-4 * simplex_volume(q, rest), rtol=1e-4, atol=0)


@pytest.mark.parametrize("spread", [1e-2, 1e-3, 1e-4])
def test_triangle_area_keeps_its_digits_for_nearly_coincident_candidates(spread):
    q, rest = in_a_cluster(2, (0, 1), spread)
    exact = table(q.double(), [c.double() for c in rest], lambda x, cs: area(x, *cs))
    torch.testing.assert_close(triangle_area(q, rest).double(), exact, rtol=1e-4, atol=0)


def test_second_derivatives_are_refused_rather_than_wrong():
    q, rest = draw(2)
    for f in (simplex_volume, span_projection):
        x = q.clone().requires_grad_()
        with pytest.raises(InputError, match="first derivatives only"):
            torch.autograd.grad(f(x, rest).sum(), x, create_graph=True)


def test_sign_blindness_is_as_documented():
    q, rest = draw(2)
    flipped = [-rest[0], rest[1]]
    torch.testing.assert_close(simplex_volume(q, flipped), simplex_volume(q, rest))
    torch.testing.assert_close(span_projection(q, flipped), span_projection(q, rest))
    torch.testing.assert_close(multilinear(q, flipped), -multilinear(q, rest))


def test_zero_area_is_not_agreement():
    q, (c,) = draw(1)
    assert triangle_area(q, [c, c]).abs().max() < 1e-12


def test_unit_leaves_unit_rows_alone():
    q, _ = draw(1, dtype=torch.float32)
    once = unit(q)
    assert torch.equal(unit(once), once)
    assert torch.equal(unit(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("f", [cosine, multilinear, simplex_volume, triangle_area, span_projection])
def test_bad_shapes_are_named(f):
    q, rest = draw(2)
    with pytest.raises(InputError, match="rest is empty"):
        f(q, [])
    # run with jaxtyping, the annotations catch it first
    with pytest.raises((InputError, TypeCheckError), match=r"rest\[1\] has shape|parameter 'rest'"):
        f(q, [rest[0], rest[1][:3]])
    with pytest.raises((InputError, TypeCheckError), match=r"rest\[0\] has shape|parameter 'rest'"):
        f(q[:, :3], rest)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_gradients_of_scores_for_rows_of_any_length(k):
    q, rest = draw(k)
    leaves = [x.clone().requires_grad_() for x in (q, *rest)]
    for f in (
        simplex_volume,
        span_projection,
        lambda x, c: span_projection(x, c, ridge=0.3),
        *([triangle_area, lambda x, c: triangle_area(x, c, squared=False)] if k == 2 else []),
    ):
        assert torch.autograd.gradcheck(lambda x, *c, f=f: f(x, c), leaves, fast_mode=True)
    others = [x.clone().requires_grad_() for x in draw(k + 1, seed=4)[1]]
    assert torch.autograd.gradcheck(lambda *c: paired_volume(c), others, fast_mode=True)
    assert torch.autograd.gradcheck(unit, leaves[:1])


def test_gradients_stay_bounded_where_a_query_lies_in_the_span():
    q, rest = draw(2, dtype=torch.float32)
    inside = (rest[0] + 0.5 * rest[1]).requires_grad_()
    (grad,) = torch.autograd.grad(simplex_volume(inside, rest).sum(), inside)
    scale = float(simplex_volume(q, rest).max())
    assert float(grad.abs().max()) < 1e2 * scale
    assert torch.equal(simplex_volume(inside, rest).diagonal(), torch.zeros(5))


def test_normalising_twice_changes_neither_value_nor_gradient():
    q, (c,) = draw(1)
    once, twice = q.clone().requires_grad_(), q.clone().requires_grad_()
    weight = c[:4]
    (unit(once) * weight).sum().backward()
    (unit(unit(twice)) * weight).sum().backward()
    assert torch.equal(once.grad, twice.grad)
    given = unit(q).requires_grad_()  # as the authors' programs treat rows that come in at unit length
    (unit(given) * weight).sum().backward()
    assert torch.equal(given.grad, weight)


def test_triangle_area_does_not_suffer_from_a_common_offset():
    q, rest = draw(2, dtype=torch.float32)
    moved = triangle_area(q + 100.0, [c + 100.0 for c in rest])
    torch.testing.assert_close(moved, triangle_area(q, rest), rtol=1e-3, atol=1e-3)


def test_bad_numbers_are_named():
    q, rest = draw(3)
    with pytest.raises(InputError, match="ridge is -1"):
        span_projection(q, rest, ridge=-1.0)
    with pytest.raises(InputError, match="expected 2"):
        triangle_area(q, rest)
