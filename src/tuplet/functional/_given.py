"""Reading what a caller gives: numbers as a tensor, states as codes, and one line where they are neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.errors import InputError

LARGEST = 1e150  # largest number whose square is finite in float64


def numbers(name: str, value: Any) -> Tensor:
    """Return real numbers as a tensor, with its graph if it has one."""
    if not isinstance(value, Tensor):
        try:
            array = np.asarray(value)
            array = array.astype(np.float64) if array.dtype.kind == "O" else array
        except (TypeError, ValueError):
            raise InputError(f"{name} is not an array of numbers; give rows of equal length that hold numbers only") from None
        if array.dtype.kind not in "fiubc":
            raise InputError(f"{name} has dtype {array.dtype}, expected real numbers; encode text first")
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        value = torch.as_tensor(np.require(native, requirements=["C", "W"]))
    tensor: Tensor = value
    if tensor.is_complex():
        raise InputError(f"{name} has dtype {tensor.dtype}, expected real numbers; stack real and imaginary parts")
    return tensor


def vectors(name: str, value: Any, *, least: int = 1) -> Tensor:
    """Return finite floating rows ``(n, d)``, with their graph if they have one."""
    x = numbers(name, value)
    if x.ndim != 2 or len(x) < least or not x.numel():
        raise InputError(f"{name} has shape {tuple(x.shape)}, expected (n, d), n >= {least}; flatten or pool it first")
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float() if x.is_floating_point() else x.double()
    seen = x.detach()
    if not bool(torch.isfinite(seen.sum())) and not bool((finite := torch.isfinite(seen).all(dim=1)).all()):
        raise InputError(f"{name} has NaN or infinite values in {int((~finite).sum())} of {len(x)} rows; leave those rows out")
    if x.dtype == torch.float64 and (largest := float(seen.abs().max())) > LARGEST:
        raise InputError(f"{name} has values up to {largest:.0e}, whose squares overflow; divide it by a constant")
    return x


def states(name: str, values: Any, n: int | None = None) -> NDArray[np.int64]:
    """Number the distinct values of one column, 0 first, in sorted order."""
    array = column(name, values)
    if n is not None and len(array) != n:
        raise InputError(f"{name} has {len(array)} rows, expected {n} to match y; row i of each is one sample")
    return np.asarray(np.unique(array, return_inverse=True)[1], dtype=np.int64)


def column(name: str, values: Any) -> NDArray[Any]:
    """Return one column of finite numbers or of words that can be sorted."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except ValueError:
        raise InputError(f"{name} has entries of several lengths, expected one value per sample") from None
    if array.ndim > 1 and array.size == len(array):
        array = array.reshape(len(array))
    if array.ndim != 1:
        raise InputError(f"{name} has shape {array.shape}, expected (n,); one value per sample")
    if array.dtype.kind == "c":
        raise InputError(f"{name} has dtype {array.dtype}, expected real numbers or words")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name} has NaN or infinite entries; leave those samples out")
    if array.dtype.kind == "O":
        try:
            np.unique(array)
        except TypeError:
            raise InputError(f"{name} mixes values that cannot be sorted, such as None and text; give one kind only") from None
    return array
