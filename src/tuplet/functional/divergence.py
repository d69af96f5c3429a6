"""Uniformity of one set of embeddings (Wang and Isola, 2020; UniAlign) and the Hoelder divergence between several."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tuplet.functional._blocks import EMPTY, cut, pair_mask
from tuplet.functional.density import Geometry, log_density, median_distance
from tuplet.types import InputError, one_of

Mode = Literal["plugin", "loo_both"]


def uniformity(
    z: Float[Tensor, "B D"],
    *,
    tau: float,
    geometry: Geometry = "euclidean",
    reduction: Literal["row", "global"] = "row",
    rows: slice | None = None,
    valid: Bool[Tensor, " B"] | None = None,
    group: Int[Tensor, " B"] | None = None,
    block_size: int | None = None,
) -> Float[Tensor, ""]:
    r"""Log of the mean Gaussian potential between the rows of one modality; lower is more uniform.

    .. math:: U = \frac1B \sum_i \log \frac{1}{B-1} \sum_{j \ne i} e^{-d(z_i, z_j)^2 / 2\tau^2}

    Args:
        z: ``(B, D)``, unit rows for ``"geodesic"``.
        tau: bandwidth, > 0.
        geometry: ``"euclidean"`` or ``"geodesic"`` distance.
        reduction: ``"row"`` takes the logarithm row by row (UniAlign, equation 9); ``"global"`` that of the mean over all
            pairs (Wang and Isola, with ``t = 1 / (2 tau**2)``), which is at least as large.
        rows: the slice of rows that this process owns; None for all.
        valid: ``(B,)`` rows that take part; None for all.
        group: ``(B,)`` ids; rows with an equal id do not repel each other.
        block_size: as in `log_density`.

    Returns:
        Scalar, at most 0; its mean over processes is the value of all rows. 0 if no row has another to be far from. The
        gradient is :math:`-\frac{1}{B\tau^2} \sum_j (p_{ij} + p_{ji})(z_i - z_j)`; the paper leaves out ``1/B`` and
        :math:`p_{ji}`.

    Source:
        UniAlign, equation 9; Wang and Isola (2020).

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), tau=0.5)
        tensor(-8.)
    """
    one_of("reduction", reduction, ("row", "global"))
    n = z.shape[0]
    mine = slice(0, n) if rows is None or reduction == "global" else rows
    pairs = pair_mask(valid, group)

    def keep(part: slice) -> Tensor:
        assert pairs is not None
        return pairs(slice(mine.start + part.start, mine.start + part.stop), slice(0, n))

    density = log_density(
        cut(z, mine), z, tau=tau, geometry=geometry, own=mine.start, keep=None if pairs is None else keep, block_size=block_size
    )
    counted = torch.ones(n, dtype=torch.bool, device=z.device) if valid is None else valid
    total = counted.sum()
    if reduction == "global":
        joint = torch.where(counted, density, EMPTY).logsumexp(dim=0) - total.to(density).clamp_min(1).log()
        return torch.where(total > 0, joint, 0.0)
    world = n / (mine.stop - mine.start)
    return torch.where(counted[mine], density, 0.0).sum() * world / total.clamp_min(1)


def holder_divergence(
    sets: Sequence[Float[Tensor, "_ D"]],
    *,
    tau: float | Sequence[float],
    mode: Mode = "plugin",
    anchor: Literal["first", "average"] = "first",
    block_size: int | None = None,
) -> Float[Tensor, ""]:
    r"""Estimate the global Hoelder divergence between ``M`` sets of embeddings.

    .. math::
        \hat D = \frac1M \sum_m \log \frac1B \sum_i (s^m_i)^{M-1} - \log \frac1B \sum_i \prod_{n \ne a} c^{an}_i

    where :math:`s^m_i` is the kernel density of set ``m`` at its own row ``i`` and :math:`c^{an}_i` that of set ``n`` at
    row ``i`` of the anchor ``a``.

    Args:
        sets: two or more tensors ``(B, D)``; with ``"loo_both"`` row ``i`` of all of them is one tuple.
        tau: bandwidth, > 0, or one per set. No single one tells the gap: try several.
        mode: ``"plugin"`` is equation 24, where every row counts itself: at small ``tau`` it measures pairing.
            ``"loo_both"`` leaves each row and its match out of all densities, which compares distributions.
        anchor: ``"first"`` set (the paper), or ``"average"`` of the joint integral over all anchors.
        block_size: as in `log_density`.

    Returns:
        Scalar, 0 for identical sets. ``M = 2`` with ``"plugin"`` and equal bandwidths is the Cauchy-Schwarz divergence, >= 0;
        otherwise estimates may be a little negative, and are not clamped. Cost ``M B^2 D``, with ``"average"`` ``M^2 B^2 D``.
        The constants of unequal bandwidths do not cancel; a warning says so. The paper's leaving rows out of the first term
        only is far below 0 on identical sets, and is not offered.

    Raises:
        InputError: for fewer than two sets, ``tau`` that does not fit, or sets of unequal size with ``"loo_both"``.

    Source:
        UniAlign, equations 16 and 20 to 24; Jenssen et al. (2006) for two sets.

    Example:
        >>> holder_divergence([torch.eye(3), torch.eye(3), torch.eye(3)], tau=0.07)
        tensor(0.)
    """
    m = len(sets)
    if m < 2:
        raise InputError(f"sets holds {m} tensor, expected two or more")
    one_of("mode", mode, ("plugin", "loo_both"))
    one_of("anchor", anchor, ("first", "average"))
    taus = [float(tau)] * m if isinstance(tau, (int, float)) else [float(t) for t in tau]
    if len(taus) != m:
        raise InputError(f"tau has {len(taus)} bandwidths for {m} sets; give one number, or one per set")
    if mode == "loo_both" and len({len(z) for z in sets}) > 1:
        raise InputError(f"sets have {[len(z) for z in sets]} rows; mode='loo_both' needs tuples, equal numbers of rows")
    if len(set(taus)) > 1:
        warnings.warn("tau differs between sets: constants do not cancel and the value is no divergence", stacklevel=2)
    own = 0 if mode == "loo_both" else None

    def density(a: int, n: int) -> Tensor:
        constant = 0.0 if len(set(taus)) == 1 else sets[n].shape[1] / 2 * math.log(2 * math.pi * taus[n] ** 2)
        return log_density(sets[a], sets[n], tau=taus[n], own=own, block_size=block_size) - constant

    spread = [_log_mean((m - 1) * density(k, k)) for k in range(m)]
    joint = [
        _log_mean(torch.stack([density(a, n) for n in range(m) if n != a]).sum(dim=0))
        for a in range(1 if anchor == "first" else m)
    ]
    return torch.stack(spread).mean() - _log_mean(torch.stack(joint))


def _log_mean(logs: Tensor) -> Tensor:
    return logs.logsumexp(dim=0) - math.log(len(logs))


def holder_sweep(
    sets: Sequence[Float[Tensor, "_ D"]], *, taus: Sequence[float] = (0.265, 0.5, 1.0), mode: Mode = "loo_both"
) -> dict[float, float]:
    """Estimate the Hoelder divergence at several bandwidths, because no single one tells the gap.

    Args:
        sets: two or more tensors ``(B, D)``, as in `holder_divergence`.
        taus: bandwidths. The default 0.265 is the root of CLIP's temperature 0.07; 0.5 is Wang and Isola's ``t = 2``.
        mode: as in `holder_divergence`; the default compares distributions.

    Returns:
        Bandwidth -> divergence, averaged over anchors; the last is that of the median heuristic, `median_distance`.

    Source:
        UniAlign, equation 24; Gretton et al. (2012) for the median heuristic.

    Example:
        >>> e = torch.eye(4)
        >>> {round(k, 2): round(abs(v), 2) for k, v in holder_sweep([e, e]).items()}
        {0.27: 0.0, 0.5: 0.0, 1.0: 0.0, 1.41: 0.0}
    """
    with torch.no_grad():
        widths = [*map(float, taus), median_distance(torch.cat(list(sets)))]
        return {t: float(holder_divergence(sets, tau=t, mode=mode, anchor="average")) for t in widths}
