"""What scores can be at most, from inner products that float32 took: a quick scan leaves out only what is surely worse."""

from __future__ import annotations

from math import prod
from typing import NamedTuple, cast

import torch
from torch import Tensor

from tuplet.functional.nnls import best_mixture

UNSURE = 1e-12
"""Squared pivots below this are nothing but rounding; the bounds of such candidates exceed every score."""


class Rough(NamedTuple):
    """Inner products of single unit vectors with tuples of ``k`` unit members."""

    products: Tensor  # (k, B, N)
    gram: Tensor  # (k, k, N), of the members with each other, in float64
    slack: float  # products are off by this at most

    def spanned(self) -> tuple[Tensor, Tensor]:
        """Bound the length of projections onto the tuples' spans, ``(B, N)``, from above, and volumes ``(N,)`` from below."""
        low, off, volume = self._factor()
        parts: list[Tensor] = []
        for i, t in enumerate(self.products):  # L^-1 t, row by row
            for j in range(i):
                t = t.addcmul(low[i][j].to(t), parts[j], value=-1)
            parts.append(t * low[i][i].reciprocal().to(t))
        out = parts[0].square()
        for part in parts[1:]:
            out.addcmul_(part, part)
        return out.sqrt_().add_(off.to(out)), volume.to(out)

    def conic(self) -> Tensor:
        """Bound the cosines with the tuples' cones, ``(B, N)``."""
        if len(self.products) != 2:
            found: Tensor = best_mixture(self.products.double(), self.gram)[0] + self._factor()[1]
            return found  # float32 would not mix members that nearly cancel each other
        a, b = self.products
        inner = self.gram[0, 1].to(a)
        both = torch.minimum(a.addcmul(inner, b, value=-1), b.addcmul(inner, a, value=-1)).add_(4 * self.slack)
        return torch.where(both > 0, self.spanned()[0], torch.maximum(a, b).add_(2 * self.slack))  # mixed, or the better one

    def triangular(self) -> Tensor:
        """Bound twice the squared areas of triangles, ``|u|^2 |v|^2 - (u . v)^2`` of two edges, from below, ``(B, N)``."""
        a, b = self.products  # |u|^2 = 2 - 2 a, |v|^2 = 2 - 2 b, each off by 2 slack at most, as is u . v; all are at most 4
        edges = self.gram[0, 1].to(a) + 1 - a - b
        return cast(Tensor, (4 * (1 - a) * (1 - b) - edges.square_() - 32 * self.slack).clamp_min_(0))

    def _factor(self) -> tuple[list[list[Tensor]], Tensor, Tensor]:
        """Factorise the Gram matrices entry by entry; say how far off lengths and cosines may be; bound the volumes."""
        k, low = len(self.gram), list[list[Tensor]]()
        for i in range(k):
            low.append([])
            for j in range(i + 1):
                left = self.gram[i, j] - sum(low[i][m] * low[j][m] for m in range(j))
                low[i].append(left.clamp_min(UNSURE).sqrt() if i == j else left / low[j][j])
        volume = prod((low[i][i] for i in range(1, k)), start=low[0][0])
        # the smallest eigenvalue: their product is the squared volume, and the others' mean is at most k / (k - 1)
        smallest = volume.square() * ((k - 1) / k) ** (k - 1)
        # rounded members: those inner products are off, too, far less than the products with the queries
        own = self.slack * k / (4 * smallest)
        return low, self.slack * (k / smallest).sqrt() + own, volume * (1 - own).clamp_min(0)
