"""The shape of a cloud of embeddings: alignment, uniformity, effective rank."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional import divergence
from tuplet.functional._given import LARGEST, numbers
from tuplet.types import InputError, in_range


def alignment(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"], *, alpha: float = 2.0) -> Tensor:
    r"""Compute the mean distance of matching rows, :math:`\mathrm{mean}_i |x_i - y_i|^\alpha`.

    Args:
        x: ``(B, D)``, usually unit rows.
        y: ``(B, D)``.
        alpha: exponent, 2 by default.

    Returns:
        Scalar, at least 0.

    Raises:
        InputError: for shapes that differ, no rows, values that are not finite, or ``alpha`` of 0 or less.

    Source:
        Wang and Isola (2020).

    Example:
        >>> alignment(torch.eye(2), -torch.eye(2))
        tensor(4.)
    """
    in_range("alpha", alpha, 1e-9)
    x, y = _checked("x", x), _checked("y", y)
    if x.shape != y.shape:
        raise InputError(
            f"y has shape {tuple(y.shape)}, expected {tuple(x.shape)} as x; row i of both must be the same thing"
        )
    value: Tensor = torch.linalg.vector_norm(x - y, dim=1).pow(alpha).mean()
    return value


def uniformity(z: Float[Tensor, "B D"], *, t: float = 2.0) -> Tensor:
    r"""Compute the log of the mean Gaussian potential, :math:`\log \mathrm{mean}_{i<j} e^{-t |z_i - z_j|^2}`.

    Args:
        z: ``(B, D)``, usually unit rows; two or more.
        t: sharpness, 2 by default.

    Returns:
        Scalar, at most 0; lower is more uniform. By log-sum-exp, so large ``t`` does not underflow.

    Raises:
        InputError: for fewer than two rows, values that are not finite, or ``t`` of 0 or less.

    Source:
        Wang and Isola (2020).

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor(-8.)
    """
    in_range("t", t, 1e-9)
    return divergence.uniformity(_checked("z", z, least=2), tau=(2 * t) ** -0.5, reduction="global")


def effective_rank(z: Float[Tensor, "B D"]) -> float:
    r"""Compute the exponential of the entropy of the normalised singular values.

    Args:
        z: ``(B, D)``.

    Returns:
        Between 1 (all rows on one line) and ``min(B, D)``; 0 if all values are 0.

    Raises:
        InputError: for no rows or values that are not finite.

    Source:
        Roy and Vetterli (2007), The effective rank.

    Example:
        >>> round(effective_rank(torch.eye(3)), 4)
        3.0
    """
    rows = _checked("z", z).detach().double()
    if not (largest := float(rows.abs().max())):
        return 0.0
    p = torch.linalg.svdvals(rows / largest)
    p = p / p.sum()
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-300))).sum()))


def _checked(name: str, given: Tensor, *, least: int = 1) -> Tensor:
    """Return finite floating rows with their graph, or refuse."""
    z = numbers(name, given)
    if z.ndim != 2 or len(z) < least or not z.numel():
        raise InputError(f"{name} has shape {tuple(z.shape)}, expected (B, D) with B >= {least} and D >= 1")
    if not bool(torch.isfinite(z).all()):
        raise InputError(f"{name} has NaN or infinite values; leave those rows out")
    if z.dtype == torch.float64 and float(z.detach().abs().max()) > LARGEST:
        raise InputError(f"{name} has values whose squares overflow; divide it by a constant")
    return z if z.dtype in (torch.float32, torch.float64) else z.float() if z.is_floating_point() else z.double()
