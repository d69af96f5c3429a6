"""How much all modalities of a space share, beyond pairs: total and dual total correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.functional.gcca import principal_axes
from tuplet.types import Embeddings, InputError, in_range


@dataclass(frozen=True, slots=True)
class Dependence:
    r"""Total and dual total correlation in bits, as if the embeddings were Gaussian.

    Attributes:
        total: :math:`\mathrm{TC} = \sum_m H(z^m) - H(z)`: what is counted once for every modality that repeats it.
        dual: :math:`\mathrm{DTC} = H(z) - \sum_m H(z^m | z^{-m})`: what two modalities or more share, each part once.
        one_vs_all: modality -> :math:`I(z^m; z^{-m})`; they sum up to TC + DTC.
        lower, upper: the sandwich :math:`\frac1M \sum_m I \le \mathrm{DTC} \le \frac{M-1}M \sum_m I`. It holds for the truth;
            estimates near 0 may lie outside by their noise.
        rows, dims: rows with all modalities, and principal components per modality.

    Example:
        >>> Dependence(1.0, 1.0, {"a": 1.0, "b": 1.0}, 1.0, 1.0, 100, 2).dual
        1.0
    """

    total: float
    dual: float
    one_vs_all: dict[str, float]
    lower: float
    upper: float
    rows: int
    dims: int


@torch.no_grad()
def dependence(emb: Embeddings, *, dims: int | None = None) -> Dependence:
    r"""Measure what the modalities share as a whole.

    With covariance ``S``, :math:`H` differs from :math:`\frac12 \log \det S` by constants that cancel:

    .. math::
        \mathrm{TC} = \tfrac12 \Big(\sum_m \log\det S_m - \log\det S\Big), \qquad
        \mathrm{DTC} = \tfrac12 \Big(\sum_m \log\det S_{-m} - (M - 1) \log\det S\Big)

    Each log determinant has its expected error taken off, which is exact for Gaussian rows (a sum of digamma functions).

    Args:
        emb: the embeddings; rows that lack a modality are left out.
        dims: principal components kept of each modality; by default as many as leave ten rows for each component of all
            modalities, at most 8. Fewer see less.

    Returns:
        The `Dependence`. Independent modalities read 0 on average; small negatives are noise. Dependence that no linear map
        sees is not seen.

    Raises:
        InputError: for fewer than two modalities, too few rows for ``dims``, or a modality that follows exactly from others.

    Source:
        OVA-IB, equations 13 to 15; the expected log determinant of a Wishart matrix, Anderson (2003), section 7.5.

    Example:
        >>> x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
        >>> found = dependence(Embeddings.of({"a": x[:, :2], "b": x[:, :2] + x[:, 2:]}), dims=2)
        >>> found.lower <= found.dual <= found.upper and abs(found.total - found.dual) < 1e-9
        True
    """
    names = emb.modalities
    if len(names) < 2:
        raise InputError(f"z has only {list(names)}, expected two modalities or more")
    there = torch.stack([emb.present[k] for k in names]).all(dim=0)
    n, m = int(there.sum()), len(names)
    widest = min(emb.z[k].shape[1] for k in names)
    if dims is None:
        dims = max(1, min(8, widest, n // (10 * m)))
    in_range("dims", dims, 1)
    if dims > widest or n < m * dims + 2:
        raise InputError(
            f"{n} rows have all of {m} modalities of at least {widest} dimensions, too few for {dims} of each; give "
            f"{m * dims + 2} rows or lower dims"
        )
    parts = []
    for k in names:
        z = emb.z[k][there].double()
        _, axes = principal_axes(z, count=dims)
        found = (z - z.mean(dim=0)) @ axes
        if found.shape[1] < dims or bool((found.std(dim=0) < 1e-9 * z.abs().max().clamp_min(1e-300)).any()):
            raise InputError(f"{k!r} varies in fewer than {dims} dimensions; lower dims")
        parts.append(found / found.std(dim=0))
    x = torch.cat(parts, dim=1)  # (n, M dims)
    covariance = x.mT @ x / (n - 1)
    least = 1e-6 if any(emb.z[k].dtype != torch.float64 for k in names) else 1e-10
    if float(torch.linalg.eigvalsh(covariance)[0]) < least:
        raise InputError(
            f"one of {list(names)} follows exactly from the others, so what they share is infinite; leave out copies and sums"
        )
    blocks = [list(range(i * dims, (i + 1) * dims)) for i in range(m)]
    whole = _log_det(covariance, list(range(m * dims)), n)
    own = [_log_det(covariance, b, n) for b in blocks]
    rest = [_log_det(covariance, [i for j in range(m) if j != k for i in blocks[j]], n) for k in range(m)]
    bits = 0.5 / math.log(2)
    one = {k: bits * (a + b - whole) for k, a, b in zip(names, own, rest, strict=True)}
    together = sum(one.values())
    return Dependence(
        total=bits * (sum(own) - whole),
        dual=bits * (sum(rest) - (m - 1) * whole),
        one_vs_all=one,
        lower=together / m,
        upper=together * (m - 1) / m,
        rows=n,
        dims=dims,
    )


def _log_det(covariance: Tensor, which: Sequence[int], n: int) -> float:
    """Return the log determinant of a block, without its expected error: that of a Wishart matrix with n - 1 degrees."""
    block = covariance[which][:, which]
    degrees = n - 1 - torch.arange(len(which), dtype=torch.float64)
    error = (torch.digamma(degrees / 2) + math.log(2 / (n - 1))).sum()
    return float(torch.linalg.slogdet(block).logabsdet - error)
