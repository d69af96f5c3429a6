"""Bring modalities that name their rows by ids to one order: outer join, absent rows masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import as_array, is_frame, is_missing, is_series
from tuplet.data._mapped import ByRow
from tuplet.types import InputError

Ids = tuple[Any, ...]


@dataclass(frozen=True)
class Joined:
    """Modalities and columns in one order of rows."""

    arrays: dict[str, Any]
    present: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    ids: Ids | None = None
    notes: tuple[str, ...] = ()
    moved: bool = False

    def column(self, argument: str, values: Any) -> Any:
        """Bring a target or a group to the order of the rows; rows that it lacks have None."""
        if self.ids is None or not (is_series(values) or is_frame(values)):
            if self.moved:
                raise InputError(
                    f"{argument} has no ids, but those of the modalities are in another order than that of the rows; give it "
                    f"as a Series with the same ids"
                )
            return values
        own = index_of(values)
        _same_type(argument, own, "the modalities", self.ids)
        _unique(argument, own)
        array = as_array(argument, values)
        if own == self.ids:
            return array
        if not set(own) & set(self.ids):
            raise InputError(
                f"{argument} and the modalities have no id in common, such as {own[0]!r} and {self.ids[0]!r}; give it the "
                f"same index, or pair by position with .to_numpy()"
            )
        place = {row: i for i, row in enumerate(own)}
        at = np.array([place.get(row, -1) for row in self.ids])
        if (at >= 0).all():
            return array[at]
        out = np.full((len(at), *array.shape[1:]), np.nan if array.dtype.kind == "f" else None)
        out[at >= 0] = array[at[at >= 0]]
        return out


def join(
    modalities: Mapping[str, Any],
    ids: Mapping[str, Any] | None = None,
    present: Mapping[str, NDArray[np.bool_]] | None = None,
    *,
    shared: str = "",
) -> Joined:
    """Bring modalities to one order of rows."""
    given = {k: v for k, v in (present or {}).items() if k in modalities}
    own = {k: _ids(k, modalities[k], (ids or {}).get(k), shared) for k in sorted(modalities)}
    named = {k: v for k, v in own.items() if v is not None}
    if not named:
        return Joined(dict(modalities), given)
    first = next(iter(named))
    for name, rows in named.items():
        _same_type(f"modalities[{name!r}]", rows, f"modalities[{first!r}]", named[first])
        _unique(f"modalities[{name!r}]", rows)
    plain = [k for k, v in own.items() if v is None]
    aligned = all(rows == named[first] for rows in named.values())
    shuffled = _shuffled(named[first])
    if aligned and not (plain and shuffled):
        return Joined(dict(modalities), given, named[first], moved=shuffled and not shared)
    if plain:
        raise InputError(
            f"modalities[{plain[0]!r}] has no ids, but {', '.join(named)} are joined by id and differ in rows or order; give "
            f"it as a frame or Series with the same ids, or ids for it with id={{{plain[0]!r}: ...}}"
        )
    for name, rows in named.items():
        rest = {row for other, r in named.items() if other != name for row in r}
        if rest.isdisjoint(rows):
            other = next(k for k in named if k != name)
            raise InputError(
                f"modalities[{name!r}] has no id in common with the others, such as {rows[0]!r} and {named[other][0]!r}; "
                f"give the same thing the same id in each"
            )
    order = tuple(dict.fromkeys(row for rows in named.values() for row in rows))
    arrays, here = {}, {}
    for name, rows in named.items():
        place = {row: i for i, row in enumerate(rows)}
        at = np.array([place.get(row, -1) for row in order])
        values, place_of = modalities[name], np.maximum(at, 0)
        sparse = isinstance(values, ByRow)
        arrays[name] = values.take(place_of) if sparse else as_array(f"modalities[{name!r}]", values)[place_of]
        if (at < 0).any() or name in given:
            here[name] = (at >= 0) & (given[name][place_of] if name in given else True)
    every = len(set.intersection(*(set(rows) for rows in named.values())))
    counts = ", ".join(f"{k} {len(rows)}" for k, rows in named.items())
    both = "both" if len(named) == 2 else "all"
    return Joined(arrays, here, order, (f"rows joined by id: {counts}, {both} {every}",), moved=True)


def _shuffled(ids: Ids) -> bool:
    """Tell whether these are the default ids 0, 1, 2 ... in another order: rows that were moved after they were numbered."""
    return all(isinstance(i, int) for i in ids) and ids != tuple(range(len(ids))) and sorted(ids) == list(range(len(ids)))


def index_of(values: Any) -> Ids:
    """Return the index of a frame or a Series."""
    return tuple(values.index.tolist())


def one_column(argument: str, name: str, frames: Mapping[str, Any]) -> Any:
    """Return a column that several frames have, which must say the same of the same row."""
    first = next(iter(frames))
    column = frames[first][name]
    if not is_series(column):
        raise InputError(f"{argument} {name!r} is the name of several columns of modalities[{first!r}]; rename them")
    if all(column.equals(frame[name]) for frame in frames.values()):
        return column
    found: dict[Any, Any] = {}
    for k, frame in frames.items():
        for row, value in zip(index_of(frame), as_array(argument, frame[name]).tolist(), strict=True):
            if is_missing(found.get(row)):
                found[row] = value
            elif not is_missing(value) and value != found[row]:
                raise InputError(
                    f"{argument} {name!r} is {found[row]!r} in modalities[{first!r}] and {value!r} in modalities[{k!r}] for "
                    f"the row {row!r}; leave the column in one of them"
                )
    return type(column)(list(found.values()), index=list(found))


def row_ids(argument: str, values: Any, n: int) -> Ids:
    """Check ids of rows, which must differ."""
    ids = _complete(argument, _one_each(argument, values, n))
    if len(set(ids)) < n:
        twice = next(row for row, times in Counter(ids).items() if times > 1)
        raise InputError(
            f"{argument} has {twice!r} more than once, but ids name one row each; if it says who or where, it is a group: "
            f"give group= (--group), or rename it"
        )
    return ids


def _ids(name: str, values: Any, given: Any, shared: str) -> Ids | None:
    if given is None and not (is_frame(values) or is_series(values)):
        return None
    if given is not None and shared:
        n = len(values) if isinstance(values, ByRow) else len(as_array(f"modalities[{name!r}]", values))
        return row_ids(f"id {shared!r}", given, n)
    ids = index_of(values) if given is None else _one_each(f"id[{name!r}]", given, len(values))
    return _complete(f"modalities[{name!r}]", ids)


def _one_each(argument: str, values: Any, n: int) -> Ids:
    array = as_array(argument, values)
    if array.shape != (n,):
        raise InputError(f"{argument} has shape {array.shape}, expected one id for each of {n} rows")
    return tuple(array.tolist())


def _complete(argument: str, ids: Ids) -> Ids:
    if any(is_missing(row) for row in ids):
        raise InputError(f"{argument} has rows without an id (None or NaN); give each row an id, or drop it")
    return ids


def _kind(row: object) -> str:
    if isinstance(row, bool):
        return "bool"
    return "number" if isinstance(row, int | float) else "text" if isinstance(row, str) else type(row).__name__


def _same_type(argument: str, rows: Ids, other: str, reference: Ids) -> None:
    """Refuse ids such as "1" beside 1, which a join would keep apart without a word."""
    for row in rows:
        if reference and _kind(row) != _kind(reference[0]):
            raise InputError(
                f"{argument} has ids such as {row!r} ({_kind(row)}) and {other} such as {reference[0]!r} "
                f"({_kind(reference[0])}); give ids of one type, for instance with .index.astype(str)"
            )


def _unique(argument: str, rows: Ids) -> None:
    try:
        seen = set(rows)
    except TypeError:
        raise InputError(f"{argument} has ids that are lists or other containers; give text or numbers") from None
    if len(seen) < len(rows):
        twice = next(row for row, times in Counter(rows).items() if times > 1)
        raise InputError(
            f"{argument} has the id {twice!r} more than once; give each row its own id, or average the rows of an id first"
        )
