"""Series of different lengths in one array: find where they end, and say how to read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuplet.data._scaling import Column, blocks, held_steps
from tuplet.types import Kind

FEW = 0.05
"""Padding is spoken of from this share of rows on."""
SILENT = 0.1
"""Rows with more zero steps than this share of their length are sparse, not padded."""


def filled_ends(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Set steps that are NaN throughout to 0 at the ends of series, where they stand for padding."""
    ends = _nan_ends(array)
    return np.where(ends[..., None], array.dtype.type(0), array) if ends.any() else array


def nan_ends_only(array: NDArray[np.generic]) -> bool:
    """Tell whether all NaN of an array are the ends of series, or rows that are absent."""
    if array.ndim != 3 or array.dtype.kind != "f":
        return False
    nan = np.isnan(array)
    nan[nan.all(axis=(1, 2))] = False
    ends = _nan_ends(array)
    return bool(ends.any()) and not bool((nan & ~ends[..., None]).any())


def _nan_ends(array: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Mark the steps ``(n, T)`` before the first and after the last one that is not NaN, in rows that have one."""
    if array.dtype.kind != "f":
        return np.zeros(array.shape[:2], dtype=bool)
    there = ~np.isnan(array).all(axis=2)
    since = np.logical_or.accumulate(there, axis=1)
    until = np.flip(np.logical_or.accumulate(np.flip(there, axis=1), axis=1), axis=1)
    return np.asarray(~(since & until) & there.any(axis=1)[:, None])


def lengths(column: Column) -> tuple[NDArray[np.int64], float]:
    """Count the steps of series up to their padding."""
    found, silent = [np.zeros(0, dtype=np.int64)], 0
    for block in blocks(column, np.arange(column.shape[0])):
        values = np.nan_to_num(np.asarray(block), nan=0.0)
        held = held_steps(values)
        silent += int((held & ~(values != 0).any(axis=2)).sum())
        found.append(held.sum(axis=1))
    counted = np.concatenate(found)
    counted = counted[counted > 0]
    return counted, silent / max(1, int(counted.sum()))


def spread(steps: NDArray[np.int64]) -> str:
    """Say how long rows are."""
    return f"{steps.min()} to {steps.max()} steps long, median {np.median(steps):g}"


def padding_note(name: str, column: Column, kind: Kind | None) -> tuple[str, ...]:
    """Say that series end in padding which nobody has named."""
    if kind is not None or len(column.shape) != 3 or column.dtype.kind not in "iuf" or not column.shape[0]:
        return ()
    for turned in (False, True):
        if column.shape[2 if turned else 1] < 2 or (turned and column.shape[1] >= column.shape[2]):
            continue
        series = np.swapaxes(np.asarray(column[:]), 1, 2) if turned else column
        steps, silent = lengths(series)
        short = int((steps < series.shape[1]).sum())
        if short < max(1, FEW * len(steps)) or silent > SILENT:
            continue
        turn = f"turn it to (n, steps, channels) with .swapaxes(1, 2) and say --kind {name}=padded"
        say = turn if turned else f"say --kind {name}=padded"
        return (
            f"{name} ends in padding: {short} of {len(steps)} rows end (or begin) in steps of zeros, and rows are "
            f"{spread(steps)}; to keep the padding out of the scaling and of the encoder, {say} "
            f"(kinds={{{name!r}: 'padded'}})",
        )
    return ()
