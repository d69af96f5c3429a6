"""Kernel densities in log space, with Euclidean or geodesic distances between rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._blocks import EMPTY, LARGE, Partitions, cut, in_blocks
from tuplet.functional._derivative import first_order
from tuplet.types import InputError, in_range, one_of

Geometry = Literal["euclidean", "geodesic"]  # distance between rows: the chord, or the angle between unit rows


def log_density(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "K D"],
    *,
    tau: float,
    geometry: Geometry = "euclidean",
    own: int | None = None,
    keep: Callable[[slice], Tensor] | None = None,
    block_size: int | None = None,
) -> Float[Tensor, " N"]:
    r"""Log of an unnormalised Gaussian kernel density at every row, :math:`\log \mathrm{mean}_j e^{-d(x_i, y_j)^2 / 2\tau^2}`.

    Args:
        x: ``(N, D)`` points.
        y: ``(K, D)`` centres.
        tau: bandwidth, > 0; on unit rows the temperature of a softmax over cosines is ``tau**2``.
        geometry: ``"euclidean"`` distance, or ``"geodesic"``: the angle between unit rows.
        own: the centre that belongs to row 0 (row ``i``'s is ``own + i``), which is left out; None leaves none out.
        keep: function of a slice of ``x`` giving bool ``(n, K)``, the centres to count; None for all.
        block_size: rows per block, recomputed in backward to bound memory; None keeps one block.

    Returns:
        ``(N,)``; 0 with a zero gradient for a row without centres. Cost ``N K D``. Summed as logarithms, so nothing
        underflows. An angle, and 512 rows and more on a CPU, have first derivatives only.

    Source:
        UniAlign, equations 9, 14 and 21.

    Example:
        >>> log_density(torch.eye(2), torch.eye(2), tau=1.0, own=0)  # the other row is at distance sqrt 2
        tensor([-1., -1.])
    """
    in_range("tau", tau, 1e-6)
    one_of("geometry", geometry, ("euclidean", "geodesic"))
    if block_size is not None:
        in_range("block_size", block_size, 1)
    if geometry == "euclidean":  # distances from the common centre, or an offset of all rows takes the digits
        centre = y.detach().mean(dim=0)
        x, y = x - centre, y - centre
    half = y.square().sum(dim=1) / 2

    def block(rows: slice) -> Tensor:
        part = cut(x, rows)
        offset = part.square().sum(dim=1) / 2
        if geometry == "euclidean":  # the row's own |x|^2 / 2 joins after the sum
            logits = torch.addmm(half / -(tau**2), part / tau**2, y.mT)
        else:
            chord = (torch.addmm(half, part, y.mT, alpha=-1) + offset[:, None]) * 2
            logits = _SquaredAngle.apply(chord) / (-2 * tau**2)
        size = torch.full_like(offset, y.shape[0] - (own is not None))
        if keep is not None:
            kept = keep(rows).clone()
            if own is not None:
                kept.diagonal(own + rows.start).fill_(False)
            logits, size = torch.where(kept, logits, EMPTY), kept.sum(dim=1).to(size)
        elif own is not None:
            logits.diagonal(own + rows.start).fill_(EMPTY)
        once = len(logits) >= LARGE and logits.is_cpu  # one exponential, not two
        total = Partitions.apply(logits, None, None, 0, (1,), False)[0] if once else logits.logsumexp(dim=1)
        density = total - size.clamp_min(1).log() - (offset / tau**2 if geometry == "euclidean" else 0.0)
        return torch.where(size > 0, density, 0.0)

    return torch.cat(in_blocks(block, slice(0, len(x)), block_size))


def squared_distance(
    x: Float[Tensor, "B D"], y: Float[Tensor, "B D"], *, geometry: Geometry = "euclidean"
) -> Float[Tensor, " B"]:
    r"""Measure the squared distance of matching rows: :math:`|x - y|^2`, or the squared angle between unit rows.

    Args:
        x, y: ``(B, D)``.
        geometry: ``"euclidean"`` or ``"geodesic"``, :math:`(2\,\mathrm{atan2}(|x - y|, |x + y|))^2`.

    Returns:
        ``(B,)``. The angle keeps its digits for nearly equal and nearly opposite rows, with a finite gradient.

    Source:
        UniAlign, equations 10 and 14; the angle as in Kahan (2006), How futile are mindless assessments of roundoff.

    Example:
        >>> squared_distance(torch.eye(2), -torch.eye(2), geometry="geodesic")  # pi squared
        tensor([9.8696, 9.8696])
    """
    one_of("geometry", geometry, ("euclidean", "geodesic"))
    if geometry == "euclidean":
        return (x - y).square().sum(dim=1)
    near, far = torch.linalg.vector_norm(x - y, dim=1), torch.linalg.vector_norm(x + y, dim=1)
    half_angle = torch.atan2(near, torch.where(near + far == 0, 1.0, far))  # two zero rows: angle 0
    return (2 * half_angle).square()


class _SquaredAngle(torch.autograd.Function):
    r"""Squared angle between unit rows from their squared chord ``s``: :math:`\theta^2 = 4 \arcsin^2(\sqrt s / 2)`."""

    @staticmethod
    def forward(ctx: Any, chord: Tensor) -> Tensor:
        chord = chord.clamp(0.0, 4.0)
        angle = 2 * (chord.sqrt() / 2).asin()
        ctx.save_for_backward(chord, angle)
        return angle.square()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        chord, angle = ctx.saved_tensors
        sine = (chord * (4 - chord)).sqrt() / 2
        slope = angle / sine.clamp_min(torch.finfo(chord.dtype).eps ** 0.5)
        series = 1 + chord / 6 + chord.square() / 30
        return torch.where(chord < 1e-4, series, slope) * grad


def median_distance(z: Float[Tensor, "N D"]) -> float:
    """Find the median distance between different rows, a usual bandwidth.

    Args:
        z: ``(N, D)``, two or more different rows; of more than 2,000, as many are compared, taken at equal steps.

    Returns:
        The median of the distances above 0.

    Raises:
        InputError: if all rows are equal.

    Source:
        Gretton et al. (2012), A kernel two-sample test.

    Example:
        >>> median_distance(torch.eye(2))
        1.4142135381698608
    """
    some = z[:: math.ceil(len(z) / 2000)].detach().float()
    distances = torch.nn.functional.pdist(some)
    distances = distances[distances > 0]
    if len(distances) == 0:
        raise InputError("z has no two different rows; a median distance needs some spread")
    return float(distances.median())
