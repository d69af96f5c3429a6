"""Nearest neighbours, exact and tiled, of the same rows in two representations, and the metrics read from their lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tuplet.diagnose.score import Score, shuffles_of
from tuplet.functional._given import vectors
from tuplet.types import InputError, in_range, one_of

Rows = Literal["unit", "clipped", "centred", "raw"]  # how rows are prepared, see `prepared`
Array = Tensor | NDArray[np.generic]  # rows as a tensor or a NumPy array

CONVENTIONS = {
    "unit": "unit rows, uncentred, inner product, self excluded, ties by index",
    "clipped": "values clipped at the 0.95 quantile of |value|, unit rows, inner product, self excluded, ties by index",
    "centred": "centred columns, inner product, self excluded, ties by index",
    "raw": "rows as given, inner product, self excluded, ties by index",
}
"""What each way of preparing rows means for neighbours, in words."""

ENTRIES = 2**24  # inner products in memory at a time: 64 MiB in float32
CHUNK = 64  # columns whose maximum stands for them while the best are sought
STEPS = {torch.float32: (20, 23), torch.float64: (44, 52)}
"""Inner products are rounded to 2^-20 (float32) or 2^-44 of the largest squared length; the mantissa's bits."""
TIES = 0.05  # share of rows with a tied last neighbour from which ties are also decided at random, and a score says so
Measure = Callable[["Neighbours"], Tensor]  # values of a metric given the second space's lists


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


@dataclass(frozen=True, slots=True)
class Lists:
    """Neighbours of the same rows in two representations: what every neighbour metric is read from."""

    a: Neighbours
    b: Neighbours
    loose: Neighbours
    n: int
    at: Tensor
    rows: Rows

    def score(self, metric: str, *, shuffles: int, seed: int) -> Score:
        """Return one of the metrics, its chance level and its null."""
        n, m, k = self.n, len(self.at), self.a.index.shape[1]
        each = METRICS[metric](self)(self.b)
        value = float(each.mean())
        warnings = [] if math.isfinite(value) else ["one side has no neighbourhoods that vary; the value is undefined"]
        measure, loose = METRICS[metric](replace(self, b=self.loose)), value
        if self.loose is not self.b:
            loose = float(measure(self.loose).mean())
            tied = 100 * max(self.a.tied, self.b.tied)
            warnings.append(
                f"{tied:.0f} % of rows have a tied last neighbour, decided by index on both sides; "
                f"decided at random on one the value is {loose:.4f}, and a null's p is of that"
            )
        null = shuffles_of(
            loose,
            lambda order: float(measure(self._shuffled(order)).mean()),
            n=m,
            shuffles=shuffles if math.isfinite(loose) else 0,
            seed=seed,
            device=self.at.device,
        )
        chance = None if null is None else null.mean
        if metric == "mutual_knn":
            chance = k / (n - 1)
        if metric == "cycle_knn":
            chance = self._cycle_chance()
        interval = None
        if m < n:
            half = 1.96 * float(each.std()) * math.sqrt((1 - m / n) / m)
            interval = (value - half, value + half)
        return Score(metric, value, n, CONVENTIONS[self.rows], chance, k, null, interval, tuple(warnings))

    def _shuffled(self, order: Tensor) -> Neighbours:
        """Neighbours in the second space after its rows (those asked for among themselves) are reordered."""
        name = torch.arange(self.n, device=order.device)
        name[self.at[order]] = self.at
        return Neighbours(name[self.loose.index[order]], self.loose.score[order], self.loose.tied)

    def _cycle_chance(self) -> float:
        n, k = self.n, self.a.index.shape[1]
        degree = torch.bincount(self.a.index.flatten(), minlength=n).double()
        missed = torch.ones_like(degree)
        for j in range(k):  # k draws without replacement from n - 1 rows, of which `degree` are hits
            missed *= ((n - 1 - degree - j) / (n - 1 - j)).clamp_min(0)
        return float((1 - missed).mean())


@torch.no_grad()
def search(a: Array, b: Array, *, k: int = 10, rows: Rows = "unit", queries: int | None = None, seed: int = 0) -> Lists:
    """Find the neighbours of the same rows in two representations."""
    x, y = paired(a, b, least=4)
    n = len(x)
    at = torch.arange(n, device=x.device)
    if queries is not None and queries < n:
        in_range("queries", queries, 2)
        at = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:queries].sort().values.to(x.device)
    x, y = prepared(x, rows=rows), prepared(y, rows=rows)
    one, two = (neighbours(v, k=k, queries=at) for v in (x, y))
    loose = two
    if max(one.tied, two.tied) >= TIES:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed + 1)).to(x.device)
        found = neighbours(y[order], k=k, queries=order.argsort()[at])
        loose = replace(found, index=order[found.index])
    return Lists(one, two, loose, n, at, rows)


