"""Read HDF5 files of others: with clear refusals, and a few rows at a time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, importing

EDGE = 65_536  # bytes at each end of a file that `file_marks` reads
FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)  # of damaged files
PATIENCE = 30.0  # seconds, and one per 10 MB, that texts may take
READ_TEXTS = """
import contextlib, signal, sys, h5py
getattr(signal, "alarm", int)(int(sys.argv[2]))  # should nobody be left to end it
quiet = contextlib.suppress(Exception)
def look(_, entry):
    for name in entry.attrs:
        with quiet: entry.attrs[name]
    with quiet:
        if entry.dtype.hasobject: entry[()]
file = h5py.File(sys.argv[1])
look("", file)
file.visititems(look)
"""


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


def check_texts(path: Path) -> None:
    """Read all texts of a file in a process of its own first: of damaged ones the library may crash, or read for ever."""
    if not sys.executable or getattr(sys, "frozen", False):
        return  # there is no other Python to call
    limit = PATIENCE + path.stat().st_size / 10**7
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", READ_TEXTS, path, f"{limit + 2:.0f}"], capture_output=True, timeout=limit
        ).returncode
    except subprocess.TimeoutExpired:
        raise InputError(f"{path} is damaged: HDF5 does not come to its end in {limit:.0f} s; copy the file again") from None
    if ended not in (0, 1):  # 1: an error, which the reader will tell
        raise InputError(f"{path} is damaged: HDF5 crashes on it (code {ended}); copy the file again")


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
