"""Search a store from any modalities to any others: exact, or in two stages with exact scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.objectives import Objective
from tuplet.store._exact import Best, Kept, Pool, Side, exact, gathered, reranked
from tuplet.store._folder import STORE, learned, named, read_note
from tuplet.store._near import Near
from tuplet.store._shards import parts
from tuplet.store.tables import Stored, open_store
from tuplet.types import InputError, in_range, one_of

Backend = Literal["exact", "faiss"]
SAMPLE = 32
"""Stored rows that are searched exactly, too, to measure the recall of a search in two stages."""


@dataclass(frozen=True)
class Found:
    """What a search found; ``ids, scores, rows = found`` takes it apart.

    Attributes:
        ids: ``(queries, k)``, best first; among equals the first row.
        scores: float64 ``(queries, k)``, exact whatever the backend; minus infinity where a shortlist was shorter than ``k``.
        rows: int64 ``(queries, k)``, places of the items in the store; -1 where there is none.
        pool: candidates that were searched: items with all the modalities searched that pass the filter.
        recall: share of the exact first ``k`` that this kind of search finds, measured on stored rows; 1 if it is exact, NaN
            where no stored row has the query's modalities.
    """

    ids: NDArray[Any]
    scores: NDArray[np.float64]
    rows: NDArray[np.int64]
    pool: int
    recall: float

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Give ids, scores and rows."""
        return iter((self.ids, self.scores, self.rows))


