"""Kernel matrices of ``N`` rows: what structure regularisers compare. Rows of any shape are flattened."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tuplet.types import InputError


def rbf(
    x: Float[Tensor, "N ..."], *, bandwidth: float | Literal["median"] = "median", valid: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, "N N"]:
    r"""Gaussian kernel, :math:`K_{ij} = \exp(-|x_i - x_j|^2 / (2 h^2))`.

    Args:
        x: ``(N, ...)``.
        bandwidth: :math:`h > 0`, a distance. ``"median"`` takes :math:`h^2` as the (lower) median of the squared distances of
            different rows (their mean if that is 0).
        valid: bool ``(N,)`` rows that enter the median; None for all. Entries of other rows mean nothing.

    Returns:
        ``(N, N)``, symmetric, in [0, 1] with a diagonal of 1. Differentiable; the median is taken as a constant.

    Source:
        Elementary. The median heuristic has several conventions; UniOMA names the kernel without a bandwidth.

    Example:
        >>> rbf(torch.tensor([[0.0], [1.0]])).round(decimals=4)
        tensor([[1.0000, 0.6065],
                [0.6065, 1.0000]])
    """
    rows = x.flatten(1)
    rows = rows - rows.detach().mean(dim=0)  # distances stay, and digits are not spent on a common offset
    norms = rows.square().sum(dim=1)
    others = 1 - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    squared = (norms[:, None] + norms - 2 * rows @ rows.mT).relu() * others
    if isinstance(bandwidth, str):
        if bandwidth != "median":
            raise InputError(f"bandwidth is {bandwidth!r}, expected 'median' or a number > 0")
        return torch.exp(-squared / (2 * _typical(squared.detach(), others > 0, valid)))
    if not bandwidth > 0:
        raise InputError(f"bandwidth is {bandwidth}, expected 'median' or a number > 0")
    return torch.exp(-squared / (2 * bandwidth**2))


def normalised(kernel: Float[Tensor, "N N"]) -> Float[Tensor, "N N"]:
    r"""Scale a kernel to a diagonal of 1, :math:`K_{ij} / \sqrt{K_{ii} K_{jj}}`, so that kernels can be compared.

    Args:
        kernel: ``(N, N)`` with a diagonal >= 0.

    Returns:
        ``(N, N)``. Rows with a diagonal of 0 become 0.

    Source:
        Elementary. A time-series cluster kernel has the number of its mixtures on its diagonal.

    Example:
        >>> normalised(torch.tensor([[4.0, 2.0], [2.0, 4.0]]))
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    diagonal = kernel.diagonal()
    scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt() * (diagonal > 0)
    return kernel * scale[:, None] * scale


def _typical(squared: Tensor, others: Tensor, valid: Tensor | None) -> Tensor:
    """Return the median of squared distances, or their mean if that is 0, or 1."""
    if valid is not None:
        others = others & valid[:, None] & valid
    off = torch.where(others, squared, torch.nan)
    middle, mean = off.nanmedian().nan_to_num(), off.nanmean().nan_to_num()
    typical = torch.where(middle > 0, middle, mean)
    return torch.where(typical > 0, typical, 1.0)


def linear(x: Float[Tensor, "N ..."]) -> Float[Tensor, "N N"]:
    r"""Linear kernel, :math:`K_{ij} = x_i \cdot x_j`.

    Args:
        x: ``(N, ...)``.

    Returns:
        ``(N, N)``.

    Source:
        Elementary.

    Example:
        >>> linear(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        tensor([[5., 2.],
                [2., 1.]])
    """
    rows = x.flatten(1)
    return rows @ rows.mT
