"""Retrieval from any modalities to any others, with ties, pool size and chance told, in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.evaluate._ranks import CUTOFFS, Items, Standing, Ties, chance, check_options, measured, of_best, standing
from tuplet.functional._frame import even_product
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError

Score = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]

Belongs = Callable[[int], NDArray[np.int64]]
"""Position of a query -> positions of the candidates that are relevant to it."""

BLOCK = 960
"""Queries, and candidates, that are scored at a time; a multiple of what matrix kernels take at once, see `even_product`."""

PANEL = 2**21
"""Scores that are sorted at a time where a query has several relevant candidates."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well queries find what belongs to them.

    Attributes:
        values: ``R@k`` (share of queries with a relevant one among the first k), ``MdR`` and ``MnR`` (median and mean rank
            of the first relevant candidate), ``MRR`` (mean of its reciprocal), ``mAP`` (mean average precision) and ``nDCG@10``
            (normalised discounted cumulative gain of the first 10 places).
        chance: the same numbers for a score that is constant.
        items: metric -> float64 ``(queries,)``, one value per query; the rank for ``MdR`` and ``MnR``.
        queries: number of queries.
        pool: number of candidates.
        dropped: rows left out because a modality of the query or the candidate is missing.
        tied: queries whose first relevant candidate ties with an irrelevant one.
    """

    values: dict[str, float]
    chance: dict[str, float]
    items: dict[str, NDArray[np.float64]]
    queries: int
    pool: int
    dropped: int
    tied: int


def mean_cosine(query: Mapping[str, Tensor], candidates: Mapping[str, Tensor]) -> Tensor:
    """Score by the mean cosine over the pairs of a query and a candidate modality: one yardstick for all objectives.

    Args:
        query: modality -> ``(Nq, D)``.
        candidates: modality -> ``(Nc, D)``.

    Returns:
        ``(Nq, Nc)`` in [-1, 1].

    Example:
        >>> mean_cosine({"a": torch.eye(2)}, {"b": torch.eye(2)})
        tensor([[1., 0.],
                [0., 1.]])
    """
    left, right = (torch.stack([unit(z) for z in side.values()]).mean(dim=0) for side in (query, candidates))
    return even_product(left, right)


def retrieve(
    emb: Embeddings,
    query: tuple[str, ...],
    candidates: tuple[str, ...],
    *,
    score: Score = mean_cosine,
    relevance: str | Tensor = "instance",
    ties: Ties = "expected",
    cutoffs: Sequence[int] = CUTOFFS,
    once: Sequence[str] = (),
) -> Retrieval:
    """Retrieve the rows of some modalities with the same rows of other modalities.

    Args:
        emb: embeddings of a split.
        query: modalities of the queries.
        candidates: modalities of the candidates; none of the queries'.
        score: ``score(query, candidates) -> (Nq, Nc)``, higher is better: an objective's own, or `mean_cosine`. It is
            called on blocks of rows, in float64: the score of a pair may depend on that pair only.
        relevance: ``"instance"`` (the same row), ``"group"`` (the same group id), or the name of a class target (the same
            label). Or bool ``(N, N)``: which rows are relevant to each other, itself included, such as those whose texts are
            alike, ``text @ text.T > 0.636``.
        ties: how equal scores are ranked: the ``"expected"`` value over random orders, or the best or worst order.
        cutoffs: the ``k`` of ``R@k``.
        once: with relevance ``"group"``, modalities of which all rows of a group hold the same, such as the video of several
            captions. A side of these alone has one row per group: every caption then looks for one video, and a video's rank
            is that of its best caption.

    Returns:
        The `Retrieval`; each row with all the modalities present is one query and one candidate, but for ``once``.

    Raises:
        InputError: if no row has all the modalities, a modality, relevance or cut-off is unknown, or scores are not finite.

    Notes:
        Cost: one product of all queries with all candidates, in blocks of 960 x 960 scores, and two counts per query.
        Where queries have several relevant candidates, the scores of some queries at a time are sorted.

    Example:
        >>> emb = Embeddings.of({"a": torch.eye(4), "b": torch.eye(4)})
        >>> retrieve(emb, ("a",), ("b",)).values["R@1"]
        1.0
    """
    check_options(ties, cutoffs)
    query, candidates = sides_of(emb, query, candidates)
    if once and not (isinstance(relevance, str) and relevance == "group" and set(once) <= set(emb.z)):
        raise InputError(f"once is {tuple(once)}, expected names of {list(emb.modalities)}, and relevance 'group'")
    here = torch.stack([emb.present[k] for k in (*query, *candidates)]).all(dim=0)
    if not here.any():
        raise InputError(f"no row has all of {sorted({*query, *candidates})}; choose other modalities")
    rows = here.nonzero()[:, 0]
    pool = _Pool(emb, query, candidates, rows, rows, score)
    if isinstance(relevance, str):
        ids = _ids(emb, relevance, rows)
        asking, answering = (_first(ids) if set(side) <= set(once) else slice(None) for side in (query, candidates))
        pool = replace(pool, left=rows[asking], right=rows[answering])
        belongs, sizes = _alike(ids[asking], ids[answering])
    else:
        belongs, sizes = _given(emb, relevance, rows)
    if sizes.max() == 1 and len(pool.left) == len(pool.right) == len(rows):
        items, tied = of_best(_one_each(pool), len(rows), ties=ties, cutoffs=cutoffs, alone=True)
    else:
        parts = [measured(some, len(pool.right), ties=ties, cutoffs=cutoffs) for some in _several(pool, belongs)]
        items = {k: np.concatenate([part[k] for part, _ in parts]) for k in parts[0][0]}
        tied = sum(count for _, count in parts)
    return Retrieval(
        values=_summary(items),
        chance=_summary(chance(sizes, len(pool.right), cutoffs=cutoffs)),
        items=items,
        queries=len(pool.left),
        pool=len(pool.right),
        dropped=len(emb) - len(rows),
        tied=tied,
    )


@dataclass(frozen=True, slots=True)
class _Pool:
    """The scores of all queries with all candidates, of which a block at a time is held."""

    emb: Embeddings
    query: tuple[str, ...]
    candidates: tuple[str, ...]
    left: Tensor
    right: Tensor
    score: Score

    def block(self, queries: slice, candidates: slice) -> NDArray[np.float64]:
        """Score some queries with some candidates."""
        with torch.no_grad():
            scores = self.score(self._cut(self.query, self.left[queries]), self._cut(self.candidates, self.right[candidates]))
        expected = (queries.stop - queries.start, candidates.stop - candidates.start)
        if tuple(scores.shape) != expected:
            raise InputError(f"score gave shape {tuple(scores.shape)} for {expected[0]} queries and {expected[1]} candidates")
        if not bool(torch.isfinite(scores.sum())) and not bool(torch.isfinite(scores).all()):
            raise InputError(f"score gave values that are not finite for {self.query} -> {self.candidates}")
        return np.asarray(scores.double().cpu().contiguous().numpy())

    def _cut(self, names: tuple[str, ...], rows: Tensor) -> dict[str, Tensor]:
        return {k: self.emb.z[k][rows].double() for k in names}


def _blocks(n: int, size: int) -> Iterator[tuple[slice, int]]:
    """Cut ``n`` rows into blocks of one size, and say how many rows of the last one were in the block before."""
    size = min(size, n)
    for start in range(0, n, size):
        first = min(start, n - size)
        yield slice(first, first + size), start - first


def _one_each(pool: _Pool) -> Standing:
    """Count what stands above and beside the only relevant candidate of every query, its own row."""
    n = len(pool.left)
    higher, size = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for queries, known in _blocks(n, BLOCK):
        square = pool.block(queries, queries)
        own = square.diagonal()[:, None].copy()
        mask = np.zeros((len(own), -(-len(own) // 8) * 8), np.bool_)
        for candidates, seen in _blocks(n, BLOCK):
            scores = square if candidates == queries else pool.block(queries, candidates)
            for count, compare in ((higher, np.greater), (size, np.equal)):
                compare(scores, own, out=mask[:, : len(own)])
                mask[:, :seen] = False
                count[queries][known:] += _row_sums(mask)[known:]
    none = np.zeros_like(higher)
    return Standing(higher, size, none, none + 1)


def _row_sums(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the True of every row, eight columns in one addition: a byte of their sum holds up to 255."""
    words = mask.view(np.uint64)
    parts = [words[:, i : i + 255].sum(axis=1) for i in range(0, words.shape[1], 255)]
    return np.asarray(sum(p.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64) for p in parts))


