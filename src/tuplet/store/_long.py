"""The table with a row per item and modality, as Parquet or .npz; what is absent stands beside it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Table
from tuplet.data._arrow import FILES, needs
from tuplet.data._npz import members
from tuplet.io import write_atomic
from tuplet.io.files import BAD_ZIP
from tuplet.types import InputError, importing

Columns = dict[str, NDArray[Any]]
Present = dict[str, NDArray[np.bool_]]
Parts = tuple[NDArray[Any], Present, Columns, Columns, dict[str, str]]
DAMAGED = "it was cut off, or is not a file of `tuplet embed`; write it again"


def save(path: Path, ids: NDArray[Any], present: Present, vectors: Columns, columns: Columns, about: dict[str, str]) -> None:
    """Write a table."""
    rows = {k: np.flatnonzero(here) for k, here in present.items()}
    places = np.concatenate(list(rows.values()))
    known = {k: v for k, v in columns.items() if k != "part"}
    table: Columns = {
        "id": ids[places],
        "modality": _names(rows),
        "vector": np.concatenate([vectors[k][v] for k, v in rows.items()]),
    }
    table |= {k: columns[k][places] for k in ("part", *known) if k in columns} | {"row": places}
    gone = {k: np.flatnonzero(~here) for k, here in present.items()}
    where = np.concatenate(list(gone.values()))
    absent: Columns = {"id": ids[where], "modality": _names(gone), "row": where}
    if not np.any(list(present.values()), axis=0).all():  # items without any row: what is known of them stands here
        absent |= {k: v[where] for k, v in columns.items()}
    if path.suffix.lower() == ".parquet":
        write_atomic(path, _parquet(table, absent, about))
        return
    file = io.BytesIO()
    beside = {f"absent.{k}": v for k, v in absent.items()} | {f"about.{k}": np.array(v) for k, v in about.items()}
    np.savez(file, **table, **beside)  # type: ignore[arg-type]
    write_atomic(path, file.getvalue())


def kind_of(path: Path) -> str:
    """Tell a table of items and modalities, as ``parquet`` or ``npz``, from a ``mapped`` file and from what is ``foreign``."""
    if path.is_dir():
        return "foreign"
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"PAR1"):
            import pyarrow.parquet as pq

            return "parquet" if {"modality", "vector"} & set(pq.read_schema(path).names) else "foreign"
        if start.startswith(b"PK\x03\x04"):
            return "npz" if {"modality.npy", "vector.npy"} & set(zipfile.ZipFile(path).namelist()) else "foreign"
    except (ImportError, *BAD_ZIP):  # refused where it is read
        return "parquet" if start.startswith(b"PAR1") else "npz"
    if path.suffix.lower() in (*FILES, ".h5ad"):
        return "foreign"
    return "mapped" if any(k.startswith("z.") for k in Table.open(path).columns) else "foreign"


def opened(path: Path, parquet: bool) -> Parts:
    """Read a table: ids, presence, vectors, columns and notes, a row per item."""
    table, absent, about = _read_parquet(path) if parquet else _read_npz(path)
    if missing := [k for k in ("id", "modality", "vector") if k not in table]:
        raise InputError(f"{path} has the columns {', '.join(table)[:120]}, but no {', '.join(missing)}; {DAMAGED}")
    lengths = {k: v.shape[:1] for k, v in table.items()}
    if len(set(lengths.values())) > 1 or len({v.shape[:1] for v in absent.values()}) > 1:
        raise InputError(f"{path} has columns of different lengths; {DAMAGED}")
    if table["vector"].ndim != 2 or table["vector"].dtype.kind != "f" or table["modality"].dtype.kind != "U":
        raise InputError(f"{path} has no vectors of one width, or modalities that are no texts; {DAMAGED}")
    ids = np.concatenate([table["id"], absent["id"]]) if "id" in absent and len(absent["id"]) else table["id"]
    if "row" in table:
        places = np.concatenate([table["row"], absent.get("row", table["row"][:0])])
    else:  # a table of another program: items in order of their first row
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        places = np.argsort(np.argsort(first))[inverse]
    n = 1 + int(places.max(initial=-1))
    own, where = places[: len(table["id"])], places[len(table["id"]) :]
    if len(places) != len(ids) or places.min(initial=0) < 0 or len(np.unique(places)) != n:
        raise InputError(f"{path} numbers its rows wrongly; {DAMAGED}")
    names = np.unique(np.concatenate([table["modality"], absent.get("modality", table["modality"][:0])])).tolist()
    vectors = {k: np.zeros((n, table["vector"].shape[1]), table["vector"].dtype) for k in names}
    present = {k: np.zeros(n, np.bool_) for k in names}
    for k in names:
        mine = table["modality"] == k
        vectors[k][own[mine]], present[k][own[mine]] = table["vector"][mine], True
        if len(np.unique(own[mine])) != mine.sum():
            twice = table["id"][mine][np.argmax(np.bincount(own[mine])[own[mine]])].item()
            raise InputError(
                f"{path} has {twice!r} twice in modality {k!r}; keep one vector per id and modality, or average them"
            )
    wide: Columns = {}
    for k in table.keys() - {"modality", "vector", "row"}:
        wide[k] = np.zeros((n, *table[k].shape[1:]), np.result_type(table[k], absent[k]) if k in absent else table[k].dtype)
        if k in absent:
            wide[k][where] = absent[k]
        wide[k][own] = table[k]
    return wide.pop("id"), present, vectors, dict(sorted(wide.items())), about


def _names(rows: dict[str, NDArray[np.int64]]) -> NDArray[Any]:
    return np.repeat(np.array(list(rows)), [len(v) for v in rows.values()])


def _read_npz(path: Path) -> tuple[Columns, Columns, dict[str, str]]:
    arrays, _ = members(path)
    about = {k.removeprefix("about."): str(v) for k, v in arrays.items() if k.startswith("about.") and v.ndim == 0}
    absent = {k.removeprefix("absent."): v for k, v in arrays.items() if k.startswith("absent.") and v.ndim}
    return {k: v for k, v in arrays.items() if v.ndim and not k.startswith(("absent.", "about."))}, absent, about


def _parquet(table: Columns, absent: Columns, about: dict[str, str]) -> bytes:
    """Write columns of one length; what is absent stands in the file's metadata."""
    with importing("writing .parquet needs pyarrow; run pip install 'tuplet[tables]', or give --out emb.npz"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    columns = {}
    for k, v in table.items():
        if v.ndim > 2:
            raise InputError(f"column {k!r} has shape {v.shape}, which no table holds; write .npz or .safetensors")
        flat = pa.array(v.reshape(-1)) if v.dtype.kind != "U" else pa.array(v.reshape(-1).tolist(), pa.string())
        columns[k] = flat if v.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, v.shape[1])
    file = io.BytesIO()
    metadata = {f"absent.{k}": json.dumps(v.tolist()) for k, v in absent.items()}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata | {f"about.{k}": v for k, v in about.items()}), file)
    return file.getvalue()


