"""Lists of series of different lengths: one array with padding, in which every series keeps its length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tuplet.data._columns import as_array, is_missing
from tuplet.io.memory import check_memory
from tuplet.types import InputError

SILENCE = 1e-30
"""Stands for the first number of a step of zeros at the end of a series, which would be taken for padding."""


def uneven(values: Any, *, unlike: int = -1) -> list[Any] | None:
    """Return the series of a list whose lengths differ (or are not ``unlike``); None for anything else."""
    single = isinstance(values, np.ndarray) and (values.dtype.kind != "O" or values.ndim != 1)
    if single or not isinstance(values, list | tuple | np.ndarray):
        return None
    rows: list[Any] = list(values)
    there = [r for r in rows if not is_missing(r)]
    if not there or not all(isinstance(r, list | tuple | np.ndarray | Tensor) and getattr(r, "ndim", 1) for r in there):
        return None
    lengths = {len(r) for r in there}
    return rows if len(lengths) > 1 or (unlike >= 0 and lengths != {unlike}) else None


def pad(argument: str, rows: list[Any]) -> NDArray[Any]:
    """Fill series up to the longest: zeros behind their ends, NaN throughout where a row is absent."""
    series = [None if is_missing(r) or not len(r) else as_array(f"{argument}[{i}]", r) for i, r in enumerate(rows)]
    series = [s[:, None] if s is not None and s.ndim == 1 else s for s in series]
    there = [(i, s) for i, s in enumerate(series) if s is not None]
    first = there[0][1]
    for i, s in there:
        if s.dtype.kind not in "biuf":
            raise InputError(f"{argument} has {s.dtype} in row {i}, expected numbers in every row")
        if s.ndim > 2 or s.shape[1:] != first.shape[1:]:
            fix = "resize pictures to one size" if s.ndim > 2 else "give every series the same channels"
            raise InputError(
                f"{argument} has rows of shape {first.shape} (row {there[0][0]}) and {s.shape} (row {i}), expected series "
                f"(steps, channels) that differ in their steps only; {fix}"
            )
    dtype = np.result_type(np.float32, *{s.dtype for _, s in there})
    shape = (len(rows), max(len(s) for _, s in there), first.shape[1])
    check_memory(argument, math.prod(shape) * dtype.itemsize, f"the longest series has {shape[1]} steps: cut it")
    out = np.full(shape, np.nan, dtype)
    for i, s in there:
        out[i] = 0
        out[i, : len(s)] = s
        for end in (0, len(s) - 1):
            if not out[i, end].any():
                out[i, end, 0] = SILENCE
    return out
