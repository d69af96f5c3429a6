"""The loss of one pair as a yes-or-no question, to the last digits."""

import torch

from tuplet.functional.sigmoid import _Softplus


def test_softplus_and_its_slope_are_right_to_a_few_last_digits_everywhere():
    for dtype, exact in ((torch.float32, torch.float64), (torch.float64, torch.float64)):
        v = torch.cat([torch.linspace(-80, 80, 4001), torch.linspace(-1e-3, 1e-3, 400)]).to(dtype).requires_grad_()
        wide = v.detach().to(exact)
        expected = torch.logaddexp(wide, torch.zeros((), dtype=exact))  # log(e^v + 1)
        found = _Softplus.apply(v)
        found.sum().backward()
        eps = torch.finfo(dtype).eps
        assert float(((found.detach().to(exact) - expected) / expected).abs().max()) < 3 * eps
        assert float(((v.grad.to(exact) - wide.sigmoid()) / wide.sigmoid()).abs().max()) < 3 * eps


def test_softplus_at_the_ends():
    v = torch.tensor([0.0, torch.inf, -torch.inf, torch.nan], requires_grad=True)
    found = _Softplus.apply(v)
    found.sum().backward()
    torch.testing.assert_close(found, torch.tensor([0.6931472, torch.inf, 0.0, torch.nan]), equal_nan=True)
    torch.testing.assert_close(v.grad, torch.tensor([0.5, 1.0, 0.0, torch.nan]), equal_nan=True)
