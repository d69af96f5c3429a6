"""Nearest neighbours of every row, exact and tiled, with ties decided by index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from tuplet.types import InputError, in_range

ENTRIES = 2**24
"""Inner products in memory at a time: 64 MiB in float32."""
CHUNK = 64
"""Columns whose maximum stands for them while the best are sought."""
STEPS = {torch.float32: (20, 23), torch.float64: (44, 52)}
"""Inner products are rounded to 2^-20 (float32) or 2^-44 of the largest squared length; the mantissa's bits."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Neighbours of some rows, nearest first."""

    index: Int[Tensor, "m k"]
    score: Float[Tensor, "m k"]
    tied: float


@torch.no_grad()
def neighbours(
    x: Float[Tensor, "n d"], *, k: int = 10, queries: Int[Tensor, " m"] | None = None, block_size: int | None = None
) -> Neighbours:
    """Find the ``k`` rows of largest inner product with each row, itself left out."""
    n = len(x)
    if not 1 <= k < n:
        raise InputError(f"k is {k}, expected 1 to {n - 1} neighbours among n = {n} rows")
    block = max(1, ENTRIES // n) if block_size is None else block_size
    in_range("block_size", block, 1)
    largest = float(x.square().sum(dim=1).max())
    step, mantissa = STEPS[x.dtype]
    grid = 1.5 * 2.0 ** (mantissa - step + (math.ceil(math.log2(largest)) if largest > 0 else 0))
    padded = F.pad(x, (0, 0, 0, -n % CHUNK)).mT
    rows = torch.arange(n, device=x.device) if queries is None else queries
    found, scores, tied = [], [], 0
    for at in torch.split(rows, block):
        tile = x[at] @ padded
        tile.add_(grid).sub_(grid)  # rounds to the grid
        tile[:, n:] = -torch.inf
        tile.scatter_(1, at[:, None], -torch.inf)
        index, ties = _largest(tile, k)
        value, order = tile.gather(1, index).sort(dim=1, descending=True, stable=True)
        found.append(index.gather(1, order))
        scores.append(value)
        tied += int(ties.sum())
    return Neighbours(torch.cat(found), torch.cat(scores), tied / len(rows))


def _largest(tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Columns of the ``k`` largest entries of each row, rising, the lower column among equals; and which rows are tied."""
    width = tile.shape[1]
    if width < 4 * CHUNK * (k + 1) or width % CHUNK:
        return _largest_of_few(tile, k)
    # The k + 1 best lie in the k + 1 chunks with the best maxima: whoever lies elsewhere has k + 1 ahead of it.
    chunked = tile.view(len(tile), -1, CHUNK)
    chunk, _ = _largest_of_few(chunked.amax(dim=2), k + 1)
    few = chunked.gather(1, chunk[:, :, None].expand(-1, -1, CHUNK)).flatten(1)
    index, tied = _largest_of_few(few, k)
    return chunk.gather(1, index // CHUNK) * CHUNK + index % CHUNK, tied


def _largest_of_few(tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    value, index = tile.topk(k + 1, dim=1)
    last = value[:, k - 1]
    tied = last == value[:, k]
    index = index[:, :k].sort(dim=1).values
    if bool(tied.any()):
        part, limit = tile[tied], last[tied][:, None]
        equal = part == limit
        room = k - (part > limit).sum(dim=1, keepdim=True)
        chosen = (part > limit) | (equal & (equal.cumsum(dim=1) <= room))
        index[tied] = chosen.nonzero()[:, 1].view(-1, k)
    return index, tied
