"""Read HDF5 files of others: with clear refusals, and a few rows at a time."""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, importing

EDGE = 65_536  # bytes at each end of a file that `file_marks` reads
FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What the library raises on damaged files."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open a file for reading."""
    with importing("h5py is not installed; reading HDF5 needs: pip install 'tuplet[data]'"):
        import h5py
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder that holds the HDF5 files")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except FAULTS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} cannot be read as HDF5 ({reason}); it was cut off or damaged, copy it again") from error


def array_at(path: Path, group: Any, key: str, shape: Sequence[int | None], *, rows: slice | None = None) -> NDArray[Any]:
    """Read one array of an open file, or some of its rows."""
    where = f"{path}{getattr(group, 'name', '/').rstrip('/')}"
    item = group.get(key)
    if item is None:
        raise InputError(f"{where} has no array {key!r}; it has {sorted(group)[:20]}")
    seen, dtype = getattr(item, "shape", None), getattr(item, "dtype", None)
    fits = seen is not None and len(seen) == len(shape) and all(w in (None, s) for w, s in zip(shape, seen, strict=True))
    if not fits or dtype is None or dtype.kind not in "biuf":
        wanted = tuple("n" if s is None else s for s in shape)
        raise InputError(f"{where} has {key!r} of shape {seen} and dtype {dtype}, expected {wanted} numbers")
    return np.asarray(item[slice(None) if rows is None else rows])


def check_heaps(path: Path) -> None:
    """Refuse a file that the library would read for ever: a heap of its texts has an entry that takes no room."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for heap in re.finditer(b"GCOL\x01\0\0\0", content):
            at, end = heap.end() + 8, min(len(content), heap.start() + unpack_from("<Q", content, heap.end())[0])
            while at + 16 <= end:
                index, size = unpack_from("<H6xQ", content, at)
                room = (16 + -(-size // 8) * 8 if index else size) % 2**64  # as the library counts it
                if not room:
                    raise InputError(f"{path} is damaged: the heap at byte {heap.start()} never ends; copy the file again")
                at += room


def file_marks(paths: Sequence[Path]) -> str:
    """Return a checksum of names, sizes and the first and last 64 KiB of files too large to be read whole."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(EDGE))
            file.seek(max(0, size - EDGE))
            digest.update(file.read(EDGE))
    return digest.hexdigest()
