"""Rows of nothing, rows as long as numbers go, and shapes that say nothing: finite, or one line."""

from contextlib import nullcontext

import pytest
import torch

from tests.contract.cases import CASES, SIZED, embeddings, gradients
from tuplet import Embeddings, InputError
from tuplet.functional.rows import unit
from tuplet.objectives import Gram, OneVsAll, UniAlign


def built(name, m, dtype):
    objective = CASES[name].build(m)
    return objective.to(dtype) if name == "comm" else objective


def test_zero_rows_are_finite_in_value_gradient_and_score():
    present = {"m0": torch.tensor([1, 1, 1, 0, 1, 1]).bool(), "m1": torch.tensor([1, 1, 0, 1, 1, 1]).bool()}
    for name, m in [(name, m) for name, m in SIZED if m < (4 if CASES[name].contrasts else 3)]:
        dtype = torch.float32
        objective = built(name, m, dtype)
        for places, some in [((m - 1,), [[1]]), (tuple(range(m)), [[0, 5], list(range(6))])]:
            for rows in some:
                z = {k: v.clone() for k, v in embeddings(m, dtype=dtype).z.items()}
                for k in places:
                    z[f"m{k}"][rows] = 0
                at = f"{name}, M = {m}, {dtype}, rows {rows} of {places}"
                for mask in (None, present)[: 1 if name in ("structure-gw", "structure-entropic") else 2]:  # slow solvers
                    loss, grads = gradients(objective, Embeddings.of(z, present=mask))
                    assert torch.isfinite(loss.total), at
                    for grad in grads.values():
                        assert grad is None or (torch.isfinite(grad).all() and grad.abs().max() < 1e6), at
                if CASES[name].scores:
                    one, rest = {"m0": z["m0"]}, {k: v for k, v in z.items() if k != "m0"}
                    with torch.no_grad():
                        assert torch.isfinite(objective.score(one, rest)).all(), at
                        assert torch.isfinite(objective.score(rest, one)).all(), at


def test_length_of_rows_does_not_matter_up_to_the_ends_of_the_numbers():
    for name, m in SIZED:
        if m == 4 or name.startswith("structure"):
            continue  # its inputs are the rows as given: see test_structure
        for dtype, factors in ((torch.float32, (1e-30, 1e18, 1e37)), (torch.float64, (1e-200, 1e200))):
            emb = embeddings(m, dtype=dtype)
            objective = built(name, m, dtype)
            expected, _ = gradients(objective, emb)
            for factor in factors:
                loss, grads = gradients(objective, Embeddings.of({k: factor * v for k, v in emb.z.items()}))
                torch.testing.assert_close(loss.total, expected.total, rtol=1e-4, atol=1e-5, msg=f"{name} {factor}")
                assert all(g is None or torch.isfinite(g).all() for g in grads.values()), (name, factor)


def test_unit_rows_have_length_one_whatever_they_were():
    generator = torch.Generator().manual_seed(0)
    for dtype, lengths in (
        (torch.float64, (5e-324, 1e-310, 1e-200, 1e-5, 1e5, 1e200, 1e307)),
        (torch.float32, (1e-45, 1e-40, 1e-38, 1e-30, 1e-19, 1e-5, 1e5, 1e19, 3e19, 1e30, 3e37)),
        (torch.bfloat16, (1e-40, 1e-38, 1e-30, 1e-5, 1e5, 1e19, 1e30, 3e37)),
        (torch.float16, (1e-7, 1e-5, 1e-2, 1.0, 1e2, 1e4)),
    ):
        tolerance = 2 * torch.finfo(dtype).eps
        for length in lengths:
            direction = torch.randn(5, 16, generator=generator, dtype=torch.float64).clamp(-3, 3)
            given = (direction * length).to(dtype)
            given[0] = 0  # beside them, a row of nothing
            z = given.clone().requires_grad_()
            rows = unit(z)
            exact = given.double() / given.double().abs().amax(dim=1, keepdim=True).clamp_min(5e-324)
            exact = exact / exact.norm(dim=1, keepdim=True).clamp_min(1e-300)
            torch.testing.assert_close(rows.detach().double(), exact, rtol=0, atol=tolerance)
            assert (unit(rows) == rows).all()
            slope = torch.randn(5, 16, generator=generator).to(dtype)
            (rows * slope).sum().backward()
            assert torch.isfinite(z.grad).all(), (dtype, length)
            if 1e-6 <= length <= 1e30 and dtype in (torch.float32, torch.float64):
                wide = given.double().requires_grad_()
                (wide / wide.norm(dim=1, keepdim=True).clamp_min(1e-300) * slope.double())[1:].sum().backward()
                torch.testing.assert_close(z.grad[1:].double(), wide.grad[1:], rtol=1e-4, atol=1e-5 / length)


def test_scores_refuse_fewer_dimensions_than_modalities_as_training_does():
    for objective in (Gram(), Gram(anchors="all"), Gram(conditional=True), OneVsAll(), UniAlign(score_by="volume")):
        for m, dim in ((2, 1), (3, 2), (4, 3), (3, 3)):
            z = embeddings(m, dim=dim).z
            for cut in range(1, m):
                sides = {k: z[k] for k in sorted(z)[:cut]}, {k: z[k] for k in sorted(z)[cut:]}
                refused = pytest.raises(InputError, match=f"D = {dim} for {m} modalities") if dim < m else nullcontext()
                with refused:
                    assert torch.isfinite(objective.score(*sides)).all()
                if not isinstance(objective, UniAlign):
                    with refused:
                        objective(Embeddings.of(z))
