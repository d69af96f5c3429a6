"""Bring the rows of a column to the size that networks like, from statistics of the training rows read in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, one_of

Scaling = Literal["standard", "channels", "none"]
BLOCK = 4_000_000  # values read at a time


@runtime_checkable
class Column(Protocol):
    """Rows on demand: an array, a mapped file, or anything else with a shape and a dtype that gives rows by position."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape, rows first."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the rows."""
        ...

    def __getitem__(self, rows: Any) -> Any:
        """Return the rows at strictly increasing int64 positions."""
        ...


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of one modality are shifted and divided."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    dtype: type[np.float32] | type[np.float64] = np.float64

    def __call__(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the rows scaled, as float32; what does not fit becomes infinite."""
        constant = self.deviation == 0
        divisor = np.where(constant, 1.0, self.deviation).astype(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            wide = (rows.astype(self.dtype) - self.mean.astype(self.dtype)) / divisor
            if constant.any():
                wide = np.where(constant, self.dtype(0), wide)
            small: NDArray[np.float32] = wide.astype(np.float32, copy=False)
        return small

    def undo(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return scaled rows in the unit they had; bytes of pictures stay 0 .. 1."""
        picture = self.deviation.ndim == 0 and self.deviation in (255, 65535) and self.mean == 0
        wide = rows.astype(np.float64)
        return wide if picture else wide * self.deviation + self.mean


def blocks(column: Column, rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Read some rows of a column a few at a time."""
    step = max(1, BLOCK // max(1, int(np.prod(column.shape[1:]))))
    for start in range(0, len(rows), step):
        yield column[rows[start : start + step]]


def held_steps(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which steps of padded series hold something."""
    full = (values != 0).any(axis=2)
    until: NDArray[np.bool_] = np.flip(np.logical_or.accumulate(np.flip(full, axis=1), axis=1), axis=1)
    since: NDArray[np.bool_] = np.logical_or.accumulate(full, axis=1)
    return np.where(full[:, -1:], since, until)


def fit_array(name: str, array: NDArray[Any], rows: NDArray[np.int64], *, scaling: Scaling, padded: bool = False) -> Scale:
    """Find the scale of one modality that lies in memory."""
    if scaling != "standard" or len(rows) * int(np.prod(array.shape[1:])) > BLOCK:
        return fit_scale(name, array, np.sort(rows), scaling=scaling, padded=padded, pictures=False)
    seen = array[rows].astype(np.float64)
    if padded:
        seen = seen[held_steps(seen)]
    if not len(seen):
        return Scale(np.zeros(()), np.zeros(()))
    axes = 0 if array.ndim == 2 else None
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = seen.mean(axis=axes), seen.std(axis=axes)
        low, high = seen.min(axis=axes), seen.max(axis=axes)
        if not (np.isfinite(deviation) & ((deviation > 0) | (low == high))).all():
            # squares too large or too small for float64: take the spread out first
            span = np.where(high > low, high - low, 1.0)
            mean = low + ((seen - low) / span).mean(axis=axes) * span
            deviation = ((seen - low) / span).std(axis=axes) * span
    _check_spread(name, deviation)
    # max == min and no threshold: a threshold would erase sensors whose unit makes all numbers small, such as farad
    return Scale(np.asarray(mean), np.asarray(np.where(low == high, 0.0, deviation)))


def _check_spread(name: str, deviation: NDArray[Any] | np.floating[Any]) -> None:
    if not np.isfinite(deviation).all():
        raise InputError(f"modalities[{name!r}] has values too large for a variance; rescale them")


def fit_scale(
    name: str, column: Column, rows: NDArray[np.int64], *, scaling: Scaling, padded: bool = False, pictures: bool = True
) -> Scale:
    r"""Find the scale of one modality."""
    one_of(f"scaling[{name!r}]", scaling, ("standard", "channels", "none"))
    if column.dtype == np.uint8 and pictures:
        return Scale(np.zeros(()), np.full((), 255.0), np.float32)
    if scaling == "none":
        return Scale(np.zeros(()), np.ones(()), np.float64 if column.dtype.itemsize > 4 else np.float32)
    wide = len(column.shape) == 2 or scaling == "channels"
    d = column.shape[-1] if wide else 1
    count, mean, spread = 0, np.zeros(d), np.zeros(d)
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    origin: NDArray[np.float64] | None = None
    for block in blocks(column, rows):
        with np.errstate(invalid="ignore"):
            values = np.array(block, dtype=np.float64)
            values = values[held_steps(values)] if padded else values
            values = values.reshape(-1, d)
        if not len(values):
            continue
        if not np.isfinite(values).all():
            raise InputError(
                f"modalities[{name!r}] has NaN or infinite values; mark those rows as missing in present"
                + "; of short series, fill the ends with 0 and give the kind 'padded'" * (len(column.shape) == 3)
            )
        origin = values[0].copy() if origin is None else origin  # keeps deviations far below the mean exact
        with np.errstate(over="ignore", invalid="ignore"):
            values -= origin
            here, n = values.mean(axis=0), len(values)
            step, total = here - mean, count + n
            mean = mean + step * (n / total)
            spread = spread + ((values - here) ** 2).sum(axis=0) + step**2 * (count * n / total)
        count = total
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    if origin is None:  # padding only
        return Scale(np.zeros(()), np.zeros(()))
    deviation = np.sqrt(spread / count)
    _check_spread(name, deviation)
    # a spread whose squares are too small for float64 is about the width of the range
    deviation = np.where(low == high, 0.0, np.where(deviation == 0, high - low, deviation))
    mean = mean + origin
    return Scale(mean, deviation) if wide else Scale(np.asarray(mean[0]), np.asarray(deviation[0]))
