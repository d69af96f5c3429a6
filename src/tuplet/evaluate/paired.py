"""The one paired comparison: of two models on the same test rows, or of two methods over seeds and test rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.evaluate.units import by_group
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two entries.

    Attributes:
        mean: entry minus baseline.
        low: lower end of its 95 % interval; NaN where nothing is known of the spread.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired_difference(entry: ArrayLike, baseline: ArrayLike, *, group: ArrayLike | None = None) -> Difference:
    r"""Compare two entries, paired by test row and, where both were trained with several seeds, by seed.

    .. math:: \bar d \pm \sqrt{(t_{S-1}\, s_{seeds})^2 + (t_{N-1}\, s_{rows})^2}

    Args:
        entry: ``(S, N)`` outcomes per seed and test row, for methods; or ``(N,)`` outcomes per test row, for two models as they
            are: the interval then speaks of other rows and of no other training.
        baseline: the same shape, same seeds and rows.
        group: ``(N,)`` ids; rows of one group (a subject, a concept) are no independent draws, so that groups are counted in
            place of rows. Leave it out where outcomes are gathered already (see `tuplet.evaluate.units.by_group`).

    Returns:
        The `Difference`: ``s_seeds`` is the standard error of the seeds' means, ``s_rows`` that of the rows' means, so that the
        interval speaks of other seeds and other rows. ``(1, N)`` is a method whose spread over seeds is not known: its
        interval is NaN and never clear. So is that of a single row.

    Raises:
        InputError: if the shapes differ, or there is no outcome.

    Notes:
        A percentile bootstrap over three seeds, and any interval over the rows of one, call differences of methods clear too
        often.

    Source:
        Two crossed random effects, with the t-quantile of each; wider than exact.

    Example:
        >>> paired_difference([[1, 1, 0, 1], [1, 1, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]).mean
        0.75
        >>> paired_difference([1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]).clear
        True
        >>> paired_difference([1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0], group=[0, 0, 0, 1, 1, 1]).clear
        False
    """
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
    """Decide whether an entry is better or worse than another: the one rule of tables, marks, sentences and pictures.

    Args:
        apart: from `paired_difference`; None where there is nothing to compare.
        higher: whether higher is better.

    Returns:
        1 for better, -1 for worse, 0 for not told apart: the 95 % interval of the paired difference holds 0, or there is none.

    Example:
        >>> told_apart(Difference(0.2, 0.1, 0.3)), told_apart(Difference(0.2, 0.1, 0.3), higher=False), told_apart(None)
        (1, -1, 0)
    """
    if apart is None or not apart.clear:
        return 0
    return 1 if (apart.mean > 0) == higher else -1
