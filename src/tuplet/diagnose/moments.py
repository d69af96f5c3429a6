"""Linear CKA and SVCCA of two representations in one pass over rows that need not be in memory together."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.diagnose._lists import Array, paired
from tuplet.diagnose.score import Score
from tuplet.types import InputError, in_range

RANK = 1e-12  # directions with less than this share of the largest variance are rounding, not variation


class Moments:
    r"""Second moments of two representations and of their squared lengths; what linear CKA and SVCCA are made of.

    With :math:`x_i, y_i` the rows less a fixed shift, the state is the Gram matrix of the rows
    :math:`(x_i, y_i, |x_i|^2, |y_i|^2, 1)`: everything else, centring included, is algebra on it.

    Attributes:
        n: rows seen.

    Notes:
        Cost ``n (d_a + d_b)^2``, memory ``(d_a + d_b)^2`` and one block in float64. The shift is the median row of the first
        block, so that a column that never changes is exactly 0.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> stream = Moments()
        >>> for _ in range(3):
        ...     x = torch.randn(100, 5, generator=g)
        ...     _ = stream.update(x, x @ torch.randn(5, 4, generator=g))
        >>> stream.n, stream.cka().metric, stream.svcca(components=4).k
        (300, 'cka', 4)
    """

    def __init__(self) -> None:
        self.n = 0
        self._gram = torch.zeros(0, 0, dtype=torch.float64)
        self._shift = (torch.zeros(0), torch.zeros(0))

    def update(self, a: Array, b: Array, *, block_size: int = 8192) -> Moments:
        """Add rows.

        Args:
            a: ``(n, d_a)``, any ``n`` from 1.
            b: ``(n, d_b)``, the same things in the same order.
            block_size: rows that are turned into float64 at a time; 8192 keeps products fast and blocks in a few MiB.

        Returns:
            Itself.

        Raises:
            InputError: for bad rows, or other widths than before.
        """
        in_range("block_size", block_size, 1)
        x, y = paired(a, b, least=1)
        if self.n == 0:
            self._shift = _typical(x[:block_size]), _typical(y[:block_size])
            width = x.shape[1] + y.shape[1] + 3
            self._gram = torch.zeros(width, width, dtype=torch.float64, device=x.device)
        for name, v, shift in (("a", x, self._shift[0]), ("b", y, self._shift[1])):
            if v.shape[1] != len(shift):
                raise InputError(f"{name} has {v.shape[1]} columns, expected {len(shift)} as in the rows before")
        for s, t in zip(torch.split(x, block_size), torch.split(y, block_size), strict=True):
            s, t = s.double() - self._shift[0], t.double() - self._shift[1]
            z = torch.cat([s, t, _squares(s), _squares(t), s.new_ones(len(s), 1)], dim=1)
            self._gram.addmm_(z.mT, z)
        self.n += len(x)
        return self

    def scatter(self) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return the centred :math:`\sum_i x_i x_i^\top`, :math:`\sum_i y_i y_i^\top` and :math:`\sum_i x_i y_i^\top`."""
        d = len(self._shift[0])
        sums = self._gram[-1, :-3]
        centred = self._gram[:-3, :-3] - torch.outer(sums, sums) / self.n
        return centred[:d, :d], centred[d:, d:], centred[:d, d:]

    def cka(self, *, unbiased: bool = True) -> Score:
        """Return linear CKA of the rows seen, see `tuplet.diagnose.similarity.cka`."""
        self._enough(4 if unbiased else 2)
        aa, bb, ab = self.scatter()
        g, n, zero = self._gram, self.n, self._gram.new_zeros(len(self._gram))
        d = len(self._shift[0])
        mean = g[-1] / n
        u, v = zero.clone(), zero.clone()  # z_i . u and z_i . v are the squared lengths of the centred rows
        u[:d], u[-3], u[-1] = -2 * mean[:d], 1, mean[:d].square().sum()
        v[d:-3], v[-2], v[-1] = -2 * mean[d:-3], 1, mean[d:-3].square().sum()
        traces = float(aa.trace()), float(bb.trace())
        pairs = ((ab, u, v, traces), (aa, u, u, (traces[0],) * 2), (bb, v, v, (traces[1],) * 2))
        hsic = [hsic_of(float(s.square().sum()), float(p @ g @ q), *t, n, unbiased) for s, p, q, t in pairs]
        return alignment_score(hsic, traces, n, max(d, len(g) - 3 - d), "linear", unbiased)

    def svcca(self, *, components: int | float = 10) -> Score:
        """Return SVCCA of the rows seen, see `tuplet.diagnose.similarity.svcca`."""
        self._enough(2)
        aa, bb, ab = self.scatter()
        left, right = principal(aa, components), principal(bb, components)
        return canonical_score(left.mT @ ab @ right, self.n, components)

    def _enough(self, least: int) -> None:
        if self.n < least:
            raise InputError(f"a and b have {self.n} rows, expected at least {least}; give more rows")


