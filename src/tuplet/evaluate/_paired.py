"""The one paired comparison: of two models on the same test rows, or of two methods over seeds and test rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.evaluate._units import by_group
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two entries."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def points(self, digits: int = 1) -> str:
        """Print the difference in hundredths, with its interval where several seeds know one."""
        within = "" if np.isnan(self.low) else f" [{100 * self.low:+.{digits}f}, {100 * self.high:+.{digits}f}]"
        return f"{100 * self.mean:+.{digits}f}{within}"


def paired_difference(entry: ArrayLike, baseline: ArrayLike, *, group: ArrayLike | None = None) -> Difference:
    r"""Compare two entries, paired by test row and, where both were trained with several seeds, by seed."""
    from scipy.stats import t

    a, b = (np.asarray(v, dtype=np.float64) for v in (entry, baseline))
    if a.shape != b.shape:
        raise InputError(f"entry has shape {a.shape} and baseline {b.shape}; pair the same seeds and test rows")
    if a.ndim not in (1, 2) or not a.size:
        raise InputError(f"entry has shape {a.shape}, expected outcomes of (seeds, rows) or of (rows,), at least one")
    delta: NDArray[np.float64] = a - b
    if group is not None:
        delta = np.array([by_group(row, group) for row in delta] if delta.ndim == 2 else by_group(delta, group))
    mean = float(delta.mean())
    if len(delta) < 2:
        return Difference(mean, np.nan, np.nan)
    square = 0.0
    for means in (delta.mean(axis=1), delta.mean(axis=0)) if delta.ndim == 2 else (delta,):
        if (n := len(means)) > 1:
            square += float(t.ppf(0.975, n - 1)) ** 2 * float(means.var(ddof=1)) / n
    return Difference(mean, mean - square**0.5, mean + square**0.5)


def told_apart(apart: Difference | None, *, higher: bool = True) -> int:
    """Decide whether an entry is better or worse than another: the one rule of tables, marks, sentences and pictures."""
    if apart is None or not apart.clear:
        return 0
    return 1 if (apart.mean > 0) == higher else -1
