"""Large tables: a few rows are read at a time, and numbers go to a file mapped into memory.

Parquet files are read as they lie. Other large tables are written to Parquet in the cache for as long as they are read: data
sets of Hugging Face, streams of them, and Arrow files, as a saved data set has them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import (
    PARTS,
    SMALLER,
    arrow,
    checked,
    checksum,
    is_hub,
    is_stream,
    one_name,
    parts_of,
    readable,
    tables_in,
    unpacked,
)
from tuplet.data._cache import cache_folder, cached
from tuplet.data._grouping import INDEX, Grouped, NumbersAsTextError, grouped
from tuplet.data._mapped import Mapped
from tuplet.io.memory import check_memory
from tuplet.types import InputError

LARGE = 2**26
"""Bytes of values from which a file is read in shares."""
SHARE = 2**24
"""Bytes of values that are read at a time."""


@dataclass(frozen=True)
class Large:
    """A Parquet file, or a folder of files that are parts of one table, that is not read at once."""

    path: Path
    files: tuple[Path, ...]
    where: str
    """What messages call it."""
    sha256: str
    """Of what it was read from: these files, or those that they are a copy of."""
    sizes: tuple[int, ...]  # of each file, see `unpacked`
    part: NDArray[np.int64] | None = None
    """Of every row, where files are named after parts: 0 training, 1 validation, 2 test."""

    def shares(self, columns: tuple[str, ...] | None) -> Iterator[Any]:
        """Read some columns, a few rows at a time, as tables."""
        from pyarrow import parquet

        for path, size in zip(self.files, self.sizes, strict=True):
            with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
                step = max(1, SHARE * file.metadata.num_rows // max(1, size))
                for batch in file.iter_batches(batch_size=step, columns=columns and list(columns), use_threads=False):
                    batch.validate(full=True)
                    yield checked(self.where, arrow().Table.from_batches([batch]))


def large(path: Path, where: str | None = None, sha256: str | None = None) -> Large | None:
    """Tell whether a path is Parquet, or a folder of its parts, with so many values that it is read in shares."""
    files = tables_in(path) if path.is_dir() else [path]
    if not files or any(p.suffix.lower() != ".parquet" or not p.is_file() for p in files):
        return None
    parts = parts_of(files)
    if not (parts or one_name(files)):
        return None
    arrow()
    from pyarrow import parquet

    where = where or str(path)
    with readable(where, "write the .parquet file again"):
        found = [parquet.read_metadata(p) for p in files]
        first, *others = [about.schema.to_arrow_schema() for about in found]
        sizes = tuple(map(unpacked, files))
        if set(first.names) & set(INDEX) or sum(sizes) <= LARGE or not all(map(first.equals, others)):
            return None
        part = np.repeat([PARTS[p] for p in parts], [about.num_rows for about in found]) if parts else None
        return Large(path, tuple(files), where, sha256 or checksum(files), sizes, part)


@contextmanager
def in_parquet(x: Any, where: str) -> Iterator[Path | None]:
    """Write what is large and no Parquet to a folder in the cache, which is removed again; None if ``x`` is not."""
    found = _streams(x)
    if not found:
        yield None
        return
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="reading-", dir=cache_folder()))
    except OSError as error:
        raise InputError(f"the cache {cache_folder()} is not writable ({error}); set TUPLET_CACHE to a folder") from None
    try:
        for name, again in found.items():
            with readable(where, "give every column values of one type"):
                _copy(folder / f"{name}.parquet", again, where if name == "part" else f"{where}: {name}")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(path: Path, again: Callable[[], Iterator[Any]], where: str) -> None:
    """Write tables to a file; a second time with types for all, where they differ: a stream without features guesses them."""
    from pyarrow import parquet

    pa = arrow()
    first = next((table for table in again() if table.num_rows), pa.table({}))
    checked(where, first)
    schemas = [first.schema]
    with parquet.ParquetWriter(path, first.schema) as file:
        for table in again():
            if not any(map(table.schema.equals, schemas)):
                schemas.append(table.schema)
            if len(schemas) == 1:
                file.write_table(table)
    if len(schemas) == 1:
        return
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    with parquet.ParquetWriter(path, schema) as file:
        for table in again():
            both = pa.concat_tables([schema.empty_table(), table], promote_options="permissive")
            file.write_table(both.select(schema.names).cast(schema))


def _streams(x: Any) -> dict[str, Callable[[], Iterator[Any]]]:
    """Find the tables that a large data set or folder of Arrow files comes in, by part; none of small ones."""
    if is_hub(x):
        x = {"part": x}
    if isinstance(x, Mapping) and x and all(map(is_hub, x.values())):
        named = set(x) <= {"part", *PARTS}
        return (
            {k: partial(_batches, v) for k, v in x.items()}
            if named and any(is_stream(v) or _bytes(v) > LARGE for v in x.values())
            else {}
        )
    if not isinstance(x, Path):
        return {}
    files = arrow_files(x)
    if sum(p.stat().st_size for ps in files.values() for p in ps) <= LARGE:
        return {}
    return {k: partial(_mapped, ps) for k, ps in files.items()}


def arrow_files(path: Path) -> dict[str, list[Path]]:
    """List the Arrow files of one table by the part that they hold; nothing where other files lie there, too."""
    folders = {"part": path}
    if (path / "dataset_dict.json").is_file():  # a saved data set of several parts
        folders = {p.name: p for p in sorted(path.iterdir(), key=lambda p: PARTS.get(p.name, 0)) if p.is_dir()}
    files = {k: tables_in(p) if p.is_dir() else [p] for k, p in folders.items()}
    arrows = all(p.suffix.lower() in (".arrow", ".feather") and p.is_file() for ps in files.values() for p in ps)
    return files if arrows and set(files) <= {"part", *PARTS} and all(map(one_name, files.values())) else {}


def _bytes(values: Any) -> float:
    """Estimate the bytes of a data set's values by its first rows."""
    some = values.with_format("arrow")[:100]
    return float(some.nbytes * len(values) / max(1, some.num_rows))


