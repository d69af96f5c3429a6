"""One file that holds columns of equal length: safetensors, so that any reader of that format opens it too.

The format is eight bytes with the length of a JSON header, the header, and the columns one after the other. Nothing in it
can run code. Columns are mapped into memory, so that opening a file of any size costs nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tuplet.io.files import atomic
from tuplet.types import InputError

DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""Name in the file -> dtype."""

LONGEST_HEADER = 100_000_000  # bytes; the limit of the format's own readers
MOST_ROWS = 10**15  # what room is kept for in a header that is written after the rows


@dataclass(frozen=True)
class Table:
    """An open file of columns; made by `Table.open`.

    Attributes:
        path: the file.
        columns: name -> read-only array with one row per sample, read from disk where it is touched.
        about: what the writer said of it: title, licence, units, parameters.
    """

    path: Path
    columns: dict[str, NDArray[Any]] = field(repr=False)
    about: dict[str, str] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Table:
        """Open a file and check its header against its size.

        Args:
            path: a file that `write_table` wrote, or a safetensors file whose tensors have equally many rows.

        Returns:
            The table; no column has been read yet.

        Raises:
            InputError: naming the file and what is wrong: missing, cut off, not of this format, a dtype that NumPy lacks,
                columns of different lengths.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = write_table(Path(folder, "a.safetensors"), {"x": np.arange(3)}, about={"unit.x": "m"})
            ...     table = Table.open(file)
            ...     len(table), table.columns["x"].tolist(), table.about
            (3, [0, 1, 2], {'unit.x': 'm'})
        """
        file = Path(path)
        try:
            size = file.stat().st_size
            header, start = _header(file, size)
        except OSError as error:
            raise InputError(f"path {file} cannot be read: {error.strerror}") from None
        about = header.pop("__metadata__", {})
        if not isinstance(about, dict) or not all(isinstance(v, str) for v in about.values()):
            raise InputError(f"path {file} has metadata that is not text; write it again")
        places = sorted((_place(file, name, entry) for name, entry in header.items()), key=lambda p: (p[3], p[4]))
        end = 0
        for name, _, _, first, last in places:
            if first != end:
                raise InputError(f"path {file} has column {_short(name)} at byte {first}, expected {end}; write it again")
            end = last
        if start + end != size:
            raise InputError(f"path {file} has {size} bytes, expected {start + end}; it was cut off or overwritten")
        lengths = {name: shape[0] for name, _, shape, _, _ in places}
        if len(set(lengths.values())) != 1:
            raise InputError(f"path {file} has columns of lengths {_short(lengths)}, expected one or more of one length")
        whole = np.memmap(file, np.uint8, "r") if size > start else np.zeros(start, np.uint8)
        whole.flags.writeable = False
        columns = {
            name: whole[start + first : start + last].view(dtype).reshape(shape)
            for name, dtype, shape, first, last in sorted(places)
        }
        return cls(file, columns, about)

    @cached_property
    def sha256(self) -> str:
        """Return the checksum of the file; reads all of it once."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))


def write_table(
    path: Path | str, columns: Mapping[str, NDArray[Any] | Iterable[NDArray[Any]]], *, about: Mapping[str, str] | None = None
) -> Path:
    """Write columns to one file, which is either complete or absent however the process ends.

    Args:
        path: the file, by convention ``.safetensors``; its folder is made.
        columns: name -> array with ``n`` rows, or an iterable of arrays that are its rows in order, so that no column need
            fit in memory. Names that `tuplet.data.from_table` reads: ``input.<modality>``, ``target.<name>``,
            ``present.<modality>`` (bool), ``group`` (integers), ``split`` (0 train, 1 val, 2 test). Dtypes: bool, uint8,
            signed integers, floats.
        about: text to keep beside them. `tuplet.data.from_table` reads ``name``, ``title``, ``citation``, ``licence``,
            ``origin``, ``unit.<modality or target>`` and ``classes.<target>`` (a JSON list of names).

    Returns:
        The path.

    Raises:
        InputError: naming the column, if lengths, dtypes or shapes of chunks disagree, or there is no column.
        OSError: if the disk is full or the folder is not writable; nothing is left behind.

    Notes:
        The header is written last, into room kept for it, because the length of an iterable is not known before.

    Example:
        >>> import tempfile
        >>> chunks = (np.full((2, 4), i, np.float32) for i in range(3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Table.open(write_table(Path(folder, "a"), {"input.x": chunks})).columns["input.x"].shape
        (6, 4)
    """
    file = Path(path)
    if not columns:
        raise InputError("columns is empty, expected one or more arrays by name")
    text = {str(k): str(v) for k, v in (about or {}).items()}
    streams = {str(name): _chunks(str(name), column) for name, column in columns.items()}
    # widest dtype first: every column then starts at a multiple of its own item size
    order = sorted(streams, key=lambda name: (-streams[name][0].itemsize, name))
    room = len(_json({k: (*streams[k][:2], MOST_ROWS, MOST_ROWS, MOST_ROWS) for k in order}, text)) // 8 * 8 + 8
    with atomic(file) as out:
        out.write(room.to_bytes(8, "little") + b" " * room)
        written: dict[str, tuple[np.dtype[Any], tuple[int, ...], int, int, int]] = {}
        end = 0
        for name in order:
            dtype, shape, chunks = streams[name]
            rows, size = _copy(name, dtype, shape, chunks, out)
            written[name] = (dtype, shape, rows, end, end + size)
            end += size
        lengths = {name: place[2] for name, place in written.items()}
        if len(set(lengths.values())) != 1:
            raise InputError(f"columns have {lengths} rows, expected one length; row i of each is the same sample")
        out.seek(8)
        out.write(_json(written, text).ljust(room))
    return file


def _json(places: Mapping[str, tuple[Any, ...]], about: dict[str, str]) -> bytes:
    codes = {dtype: code for code, dtype in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": about} if about else {}
    for name, (dtype, shape, rows, first, last) in places.items():
        header[name] = {"dtype": codes[dtype], "shape": [rows, *shape], "data_offsets": [first, last]}
    return json.dumps(header).encode()


def _chunks(
    name: str, column: NDArray[Any] | Iterable[NDArray[Any]]
) -> tuple[np.dtype[Any], tuple[int, ...], Iterator[NDArray[Any]]]:
    """Look at the first chunk for the dtype and the shape of a row."""
    if name == "__metadata__":
        raise InputError("columns names '__metadata__', which the format keeps for itself; rename the column")
    chunks = iter([column]) if isinstance(column, np.ndarray) else iter(column)
    first = next(chunks, None)
    if first is None:
        raise InputError(f"columns[{name!r}] gives no chunk, expected one or more arrays")
    array = np.asarray(first)
    dtype = array.dtype.newbyteorder("<")
    if dtype not in DTYPES.values() or array.ndim == 0:
        raise InputError(
            f"columns[{name!r}] has dtype {array.dtype} and shape {array.shape}, expected rows of bool, uint8, signed "
            f"integers or floats; convert it with .astype"
        )
    return dtype, array.shape[1:], itertools.chain([array], chunks)


def _copy(
    name: str, dtype: np.dtype[Any], shape: tuple[int, ...], chunks: Iterator[NDArray[Any]], out: IO[bytes]
) -> tuple[int, int]:
    rows = size = 0
    for given in chunks:
        chunk = np.asarray(given)
        if chunk.dtype.newbyteorder("<") != dtype or chunk.shape[1:] != shape:
            raise InputError(
                f"columns[{name!r}] has a chunk of dtype {chunk.dtype} and shape {chunk.shape}, expected {dtype} and "
                f"rows of shape {shape} as in its first chunk"
            )
        plain = np.ascontiguousarray(chunk, dtype=dtype)
        out.write(plain.reshape(-1).view(np.uint8).data)
        rows, size = rows + len(plain), size + plain.nbytes
    return rows, size


def _header(file: Path, size: int) -> tuple[dict[str, Any], int]:
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise InputError(f"path {file} has no complete header; it was cut off, or is not a safetensors file")
        text = content.read(length)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"path {file} has a header that is not a JSON object; it is not a safetensors file")
    return header, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _place(file: Path, name: str, entry: object) -> tuple[str, np.dtype[Any], tuple[int, ...], int, int]:
    fields = entry if isinstance(entry, dict) else {}
    code, shape, offsets = (fields.get(k) for k in ("dtype", "shape", "data_offsets"))
    dtype = DTYPES.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise InputError(f"path {file} has column {_short(name)} of dtype {_short(code)}, expected one of {', '.join(DTYPES)}")
    if not _sizes(shape) or not 0 < len(shape) <= 32 or not _sizes(offsets) or len(offsets) != 2 or max(shape) > 2**48:
        raise InputError(
            f"path {file} has column {_short(name)} with shape {_short(shape)} at {_short(offsets)}; write it again"
        )
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise InputError(
            f"path {file} has column {_short(name)} of shape {_short(shape)} at bytes {_short(offsets)}, which is not its size"
        )
    return name, dtype, tuple(shape), offsets[0], offsets[1]


def _short(value: object) -> str:
    return text if len(text := repr(value)) <= 80 else text[:77] + "..."


def _sizes(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)
