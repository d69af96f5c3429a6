"""Open a file that a reader's ``convert`` wrote, and refuse any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data.table import Table
from tuplet.types import InputError

Shape = tuple[int | None, ...]


def converted(file: Path, name: str, columns: Mapping[str, tuple[str, Shape]]) -> Table:
    """Open a converted file and check that it holds what the reader needs."""
    table = Table.open(file)
    if table.about.get("name") != name:
        raise InputError(f"root {file} was not converted from {name}; give such a file, or the published ones")
    for column, (kinds, shape) in columns.items():
        seen = table.columns.get(column)
        fits = (
            seen is not None
            and seen.dtype.kind in kinds
            and len(seen.shape) == len(shape) + 1
            and all(want in (None, got) for want, got in zip(shape, seen.shape[1:], strict=True))
        )
        if not fits:
            what = "no such column" if seen is None else f"shape {seen.shape} and dtype {seen.dtype}"
            raise InputError(f"root {file} has {what} for {column}, expected rows of {shape}; convert it again")
    return table


def checksum(*columns: NDArray[Any]) -> str:
    """Return one checksum of several arrays."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(f"{column.shape} {column.dtype}".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