def _read_parquet(path: Path) -> tuple[Columns, Columns, dict[str, str]]:
    with needs(f"reading {path}", "tables", "pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        found = pq.read_table(path)
        table = {k: _column(path, k, found[k].combine_chunks()) for k in found.column_names}
        notes = {k.decode(): v.decode() for k, v in (found.schema.metadata or {}).items()}
        raw = {k.removeprefix("absent."): json.loads(v) for k, v in notes.items() if k.startswith("absent.")}
        absent = {
            k: np.array(v, table[k].dtype if table[k].dtype.kind != "U" else None) for k, v in raw.items() if v or k in table
        }
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0][:120]}); {DAMAGED}") from None
    absent = {k: v if v.size else table[k][:0] for k, v in absent.items()}
    return table, absent, {k.removeprefix("about."): v for k, v in notes.items() if k.startswith("about.")}


def _column(path: Path, name: str, column: Any) -> NDArray[Any]:
    """Return a column of Arrow as an array, lists of one width as its rows."""
    import pyarrow as pa

    if column.null_count:
        raise InputError(f"{path}: column {name!r} has {column.null_count} nulls; fill them, or leave those rows out")
    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), column.type.list_size)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        widths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if len(widths) != 1:
            raise InputError(f"{path}: column {name!r} has lists of {len(widths)} lengths, expected one")
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), -1)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    return np.asarray(column.to_numpy(zero_copy_only=False))
