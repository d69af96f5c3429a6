"""Cut recordings into windows, without copying them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data.lazy import Lazy
from tuplet.data.scaling import Column
from tuplet.types import InputError, in_range


def window_starts(recording: ArrayLike, *, window: int, stride: int, horizon: int = 0) -> NDArray[np.int64]:
    """Find where windows start that stay within one recording.

    Args:
        recording: ``(n,)`` id of the recording of every step; the steps of one recording lie together, in order.
        window: steps in a window, at least 1.
        stride: steps from one window to the next of the same recording, at least 1.
        horizon: steps that must follow the window in its recording.

    Returns:
        int64 positions of first steps, ascending.

    Raises:
        InputError: if a number is out of range, a recording lies in several pieces, or no window fits.

    Example:
        >>> window_starts([7, 7, 7, 7, 7, 3, 3, 3], window=3, stride=2)
        array([0, 2, 5])
    """
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
    """Show a column of steps as a column of windows.

    Args:
        column: ``(n, ...)`` steps.
        starts: first step of every window.
        window: steps in a window.

    Returns:
        ``(len(starts), window, ...)``, read on demand; a step that several windows share is read once for all of them.

    Example:
        >>> windowed(np.arange(10), np.array([0, 4]), window=3)[np.array([0, 1])].tolist()
        [[0, 1, 2], [4, 5, 6]]
    """

    def read(rows: NDArray[np.int64]) -> NDArray[Any]:
        steps, back = np.unique(starts[rows][:, None] + np.arange(window), return_inverse=True)
        values = np.asarray(column[steps])
        return np.asarray(values[back.reshape(len(rows), window)])

    return Lazy((len(starts), window, *column.shape[1:]), read, column.dtype)
