"""Columns that are computed when their rows are asked for: files larger than memory are cleaned, scaled or cut into windows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data._scaling import Column
from tuplet.types import InputError, in_range


@dataclass(frozen=True)
class Lazy:
    """A column that is computed on demand."""

    shape: tuple[int, ...]
    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    words: Callable[[], NDArray[np.str_]] | None = None  # of hashed texts: the texts themselves

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows of a slice or of positions."""
        return self.read(np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Return all rows, in blocks that fit in memory: what `tuplet.data.write_table` takes."""
        return (self[start : start + 256] for start in range(0, len(self), 256))


def taken(column: Column, rows: NDArray[np.int64]) -> Lazy:
    """Show some rows of a column."""
    return Lazy((len(rows), *column.shape[1:]), lambda at: np.asarray(column[rows[at]]), column.dtype)


def window_starts(recording: ArrayLike, *, window: int, stride: int, horizon: int = 0) -> NDArray[np.int64]:
    """Find where windows start that stay within one recording."""
    for argument, value, least in (("window", window, 1), ("stride", stride, 1), ("horizon", horizon, 0)):
        in_range(argument, value, least)
    ids = np.asarray(recording)
    edges = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1, [len(ids)]])
    if len(np.unique(ids)) != len(edges) - 1:
        raise InputError("recording has ids whose steps do not lie together; sort the steps by recording")
    starts = [np.arange(a, b - window - horizon + 1, stride) for a, b in itertools.pairwise(edges)]
    found = np.concatenate(starts)
    if len(found) == 0:
        longest = int(np.diff(edges).max())
        raise InputError(f"window is {window} with horizon {horizon}, but the longest recording has {longest} steps")
    return found.astype(np.int64)


def windowed(column: Column, starts: NDArray[np.int64], *, window: int) -> Lazy:
    """Show a column of steps as a column of windows."""

    def read(rows: NDArray[np.int64]) -> NDArray[Any]:
        steps, back = np.unique(starts[rows][:, None] + np.arange(window), return_inverse=True)
        values = np.asarray(column[steps])
        return np.asarray(values[back.reshape(len(rows), window)])

    return Lazy((len(starts), window, *column.shape[1:]), read, column.dtype)
