"""Regularised canonical correlation analysis of any number of modalities, in closed form: linear maps into one space.

Each modality is reduced to its principal components. Directions that the modalities share are generalised eigenvectors of
the covariance of all components together against its block diagonal, both with a ridge. All of it is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from tuplet.types import InputError, in_range

EXACT = 4096  # largest matrix that is decomposed; beyond it, principal axes come from this many rows, evenly spaced


def principal_axes(x: Float[Tensor, "N d"], *, count: int = 100) -> tuple[Float[Tensor, " d"], Float[Tensor, "d k"]]:
    r"""Find the directions of largest variance, :math:`(x - \bar x)^\top (x - \bar x)\, v = \sigma^2 v`.

    Args:
        x: ``(N, d)`` rows, ``N`` >= 1.
        count: largest number of axes.

    Returns:
        The mean ``(d,)`` and orthonormal axes ``(d, k)``, largest variance first; ``k`` < ``count`` where the rows have fewer
        directions. Costs the cube of the smaller of ``N`` and ``d``, which is cut at `EXACT` rows.

    Source:
        Pearson (1901), On lines and planes of closest fit; for ``N < d`` from the ``(N, N)`` inner products.

    Example:
        >>> mean, axes = principal_axes(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
        >>> mean.tolist(), axes.abs().tolist()
        ([1.0, 1.0], [[1.0], [0.0]])
    """
    mean = x.mean(dim=0, dtype=torch.float64)
    n, d = x.shape
    if min(n, d) > EXACT:
        x = x[torch.linspace(0, n - 1, EXACT).long()]
    rows = x.double() - mean
    scale = float(rows.abs().max()) if rows.numel() else 0.0
    if scale <= 1e-12 * float(mean.abs().max()):  # constant, up to rounding of its mean
        return mean, mean.new_zeros(d, 0)
    rows = rows / scale
    wide = len(rows) < d
    values, vectors = torch.linalg.eigh(rows @ rows.mT if wide else rows.mT @ rows)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    vectors = vectors[:, values > 1e-10 * values[0]]
    axes = torch.linalg.qr(rows.mT @ vectors).Q if wide else vectors
    return mean, axes


class Moments:
    """Sums over rows from which the covariance of several modalities together follows, for data that are read in shares.

    Each block is over the rows that have both modalities. Such blocks can contradict each other: negative eigenvalues of the
    whole are set to 0 (Higham, 1988). A block of two modalities that share no row is 0 before that.

    Args:
        sizes: number of values per modality.

    Example:
        >>> moments = Moments([1, 1])
        >>> for x in (1.0, -1.0):
        ...     moments.add([torch.tensor([[x]]), torch.tensor([[2 * x]])], [torch.ones(1, dtype=torch.bool)] * 2)
        >>> moments.covariance().tolist()
        [[1.0, 2.0], [2.0, 4.0]]
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)
        # the modality of every value
        self.of = torch.arange(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes))
        total = len(self.of)
        self.products = torch.zeros(total, total, dtype=torch.float64)
        # of a value, over rows that have a modality
        self.sums = torch.zeros(total, len(self.sizes), dtype=torch.float64)
        self.counts = torch.zeros(len(self.sizes), len(self.sizes), dtype=torch.float64)

    def add(self, parts: Sequence[Float[Tensor, "N _"]], present: Sequence[Bool[Tensor, " N"]]) -> None:
        """Add rows; those where a modality is absent may hold anything finite. Far from centred rows lose digits."""
        mask = torch.stack(list(present), dim=1).double()
        x = torch.cat([p.double() for p in parts], dim=1) * mask[:, self.of]
        self.products += x.mT @ x
        self.sums += x.mT @ mask
        self.counts += mask.mT @ mask

    def covariance(self) -> Float[Tensor, "K K"]:
        """Return the covariance so far, ``(K, K)`` with ``K`` the sum of the sizes, positive semi-definite."""
        of, own = self.of, torch.arange(len(self.of))
        mean = self.sums[own, of] / self.counts[of, of].clamp_min(1)
        cross = self.sums[:, of] * mean  # sum of x_i over the rows that have both, times the mean of x_j
        both = self.counts[of][:, of]
        whole = (self.products - cross - cross.mT + both * mean[:, None] * mean) / both.clamp_min(1)
        if bool((self.counts == self.counts.max()).all()):
            return whole
        values, vectors = torch.linalg.eigh(whole)
        return whole if not len(values) or values[0] >= 0 else (vectors * values.clamp_min(0)) @ vectors.mT


def shared_directions(
    covariance: Float[Tensor, "K K"], sizes: Sequence[int], *, ridge: float = 0.1, dim: int = 64
) -> tuple[list[Float[Tensor, "_ dim"]], Float[Tensor, " dim"]]:
    r"""Solve for the directions that several modalities share.

    .. math:: (C + R)\, w = \lambda\, (\mathrm{blockdiag}(C) + R)\, w, \quad
        R_m = \mathrm{ridge} \cdot \mathrm{tr}(C_{mm}) / k_m \cdot I

    Args:
        covariance: ``(K, K)``, symmetric and positive semi-definite, as `Moments` gives it.
        sizes: :math:`k_m`, the number of values per modality, in order; they sum to ``K``.
        ridge: >= 0, relative to the mean variance of each block. 0 needs blocks of full rank.
        dim: number of directions.

    Returns:
        Per modality ``(k_m, dim)``, the parts of :math:`w`, with :math:`w^\top (\mathrm{blockdiag}(C) + R)\, w = 1`; and
        :math:`\lambda - 1` ``(dim,)``, falling, cut at 0: the canonical correlation for two modalities, up to :math:`M - 1`
        for M. Columns beyond those above 0 are 0.

    Raises:
        InputError: if ``sizes`` do not fit, ``ridge`` is negative, or ``dim`` is not positive.

    Source:
        Kettenring (1971), Canonical analysis of several sets of variables, MAXVAR; ridge as in Vinod (1976).

    Example:
        >>> directions, strength = shared_directions(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), [1, 1], ridge=0.0, dim=1)
        >>> round(float(strength), 3)
        0.5
    """
    in_range("ridge", ridge, 0)
    in_range("dim", dim, 1)
    if sum(sizes) != len(covariance):
        raise InputError(f"sizes is {list(sizes)}, expected numbers that sum to {len(covariance)}")
    between, half = covariance.double().clone(), torch.zeros_like(covariance, dtype=torch.float64)
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    places = [slice(a, b) for a, b in pairwise(ends)]
    for m in places:  # B^(-1/2) of each modality with something in it; its own block is the same on both sides
        own = between[m, m].clone()
        between[m, m] = 0.0
        if len(own):
            own += ridge * own.diagonal().mean() * torch.eye(len(own), dtype=own.dtype)
            values, vectors = torch.linalg.eigh(own)
            keep = values > 1e-12 * values[-1]
            half[m, m] = (vectors * torch.where(keep, values, 1.0).rsqrt() * keep) @ vectors.mT
    whitened = half @ between @ half
    values, vectors = torch.linalg.eigh((whitened + whitened.mT) / 2)
    strength = values.flip(0)[:dim].clamp_min(0)
    found = (half @ vectors.flip(1)[:, :dim]) * (strength > 0)
    lacking = max(dim - len(strength), 0)
    padded = F.pad(found, (0, lacking))
    return [padded[m] for m in places], F.pad(strength, (0, lacking))
