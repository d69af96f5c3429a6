"""What people hold, brought to named arrays: sparse matrices, lists of series or of pictures, frames, tables and AnnData."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import PARTS, Splits, arrow, as_table, is_hub, is_table, joined, needs, read_folder, read_table
from tuplet.data._cells import column_values
from tuplet.data._columns import as_array, as_strings, group_codes, is_frame, is_series, is_text
from tuplet.data._grouping import Grouped, grouped, says
from tuplet.data._join import join, one_column
from tuplet.data._large import Large, in_shares
from tuplet.data._media import picture_paths, read_pictures, seem_files, sound_paths
from tuplet.data._named import Known, from_named
from tuplet.data._npz import members
from tuplet.data._omics import FILES as OMICS
from tuplet.data._omics import assays, is_annotated, is_multi, read_omics
from tuplet.data._padding import lengths, spread
from tuplet.data._ragged import pad, uneven
from tuplet.data._sound import read_sounds
from tuplet.data._sparse import Sparse, is_sparse
from tuplet.data._targets import class_names
from tuplet.data.source import Source
from tuplet.data.splits import PARTS as NAMES
from tuplet.data.splits import Split, folds_of
from tuplet.data.table import Table
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
    offered: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    part: NDArray[np.int64] | None = None
    """Part of the split of each row, where the data say it."""

    def add(self, name: str, values: Any, folder: Path | None = None) -> None:
        """Add one array in any of its forms."""
        argument = f"modalities[{name!r}]"
        if (
            is_series(values)
            and values.dtype.kind == "O"
            and (uneven(rows := list(values)) or (self.kinds.get(name) != "text" and _named(rows, folder)))
        ):
            self.ids[name], values = list(values.index), rows
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "iloc"):  # a column of polars or Arrow
            values = column_values(argument, arrow().chunked_array(values))
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
        listed = isinstance(values, list | tuple) or (
            isinstance(values, np.ndarray) and values.dtype.kind in "OU" and values.ndim == 1
        )
        if listed and self.kinds.get(name) != "text" and (paths := picture_paths(values, folder)) is not None:
            self.present[name] = np.array([p is not None for p in paths])
            values = read_pictures(argument, paths)
            self.notes.append(f"{name} names pictures, which were read from their files")
        elif listed and self.kinds.get(name) != "text" and (sounds := sound_paths(values, folder)) is not None:
            self.present[name], self.kinds[name] = np.array([p is not None for p in sounds]), "signal"
            values, self.rates[name], long = read_sounds(argument, sounds)
            self.notes.append(
                f"{name} names sounds, which were read from their files: {self.rates[name]:g} samples a second, {long}, zeros "
                f"after their ends"
            )
        elif listed and self.kinds.get(name) != "text":
            said = [v for v in values if isinstance(v, str | bytes | Path) and v not in ("", b"")]
            if 2 * (some := seem_files(said)) > len(said):
                self.notes.append(f"{name} is read as text: {some} of {len(said)} values are pictures or sounds, not all")
        self.arrays[name] = values

    def _split(self, part: NDArray[np.int64], group: Any) -> Split:
        """Take the parts as they come; a part that is absent is a fifth of the training rows, in whole groups."""
        part = part.copy()
        kin = None if group is None else group_codes(group, len(part))
        for code in {0, 1, 2} - set(part.tolist()):
            rows = np.flatnonzero(part == 0)
            if kin is None:
                drawn = np.random.default_rng(0).permutation(rows)[: len(rows) // 5]
            else:
                own = np.unique(kin[rows], return_inverse=True)[1]
                folds = min(5, int(own.max(initial=0)) + 1)
                drawn = rows[folds_of(own, None, folds) == folds - 1]
            if not 0 < len(drawn) < len(rows):
                raise InputError(f"the data have no {NAMES[code]} part and too few training groups to draw it; give that part")
            part[drawn] = code
            how = "drawn at random" if kin is None else "in whole groups"
            self.notes.append(f"the data have no {NAMES[code]} part: a fifth of the training rows, {how}, is it")
        return Split.of(part)

    def update(self, part: Grouped) -> None:
        """Add what is known of the columns of a table."""
        self.columns |= part.columns
        self.notes += part.notes

    def label(self, name: str, frame: Any, asked: Mapping[str, Any]) -> None:
        """Add the columns of a frame that are targets or groups, each with its index."""
        self.offered += [str(c) for c in frame.columns]
        names = _apart(asked) | {"label", "target"} | ({"group"} if asked["group"] is None else set())
        chosen = [c for c in frame.columns if c in names or str(c).startswith("target.")]
        if chosen:
            self.arrays[f"columns of {name}"] = frame[chosen]

    def source(self, asked: Mapping[str, Any], **about: Any) -> Source:
        """Make the source."""
        given = {**asked, "modalities": None if asked["modalities"] is None else list(asked["modalities"])}
        given["kinds"] = {**self.kinds, **(given["kinds"] or {})} if self.kinds else given["kinds"]
        if self.part is not None and len(set(self.part.tolist())) > 1 and given["split"] is None:
            group = "group" if given["group"] is None else given["group"]
            given["split"] = self._split(self.part, self.arrays.get(group) if isinstance(group, str) else group)
        if self.ids and not (isinstance(given["id"], str) and given["id"] in self.arrays):
            given["id"] = {**self.ids, **(given["id"] if isinstance(given["id"], Mapping) else {})}
        known = Known(self.present, self.columns, self.notes, self.offered, self.rates)
        return from_named(self.arrays, **given, known=known, **about)


def _named(rows: list[Any], folder: Path | None) -> bool:
    """Tell whether texts name files of pictures or sounds."""
    return picture_paths(rows, folder) is not None or sound_paths(rows, folder) is not None


def gathered(x: Any, asked: Mapping[str, Any], *, where: str = "the table", folder: Path | None = None) -> Inputs:
    """Bring named values in any form, one table, AnnData or MuData to named arrays."""
    found = Inputs(kinds=dict(asked["kinds"]) if isinstance(asked["kinds"], Mapping) else {})
    hub = isinstance(x, Mapping) and x and all(map(is_hub, x.values())) and not set(x).isdisjoint(PARTS)
    if hub or isinstance(x, Splits):
        if unknown := sorted(set(x) - set(PARTS)):
            raise InputError(
                f"{where} has a part {unknown[0]!r}, expected some of {', '.join(PARTS)}; take one part, or rename it"
            )
        parts = {k: as_table(f"{where}: {k}", x[k]) for k in sorted(x, key=PARTS.__getitem__)}
        x, found.part = joined(where, parts), np.repeat([PARTS[k] for k in parts], [t.num_rows for t in parts.values()])
    if isinstance(x, Large):
        found.part = x.part
        part = in_shares(x, asked, _apart(asked))
        if part is None:
            return gathered(open_data(x.path)[0], asked, where=where, folder=folder)
        for k, v in part.arrays.items():
            found.add(k, v, folder)
        found.offered += list(part.arrays)[:50]
        found.update(part)
        return found
    if is_frame(x) or is_table(x):
        _one_table(found, where, x, asked, folder)
        return found
    if isinstance(asked["modalities"], Mapping):
        raise InputError("modalities is a dict of columns, which needs one table; of several arrays or tables, list names")
    if is_multi(x):  # it has labels of its own beside those of its assays
        found.label("obs", x.obs, asked)
    rows, key = {}, asked["id"] if isinstance(asked["id"], str) else "id"
    entries = x if isinstance(x, Mapping) else assays(x)
    for name, values in entries.items():
        if is_table(values):
            table = as_table(f"modalities[{name!r}]", values)
            rows[name] = table.num_rows
            _add_table(found, name, table, asked, folder)
        elif is_annotated(values):
            _add_assay(found, name, values, asked)
        elif is_frame(values) and key in values.columns and any(map(is_table, entries.values())):
            found.arrays[name] = values.set_index(key)
        else:
            found.add(name, values, folder)
    if not found.ids and len(set(rows.values())) > 1:
        said = ", ".join(f"{k} {n}" for k, n in rows.items())
        raise InputError(
            f"tables have different numbers of rows ({said}) and no column 'id'; add one to each, or name it with --id (id=)"
        )
    return found


def open_data(path: Path) -> tuple[Any, list[Path]]:
    """Read a file or a folder of tables: one table, several by name, AnnData or MuData; also return the files."""
    if path.is_dir():
        return read_folder(path)
    return read_omics(path) if path.suffix.lower() in OMICS else read_table(path), [path]


def raw_arrays(
    given: Any,
    columns: Mapping[str, Sequence[str]],
    id: str | None,
    apart: set[str],
    rates: Mapping[str, float | None] | None = None,
    words: Collection[str] = (),
) -> dict[str, Any]:
    """Read what a trained model embeds, columns in the order of its training; rows that are absent become NaN or None."""
    path = given if isinstance(given, Path) else None
    x = given if path is None else open_data(path)[0]
    asked: dict[str, Any] = {**dict.fromkeys(("modalities", "target", "group")), "id": id, "apart": apart}
    asked["kinds"] = dict.fromkeys(words, "text")
    if is_table(x) or is_frame(x):
        names = set(map(str, getattr(x, "column_names", None) or x.columns))
        for k, cs in columns.items():
            if lost := [c for c in cs if c not in names] if len(cs) > 1 and not names.isdisjoint(cs) else []:
                raise InputError(f"{k!r} lacks the column {lost[0]!r}, which the model was trained on; add it")
        asked["modalities"] = {k: cs for k, cs in columns.items() if set(cs) <= names} or None
    folder = path if path is None or path.is_dir() else path.parent
    found = gathered(x, asked, where="the table" if path is None else str(path), folder=folder)
    for k, rate in found.rates.items():
        if (trained := (rates or {}).get(k)) not in (None, rate):
            raise InputError(
                f"{k!r} has {rate:g} samples a second, but the model was trained on {trained:g}; resample the sounds"
            )
    frames = {k: v for k, v in found.arrays.items() if is_frame(v)}
    rows = join({k: v for k, v in found.arrays.items() if k not in frames and not says(k, apart)}, found.ids, found.present)
    said = {k: v for k, v in found.arrays.items() if says(k, apart)} | ({"id": np.array(rows.ids)} if found.ids else {})
    for name in dict.fromkeys(c for frame in frames.values() for c in frame.columns):
        said[name] = rows.column(name, one_column("target", name, {k: f for k, f in frames.items() if name in f.columns}))
    out = {
        k: np.array(["" if t is None else t for t in as_strings(k, v)]) if is_text(as_array(k, v)) else v
        for k, v in said.items()
    }
    for k, v in rows.arrays.items():
        own, wanted, here = found.columns.get(k, ()), columns.get(k, ()), rows.present.get(k, np.ones(1, dtype=bool))
        values: Any = v.matrix if isinstance(v, Sparse) else as_array(k, v)
        if wanted and len(own) > 1 and set(wanted) <= set(own):
            values = values[:, [own.index(c) for c in wanted]]
        elif empty := [c for c in wanted if c not in own] if set(own) < set(wanted) and own else []:
            why = "that column is not to be kept apart" if empty[0] in apart else f"fill it, or leave out all columns of {k!r}"
            raise InputError(f"{k!r} has no value in column {empty[0]!r}; {why}")
        if not here.all():
            values = values.toarray() if isinstance(v, Sparse) else values
            numbers = values.dtype.kind in "biuf"
            values = values.astype(np.float64 if numbers else object)
            values[~here] = np.nan if numbers else None
        out[k] = values
    return out


def arrays_of(
    file: Path,
    asked: set[str | None] | None,
    order: Mapping[str, Sequence[str]] | None = None,
    id: str | None = None,
    rates: Mapping[str, float | None] | None = None,
    words: Collection[str] = (),
) -> dict[str, Any]:
    """Read the arrays of a file by modality, columns of tables in some order; rows that are marked as absent become NaN."""
    if file.suffix.lower() not in (".npz", ".safetensors"):
        return raw_arrays(file, order or {}, id, {k for k in asked or () if k is not None} - set(order or ()), rates, words)
    if file.suffix.lower() == ".npz":
        return members(file, None if asked is None else {k for k in asked if k is not None})[0]
    table = Table.open(file)
    columns = table.columns
    found = {k.removeprefix("input."): v for k, v in columns.items() if not k.startswith("present.")}
    for k in list(found):
        here = columns.get(f"present.{k}")
        if here is not None and here.shape == found[k].shape[:1] and not here.all():
            found[k] = np.where(here.reshape(-1, *[1] * (found[k].ndim - 1)) != 0, found[k], np.nan)
        classes = table.about.get(f"classes.{k.removeprefix('target.')}")
        if classes is not None and k.startswith("target."):
            found[k] = np.array(class_names(f"path {file}", k.removeprefix("target."), classes))[found[k]]
    return found


def _one_table(found: Inputs, where: str, x: Any, asked: Mapping[str, Any], folder: Path | None) -> None:
    """Group the columns of one table; the index of a frame joins labels that have one too."""
    index = None
    if is_frame(x):
        own = asked["id"] is None and "id" not in x.columns and x.index.is_unique and x.index.nlevels == 1
        index = list(x.index) if own else None
        x = x.reset_index(drop=True)
        for c in [c for c in x.columns if any(isinstance(v, np.ndarray) and v.ndim > 1 for v in x[c][:1])]:
            x[c] = x[c].map(lambda v: v.tolist() if isinstance(v, np.ndarray) else v)
    table = as_table(where, x)
    part = grouped(where, table, asked, apart=_apart(asked))
    found.offered += table.column_names[:50]
    for k, v in part.arrays.items():
        if says(k, _apart(asked)):
            found.arrays[k] = v  # a label, or a column to keep, which may name pictures
            continue
        found.add(k, v, folder)
        if index is not None:
            found.ids[k] = index
    found.update(part)


def _add_table(found: Inputs, name: str, table: Any, asked: Mapping[str, Any], folder: Path | None) -> None:
    """Add the columns of one table of several; its labels and groups keep the ids of its rows."""
    key, apart = asked["id"] if isinstance(asked["id"], str) else "id", _apart(asked)
    if isinstance(asked["id"], str) and key not in table.column_names:
        raise InputError(f"id is {key!r}, which {name!r} does not have; it has {table.column_names[:40]}")
    part = grouped(repr(name), table, asked, apart=apart | {key}, single=name)
    ids = part.arrays.pop(key, None)
    found.offered += table.column_names[:50]
    said = {k: part.arrays.pop(k) for k in list(part.arrays) if says(k, apart)}
    for k, v in part.arrays.items():
        found.add(k, v, folder)
        if ids is not None:
            found.ids[k] = ids
    found.update(part)
    if said and ids is not None:
        with needs("joining labels by id", "tables", "pandas"):
            import pandas as pd
        found.arrays[f"columns of {name}"] = pd.DataFrame({k: list(v) for k, v in said.items()}, index=ids)
        return
    for k, v in said.items():
        if k in found.arrays and not np.array_equal(as_array(k, found.arrays[k]), as_array(k, v)):
            raise InputError(f"{name!r} has a column {k!r} with other values than another table; give both an id column")
        found.arrays[k] = v


def _apart(asked: Mapping[str, Any]) -> set[str]:
    """Return the names of columns that a user asks for as target, group or id."""
    more: set[str] = asked.get("apart", set())
    return more | {v for v in (asked["target"], asked["group"], asked["id"]) if isinstance(v, str)}


def _add_assay(found: Inputs, name: str, values: Any, asked: Mapping[str, Any]) -> None:
    """Add one assay: its matrix, the names of its cells, and the labels in ``obs``."""
    if isinstance(asked["id"], str):
        raise InputError(f"id is {asked['id']!r}, but {name!r} is AnnData, which is joined by obs_names; set those")
    if values.X is None:
        raise InputError(f"modalities[{name!r}] is AnnData without X; fill it, for instance from a layer")
    found.add(name, values.X)
    found.ids[name] = list(values.obs_names)
    found.columns |= {name: tuple(map(str, values.var_names))} if len(values.var_names) else {}
    found.label(name, values.obs, asked)
