"""The temperature of a softmax: fixed, or learnable within bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tuplet.types import InputError


class Temperature(nn.Module):
    r"""A positive divisor of logits, learnable between two bounds.

    .. math:: \log \tau = \log a + (\log b - \log a)\, \sigma(p)

    Args:
        start: initial :math:`\tau`, between the bounds. 0.07 is CLIP's.
        bounds: ``(a, b)``, smallest and largest :math:`\tau`. CLIP clamps its scale to [1, 100], so (0.01, 1).

    Raises:
        InputError: if ``start`` is not strictly between the bounds.

    Notes:
        A smooth bound, unlike clamping, never stops the gradient.

    Source:
        CLIP (Radford et al., 2021), which learns the logarithm of the scale and clamps it.

    Example:
        >>> round(Temperature(0.07)().item(), 4)
        0.07
    """

    def __init__(self, start: float = 0.07, *, bounds: tuple[float, float] = (0.01, 1.0)) -> None:
        super().__init__()
        low, high = bounds
        if not 0 < low < start < high:
            raise InputError(f"start is {start}, expected a number strictly between the bounds {low} and {high} (> 0)")
        share = math.log(start / low) / math.log(high / low)
        self.logit = nn.Parameter(torch.tensor(math.log(share / (1 - share))))
        self.bounds = bounds

    def forward(self) -> Tensor:
        """Return the current temperature, a scalar."""
        low, high = self.bounds
        return low * (high / low) ** torch.sigmoid(self.logit)


class Fixed(nn.Module):
    """A temperature that does not change.

    Args:
        tau: the divisor, > 0.

    Raises:
        InputError: if ``tau`` is not positive.

    Source:
        Elementary.

    Example:
        >>> Fixed(0.5)()
        0.5
    """

    def __init__(self, tau: float) -> None:
        super().__init__()
        if not 0 < tau < math.inf:
            raise InputError(f"tau is {tau}, expected a positive number; it divides the logits")
        self.tau = float(tau)

    def forward(self) -> float:
        """Return the temperature."""
        return self.tau


def temperature(tau: float | Temperature) -> Temperature | Fixed:
    """Turn the ``tau`` of an objective's constructor into a module.

    Args:
        tau: a positive number, or a learnable `Temperature`.

    Returns:
        A module that returns the temperature when called.

    Raises:
        InputError: if ``tau`` is not positive.

    Source:
        Elementary.

    Example:
        >>> temperature(0.1)()
        0.1
    """
    return tau if isinstance(tau, Temperature) else Fixed(tau)
