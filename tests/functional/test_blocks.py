"""Partition functions of large tables: one exponential for both directions must give what two give."""

import pytest
import torch

from tuplet.functional import _blocks
from tuplet.functional._blocks import LARGE, REACH, Partitions, Whole


def table(kind, dtype):
    g = torch.Generator().manual_seed(3)
    values = torch.randn(LARGE, LARGE + 8, generator=g, dtype=torch.float64) * 4
    if kind == "a row far below":
        values[7] -= 2 * REACH
    elif kind == "a column just within reach":
        values[:, 9] -= REACH - 40
    return values.to(dtype)


def outcome(values, own, kept, dims, totals):
    values, own = values.clone().requires_grad_(), own.clone().requires_grad_()
    found = Partitions.apply(values, own, kept, 0, dims, totals)
    sum((f * torch.linspace(-1, 2, len(f), dtype=f.dtype)).sum() for f in found).backward()
    return *found, values.grad, own.grad


@pytest.mark.parametrize("kind", ["even", "a row far below", "a column just within reach"])
@pytest.mark.parametrize("totals", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_large_tables_have_the_sums_and_gradients_of_their_definition(kind, totals, masked):
    values = table(kind, torch.float64)
    kept = torch.rand(values.shape, generator=torch.Generator().manual_seed(4)) < 0.7 if masked else None
    own = torch.linspace(-3, 3, LARGE, dtype=torch.float64)
    exact, of_own = values.clone().requires_grad_(), own.clone().requires_grad_()
    whole = exact.diagonal_scatter(of_own)
    seen = whole if kept is None else torch.where(kept, whole, -torch.inf)
    expected = [seen.logsumexp(d) for d in (1, 0)]
    if totals:
        expected += [(whole if kept is None else torch.where(kept, whole, 0.0)).sum(d) for d in (1, 0)]
    sum((f * torch.linspace(-1, 2, len(f), dtype=f.dtype)).sum() for f in expected).backward()
    expected += [exact.grad, of_own.grad]
    for dtype, error in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
        found = outcome(values.to(dtype), own.to(dtype), kept, (1, 0), totals)
        for got, want in zip(found, expected, strict=True):
            torch.testing.assert_close(got.double(), want, rtol=error, atol=error)


def test_one_exponential_is_taken_only_where_it_serves_both_directions():
    kinds = {"even": True, "a row far below": False, "a column just within reach": True}
    for kind, near in kinds.items():
        values = table(kind, torch.float32)
        assert _blocks._near([values.amax(d, keepdim=True) for d in (1, 0)], values) is near
    even = table("even", torch.float32)
    assert not _blocks._near([even.amax(1, keepdim=True)], even)  # one direction
    small = even[:LARGE, : LARGE - 1]
    assert not _blocks._near([small.amax(d, keepdim=True) for d in (1, 0)], small)
    even[3] = torch.nan
    assert not _blocks._near([even.amax(d, keepdim=True) for d in (1, 0)], even)


def test_both_ways_to_the_loss_of_a_square_table_agree_and_neither_writes_into_it():
    values, own = table("even", torch.float64)[:, :LARGE], torch.linspace(-3, 3, LARGE, dtype=torch.float64)
    before, grads, losses = values.clone(), [], []
    for way in ("softmaxes", "sums"):
        z, p = values.requires_grad_(), own.clone().requires_grad_()
        if way == "softmaxes":
            loss = Whole.apply(z, p, (1, 0))
        else:
            loss = sum((lse - p).mean() for lse in Partitions.apply(z, p, None, 0, (1, 0), False)) / 2
        grads.append(torch.autograd.grad(loss, (z, p)))
        losses.append(loss.detach())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-14, atol=0)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-16)
    assert torch.equal(values.detach(), before)