class Index:
    """A store that can be searched; made by `index`.

    Attributes:
        stored: the `Stored` embeddings.
        objective: whose score ranks.
        backend: ``"exact"`` or ``"faiss"``.
    """

    def __init__(
        self, stored: Stored, objective: Objective, backend: Backend, shortlist: int, folder: Path | None, kept: int = 0
    ) -> None:
        self.stored, self.objective, self.backend = stored, objective, backend
        self._near = Near(shortlist, folder) if backend == "faiss" else None
        self._kept = Kept(kept)
        self._recalls: dict[tuple[Any, ...], float] = {}

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.stored)

    def __repr__(self) -> str:
        about = ", ".join(f"{k} {int(v.sum())}" for k, v in self.stored.present.items())
        return (
            f"Index({self.backend}, {type(self.objective).__name__}; {len(self)} items of width {self.stored.width}: {about})"
        )

    def search(
        self,
        query: Mapping[str, Any],
        k: int = 10,
        *,
        modalities: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        without: int | None = None,
    ) -> Found:
        """Find the items that match queries best.

        Args:
            query: modality -> its vector ``(D,)``, or those of several queries ``(Nq, D)``; any of the store's modalities. With
                several, they are one query together.
            k: items per query, from 1 to the number of candidates.
            modalities: to search; all that the query does not use when left out, or all where it uses all. Only items that have
                every one of them are candidates.
            where: column -> value, or a list of values, that a candidate must have.
            without: row of an item that is not to be found, such as the one whose vectors the query is.

        Returns:
            The `Found`.

        Raises:
            InputError: for an unknown modality, column or value, vectors of another width or that are not finite, or a ``k``
                that is out of range.
        """
        sides, into = self._sides(query, modalities)
        pool = self._pool(into, where, k, without)
        if self._near is None or where:
            best, recall = exact(pool, sides, k), 1.0
        else:
            best, recall = self._two_stages(pool, sides, k, without), self.recall(tuple(query), k, modalities=into)
        ids = np.where(best.rows < 0, np.zeros(1, self.stored.ids.dtype), self.stored.ids[best.rows])
        return Found(ids, best.scores, best.rows, len(pool.rows), recall)

    def recall(
        self, query: Sequence[str], k: int = 10, *, modalities: Sequence[str] | None = None, sample: int = SAMPLE
    ) -> float:
        """Measure which share of the exact first ``k`` this index finds, with stored rows as queries.

        Args:
            query: modalities of the queries.
            k: items per query.
            modalities: to search, as in `search`.
            sample: stored rows, spread evenly, that are searched both ways.

        Returns:
            A share, 1 for the exact backend, NaN where no stored row has the query's modalities. It is measured once.
        """
        if self._near is None:
            return 1.0
        into = self._into(query, modalities)
        key = (tuple(sorted(query)), into, k, sample)
        if key in self._recalls:
            return self._recalls[key]
        holders = np.flatnonzero(np.all([self.stored.present[m] for m in query], axis=0))
        asked = holders[np.linspace(0, len(holders) - 1, min(sample, len(holders))).astype(np.int64)]
        if not len(asked):
            return float("nan")
        sides, _ = self._sides(gathered(self.stored, list(query), asked), into)
        pool = self._pool(into, None, k)
        truth, found = exact(pool, sides, k).rows, self._two_stages(pool, sides, k).rows
        self._recalls[key] = share = float((truth[:, :, None] == found[:, None, :]).any(axis=2).mean())
        return share

    def _two_stages(self, pool: Pool, query: Side, k: int, without: int | None = None) -> Best:
        assert self._near is not None
        whole = pool if without is None else self._pool(pool.into, None, k)  # codes are of all items
        listed = self._near.listed(whole, query, k if without is None else k + 1)
        return reranked(pool, query, [rows[rows != without] for rows in listed], k)

    def _sides(self, query: Mapping[str, Any], modalities: Sequence[str] | None) -> tuple[Side, tuple[str, ...]]:
        """Check a query and what it is searched in; a modality on both sides gets another name in the query."""
        if not isinstance(query, Mapping) or not query:
            seen = "empty" if isinstance(query, Mapping) else type(query).__name__
            raise InputError(f"query is {seen}, expected {{modality: vector}}")
        asked = self._into(tuple(query), modalities)
        sides = {m: self._vectors(m, query[m]) for m in sorted(query)}
        if len({len(z) for z in sides.values()}) > 1:
            raise InputError(f"query has { ({m: len(z) for m, z in sides.items()}) } vectors, expected one number for all")
        both = sorted(set(sides) & set(asked))
        if both and learned(self.objective):
            raise InputError(
                f"query and modalities share {both}, which {type(self.objective).__name__} cannot compare; search other ones"
            )
        return {f"query {m}" if m in both else m: z for m, z in sides.items()}, asked

    def _into(self, query: Sequence[str], modalities: Sequence[str] | None) -> tuple[str, ...]:
        """Say what is searched: the modalities that are asked for, or those that the query does not use, or else all."""
        known = self._known("query", query)
        free = tuple(m for m in known if m not in query) or known
        into = (modalities,) if isinstance(modalities, str) else free if modalities is None else tuple(sorted(set(modalities)))
        self._known("modalities", into)
        return into

    def _known(self, argument: str, names: Sequence[str]) -> tuple[str, ...]:
        """Refuse modalities that the store lacks; return those that it has."""
        if (unknown := sorted(set(names) - set(self.stored.present))) or not names:
            raise InputError(f"{argument} names {unknown or 'nothing'}, but the index has {', '.join(self.stored.present)}")
        return tuple(self.stored.present)

    def _vectors(self, name: str, given: Any) -> Tensor:
        """Check the vectors of a query in one modality, ``(Nq, D)`` in float64."""
        try:
            z: Tensor = torch.as_tensor(given).detach().cpu().double()
        except (TypeError, ValueError, RuntimeError):
            raise InputError(f"query[{name!r}] is {type(given).__name__}, expected an array (D,) or (N, D)") from None
        width = self.stored.width
        z = z[None] if z.ndim == 1 else z
        if z.ndim != 2 or z.shape[1] != width or not len(z):
            raise InputError(f"query[{name!r}] has shape {tuple(z.shape)}, expected ({width},) or (N, {width}) as in the index")
        if not bool(torch.isfinite(z).all()):
            raise InputError(f"query[{name!r}] has NaN or infinite values; leave those queries out")
        if not bool(z.any(dim=1).all()):
            raise InputError(f"query[{name!r}] has a row of zeros, as absent items have; leave those queries out")
        return z

    def _pool(self, into: tuple[str, ...], where: Mapping[str, Any] | None, k: int, without: int | None = None) -> Pool:
        """Find the rows that have all modalities and pass the filter; there must be ``k``."""
        in_range("k", k, 1)
        here = np.all([self.stored.present[m] for m in into], axis=0)
        for name, wanted in (where or {}).items():
            column = self.stored.columns.get(name, self.stored.columns.get(f"target.{name}"))
            if column is None or column.ndim != 1:
                raise InputError(
                    f"where names {name!r}, expected one of {', '.join(self.stored.columns) or 'no columns at all'}"
                )
            values = wanted if isinstance(wanted, list | tuple | set) else [wanted]
            passed = np.zeros(len(column), np.bool_)
            for value in values:
                passed |= _equal(name, column, value)
            if not passed.any():
                known = list(map(str, np.unique(column).tolist()))
                some = ", ".join(known[:5]) + ", ..." * (len(known) > 5)
                raise InputError(f"where asks for {name} = {', '.join(map(str, values))}, which no item has; it has {some}")
            here &= passed
        rows = np.flatnonzero(here)
        rows = rows if without is None else rows[rows != without]
        if k > len(rows):
            kept = f" that pass where={dict(where)}" if where else ""
            others = "" if without is None else "other "
            raise InputError(
                f"k is {k}, but {len(rows)} {others}items have {', '.join(into)}{kept}; ask for at most {len(rows)}"
            )
        return Pool(self.stored, self.objective, into, rows, self._kept)


