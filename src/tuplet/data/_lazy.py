"""Columns that are computed when their rows are asked for, so that a file larger than memory can be cleaned and scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lazy:
    """A column that is computed on demand."""

    shape: tuple[int, ...]
    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows of a slice or of positions."""
        return self.read(np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Return all rows, in blocks that fit in memory: what `tuplet.data.write_table` takes."""
        return (self[start : start + 256] for start in range(0, len(self), 256))
