"""The shape of a cloud of embeddings: alignment, uniformity, effective rank."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional import divergence


def alignment(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"], *, alpha: float = 2.0) -> Tensor:
    r"""Compute the mean distance of matching rows, :math:`\mathrm{mean}_i |x_i - y_i|^\alpha`.

    Args:
        x: ``(B, D)``, usually unit rows.
        y: ``(B, D)``.
        alpha: exponent, 2 by default.

    Returns:
        Scalar, at least 0.

    Source:
        Wang and Isola (2020).

    Example:
        >>> alignment(torch.eye(2), -torch.eye(2))
        tensor(4.)
    """
    value: Tensor = torch.linalg.vector_norm(x - y, dim=1).pow(alpha).mean()
    return value


def uniformity(z: Float[Tensor, "B D"], *, t: float = 2.0) -> Tensor:
    r"""Compute the log of the mean Gaussian potential, :math:`\log \mathrm{mean}_{i<j} e^{-t |z_i - z_j|^2}`.

    Args:
        z: ``(B, D)``, usually unit rows; two or more.
        t: sharpness, 2 by default.

    Returns:
        Scalar, at most 0; lower is more uniform. By log-sum-exp, so large ``t`` does not underflow.

    Source:
        Wang and Isola (2020).

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor(-8.)
    """
    return divergence.uniformity(z, tau=(2 * t) ** -0.5, reduction="global")


def effective_rank(z: Float[Tensor, "B D"]) -> float:
    r"""Compute the exponential of the entropy of the normalised singular values.

    Args:
        z: ``(B, D)``.

    Returns:
        Between 1 (all rows on one line) and ``min(B, D)``.

    Source:
        Roy and Vetterli (2007), The effective rank.

    Example:
        >>> round(effective_rank(torch.eye(3)), 4)
        3.0
    """
    p = torch.linalg.svdvals(z.double())
    p = p / p.sum()
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-300))).sum()))
