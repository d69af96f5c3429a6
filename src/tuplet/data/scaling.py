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
    """How the values of one modality are shifted and divided.

    Attributes:
        mean: what is subtracted, one number or one for each entry of the last axis.
        deviation: what it is divided by.
        dtype: of the computation; float64 where the mean may be large beside the deviation.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    dtype: type[np.float32] | type[np.float64] = np.float64

    def __call__(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the rows scaled, as float32; what does not fit becomes infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            wide = (rows.astype(self.dtype) - self.mean.astype(self.dtype)) / self.deviation.astype(self.dtype)
            small: NDArray[np.float32] = wide.astype(np.float32, copy=False)
        return small

    def undo(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return scaled rows in the unit they had; bytes of pictures stay 0 .. 1."""
        picture = self.deviation.ndim == 0 and self.deviation == 255 and self.mean == 0
        wide = rows.astype(np.float64)
        return wide if picture else wide * self.deviation + self.mean


def blocks(column: Column, rows: NDArray[np.int64], *, values: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Read some rows of a column a few at a time.

    Args:
        column: what to read.
        rows: strictly increasing positions.
        values: about how many numbers to hold at once.

    Yields:
        The rows in order.

    Example:
        >>> [len(b) for b in blocks(np.zeros((5, 2)), np.arange(5), values=4)]
        [2, 2, 1]
    """
    step = max(1, values // max(1, int(np.prod(column.shape[1:]))))
    for start in range(0, len(rows), step):
        yield column[rows[start : start + step]]


def fit_scale(name: str, column: Column, rows: NDArray[np.int64], *, scaling: Scaling) -> Scale:
    r"""Find the scale of one modality.

    .. math:: x' = (x - \operatorname{mean}) / \operatorname{std}

    Args:
        name: of the modality, for messages.
        column: ``(n, ...)`` numbers.
        rows: strictly increasing positions of the training rows in which it is present.
        scaling: ``"standard"``: one mean and deviation per column of ``(n, d)``, one for the whole of images and sequences;
            ``"channels"``: one per entry of the last axis, for sequences ``(n, T, d)`` that mix units; ``"none"``: as it
            is. uint8 is an image and always divided by 255, nothing more. Constant columns are only shifted.

    Returns:
        The scale.

    Raises:
        InputError: if a row that is read has NaN, infinite values or values too large for a variance.

    Notes:
        One pass, merging means and squared deviations of blocks; exact to rounding, for any block size.

    Source:
        T. F. Chan, G. H. Golub, R. J. LeVeque, 1983, equation 1.5 (merging two samples).

    Example:
        >>> fit_scale("x", np.array([[1.0], [3.0]]), np.arange(2), scaling="standard")
        Scale(mean=array([2.]), deviation=array([1.]), dtype=<class 'numpy.float64'>)
    """
    one_of(f"scaling[{name!r}]", scaling, ("standard", "channels", "none"))
    if column.dtype == np.uint8:
        return Scale(np.zeros(()), np.full((), 255.0), np.float32)
    if scaling == "none":
        return Scale(np.zeros(()), np.ones(()), np.float64 if column.dtype.itemsize > 4 else np.float32)
    wide = len(column.shape) == 2 or scaling == "channels"
    d = column.shape[-1] if wide else 1
    count, mean, spread = 0, np.zeros(d), np.zeros(d)
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    with np.errstate(invalid="ignore"):  # what is not finite is refused below
        first = np.asarray(column[rows[:1]], dtype=np.float64).reshape(-1, d)
    origin = first[0]  # keeps deviations far below the mean exact
    for block in blocks(column, rows):
        with np.errstate(invalid="ignore"):
            values = np.array(block, dtype=np.float64).reshape(-1, d)
        if not np.isfinite(values).all():
            raise InputError(f"modalities[{name!r}] has NaN or infinite values; mark those rows as missing in present")
        with np.errstate(over="ignore", invalid="ignore"):
            values -= origin
            here, n = values.mean(axis=0), len(values)
            step, total = here - mean, count + n
            mean = mean + step * (n / total)
            spread = spread + ((values - here) ** 2).sum(axis=0) + step**2 * (count * n / total)
        count = total
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    deviation = np.sqrt(spread / count)
    if not np.isfinite(deviation).all():
        raise InputError(f"modalities[{name!r}] has values too large for a variance; rescale them")
    deviation = np.where((low == high) | (deviation == 0), 1.0, deviation)
    mean = mean + origin
    return Scale(mean, deviation) if wide else Scale(mean[0], deviation[0])
