"""The loss of a large table, from one exponential for both directions, against its definition."""

import pytest
import torch
from torch.nn.functional import normalize

from tuplet import Embeddings
from tuplet.functional._blocks import LARGE, Whole, _shift
from tuplet.functional._frame import ROWS, frame
from tuplet.functional.contrast import contrast
from tuplet.objectives import Pairwise, Temperature

N = LARGE


def table(kind):
    g = torch.Generator().manual_seed(3)
    values, own = torch.randn(N, N, generator=g) * 4, torch.linspace(-3, 3, N)
    top = max(float(values.max()), 3.0)
    if kind == "matches far above":
        own += 40 + top
    elif kind.startswith("a match"):
        own[7] = top - float(kind.split()[2])
    elif kind == "a column far below":
        values[:, 9] -= 200
        own[9] -= 200
    return values, own


def shared(values, own):
    return _shift(values, own) is not None


@pytest.mark.parametrize(("dims", "smoothing"), [((1, 0), 0.0), ((1,), 0.0), ((1, 0), 0.1), ((1,), 0.1)])
@pytest.mark.parametrize(
    ("kind", "one_shift"),
    [
        ("even", True),
        ("matches far above", True),
        ("a match 59 below", True),
        ("a match 61 below", False),
        ("a column far below", False),
    ],
)
def test_large_tables_have_the_loss_and_gradients_of_their_definition(kind, one_shift, dims, smoothing):
    values, own = table(kind)
    assert shared(values, own) is one_shift
    exact, of_own = values.double().requires_grad_(), own.double().requires_grad_()
    whole = exact.diagonal_scatter(of_own)
    others = whole.masked_fill(torch.eye(N, dtype=torch.bool), -torch.inf)
    want = torch.stack([torch.logaddexp(others.logsumexp(d) - of_own, torch.zeros(())) for d in dims]).mean()
    want = want + smoothing * (of_own.mean() - whole.mean())
    (3 * want).backward()
    for dtype, error in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
        z, p = values.to(dtype).requires_grad_(), own.to(dtype).requires_grad_()
        before = z.detach().clone()
        loss = Whole.apply(z, p, dims, smoothing)
        (3 * loss).backward()
        assert torch.equal(z.detach(), before)  # the caller's table is not written into
        torch.testing.assert_close(loss.double(), want, rtol=error, atol=0)
        for got, true in ((z.grad, exact.grad), (p.grad, of_own.grad)):
            assert float((got - true).norm() / true.norm()) < error


def test_small_halves_and_undefined_tables_take_the_softmaxes():
    values, own = table("even")
    assert _shift(values, own) == values.max()
    assert _shift(values, own + 100) == own.max() + 100
    for other in (
        values[:-1, :-1],
        values.half(),
        values.bfloat16(),
        values.to("meta"),
        values.index_fill(0, torch.tensor([3]), torch.nan),
    ):
        assert not shared(other, own[: len(other)].to(other))
    far = values.half()
    far[::2] -= 30
    for smoothing in (0.0, 0.1):
        assert torch.isfinite(Whole.apply(far, far.diagonal().clone(), (1, 0), smoothing))


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("kind", ["even", "a match 61 below"])  # by one exponential, by softmaxes
def test_a_large_smoothed_loss_is_that_of_its_blocks(kind, both):
    values, own = table(kind)
    values.fill_diagonal_(-torch.inf)  # replaced by the matches
    found = []
    for size in (None, 97):
        z, p = values.double().requires_grad_(), own.double().requires_grad_()
        loss = contrast(lambda q, c, z=z: z[q, c], p, rows=slice(0, N), both=both, label_smoothing=0.1, block_size=size)
        found.append((loss.detach(), *torch.autograd.grad(loss, (z, p))))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-15)


def test_many_tuples_have_the_frame_and_gradients_of_each():
    g = torch.Generator().manual_seed(0)
    members = [torch.randn(ROWS + 9, 5, generator=g, dtype=torch.float64).requires_grad_() for _ in range(3)]
    weight = torch.randn(3, ROWS + 9, 5, generator=g, dtype=torch.float64)

    def grads(rows):
        basis, inverse = frame([m[rows] for m in members])
        return torch.autograd.grad((basis * weight[:, rows]).sum() + inverse.sum(), members)

    parts = [grads(slice(0, 7)), grads(slice(7, ROWS)), grads(slice(ROWS, None))]
    for whole, *some in zip(grads(slice(None)), *parts, strict=True):
        torch.testing.assert_close(whole, sum(some))


def test_a_learned_temperature_has_the_gradient_of_a_tiny_loss():
    g = torch.Generator().manual_seed(0)
    z = normalize(torch.randn(N, 64, generator=g, dtype=torch.float64), dim=1)
    rows = {"a": z, "b": normalize(z + 0.03 * torch.randn(N, 64, generator=g, dtype=torch.float64), dim=1)}
    found = []
    for dtype in (torch.float64, torch.float32):
        objective = Pairwise(tau=Temperature(0.02)).to(dtype)
        objective(Embeddings.of({k: v.to(dtype) for k, v in rows.items()})).total.backward()
        found.append(float(next(objective.parameters()).grad))
    assert 0 < abs(found[0]) < 1e-9
    assert found[1] == pytest.approx(found[0], rel=1e-3)