def _common(a: Neighbours, b: Neighbours) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, column and both scores of common neighbours, columns rising within rows."""
    index, order = torch.cat([a.index, b.index], dim=1).sort(dim=1, stable=True)
    twice = index[:, 1:] == index[:, :-1]
    both = torch.cat([a.score.double(), b.score.double()], dim=1).gather(1, order)
    return twice.nonzero()[:, 0], index[:, 1:][twice], both[:, :-1][twice], both[:, 1:][twice]


def _mutual(lists: Lists) -> Measure:
    k = lists.a.index.shape[1]

    def measure(b: Neighbours) -> Tensor:
        index = torch.cat([lists.a.index, b.index], dim=1).sort(dim=1).values
        return (index[:, 1:] == index[:, :-1]).sum(dim=1).double() / k

    return measure


def _returns(row: Tensor, column: Tensor, n: int, keys: Tensor) -> Tensor:
    """Whether the edge from column to row is among sorted keys ``row * n + column``."""
    wanted = column * n + row
    at = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
    return keys[at] == wanted


def _cycle(lists: Lists) -> Measure:
    row = torch.arange(lists.n, device=lists.at.device)[:, None].expand_as(lists.a.index)
    keys = (row * lists.n + lists.a.index).flatten().sort().values
    return lambda b: _returns(row, b.index, lists.n, keys).any(dim=1).double()


def _lcs(lists: Lists) -> Measure:
    def measure(b: Neighbours) -> Tensor:
        length = b.index.new_zeros(len(b.index), b.index.shape[1] + 1)
        for near in lists.a.index.unbind(dim=1):
            longer = length[:, :-1] + (near[:, None] == b.index)
            length[:, 1:] = torch.maximum(length[:, 1:], longer).cummax(dim=1).values
        return length[:, -1].double()

    return measure


def _local_hsic(a: Neighbours, b: Neighbours) -> float:
    """Unbiased HSIC, without its first factor, of the kernels masked to common neighbours."""
    n = len(a.index)
    row, column, p, q = _common(a, b)
    if len(row) == 0:
        return 0.0
    back = _returns(row, column, n, row * n + column)
    incoming = torch.zeros(n, dtype=p.dtype, device=p.device).index_add_(0, column, p)
    outgoing = torch.zeros_like(incoming).index_add_(0, row, q)
    mean = float(p.sum() * q.sum()) / ((n - 1) * (n - 2))
    return float((p * q)[back].sum()) + mean - 2 * float(incoming @ outgoing) / (n - 2)


def _cknna(lists: Lists) -> Measure:
    own = _local_hsic(lists.a, lists.a) * _local_hsic(lists.b, lists.b)  # a shuffle changes neither
    both = math.sqrt(own) if own > 0 else math.nan
    return lambda b: torch.tensor([_local_hsic(lists.a, b) / both], dtype=torch.float64)


METRICS: dict[str, Callable[[Lists], Measure]] = {"mutual_knn": _mutual, "cknna": _cknna, "cycle_knn": _cycle, "lcs_knn": _lcs}
"""A metric's values, one per row (one in all for CKNNA), as a function of the second space's lists."""


def paired(a: Array, b: Array, *, least: int = 4) -> tuple[Tensor, Tensor]:
    """Check two representations of the same rows."""
    x, y = vectors("a", a).detach(), vectors("b", b).detach()
    if len(x) != len(y):
        raise InputError(f"b has {len(y)} rows, expected {len(x)} to match a; row i of both must be the same thing")
    if len(x) < least:
        raise InputError(f"a and b have {len(x)} rows, expected at least {least}; give more rows")
    return x, y.to(x.device)


def prepared(x: Float[Tensor, "n d"], *, rows: Rows = "unit") -> Float[Tensor, "n d"]:
    r"""Prepare rows as a convention has them."""
    one_of("rows", rows, tuple(CONVENTIONS))
    if rows == "raw":
        return x
    if rows == "centred":
        return x - x.mean(dim=0)
    if rows == "clipped":
        size = x.abs().flatten()
        limit = size.kthvalue(min(int(0.95 * size.numel()) + 1, size.numel())).values
        x = x.clamp(-limit, limit)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1.0)
