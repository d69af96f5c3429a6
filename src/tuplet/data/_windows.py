"""Cut recordings into windows, without copying them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data._lazy import Lazy
from tuplet.data._scaling import Column
from tuplet.types import InputError, in_range


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