def index(
    path: str | Path, backend: Backend | None = None, *, objective: Objective | None = None, shortlist: int = 200, kept: int = 0
) -> Index:
    """Open embeddings for search.

    Args:
        path: what `write` or `tuplet embed` wrote, or a folder of `tuplet index`. A ``.safetensors`` file, and a folder of
            `tuplet index`, stay on disk and may be larger than memory.
        backend: ``"exact"`` scores every candidate; ``"faiss"`` (needs tuplet[search]) finds some near the query by short codes
            of ``objective.vectors``, and scores those. When left out: what the folder was made for, or exact.
        objective: whose score ranks, such as ``Cone()``; when left out that of the folder, or the mean cosine.
        shortlist: candidates per pair of a query's and a stored vector in the first of two stages, at least ``k``.
        kept: bytes of candidates that stay in memory between exact searches by an inner product, such as the mean cosine; they
            are then prepared once.

    Returns:
        The `Index`.

    Raises:
        InputError: if the file is missing or damaged, the objective has no score, or faiss is not installed.

    Notes:
        Exact search reads all candidates in blocks of 8 MB. Where a bound of the score is known (of inner products, and by
        ``Objective.bounds``) it scans in float32 and scores the best ``k + 32`` again in float64, and everything where that
        leaves a doubt. The answer is that of float64. Two stages miss a candidate that no stored vector brings near, most
        often under volumes and products of modalities: ``Found.recall`` says how many. With a filter the search is exact.
        Many queries at once are as fast exactly up to some 20,000 items.

    Example:
        >>> import tempfile
        >>> from tuplet import Embeddings
        >>> from tuplet.store import write
        >>> emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write(f"{folder}/emb.safetensors", emb, ids=["x", "y", "z"])
        ...     ids, scores, rows = index(file).search({"a": torch.tensor([0.0, 0.6, 0.8])}, k=2)
        >>> ids.tolist(), scores.round(2).tolist()
        ([['z', 'y']], [[0.8, 0.6]])
    """
    folder = Path(path) if Path(path).is_dir() and not parts(Path(path)) else None
    note: dict[str, Any] = {"backend": "exact", "objective": None} if folder is None else read_note(folder)
    chosen: Backend = note["backend"] if backend is None else backend
    one_of("backend", chosen, ("exact", "faiss"))
    in_range("shortlist", shortlist, 1)
    in_range("kept", kept, 0)
    stored = open_store(path if folder is None else folder / STORE)
    ranking = named(note["objective"], tuple(stored.present), stored.width) if objective is None else objective
    if ranking.score is None:
        raise InputError(f"objective is {type(ranking).__name__}, which has no score; give one that has, such as Pairwise()")
    return Index(stored, ranking.eval(), chosen, shortlist, folder, kept)


def _equal(name: str, column: NDArray[Any], value: Any) -> NDArray[np.bool_]:
    """Say which entries of a column equal a value, which may be a text from the command line."""
    if column.dtype.kind == "U":
        return np.asarray(column == str(value))
    words = {"true": 1.0, "false": 0.0} if column.dtype.kind == "b" else {}
    try:
        number = words.get(str(value).lower())
        return np.asarray(column == (float(value) if number is None else number))
    except (TypeError, ValueError):
        raise InputError(f"where[{name!r}] is {value!r}, expected a number as in that column") from None
