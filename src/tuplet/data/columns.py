"""Read what a user passes as a plain array, and refuse what would be guessed at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.types import InputError


def as_array(argument: str, values: ArrayLike | Tensor) -> NDArray[Any]:
    """Turn lists, tensors and frames into a plain array.

    Args:
        argument: name for the error message.
        values: anything array-like; a tensor may lie on any device, need gradients and have any floating dtype.

    Returns:
        The array; it may share memory with ``values``.

    Raises:
        InputError: for masked arrays, whose mask NumPy would drop without a word, and for rows of different lengths.

    Example:
        >>> as_array("a", [1, 2]).tolist()
        [1, 2]
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{argument} is a masked array, whose mask would be lost; give present= and a plain array")
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{argument} has rows of different lengths, expected equal ones; pad or pool them") from None


def group_codes(group: ArrayLike | Tensor, n: int) -> NDArray[np.int64]:
    """Number the distinct groups in sorted order.

    Args:
        group: ids ``(n,)``: integers, strings, bools, or floats without NaN.
        n: expected number of rows.

    Returns:
        int64 ``(n,)`` in 0 .. number of groups - 1.

    Raises:
        InputError: if shape or dtype is another, or an id is NaN.

    Example:
        >>> group_codes(["eve", "ann", "eve"], 3)
        array([1, 0, 1])
    """
    ids = as_array("group", group)
    if ids.shape != (n,):
        raise InputError(f"group has shape {ids.shape}, expected ({n},), one id per row")
    if ids.dtype.kind not in "biufUS":
        raise InputError(f"group has dtype {ids.dtype}, expected integers or strings; convert it with .astype(str)")
    if ids.dtype.kind == "f" and np.isnan(ids).any():
        raise InputError(f"group has NaN in {int(np.isnan(ids).sum())} rows; give each of those rows an id of its own")
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


def bad_rows(bad: NDArray[np.bool_]) -> int:
    """Count rows with a mark in them.

    Args:
        bad: bool ``(n, ...)``.

    Returns:
        The number of rows.

    Example:
        >>> bad_rows(np.eye(3, 4, dtype=bool))
        3
    """
    return int(bad.reshape(len(bad), -1).any(axis=1).sum())


def positions_in(rows: Sequence[int] | Tensor, n: int) -> Tensor:
    """Check positions that a user asks for.

    Args:
        rows: integers in -n .. n - 1, or bool ``(n,)``.
        n: number of rows there are.

    Returns:
        int64 positions; negative ones are kept and count from the end.

    Raises:
        InputError: if they are not positions, or out of range.

    Example:
        >>> positions_in([0, 2], 3)
        tensor([0, 2])
    """
    given = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows)
    if given.dtype == bool and given.shape == (n,):
        return torch.from_numpy(np.flatnonzero(given))
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InputError(f"rows is {rows!r}, expected positions such as [0, 5, 2] or a slice such as 0:64")
    if given.size and not (-n <= given.min() and given.max() < n):
        raise InputError(
            f"rows reach from {given.min()} to {given.max()}, expected positions below {n}; they count "
            f"within this part of the split, not over all rows"
        )
    return torch.from_numpy(given.astype(np.int64))


def fits_float32(values: NDArray[Any]) -> bool:
    """Tell whether all values are finite, as float32 too.

    Args:
        values: numbers of any shape.

    Returns:
        False if one is NaN, infinite, or too large.

    Example:
        >>> fits_float32(np.array([1.0, 1e30])), fits_float32(np.array([1.0, 1e300]))
        (True, False)
    """
    return bool((np.abs(values) <= np.finfo(np.float32).max).all())
