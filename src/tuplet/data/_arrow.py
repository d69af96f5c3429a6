"""Tables of any kind as Arrow tables, and files and folders of them; broken ones are refused in one line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tuplet.io.memory import check_memory
from tuplet.types import InputError, importing

WIDTH = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12}
"""Bytes of a value in memory, by its type in a Parquet file; 8 of all others."""
FILES = (".csv", ".tsv", ".parquet", ".feather", ".arrow")
"""Endings of files that are one table each."""
PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}
"""Name of a part of a data set -> its number in a split."""
SMALLER = "give fewer columns or rows, or write it as .safetensors with tuplet.data.write_table"


def needs(what: str, extra: str, package: str) -> AbstractContextManager[None]:
    """Say where an import fails which extra is missing."""
    return importing(f"{what} needs {package}; run pip install 'tuplet[{extra}]'")


def arrow() -> Any:
    """Import pyarrow."""
    with needs("reading tables", "tables", "pyarrow"):
        import pyarrow as pa
    return pa


def is_table(values: Any) -> bool:
    """Tell whether this is a frame without an index: polars, Arrow or another one, or a Hugging Face data set."""
    if isinstance(values, Mapping) or hasattr(values, "iloc"):
        return False
    frame = hasattr(values, "collect_schema") or hasattr(values, "columns")
    return is_hub(values) or (frame and (hasattr(values, "lazy") or hasattr(values, "__arrow_c_stream__")))


def is_hub(values: Any) -> bool:
    """Tell whether this is a Hugging Face data set, or a stream of one, whose length is not known."""
    return hasattr(values, "features") and hasattr(values, "with_format") and (hasattr(values, "__len__") or is_stream(values))


def is_stream(values: Any) -> bool:
    """Tell whether this is a Hugging Face data set that is streamed."""
    return hasattr(values, "with_format") and hasattr(values, "iter") and not hasattr(values, "__len__")


class Splits(dict[str, Any]):
    """Tables that are parts of one: training, validation, test."""


@contextmanager
def readable(what: str, fix: str) -> Iterator[None]:
    """Turn every way in which data can be broken into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # libraries raise what their decoders raise
        seen = " ".join(str(error).split())[:160]
        raise InputError(f"{what} cannot be read ({type(error).__name__}: {seen}); {fix}") from None


def as_table(what: str, values: Any) -> Any:
    """Turn a frame of any kind into an Arrow table."""
    pa = arrow()
    fix = "give every column values of one type"
    with readable(what, fix):
        if isinstance(values, pa.Table):
            return checked(what, values)
        if is_hub(values):
            values = values.with_format("arrow")
            return checked(what, pa.concat_tables(values.iter(batch_size=256)) if is_stream(values) else values[:])
        with needs(f"{what} is a {type(values).__name__}, which", "tables", "narwhals"):
            import narwhals as nw
        if hasattr(values, "set_axis"):  # pandas numbers columns without a name
            values = values.set_axis(_once(what, list(map(str, values.columns))), axis=1)
        frame = nw.from_native(values)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        return checked(what, frame.to_arrow())


def checked(what: str, table: Any) -> Any:
    """Refuse a table without rows or with two columns of one name."""
    names = _once(what, table.column_names)
    if not table.num_rows or not names:
        raise InputError(f"{what} has {table.num_rows} rows and {len(names)} columns, expected some of both")
    return _named_classes(table)


def _once(what: str, names: list[str]) -> list[str]:
    """Refuse two columns of one name."""
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{what} has two columns called {twice[0][:80]!r}; rename one of them")
    return names


def _named_classes(table: Any) -> Any:
    """Give codes the names of the classes that a Hugging Face data set notes in its table."""
    try:
        features = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        named = {k: f["names"] for k, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return table
    for name in set(named) & set(table.column_names):
        codes, words = table.column(name).to_pylist(), dict(enumerate(named[name]))
        table = table.set_column(table.column_names.index(name), name, [[words.get(c) for c in codes]])
    return table.replace_schema_metadata(None)  # not a second time


def joined(what: str, parts: Mapping[Any, Any]) -> Any:
    """Put parts of one table below each other."""
    with readable(what, "write its parts with the same types"):
        return arrow().concat_tables(list(parts.values()), promote_options="permissive")


def read_table(path: Path) -> Any:
    """Read one file as an Arrow table."""
    pa = arrow()
    kind = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"path {path} does not exist; give a file that ends in one of {', '.join(FILES)}")
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path} is empty; write it again")
    check_memory(str(path), size, SMALLER)
    with readable(str(path), f"write the {kind} file again"):
        if kind in (".csv", ".tsv"):
            return checked(str(path), _separated(path, kind))
        if kind == ".parquet":
            return checked(str(path), _parquet(path))
        content = path.read_bytes()
        opened = pa.ipc.open_file if content.startswith(b"ARROW1") else pa.ipc.open_stream
        return checked(str(path), _unpacked_batches(path, opened(pa.py_buffer(content))))


