"""Columns of a table grouped into modalities: lists one each, numbers by the part of the name before ``.`` or ``/``."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._cells import column_values
from tuplet.data._columns import is_text
from tuplet.data._named import RESERVED
from tuplet.types import InputError

INDEX = ("__index_level_0__", "Unnamed: 0", "")
"""Names under which pandas writes the index of a frame."""
MOST = 12
"""So many columns of numbers may be a modality each; more of them belong together, and only a user knows how."""


@dataclass
class Grouped:
    """Named arrays that were the columns of a table."""

    arrays: dict[str, Any] = field(default_factory=dict)
    """Modality, or name of a column that stays apart -> values."""
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def grouped(where: str, table: Any, asked: Mapping[str, Any], *, apart: set[str], single: str = "") -> Grouped:
    """Group the columns of an Arrow table; ``single`` names the modality that all numbers of the table are."""
    found, wanted = Grouped(), None if single else asked["modalities"]
    table = _named_index(table, apart, keep=asked["id"] is None)
    names = table.column_names
    chosen = dict(wanted) if isinstance(wanted, Mapping) else {}
    members = {c: k for k, cs in chosen.items() for word in ([cs] if isinstance(cs, str) else cs) for c in _meant(word, names)}
    if unknown := [c for c in members if c not in names]:
        raise InputError(f"modalities names the column {unknown[0]!r}, which {where} does not have; it has {names[:40]}")
    only = None if wanted is None or chosen else set(wanted)
    numbers: dict[str, list[tuple[str, NDArray[Any]]]] = {}
    for name in names:
        alone = says(name, apart)
        prefix = re.split(r"[./]", name, maxsplit=1)[0] or name
        if not alone and ((chosen and name not in members) or not (only is None or {name, prefix} & only)):
            continue
        values = column_values(f"{where}: column {name!r}", table.column(name))
        if values is None:
            found.notes.append(f"{name} has no value in any row and was left out")
            continue
        if alone:
            found.arrays[name] = values
            continue
        if values.dtype.kind == "O" and all(v is None or isinstance(v, bool) for v in values):
            values = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        if name in members:
            numbers.setdefault(members[name], []).append((name, values))
        elif _is_number(values):
            numbers.setdefault(single or prefix, []).append((name, values))
        elif values.dtype.kind in "mM" and (only is None or name not in only):
            found.notes.append(f"{name} holds dates or times and was left out; give them as numbers to use them")
        else:
            numbers.setdefault(name, []).append((name, values))
    if single:
        numbers = {single if len(numbers) == 1 or k == single else f"{single}.{k}": v for k, v in numbers.items()}
    texts = [k for k, v in (asked["kinds"] or {}).items() if v == "text"] if isinstance(asked["kinds"], Mapping) else []
    for group, columns in numbers.items():
        if only is None or group in only:
            _add(found, where, group, columns, text=group in texts)
    _check_width(where, {k: v for k, v in found.columns.items() if wanted is None and v == (k,) and not single})
    return found


def says(name: str, apart: set[str]) -> bool:
    """Tell whether a column is a target, a group or an id."""
    return name in apart or name in RESERVED or name.startswith("target.")


def _named_index(table: Any, apart: set[str], *, keep: bool) -> Any:
    """Call the index that pandas wrote "id" where the table has no such column and it names each row once; or drop it."""
    for name in table.column_names:
        if name in INDEX and name not in apart:
            ids = table.column(name)
            if not keep or "id" in table.column_names or ids.null_count or len(ids.unique()) < len(ids):
                table = table.drop_columns([name])
            else:
                table = table.rename_columns(["id" if n == name else n for n in table.column_names])
    return table


def _add(found: Grouped, where: str, group: str, columns: list[tuple[str, Any]], *, text: bool) -> None:
    """Add one modality."""
    if group in found.arrays:
        raise InputError(f"{where} has columns of the modality {group!r} and a column {group!r}; rename one of them")
    if len(columns) > 1:
        if odd := [(n, _seen(v)) for n, v in columns if not _is_number(v)]:
            raise InputError(
                f"{where} has numbers in the modality {group!r}, but its column {odd[0][0]!r} holds {odd[0][1]}; repair the "
                f"column, or give it a name of its own"
            )
        found.columns[group] = tuple(n for n, _ in columns)
        found.arrays[group] = np.column_stack([v for _, v in columns])
        return
    name, values = columns[0]
    if values.dtype.kind == "O" and not text:
        _check_text(where, name, values, group)
    elif _is_number(values):
        found.columns[group] = (name,)
    found.arrays[group] = values


class NumbersAsTextError(InputError):
    """A column of text holds numbers for the most part: of a share of a file this says nothing of the whole."""


def _check_text(where: str, name: str, values: NDArray[Any], group: str) -> None:
    """Refuse a column of numbers in which some values are words: a fault in the file rather than text."""
    there = [str(v) for v in values.tolist() if v is not None]
    words = [v for v in there if not re.fullmatch(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*", v)]
    if len(words) < len(there) / 2:
        seen = f"such as {words[0][:40]!r} among the others" if words else f"such as {there[0][:40]!r}, as text"
        raise NumbersAsTextError(
            f"{where} has numbers in {len(there) - len(words)} of {len(there)} values of the column {name!r}, {seen}; write "
            f"plain numbers with a decimal point, and nothing where a value is absent, or say --kind {group}=text"
        )


def _check_width(where: str, alone: Mapping[str, Any]) -> None:
    """Refuse to make a modality of each of many columns."""
    if len(alone) > MOST:
        few = list(alone)[:3]
        stems = Counter(m[1] for name in alone if (m := re.fullmatch(r"(.*\D)\d+", name)))
        told = [f"'{k.strip('_- ') or k}={k}*'" for k, count in stems.items() if count > 1][:4]
        fix = " ".join(told) or f"NAME={','.join(few)}"
        raise InputError(
            f"{where} has {len(alone)} columns of numbers whose names have no common part before a '.' or '/', such as "
            f"{few}; say which belong together: --modalities {fix} (modalities={{'NAME': {few}}})"
        )


def _meant(word: str, names: list[str]) -> list[str]:
    """Name the columns that a word means: the one of that name, or those that match it as a pattern such as ``force_*``."""
    return [word] if word in names else fnmatch.filter(names, word) or [word]


def _is_number(values: NDArray[Any]) -> bool:
    return values.ndim == 1 and values.dtype.kind in "biuf"


def _seen(values: Any) -> str:
    return f"text such as {next(str(v) for v in values if v is not None)[:40]!r}" if is_text(values) else "lists or dates"
