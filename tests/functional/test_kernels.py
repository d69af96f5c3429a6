"""Kernels against NumPy loops and their invariances."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.oracles import transport as oracle
from tuplet import InputError
from tuplet.functional.kernels import linear, normalised, rbf


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [2, 5, 6])
@pytest.mark.parametrize("bandwidth", ["median", 0.7])
def test_rbf_equals_numpy_loops(n, bandwidth):
    x = draw(n, 3, 2)
    expected = oracle.rbf(x.flatten(1).numpy(), bandwidth)
    np.testing.assert_allclose(rbf(x, bandwidth=bandwidth).numpy(), expected, rtol=1e-12)


def test_rbf_with_the_median_ignores_shift_turn_and_scale():
    x = draw(7, 4)
    turn = torch.linalg.qr(draw(4, 4, seed=1))[0]
    torch.testing.assert_close(rbf(5 * x @ turn + 100), rbf(x), rtol=1e-9, atol=1e-12)


def test_rbf_keeps_its_digits_far_from_the_origin():
    x = draw(6, 4)
    torch.testing.assert_close(rbf((x + 1000).float()).double(), rbf(x), rtol=0, atol=1e-4)


def test_rbf_of_masked_rows_is_that_of_the_others():
    x = draw(6, 3)
    valid = torch.tensor([True, False, True, True, False, True])
    seen = rbf(torch.where(valid[:, None], x, 0.0), valid=valid)
    torch.testing.assert_close(seen[valid][:, valid], rbf(x[valid]))


def test_rbf_of_repeated_rows_is_finite():
    x = torch.cat([torch.zeros(5, 2), torch.ones(1, 2)])  # two thirds of the distances are 0
    K = rbf(x)
    assert ((K[0, 5] > 0) & (K[0, 5] < 1)).item()
    assert (rbf(torch.ones(4, 3)) == 1).all()
    assert rbf(torch.ones(1, 3)).tolist() == [[1.0]]


def test_rbf_has_the_gradient_of_a_fixed_bandwidth():
    x = draw(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rbf(x, bandwidth=0.9), (x,))
    distances = torch.cdist(x.detach(), x.detach())
    h = float(distances[torch.ones(5, 5).triu(1) > 0].median())
    weight = draw(5, 5, seed=2)
    seen, expected = (torch.autograd.grad((rbf(x, bandwidth=b) * weight).sum(), x)[0] for b in ("median", h))
    torch.testing.assert_close(seen, expected)


def test_normalised():
    x = draw(5, 6)
    K = linear(x)
    torch.testing.assert_close(K, x @ x.mT)
    scaled = normalised(K)
    torch.testing.assert_close(scaled.diagonal(), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(scaled, normalised(7 * K))
    assert not normalised(torch.zeros(2, 2)).any()


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, "mean"])
def test_bad_bandwidth_is_refused(bandwidth):
    with pytest.raises((InputError, TypeCheckError), match=r"bandwidth"):
        rbf(torch.ones(2, 2), bandwidth=bandwidth)
