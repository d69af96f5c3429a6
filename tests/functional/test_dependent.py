"""Tuples whose members depend on each other, at widths where the rounding of inner products exceeds a fixed jitter."""

import pytest
import torch

from tuplet.objectives import Gram, OneVsAll
from tuplet.types import Embeddings


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [512, 1024, 4096])
@pytest.mark.parametrize("objective", [Gram(), OneVsAll(beta=0.0)], ids=["gram", "one_vs_all"])
def test_collapsed_encoders_train_on(objective, width, dtype):
    for seed in range(4):
        g = torch.Generator().manual_seed(seed)
        plane = torch.randn(2, width, generator=g, dtype=dtype)
        z = {k: (torch.randn(64, 2, generator=g, dtype=dtype) @ plane).requires_grad_() for k in "abcd"}
        loss = objective(Embeddings.of(z)).total
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(v.grad).all() for v in z.values())


def test_a_common_offset_costs_no_digits():
    from tuplet.functional.density import log_density

    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    wanted = log_density(x.double(), x.double(), tau=0.5, own=0)
    found = log_density(x + 100, x + 100, tau=0.5, own=0)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=2e-3)
