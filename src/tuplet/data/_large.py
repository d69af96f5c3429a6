"""Large Parquet files, or folders of parts: a few rows are read at a time, and numbers go to a file mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import SMALLER, arrow, checked, checksum, one_name, readable, tables_in, unpacked
from tuplet.data._cache import cached
from tuplet.data._grouping import INDEX, Grouped, NumbersAsTextError, grouped
from tuplet.data._mapped import Mapped
from tuplet.io.memory import check_memory

LARGE = 2**26
"""Bytes of values from which a file is read in shares."""
SHARE = 2**24
"""Bytes of values that are read at a time."""


@dataclass(frozen=True)
class Large:
    """A Parquet file, or a folder of files that are parts of one table, that is not read at once."""

    path: Path
    files: tuple[Path, ...]

    def shares(self, columns: tuple[str, ...] | None) -> Iterator[Any]:
        """Read some columns, a few rows at a time, as tables."""
        from pyarrow import parquet

        for path in self.files:
            with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
                step = max(1, SHARE * file.metadata.num_rows // max(1, unpacked(file.metadata)))
                for batch in file.iter_batches(batch_size=step, columns=columns and list(columns), use_threads=False):
                    yield checked(str(path), arrow().Table.from_batches([batch]))


def large(path: Path) -> Large | None:
    """Tell whether a path is Parquet, or a folder of its parts, with so many values that it is read in shares."""
    files = tables_in(path) if path.is_dir() else [path]
    if not files or any(p.suffix.lower() != ".parquet" or not p.is_file() for p in files) or not one_name(files):
        return None
    arrow()
    from pyarrow import parquet

    with readable(str(path), "write the .parquet file again"):
        found = [parquet.read_metadata(p) for p in files]
        first, *others = [about.schema.to_arrow_schema() for about in found]
        alike = all(first.equals(other) for other in others) and not set(first.names) & set(INDEX)
        return Large(path, tuple(files)) if alike and sum(map(unpacked, found)) > LARGE else None


def in_shares(file: Large, asked: Mapping[str, Any], apart: set[str]) -> Grouped | None:
    """Group the columns of a large file; None where shares of it look different, so that it has to be read at once."""
    held, where, found, parts = 0, str(file.path), Grouped(), dict[str, list[NDArray[Any]]]()
    kinds: dict[str, set[Any]] = {}
    with readable(where, "write the .parquet file again"):
        for share in file.shares(None):
            try:
                part = grouped(where, share, asked, apart=apart)
            except NumbersAsTextError:  # in a share: all rows together may say otherwise
                return None
            if parts and (part.arrays.keys() != parts.keys() or part.columns != found.columns):
                return None
            found.columns, found.notes = part.columns, [*dict.fromkeys(found.notes + part.notes)]
            for name, values in part.arrays.items():
                kinds.setdefault(name, set()).add((values.shape[1:], values.dtype.kind in "biuf"))
                parts.setdefault(name, []).append(values if values.ndim == 1 else np.empty(0, values.dtype))
                held += parts[name][-1].nbytes
            check_memory(where, held, SMALLER)
        if any(len(seen) > 1 or (len(shape) and not number) for seen in kinds.values() for shape, number in seen):
            return None
        wide = {k: _stored(parts[k]) for k, seen in kinds.items() if any(len(shape) for shape, _ in seen)}
        found.arrays = {k: np.concatenate(v) for k, v in parts.items() if k not in wide}
        if wide:
            found.arrays |= _on_disk(file, asked, apart, wide, found)
    return found


def _stored(parts: list[NDArray[Any]]) -> np.dtype[Any]:
    """Return the dtype that a file of columns has for these."""
    dtype = np.result_type(*{p.dtype for p in parts})
    return np.dtype(np.int32 if dtype.itemsize == 2 else np.int64) if dtype.kind == "u" and dtype.itemsize > 1 else dtype


def _on_disk(
    file: Large, asked: Mapping[str, Any], apart: set[str], wide: Mapping[str, np.dtype[Any]], found: Grouped
) -> dict[str, Mapped]:
    """Write the modalities with several numbers per row to the cache, one after the other, and map them."""
    chosen = asked["modalities"] if isinstance(asked["modalities"], Mapping) else {}
    columns: dict[str, tuple[str, ...]] = {}
    for name in wide:
        given = chosen.get(name, found.columns.get(name, (name,)))
        columns[name] = (given,) if isinstance(given, str) else tuple(given)

    def rows(name: str) -> Iterator[NDArray[Any]]:
        own = {**asked, "modalities": {name: list(columns[name])}}
        for share in file.shares(columns[name]):
            yield grouped(str(file.path), share, own, apart=apart).arrays[name].astype(wide[name], copy=False)

    sha256 = checksum(list(file.files))
    key = {"file": sha256, "columns": json.dumps(columns, sort_keys=True), "dtypes": str(sorted(map(str, wide.values())))}
    made = cached("rows", key, lambda: {k: rows(k) for k in wide})
    found.notes.append(f"{file.path.name} is large: {', '.join(wide)} are read from {made}, a few rows at a time")
    return {k: Mapped.of(made, k, f"{sha256} {k} {columns[k]}") for k in wide}
