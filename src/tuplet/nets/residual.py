"""A map that is there already, plus a network that begins as nothing."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    r"""Add a network to a map: :math:`f(x) + W g(x)` with ``W = 0`` at the beginning.

    Args:
        main: the map ``f`` whose values the whole begins with, from a row to ``(B, out)``.
        branch: the network ``g``, from the same row to ``(B, out)``.
        out_features: width of both.

    Notes:
        The branch receives a gradient as soon as ``W`` has moved, after one step.

    Example:
        >>> import torch
        >>> x = torch.randn(2, 3)
        >>> bool((Residual(nn.Identity(), nn.Linear(3, 3), 3)(x) == x).all())
        True
    """

    def __init__(self, main: nn.Module, branch: nn.Module, out_features: int) -> None:
        super().__init__()
        self.main = main
        self.branch = branch
        self.last = nn.Linear(out_features, out_features)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        out: Tensor = self.main(x) + self.last(self.branch(x))
        return out