def hsic_of(cross: float, lengths: float, trace_a: float, trace_b: float, n: int, unbiased: bool) -> float:
    r"""Compute HSIC of centred rows from four sums, without its factor (:math:`1 / (n (n - 3))` unbiased) that CKA cancels."""
    if not unbiased:
        return cross
    return cross - n / (n - 2) * lengths + trace_a * trace_b / ((n - 1) * (n - 2))


def alignment_score(hsic: list[float], traces: tuple[float, float], n: int, d: int, kernel: str, unbiased: bool) -> Score:
    """Make CKA's score from three values of HSIC."""
    both = math.sqrt(hsic[1]) * math.sqrt(hsic[2]) if min(hsic[1:]) > 0 else math.nan
    warnings = [] if both > 0 else ["one side does not vary enough; the value is undefined"]
    if not unbiased and kernel == "linear" and n <= d:
        warnings.append(f"n = {n} <= d = {d}: biased CKA tends to 1 whatever the rows hold; take unbiased=True")
    chance = 0.0 if unbiased else traces[0] * traces[1] / (n - 1) / both
    kind = "unbiased" if unbiased else "biased"
    return Score("cka", hsic[0] / both, n, f"{kernel} kernel, {kind} HSIC, rows as given", chance, warnings=tuple(warnings))


def principal(scatter: Float[Tensor, "d d"], components: int | float) -> Float[Tensor, "d k"]:
    r"""Find the directions of largest variance, scaled so that rows along them have unit scatter."""
    if isinstance(components, int):
        in_range("components", components, 1)
    elif not 0 < components <= 1:
        raise InputError(f"components is {components}, expected a share in (0, 1] or a whole number >= 1")
    values, vectors = torch.linalg.eigh(scatter)
    values, vectors = values.flip(0), vectors.flip(1)
    rank = int((values > RANK * values[0]).sum()) if values[0] > 0 else 0
    kept = components
    if isinstance(components, float):
        shares = values[:rank].cumsum(0)
        kept = 1 + int((shares < components * shares[-1]).sum()) if rank else 0
    kept = min(int(kept), rank)
    scaled: Tensor = vectors[:, :kept] / values[:kept].sqrt()
    return scaled


def canonical_score(cross: Float[Tensor, "k l"], n: int, components: int | float) -> Score:
    """Make SVCCA's score from the cross-scatter of whitened components."""
    k, most = min(cross.shape), max(cross.shape)
    value = float(torch.linalg.svdvals(cross).clamp(0, 1).mean()) if k else math.nan
    warnings = [] if k else ["one side does not vary; the value is undefined"]
    if k and isinstance(components, int) and k < components:
        warnings.append(f"{components} components asked for, {k} by rank")
    if sum(cross.shape) > n - 1:
        warnings.append(f"{k} + {most} components of n = {n} rows: some correlations are 1 whatever the rows hold")
    chance = min(math.sqrt(most / (n - 1)), 1.0)
    said = f"mean canonical correlation of principal components ({components} asked for), columns centred, unscaled"
    return Score("svcca", value, n, said, chance, k=k, warnings=tuple(warnings))


def _squares(x: Tensor) -> Tensor:
    return x.square().sum(dim=1, keepdim=True)


def _typical(x: Tensor) -> Tensor:
    return x.double().median(dim=0).values
