"""Statistics of a comparison: spread over seeds, differences of records, average ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tuplet.evaluate._paired import Difference, paired_difference
from tuplet.study.record import Record
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean over seeds with its uncertainty."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


def spread(values: ArrayLike) -> Spread:
    """Summarise the values of several seeds."""
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    mean, n = float(x.mean()), len(x)
    if n < 2:
        return Spread(mean, np.nan, np.nan, np.nan, n)
    sd = float(x.std(ddof=1))
    half = float(t.ppf(0.975, n - 1)) * sd / n**0.5
    return Spread(mean, sd, mean - half, mean + half, n)


def compare(ours: Sequence[Record], theirs: Sequence[Record]) -> Difference | None:
    """Compare one metric of two entries, paired by seed and, where the records hold them, by test row."""
    sides = [{r.seed: r for r in side} for side in (ours, theirs)]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds:
        return None
    items = [[(side[s].items or (side[s].value,)) for s in seeds] for side in sides]
    if {len(x) for side in items for x in side} == {max(len(items[0][0]), 2)}:
        return paired_difference(np.array(items[0]), np.array(items[1]))
    apart = spread([sides[0][s].value - sides[1][s].value for s in seeds])
    return Difference(apart.mean, apart.low, apart.high)


def average_ranks(columns: Sequence[Mapping[str, float]], higher: Sequence[bool]) -> dict[str, float]:
    """Average the ranks of entries over metrics; 1 is best and ties share their mean rank."""
    from scipy.stats import rankdata

    if len(columns) != len(higher):
        raise InputError(f"columns has {len(columns)} metrics and higher {len(higher)}; give one direction each")
    names = sorted(set.intersection(*(set(c) for c in columns))) if columns else []
    if not names:
        return {}
    signed = [[-c[n] if up else c[n] for n in names] for c, up in zip(columns, higher, strict=True)]
    means = rankdata(np.array(signed), axis=1).mean(axis=0)
    return {n: float(m) for m, n in sorted(zip(means, names, strict=True))}
