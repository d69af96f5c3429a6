"""Bounds from inner products in float32: never below the score of float64, and near it where members differ."""

import pytest
import torch

from tuplet.functional._frame import gram_of
from tuplet.functional._rough import Rough
from tuplet.functional.rows import unit
from tuplet.objectives import Cone, Gram, OneVsAll, Triangle, UniAlign

OBJECTIVES = (Cone(), Gram(), Gram(conditional=True), OneVsAll(), OneVsAll(ridge=0.1), UniAlign(score_by="volume"))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_no_score_exceeds_its_bound(k):
    g = torch.Generator().manual_seed(k)
    slack = (12 + 100) * 2.0**-24
    for spread in (1.0, 0.1, 1e-2, 1e-3, 1e-5, 0.0, -1.0):
        base = torch.randn(60, 12, generator=g)
        members = [base + spread * torch.randn(60, 12, generator=g) for _ in range(k - 1)] + [base]
        if spread < 0:  # nearly opposite
            members[0] = -base + 1e-3 * torch.randn(60, 12, generator=g)
        members = [unit(m) for m in members]
        whole = [unit(m.double() + 1e-8 * torch.randn(60, 12, generator=g, dtype=torch.float64)) for m in members]
        near = base[:20] + 1e-3 * torch.randn(20, 12, generator=g)
        queries = unit(torch.cat([torch.randn(20, 12, generator=g), near, base[:3]]))
        rough = Rough(torch.stack([queries @ m.mT for m in members]), gram_of([m.double() for m in members]), slack)
        sides = {"q": queries.double()}, {f"m{i}": m for i, m in enumerate(whole)}  # as they were before rounding
        for objective in (*OBJECTIVES, Triangle(), Triangle(squared=False))[: None if k == 2 else -2]:
            score, bound = objective.score(*sides), objective.bounds(rough).double()
            assert (bound >= score).all(), (objective, spread, (score - bound).max())
            if spread == 1.0:
                assert (bound - score).mean() < 0.1 * score.std(), (objective, k)


def test_a_triangle_has_three_corners():
    assert Triangle().bounds(Rough(torch.zeros(3, 1, 1), torch.eye(3)[..., None], 0.0)) is None