def _batches(values: Any) -> Iterator[Any]:
    """Read a data set, or a stream of one, a few rows at a time."""
    values = values.with_format("arrow")
    if is_stream(values):
        yield from values.iter(batch_size=256)
        return
    step = max(1, int(SHARE * len(values) / max(1.0, _bytes(values))))
    yield from (values[i : i + step] for i in range(0, len(values), step))


def _mapped(files: list[Path]) -> Iterator[Any]:
    """Read Arrow files batch after batch."""
    pa = arrow()
    for path in files:
        with pa.memory_map(str(path)) as content:
            kept = content.read_at(6, 0) == b"ARROW1"
            reader = pa.ipc.open_file(content) if kept else pa.ipc.open_stream(content)
            for batch in map(reader.get_batch, range(reader.num_record_batches)) if kept else reader:
                batch.validate(full=True)  # offsets of a damaged file lead out of the memory
                yield pa.Table.from_batches([batch])


def in_shares(file: Large, asked: Mapping[str, Any], apart: set[str]) -> Grouped | None:
    """Group the columns of a large file; None where shares of it look different, so that it has to be read at once."""
    held, where, found, parts = 0, file.where, Grouped(), dict[str, list[NDArray[Any]]]()
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
            yield grouped(file.where, share, own, apart=apart).arrays[name].astype(wide[name], copy=False)

    key = {"file": file.sha256, "columns": json.dumps(columns, sort_keys=True), "dtypes": str(sorted(map(str, wide.values())))}
    made = cached("rows", key, lambda: {k: rows(k) for k in wide})
    found.notes.append(f"{Path(file.where).name} is large: {', '.join(wide)} are read from {made}, a few rows at a time")
    return {k: Mapped.of(made, k, f"{file.sha256} {k} {columns[k]}") for k in wide}
