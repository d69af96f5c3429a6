"""Statistics of a comparison: spread over seeds, paired differences, average ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.bench.record import Record
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean over seeds with its uncertainty.

    Attributes:
        mean: over seeds.
        sd: sample standard deviation over seeds; NaN for one seed, which knows no spread.
        low: lower end of the 95 % t-interval of the mean; NaN for one seed.
        high: upper end.
        n: number of seeds.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two entries.

    Attributes:
        mean: entry minus baseline.
        low: lower end of its 95 % interval; NaN for one seed.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def spread(values: ArrayLike) -> Spread:
    """Summarise the values of several seeds.

    Args:
        values: one per seed.

    Returns:
        The `Spread`. With three seeds the t-interval is 2.5 standard deviations to either side: that is what three seeds
        know.

    Example:
        >>> s = spread([1.0, 2.0, 3.0])
        >>> s.mean, s.sd, round(s.low, 2)
        (2.0, 1.0, -0.48)
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    mean, n = float(x.mean()), len(x)
    if n < 2:
        return Spread(mean, np.nan, np.nan, np.nan, n)
    sd = float(x.std(ddof=1))
    half = float(t.ppf(0.975, n - 1)) * sd / n**0.5
    return Spread(mean, sd, mean - half, mean + half, n)


def paired_difference(entry: ArrayLike, baseline: ArrayLike) -> Difference:
    r"""Compare two entries, paired by seed and by test row.

    .. math:: \bar d \pm \sqrt{(t_{S-1}\, s_{seeds})^2 + (t_{N-1}\, s_{rows})^2}

    Args:
        entry: ``(S, N)`` outcomes per seed and test row (or group of rows, see `tuplet.evaluate.units.by_group`).
        baseline: the same shape, same seeds and rows.

    Returns:
        The `Difference`: ``s_seeds`` is the standard error of the seeds' means, ``s_rows`` that of the rows' means, so that the
        interval speaks of other seeds and other rows. One seed knows no spread: its interval is NaN and never clear.

    Raises:
        InputError: if the shapes differ.

    Notes:
        A percentile bootstrap over three seeds, and any interval over the rows of one, call differences clear too often.

    Source:
        Two crossed random effects, with the t-quantile of each; wider than exact.

    Example:
        >>> paired_difference([[1, 1, 0, 1], [1, 1, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]).mean
        0.75
    """
    from scipy.stats import t

    a, b = (np.asarray(v, dtype=np.float64) for v in (entry, baseline))
    if a.shape != b.shape:
        raise InputError(f"entry has shape {a.shape} and baseline {b.shape}; pair the same seeds and test rows")
    delta: NDArray[np.float64] = a - b
    mean = float(delta.mean())
    if len(delta) < 2:
        return Difference(mean, np.nan, np.nan)
    square = 0.0
    for means in (delta.mean(axis=1), delta.mean(axis=0)):
        if (n := len(means)) > 1:
            square += float(t.ppf(0.975, n - 1)) ** 2 * float(means.var(ddof=1)) / n
    return Difference(mean, mean - square**0.5, mean + square**0.5)


def compare(ours: Sequence[Record], theirs: Sequence[Record]) -> Difference | None:
    """Compare one metric of two entries, paired by seed and, where the records hold them, by test row.

    Args:
        ours: records of one metric, one per seed.
        theirs: likewise.

    Returns:
        Ours minus theirs with its 95 % interval: `paired_difference` where there are test rows, the t-interval of the
        seeds' differences where there are not. None without a common seed.

    Example:
        >>> compare([], []) is None
        True
    """
    sides = [{r.seed: r for r in side} for side in (ours, theirs)]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds:
        return None
    items = [[(side[s].items or (side[s].value,)) for s in seeds] for side in sides]
    if {len(x) for side in items for x in side} == {max(len(items[0][0]), 2)}:
        return paired_difference(np.array(items[0]), np.array(items[1]))
    apart = spread([sides[0][s].value - sides[1][s].value for s in seeds])
    return Difference(apart.mean, apart.low, apart.high)


def told_apart(apart: Difference | None, *, higher: bool = True) -> int:
    """Decide whether an entry is better or worse than another: the one rule of tables, marks, sentences and pictures.

    Args:
        apart: from `compare`; None where there is nothing to compare.
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


def average_ranks(columns: Sequence[Mapping[str, float]], higher: Sequence[bool]) -> dict[str, float]:
    """Average the ranks of entries over metrics; 1 is best and ties share their mean rank.

    Args:
        columns: per metric, entry -> value. Only entries that every column has are ranked.
        higher: per metric, whether higher is better.

    Returns:
        Entry -> mean rank, best first.

    Raises:
        InputError: if the lengths differ.

    Example:
        >>> average_ranks([{"a": 1.0, "b": 2.0}, {"a": 0.1, "b": 0.1}], [True, True])
        {'b': 1.25, 'a': 1.75}
    """
    from scipy.stats import rankdata

    if len(columns) != len(higher):
        raise InputError(f"columns has {len(columns)} metrics and higher {len(higher)}; give one direction each")
    names = sorted(set.intersection(*(set(c) for c in columns))) if columns else []
    if not names:
        return {}
    signed = [[-c[n] if up else c[n] for n in names] for c, up in zip(columns, higher, strict=True)]
    means = rankdata(np.array(signed), axis=1).mean(axis=0)
    return {n: float(m) for m, n in sorted(zip(means, names, strict=True))}
