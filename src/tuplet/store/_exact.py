"""Exact search: every candidate is scored, a block at a time, whatever the score; the best are the same as in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.functional._blocks import reuse_memory
from tuplet.functional._frame import gram_of
from tuplet.functional._rough import Rough
from tuplet.functional.rows import unit
from tuplet.objectives import Objective
from tuplet.store.tables import Stored
from tuplet.types import InputError

BYTES = 2**23
"""Vectors of candidates that are held at a time, in float64."""
SCORES = 2**20
"""Scores that are held at a time, beside some dozens of the score's own arrays of that size."""
SPARE = 32
"""Candidates beyond ``k`` that a scan in float32 keeps, to be scored again in float64."""
ROUNDINGS = 100
"""By so many roundings more than a sum of ``D`` products an inner product in float32 may be off: a length of 1 by 16."""
Side = dict[str, Tensor]
Bounds = Iterator[tuple[NDArray[np.int64], Callable[[slice], Tensor]]]
"""Candidates, and what a slice of the queries can score with them at most."""


class Best:
    """The best ``k`` candidates of every query so far, best first; among equals the ones that came first."""

    def __init__(self, queries: int, k: int) -> None:
        self.scores = np.full((queries, k), -np.inf)
        self.rows = np.full((queries, k), -1, np.int64)

    def add(self, first: int, scores: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Take in the scores ``(b, n)`` of queries from ``first`` on with some candidates."""
        worst = self.scores[first : first + len(scores), -1]
        for i in np.flatnonzero(scores.max(axis=1) > worst):
            q, row = first + int(i), scores[i]
            better = np.flatnonzero(row > worst[i])
            if len(better) > self.scores.shape[1]:  # most blocks after the first hold few
                kth = np.partition(row[better], -self.scores.shape[1])[-self.scores.shape[1]]
                better = better[row[better] >= kth]
            joined = np.concatenate([self.scores[q], row[better]])
            order = np.argsort(-joined, kind="stable")[: self.scores.shape[1]]
            self.scores[q] = joined[order]
            self.rows[q] = np.concatenate([self.rows[q], rows[better]])[order]


@dataclass(frozen=True)
class Pool:
    """The candidates of a search: rows of a store that have some modalities, and whose score ranks them."""

    stored: Stored
    objective: Objective
    into: tuple[str, ...]
    rows: NDArray[np.int64]  # ascending
    kept: Kept | None = None

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], Side]]:
        """Read the vectors of all candidates, a block at a time."""
        size = max(1, BYTES // (8 * self.stored.width * len(self.into)))
        for start in range(0, len(self.rows), size):
            some = self.rows[start : start + size]
            yield some, gathered(self.stored, self.into, some)

    def prepared(self) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Give the vector ``(n, D)`` in float32 that stands for each candidate of an inner product, a block at a time."""
        held = None if self.kept is None else self.kept.of(self)
        if held is None:
            for some, block in self.blocks():
                yield some, self.objective.vectors({m: z.float() for m, z in block.items()})[:, 0]
            return
        every, vectors = held
        size = max(1, BYTES // (4 * self.stored.width))
        for start in range(0, len(self.rows), size):
            some = self.rows[start : start + size]
            at: Any = slice(start, start + size) if len(every) == len(self.rows) else np.searchsorted(every, some)
            yield some, vectors[at]

    def scores(self, query: Side, candidates: Side) -> NDArray[np.float64]:
        """Score queries with some candidates in float64, ``(Nq, n)``."""
        assert self.objective.score is not None
        found = self.objective.score(query, {m: z.double() for m, z in candidates.items()})
        if not bool(torch.isfinite(found.sum())) and not bool(torch.isfinite(found).all()):
            raise InputError("score gave values that are not finite; choose another objective, or embed again")
        return np.asarray(found.double().numpy())


class Kept:
    """What `Pool.prepared` gives, kept in memory between searches: the latest of it, up to some bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held: dict[tuple[str, ...], tuple[NDArray[np.int64], Tensor]] = {}

    def of(self, pool: Pool) -> tuple[NDArray[np.int64], Tensor] | None:
        """Return the rows of all items that have the modalities of a pool, and their vectors; None if these are too large."""
        if pool.into not in self.held:
            every = np.flatnonzero(np.all([pool.stored.present[m] for m in pool.into], axis=0))
            size = 4 * len(every) * pool.stored.width
            if size > self.most:
                return None
            while size + sum(4 * z.numel() for _, z in self.held.values()) > self.most:
                del self.held[next(iter(self.held))]
            whole = Pool(pool.stored, pool.objective, pool.into, every)
            self.held[pool.into] = every, torch.cat([c for _, c in whole.prepared()])
        return self.held[pool.into]


def gathered(stored: Stored, names: Sequence[str], rows: NDArray[np.int64]) -> Side:
    """Read the vectors of some rows, in order of the rows; the mapping of the file ends with the copy."""
    views = stored.vectors()
    run: Any = slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
    found = {k: torch.from_numpy(np.array(views[k][run])) for k in names}
    for k, z in found.items():
        if not bool(torch.isfinite(z.sum())) and not bool(torch.isfinite(z).all()):
            raise InputError(f"{stored.path} has NaN or infinite vectors in {k!r}; embed those rows again")
    return found


@torch.no_grad()
def exact(pool: Pool, query: Side, k: int) -> Best:
    """Find the best ``k`` candidates of every query, which is in float64."""
    reuse_memory()
    bounded = _inner(pool, query) if pool.objective.inner else _joint(pool, query)
    first = next(bounded, None) if _claims(pool.objective) else None
    if first is None:
        return _scan(pool, query, k)
    n = len(next(iter(query.values())))
    near = Best(n, min(k + SPARE, len(pool.rows)))
    for some, bounds in chain([first], bounded):
        step = max(1, SCORES // len(some))
        for start in range(0, n, step):
            near.add(start, bounds(slice(start, start + step)).numpy(), some)
    best = reranked(pool, query, list(near.rows), k)
    sure = (best.scores[:, -1] > near.scores[:, -1]) | (near.rows.shape[1] == len(pool.rows))
    if not sure.all():  # ties, and gaps that float32 cannot see
        again = np.flatnonzero(~sure)
        part = _scan(pool, {m: z[again] for m, z in query.items()}, k)
        best.scores[again], best.rows[again] = part.scores, part.rows
    return best


def _scan(pool: Pool, query: Side, k: int) -> Best:
    """Score all candidates in float64."""
    n = len(next(iter(query.values())))
    best = Best(n, k)
    for some, block in pool.blocks():
        step = max(1, SCORES // len(some))
        for first in range(0, n, step):
            best.add(first, pool.scores({m: z[first : first + step] for m, z in query.items()}, block), some)
    return best


def _inner(pool: Pool, query: Side) -> Bounds:
    """Bound inner products: a sum of D products is off by D roundings of |q| |c| at most, the vectors by a few."""
    q = pool.objective.vectors(query)[:, 0].float()  # (Nq, D)
    off = (q.shape[1] + ROUNDINGS) * 2.0**-24 * torch.linalg.vector_norm(q, dim=1, keepdim=True)
    for some, c in pool.prepared():
        longest = torch.linalg.vector_norm(c, dim=1).max()
        yield some, partial(lambda off, c, part: torch.addmm(off[part], q[part], c.mT), off * longest, c)


def _joint(pool: Pool, query: Side) -> Bounds:
    """Bound the scores of a tuple of modalities with a single one, whichever side the tuple is on."""
    q, gram = _sides(query)
    slack = (pool.stored.width + ROUNDINGS) * 2.0**-24
    for some, block in pool.blocks() if min(len(query), len(pool.into)) == 1 else ():
        c, own = _sides(block)
        zero = ~torch.stack([z.any(dim=1) for z in c]).all(dim=0)  # of no length: nothing is known of them

        def bounds(part: slice, c: list[Tensor] = c, own: Tensor = own, zero: Tensor = zero) -> Tensor | None:
            if len(c) > 1:
                found = pool.objective.bounds(Rough(torch.stack([q[0][part] @ z.mT for z in c]), own, slack))
            else:
                rough = Rough(torch.stack([c[0] @ z[part].mT for z in q]), gram[:, :, part], slack)
                turned = pool.objective.bounds(rough)
                found = None if turned is None else turned.mT
            return None if found is None else found.masked_fill(zero, torch.inf)

        if bounds(slice(0, 1)) is None:
            return
        yield some, cast(Callable[[slice], Tensor], bounds)


def _sides(side: Side) -> tuple[list[Tensor], Tensor]:
    """Return the members of a side in float32, of unit length, and what they are to each other in float64."""
    members = [unit(side[m].float()) for m in sorted(side)]
    return members, gram_of([z.double() for z in members])


def _claims(objective: Objective) -> bool:
    """Say whether what is known of the score is of the score that the objective has: a subclass may have another."""

    def owner(name: str) -> type:
        return next((c for c in type(objective).__mro__ if name in vars(c)), object)

    return "score" in vars(objective) or issubclass(owner("inner" if objective.inner else "bounds"), owner("score"))


@torch.no_grad()
def reranked(pool: Pool, query: Side, lists: Sequence[NDArray[np.int64]], k: int) -> Best:
    """Score the shortlist of every query in float64, and keep the best ``k``."""
    best = Best(len(lists), k)
    for i, listed in enumerate(lists):
        rows = np.unique(listed)
        if len(rows):
            one = {m: z[i : i + 1] for m, z in query.items()}
            best.add(i, pool.scores(one, gathered(pool.stored, pool.into, rows)), rows)
    return best
