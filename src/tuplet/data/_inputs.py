"""What people hold, brought to named arrays: sparse matrices, lists of series or of pictures, frames, tables and AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import as_table, is_table, needs
from tuplet.data._columns import as_array, is_frame, is_missing
from tuplet.data._grouping import grouped
from tuplet.data._media import picture_paths, read_pictures
from tuplet.data._named import RESERVED, Known, from_named
from tuplet.data._padding import lengths, spread
from tuplet.data._ragged import pad, uneven
from tuplet.data._sparse import Sparse, is_sparse
from tuplet.data.source import Source
from tuplet.types import InputError


@dataclass
class Inputs:
    """Named arrays, and what is known of them."""

    arrays: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    present: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: Any, folder: Path | None = None) -> None:
        """Add one array in any of its forms."""
        argument = f"modalities[{name!r}]"
        if is_sparse(values):
            self.arrays[name] = Sparse.of(argument, values)
            return
        if (series := uneven(values)) is not None:
            if self.kinds.get(name, "padded") != "padded":
                raise InputError(f"kinds[{name!r}] is {self.kinds[name]!r}, but {argument} has rows of different lengths")
            array = pad(argument, series)
            self.arrays[name], self.kinds[name] = array, "padded"
            self.notes.append(
                f"{name} has rows of different lengths ({spread(lengths(array)[0])}): padded to {array.shape[1]} steps; "
                f"neither the scaling nor the encoder sees the padding"
            )
            return
        listed = isinstance(values, list | tuple) and any(isinstance(v, str | Path) for v in values)
        if listed and all(is_missing(v) or isinstance(v, str | Path) for v in values):
            paths = picture_paths([None if is_missing(v) else v for v in values], folder)
            if paths is not None:
                self.present[name] = np.array([p is not None for p in paths])
                values = read_pictures(argument, paths)
                self.notes.append(f"{name} names pictures, which were read from their files")
        self.arrays[name] = values

    def source(self, asked: Mapping[str, Any], **about: Any) -> Source:
        """Make the source."""
        given = dict(asked)
        given["kinds"] = {**self.kinds, **(given["kinds"] or {})} if self.kinds else given["kinds"]
        if self.ids:
            given["id"] = {**self.ids, **(given["id"] if isinstance(given["id"], Mapping) else {})}
        return from_named(self.arrays, **given, known=Known(self.present, self.columns, self.notes), **about)


def from_mapping(x: Mapping[str, Any], asked: Mapping[str, Any], *, folder: Path | None = None, **about: Any) -> Source:
    """Make a source of named values, each in any form."""
    if isinstance(asked["modalities"], Mapping):
        raise InputError("modalities is a dict of columns, which needs one table; of several arrays or tables, list names")
    found = Inputs(kinds=_kinds(asked))
    tables = {k: v for k, v in x.items() if is_table(v)}
    wanted = None if asked["modalities"] is None else set(asked["modalities"])
    apart = {v for v in (asked["target"], asked["group"], asked["id"]) if isinstance(v, str)}
    for name, values in x.items():
        if name in tables:
            _add_table(found, name, as_table(f"modalities[{name!r}]", values), asked["id"], apart, wanted, folder)
        elif tables and is_frame(values) and isinstance(asked["id"], str) and asked["id"] in values.columns:
            found.arrays[name] = values.set_index(asked["id"])
        else:
            found.add(name, values, folder)
    asked = {**asked, "id": None} if found.ids and isinstance(asked["id"], str) else asked
    if tables and not found.ids:
        _equal_rows({k: as_table(k, v).num_rows for k, v in tables.items()})
    return found.source(asked, **about)


def _add_table(
    found: Inputs, name: str, table: Any, id: Any, apart: set[str], wanted: set[str] | None, folder: Path | None
) -> None:
    """Add the columns of one table of several; its labels and groups keep the ids of its rows."""
    key = id if isinstance(id, str) else "id"
    if isinstance(id, str) and id not in table.column_names:
        raise InputError(f"id is {id!r}, which {name!r} does not have; it has {table.column_names[:40]}")
    part = grouped(f"{name!r}", table, apart=apart | {key}, folder=folder, single=name)
    ids = part.arrays.pop(key, None) if key in table.column_names else None
    said = {k: v for k, v in part.arrays.items() if k in apart or k in RESERVED or k.startswith("target.")}
    for k, v in part.arrays.items():
        if k in said:
            continue
        k = k if k == name else f"{name}.{k}"
        found.add(k, v, folder)
        if ids is not None:
            found.ids[k] = ids
    found.columns |= part.columns
    found.present |= {k if k == name else f"{name}.{k}": v for k, v in part.present.items()}
    found.notes += part.notes
    if said and ids is None:
        for k, v in said.items():
            if k in found.arrays and not np.array_equal(as_array(k, found.arrays[k]), as_array(k, v)):
                raise InputError(f"{name!r} has a column {k!r} with other values than another table; give both an id column")
            found.arrays[k] = v
    elif said:
        try:
            import pandas as pd
        except ImportError:
            raise needs("joining labels by id", "tables", "pandas") from None
        found.arrays[f"columns of {name}"] = pd.DataFrame({k: list(v) for k, v in said.items()}, index=ids)


def _kinds(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kinds that a user gave; what is no dict is refused later."""
    return dict(asked["kinds"]) if isinstance(asked["kinds"], Mapping) else {}


def _equal_rows(rows: Mapping[str, int]) -> None:
    """Refuse tables of different length that have no id to join them by."""
    if len(set(rows.values())) > 1:
        said = ", ".join(f"{k} {n}" for k, n in rows.items())
        raise InputError(
            f"tables have different numbers of rows ({said}) and no column 'id'; add one to each, or name it with --id (id=)"
        )


def from_one_table(where: str, x: Any, asked: Mapping[str, Any], *, folder: Path | None = None, **about: Any) -> Source:
    """Make a source of one table, whose columns are grouped into modalities."""
    found = one_table(where, x, asked, folder=folder)
    wanted = asked["modalities"]
    names = None if wanted is None else list(wanted)
    return found.source({**asked, "modalities": names}, **about)


def one_table(where: str, x: Any, asked: Mapping[str, Any], *, folder: Path | None = None) -> Inputs:
    """Group the columns of one table into named arrays."""
    index = None
    if is_frame(x):
        own = asked["id"] is None and "id" not in x.columns and x.index.is_unique and x.index.nlevels == 1
        index = list(x.index) if own else None
        x = x.reset_index(drop=True)
        for c in [c for c in x.columns if any(isinstance(v, np.ndarray) and v.ndim > 1 for v in x[c][:1])]:
            x[c] = x[c].map(lambda v: v.tolist() if isinstance(v, np.ndarray) else v)
    apart = {v for v in (asked["target"], asked["group"], asked["id"]) if isinstance(v, str)}
    part = grouped(where, as_table(where, x), apart=apart, wanted=asked["modalities"], folder=folder)
    found = Inputs(kinds=_kinds(asked), columns=part.columns, notes=part.notes)
    for k, v in part.arrays.items():
        found.add(k, v, folder)
    found.present |= part.present
    if index is not None:
        apart |= {k for k in found.arrays if k in RESERVED or k.startswith("target.")}
        found.ids = {k: index for k in found.arrays if k not in apart}
    return found
