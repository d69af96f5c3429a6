"""Rows of an array that lies on disk, as a column that is read on demand: what is larger than memory stays there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data._sparse import Sparse
from tuplet.data.table import Table


@dataclass(frozen=True, eq=False)
class Mapped:
    """Rows of a column of a file."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    checksum: str
    """Of the file that the values come from, and of the column."""

    @classmethod
    def of(cls, path: Path, name: str, checksum: str) -> Mapped:
        """Look at one column of a file."""
        array = Table.open(path).columns[name]
        return cls(path, name, array.shape, array.dtype, checksum)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        # mapped anew and copied, so that no page stays in memory that was read once
        return np.array(Table.open(self.path).columns[self.name][rows])

    def take(self, rows: ArrayLike) -> NDArray[Any]:
        """Return some rows in an order, in memory."""
        return self[np.asarray(rows)]

    def marked(self, more: bytes) -> Mapped:
        """Return the column with a checksum that also covers something else."""
        return replace(self, checksum=hashlib.sha256(self.checksum.encode() + more).hexdigest())


ByRow = Sparse | Mapped
"""Columns that are no arrays and give rows on demand."""
