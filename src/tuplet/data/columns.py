"""Read what a user passes as a plain array, and refuse what would be guessed at."""

from __future__ import annotations

from typing import Any

import numpy as np
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
