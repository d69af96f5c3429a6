"""Best non-negative mixtures, against SciPy's non-negative least squares and by their properties."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.oracles.objectives import conic
from tuplet.functional._frame import gram_of
from tuplet.functional.cone import between
from tuplet.functional.cone import conic as conic_of
from tuplet.functional.nnls import SHARE, _of_many, best_mixture
from tuplet.functional.rows import unit
from tuplet.functional.scores import conic_cosine, cosine, span_projection

KINDS = {"independent": (0.0, 1.0), "alike": (1.0, 0.6), "close": (1.0, 1e-3), "coincident": (1.0, 1e-9)}


def draw(k, kind, *, b=11, n=13, d=9, dtype=torch.float64):
    g = torch.Generator().manual_seed(7 * k + len(kind))
    shared, own = KINDS[kind]
    q = torch.randn(b, d, generator=g, dtype=torch.float64)
    base = torch.randn(n, d, generator=g, dtype=torch.float64)
    c = [shared * base + own * torch.randn(n, d, generator=g, dtype=torch.float64) for _ in range(k)]
    return q.to(dtype), [x.to(dtype) for x in c]


@pytest.mark.slow
def test_equals_non_negative_least_squares_of_any_number_of_members():
    for dtype, close in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        for k in (1, 2, 3, 4, 5, 8):
            for kind in KINDS:
                q, c = draw(k, kind, dtype=dtype)
                expected = [[conic(a, [x[n] for x in c]) for n in range(13)] for a in q.double().numpy()]
                found = conic_cosine(q, c).double().numpy()
                np.testing.assert_allclose(found, expected, atol=close, err_msg=f"{k} {kind} {dtype}")


def test_members_that_nearly_oppose_or_depend_on_each_other():
    """Sets in use that nearly depend on themselves: opposed pairs, sums turned round, more members than dimensions."""
    g = torch.Generator().manual_seed(0)

    def rows(d):
        return unit(torch.randn(60, d, generator=g, dtype=torch.float64))

    for dtype, least, close in ((torch.float64, 1e-5, 1e-5), (torch.float32, 1e-2, 1e-3)):
        cases = [(rows(d), [rows(d) for _ in range(k)]) for d, k in ((4, 5), (3, 8), (2, 3))]
        for delta in (0.03, least):
            for k in (2, 3, 5):
                a = rows(24)
                cases.append((rows(24), [a, -a + delta * rows(24), *(rows(24) for _ in range(k - 2))]))
            a, b = rows(24), rows(24)
            cases.append((rows(24), [x + delta * rows(24) for x in (a, b, -a - b)]))
        for number, (q, c) in enumerate(cases):
            q, c = q.to(dtype), [x.to(dtype) for x in c]
            expected = [conic(q[n].double().numpy(), [x[n] for x in c]) for n in range(60)]
            found = conic_cosine(q, c).diagonal().double().numpy()
            np.testing.assert_allclose(found, expected, atol=close, err_msg=f"{number} {dtype}")


def test_the_oracle_is_the_best_of_many_mixtures():
    q, c = draw(3, "independent", b=1, n=1)
    members = np.array([x[0].numpy() / np.linalg.norm(x[0]) for x in c])
    a = np.random.default_rng(0).dirichlet(np.ones(3), size=20_000) @ members
    best = (a @ q[0].numpy() / np.linalg.norm(a, axis=1) / np.linalg.norm(q[0])).max()
    assert best <= conic(q[0].numpy(), list(members)) < best + 1e-3


def test_bounds_signs_lengths_and_vertices():
    for k in (2, 3, 5):
        for kind in ("independent", "alike"):
            q, c = draw(k, kind)
            s = conic_cosine(q, c)
            single = torch.stack([cosine(q, [x]) for x in c])
            span = span_projection(q, c)
            assert (s >= single.amax(dim=0) - 1e-12).all()
            assert (s <= span + 1e-12).all()
            behind = (single <= 0).all(dim=0)
            assert behind.any()
            torch.testing.assert_close(s[behind], single.amax(dim=0)[behind])
            for n in range(len(c[0])):  # equal to the span where its coefficients are non-negative
                fit = torch.linalg.lstsq(torch.stack([x[n] for x in c], dim=1), q.mT).solution
                inside = (fit >= 0).all(dim=0)
                torch.testing.assert_close(s[inside, n], span[inside, n])
            lengths = torch.linspace(0.1, 30, len(c[0]), dtype=q.dtype)[:, None]
            torch.testing.assert_close(conic_cosine(5 * q, [lengths * x for x in c]), s)
            torch.testing.assert_close(conic_cosine(q, c[::-1]), s)
            assert (conic_cosine(-q, c) - s).abs().max() > 0.1  # it sees signs
            wider = conic_cosine(q, [*c, torch.randn_like(c[0])])
            assert (wider >= s - 1e-12).all()  # a further member can only help


def test_it_is_continuous_where_a_member_comes_into_use():
    c = torch.eye(3, dtype=torch.float64)[:2]
    for centre in (torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, -1.0, 1.0]), torch.tensor([-1.0, -1.0, 0.3])):
        step = torch.linspace(-1e-6, 1e-6, 11, dtype=torch.float64)
        q = centre.double() + step[:, None] * torch.tensor([0.3, 1.0, -0.2], dtype=torch.float64)
        s = conic_cosine(q, [c[:1], c[1:]])[:, 0]
        assert (s.diff().abs() < 1e-6).all()


def test_weights_are_a_unit_mixture_that_reaches_the_score():
    for k in (2, 3, 6):
        for kind in KINDS:
            q, c = draw(k, kind)
            members = torch.stack([x / x.norm(dim=1, keepdim=True) for x in c])
            t, gram = torch.stack([q @ x.mT for x in members]), gram_of(list(members))
            s, b = best_mixture(t, gram)
            mixed = torch.einsum("kbn,knd->bnd", b, members)
            assert (b >= 0).all()
            torch.testing.assert_close(mixed.norm(dim=2), torch.ones_like(s), rtol=1e-7, atol=0)
            torch.testing.assert_close(torch.einsum("bd,bnd->bn", q, mixed), s, rtol=1e-7, atol=1e-9)


def test_shares_of_the_queries_change_nothing():
    q, c = draw(4, "alike", b=9, n=SHARE // 4)
    torch.testing.assert_close(conic_cosine(q, c)[3:4], conic_cosine(q[3:4], c), rtol=0, atol=1e-14)


def test_members_that_cancel_or_are_zero():
    q, c = draw(2, "independent")
    zero = torch.zeros_like(c[0])
    plain = cosine(q, [c[0]])
    for k in (1, 2):  # a zero member is of no use to a query that another lies before
        s = conic_cosine(q, [c[0], *[zero] * k])
        torch.testing.assert_close(s, plain.clamp_min(0))
        s = conic_cosine(q, [c[0], *[-c[0]] * k])
        torch.testing.assert_close(s, plain.abs())
    assert not conic_cosine(torch.zeros_like(q), c).any()


def test_ties_take_the_first_of_two_and_long_queries_overflow_nothing():
    for t, score, weights in (
        ((-1.0, -1.0), -1.0, (1.0, 0.0)),
        ((2e19, -2e19), 2e19, (1.0, 0.0)),
        ((-3e19, -1.0), -1.0, (0.0, 1.0)),
        ((2e19, -1e25), 2e19, (1.0, 0.0)),
    ):
        for inner in (0.0, 0.9, -0.9) if score < 0 else (0.0,):
            gram = torch.tensor([[1.0, inner], [inner, 1.0]])[..., None]
            s, b = best_mixture(torch.tensor(t)[:, None, None], gram)
            assert (s.item(), b.flatten().tolist()) == (torch.tensor(score).item(), list(weights))


@pytest.mark.slow
def test_gradients_are_those_of_the_score_away_from_ties():
    for k in (1, 2, 4):
        for kind in ("independent", "alike"):
            q, c = draw(k, kind, b=2, n=3, d=5)
            leaves = [x.requires_grad_() for x in (q, *c)]
            assert torch.autograd.gradcheck(lambda a, *rest: conic_cosine(a, rest), leaves, atol=1e-6)


def test_the_gradient_by_inner_products_is_that_of_finite_differences():
    g = torch.Generator().manual_seed(0)
    t = list(0.5 + 0.1 * torch.rand(3, 2, 2, generator=g, dtype=torch.float64))  # all members are in use
    gram = (torch.eye(3, dtype=torch.float64) + 0.1)[..., None].repeat(1, 1, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: conic_of(t, (x + x.transpose(0, 1)) / 2), (gram,))


def test_the_gradient_of_close_members_is_bounded():
    for kind in ("close", "coincident"):
        q, c = draw(3, kind, dtype=torch.float32)
        c = [(x / x.norm(dim=1, keepdim=True)).requires_grad_() for x in c]
        q = (q / q.norm(dim=1, keepdim=True)).requires_grad_()
        conic_cosine(q, c).diagonal().sum().backward()
        assert all(x.grad.norm(dim=1).max() < 1.01 for x in (q, *c))


@pytest.mark.slow
def test_between_cones_is_the_best_of_all_pairs_of_faces():
    """On a pair of faces the only maximum is the first singular pair; it counts if both mixtures are non-negative."""
    missed = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        left, right = (rng.normal(size=(k, 5)) + rng.choice([0.0, 0.7]) for k in rng.integers(2, 4, size=2))
        left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
        best = (left @ right.T).max()
        for i in range(1, len(left) + 1):
            for j in range(1, len(right) + 1):
                for a, b in ((a, b) for a in combinations(left, i) for b in combinations(right, j)):
                    (u, r), (v, w) = (np.linalg.qr(np.array(x).T) for x in (a, b))
                    x, s, y = np.linalg.svd(u.T @ v)
                    p, q = np.linalg.solve(r, x[:, 0]), np.linalg.solve(w, y[0])
                    if ((p > 0).all() and (q > 0).all()) or ((p < 0).all() and (q < 0).all()):
                        best = max(best, s[0])
        one, two = torch.from_numpy(left)[:, None], torch.from_numpy(right)[:, None]
        products = torch.einsum("ibd,jnd->ijbn", one, two)
        found = float(between(products, gram_of(list(one)), gram_of(list(two)), rounds=60))
        assert found <= best + 1e-9
        missed += found < best - 1e-4
    assert missed <= 1  # an ascent may end at a lower maximum


def test_between_one_and_several_is_the_score():
    q, c = draw(3, "alike")
    members = [x / x.norm(dim=1, keepdim=True) for x in c]
    unit = q / q.norm(dim=1, keepdim=True)
    products = torch.stack([unit @ x.mT for x in members])
    own = torch.ones(1, 1, len(q), dtype=q.dtype)
    torch.testing.assert_close(between(products[None], own, gram_of(members)), conic_cosine(q, c))
    torch.testing.assert_close(between(products.mT[:, None], gram_of(members), own), conic_cosine(q, c).mT)


@pytest.mark.whole
def test_compiled_it_finds_the_same_mixtures():
    torch._dynamo.reset()
    compiled = torch.compile(best_mixture, fullgraph=True, backend="aot_eager")
    g = torch.Generator().manual_seed(1)
    for k in (2, 3, 5):
        q, c = draw(k, "alike", b=60, n=50, dtype=torch.float32)
        c[1][:5] = c[0][:5]  # coincident members
        c[1][5:10] = -c[0][5:10]  # opposed ones
        rows = [unit(x) for x in c]
        q = unit(torch.cat([q, -rows[0][:30] - rows[k - 1][:30], torch.randn(20, 9, generator=g)]))
        products, gram = torch.stack([q @ x.mT for x in rows]), gram_of(rows)
        if k > 2:
            doubtful = _of_many(products, gram)[-1]
            assert 0 < int(doubtful.sum()) < 0.2 * doubtful.numel()  # there is something to settle
        assert bool((products <= 0).all(dim=0).any())  # some have all members behind them
        (score, weights), (expected, _) = compiled(products, gram), best_mixture(products, gram)
        torch.testing.assert_close(score, expected, atol=2e-6, rtol=0)
        torch.testing.assert_close((weights * products).sum(dim=0), score, atol=2e-6, rtol=0)