def _several(pool: _Pool, belongs: Belongs) -> Iterator[list[Standing]]:
    """Count what stands above and beside every candidate that belongs to the query, some queries at a time."""
    n = len(pool.right)
    for queries, known in _blocks(len(pool.left), max(1, min(BLOCK, PANEL // n))):
        panel = np.empty((queries.stop - queries.start, n))
        for candidates, _ in _blocks(n, BLOCK):
            panel[:, candidates] = pool.block(queries, candidates)
        mine = map(belongs, range(queries.start + known, queries.stop))
        yield [standing(row, row[places]) for row, places in zip(panel[known:], mine, strict=True)]


def _first(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the first row of every id, in order of the rows."""
    return np.sort(np.unique(ids, return_index=True)[1])


def _alike(asking: NDArray[np.int64], answering: NDArray[np.int64]) -> tuple[Belongs, NDArray[np.int64]]:
    """Let rows with one id belong together; return how many candidates each query has, too."""
    by_id = np.argsort(answering, kind="stable")
    first, end = (np.searchsorted(answering[by_id], asking, side) for side in ("left", "right"))
    return lambda i: by_id[first[i] : end[i]], end - first


def _given(emb: Embeddings, relevant: Tensor, rows: Tensor) -> tuple[Belongs, NDArray[np.int64]]:
    """Let rows belong together as a matrix says."""
    n = len(emb)
    if relevant.shape != (n, n) or relevant.dtype != torch.bool or not bool(relevant.diagonal().all()):
        raise InputError(
            f"relevance is {relevant.dtype} of shape {tuple(relevant.shape)}, expected bool ({n}, {n}) with a true diagonal"
        )
    table = relevant.cpu()[rows][:, rows].numpy()
    return lambda i: np.flatnonzero(table[i]), table.sum(axis=1)


def sides_of(emb: Embeddings, query: Sequence[str], candidates: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check the names of the modalities on both sides."""
    sides = []
    for argument, names in (("query", query), ("candidates", candidates)):
        side = (names,) if isinstance(names, str) else tuple(names)
        if not side or (unknown := sorted(set(side) - set(emb.z))):
            seen = f"names {unknown}" if side else "is empty"
            raise InputError(f"{argument} {seen}, expected names of {list(emb.modalities)}")
        sides.append(side)
    if both := sorted(set(sides[0]) & set(sides[1])):
        raise InputError(f"query and candidates share {both}; a modality can be on one side only")
    return sides[0], sides[1]


def _ids(emb: Embeddings, relevance: str, rows: Tensor) -> NDArray[np.int64]:
    """Give rows that are relevant to each other one number."""
    if relevance == "instance":
        return np.arange(len(rows))
    if relevance == "group" and emb.group is None:
        raise InputError("relevance is 'group', but the embeddings have no group; use 'instance' or a target's name")
    classes = [k for k, v in emb.target.items() if not v.is_floating_point() and v.ndim == 1]
    if relevance != "group" and relevance not in classes:
        raise InputError(f"relevance is {relevance!r}, expected 'instance', 'group' or a class target of {classes}")
    ids = emb.group if relevance == "group" and emb.group is not None else emb.target[relevance]
    found: NDArray[np.int64] = ids[rows].cpu().numpy()
    return np.where(found < 0, -1 - np.arange(len(found)), found)  # a row without a class is like no other


def _summary(items: Items) -> dict[str, float]:
    return {k: float(np.median(v) if k == "MdR" else v.mean()) for k, v in items.items()}