def _separated(path: Path, kind: str) -> Any:
    """Read text with a header; a file of semicolons or tabs is seen by its header."""
    from pyarrow import csv

    with path.open("rb") as file:
        header = file.readline(1_000_000).decode("utf-8", "replace")
    if "\0" in header:
        raise InputError(f"{path} is no UTF-8 text; save it as UTF-8")
    usual = "\t" if kind == ".tsv" else ","
    sign = usual if usual in header else max(usual, ";", "\t", key=header.count)
    convert = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=sign, newlines_in_values=True),
        convert_options=convert,
        read_options=csv.ReadOptions(use_threads=False),
    )
    if broken := [f.name for f in table.schema if arrow().types.is_binary(f.type)]:
        raise InputError(f"{path} has bytes that are no UTF-8 in the column {broken[0]!r}; save it as UTF-8")
    return table


def _unpacked_batches(path: Path, reader: Any) -> Any:
    """Read batch after batch, as long as they fit."""
    found, size = [], 0
    count = getattr(reader, "num_record_batches", None)
    for batch in reader if count is None else map(reader.get_batch, range(count)):
        batch.validate(full=True)  # offsets of a damaged file lead out of the memory
        found.append(batch)
        size += batch.nbytes
        check_memory(str(path), size, SMALLER)
    return arrow().Table.from_batches(found, reader.schema)


def _parquet(path: Path) -> Any:
    """Read a Parquet file whose header claims no more than fits."""
    from pyarrow import parquet

    file = parquet.ParquetFile(path, pre_buffer=False)
    about = file.metadata
    check_memory(str(path), max(unpacked(path), about.num_rows * about.num_columns), SMALLER)
    if not about.num_row_groups:
        return file.read()
    table = arrow().concat_tables([file.read_row_group(i, use_threads=False) for i in range(about.num_row_groups)])
    table.validate(full=True)  # texts of a damaged file are no UTF-8
    return table


def unpacked(path: Path) -> int:
    """Count the bytes of a Parquet file's values in memory: encoded, they may be one value and how often it comes."""
    from pyarrow import parquet

    size = 0
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**12) as file:
        for i in range(file.metadata.num_row_groups):
            if file.metadata.num_columns:  # of no row: a column described wrongly is an error here, and below ends the process
                next(file.reader.iter_batches(0, [i], use_threads=False), None)
            group = file.metadata.row_group(i)
            columns = [group.column(j) for j in range(group.num_columns)]
            size += max(group.total_byte_size, sum(max(0, c.num_values) * WIDTH.get(c.physical_type, 8) for c in columns))
    return size


def checksum(paths: list[Path]) -> str:
    """Return the checksum of one file, or of several in order."""
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()


def read_folder(folder: Path) -> tuple[Any, list[Path]]:
    """Read a folder of tables: one table, of which files are parts, or several by the name of their file."""
    if (folder / "dataset_dict.json").is_file():  # a saved data set of several parts
        found = {p.name: read_folder(p) for p in sorted(folder.iterdir(), key=lambda p: PARTS.get(p.name, 0)) if p.is_dir()}
        return Splits({k: table for k, (table, _) in found.items()}), [p for _, files in found.values() for p in files]
    files = tables_in(folder)
    if not files:
        raise InputError(
            f"path {folder} is a directory without a table; expected files that end in one of {', '.join(FILES)}, or, of real "
            f"data, a reader's name with --root {folder}"
        )
    tables = {p: read_table(p) for p in files}
    if len(files) > 1 and one_name(files) and _parts(list(tables.values())):
        return joined(str(folder), tables), files
    if (words := parts_of(files)) and _parts(list(tables.values())):
        parts = {w: [t for t, v in zip(tables.values(), words, strict=True) if v == w] for w in words}
        return Splits({w: joined(str(folder), dict(enumerate(ts))) for w, ts in parts.items()}), files
    if twice := [p.name for p in files if sum(p.stem == q.stem for q in files) > 1]:
        raise InputError(f"path {folder} has {' and '.join(twice)}, expected one file per modality; move one of them away")
    return {p.stem: table for p, table in tables.items()} if len(files) > 1 else tables[files[0]], files


def tables_in(folder: Path) -> list[Path]:
    """List the files of a folder that hold tables."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in FILES and not p.name.startswith((".", "_")))
    return sorted(found, key=lambda p: (PARTS.get(_word(p), 0), p))  # training rows first


def parts_of(files: list[Path]) -> list[str]:
    """Return which part of a data set each file holds, by its name; nothing where names do not say that."""
    words = list(map(_word, files))
    if len(files) < 2 or not set(words) <= set(PARTS):
        return []
    if all(PARTS[word] for word in words):
        raise InputError(f"{', '.join(p.name for p in files)} are parts without training rows; add train{files[0].suffix}")
    return words


def _word(path: Path) -> str:
    return re.split(r"[-_.]", path.stem)[0].lower()


def one_name(files: list[Path]) -> bool:
    """Tell whether files have one name, apart from what numbers the parts of a table."""
    return len({"part" if re.match(r"part[-_.]", p.stem) else re.sub(r"\d+", "#", p.stem) for p in files}) == 1


def _parts(tables: list[Any]) -> bool:
    """Tell whether tables have the same columns, and no id in two of them."""
    if len({tuple(sorted(t.column_names)) for t in tables}) > 1:
        return False
    if "id" not in tables[0].column_names:
        return True
    ids = [v for t in tables for v in t.column("id").to_pylist()]
    return len(set(map(repr, ids))) == len(ids)
