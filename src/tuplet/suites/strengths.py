"""Scores as a function of alignment strength, their differences from strength 0, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tuplet.evaluate._paired import Difference, paired_difference
from tuplet.study._stats import Spread, spread
from tuplet.study.record import Record, grouped
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Curve:
    """One score for each strength and seed."""

    strengths: tuple[float, ...]
    values: NDArray[np.float64]
    blocks: NDArray[np.int64]
    items: NDArray[np.float64] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the mean over seeds for each strength."""
        return np.asarray(self.values.mean(axis=1))

    def upto(self, largest: float) -> Curve:
        """Return the part of the curve up to a strength."""
        n = sum(s <= largest for s in self.strengths)
        items = None if self.items is None else self.items[:n]
        return Curve(self.strengths[:n], self.values[:n], self.blocks, items)

    def at(self, strength: float) -> NDArray[np.float64]:
        """Return the values of all seeds at a strength."""
        return np.asarray(self.values[self.strengths.index(strength)])

    def spread(self, strength: float) -> Spread:
        """Return mean, standard deviation and interval over seeds."""
        return spread(self.at(strength))

    def change(self, strength: float, base: float = 0.0) -> Difference:
        """Return the difference from another strength, paired by seed, with its 95 % interval."""
        i, j = self.strengths.index(strength), self.strengths.index(base)
        if self.items is not None:
            return paired_difference(self.items[i], self.items[j])
        apart = spread(self.values[i] - self.values[j])
        return Difference(apart.mean, apart.low, apart.high)

    def clear(self, strength: float, base: float = 0.0) -> int:
        """Return the sign of the difference if its interval excludes 0 and all data sets agree on the sign; 0 otherwise."""
        d = self.change(strength, base)
        delta = self.at(strength) - self.at(base)
        signs = {int(np.sign(delta[self.blocks == b].mean())) for b in np.unique(self.blocks)}
        return signs.pop() if d.clear and len(signs) == 1 else 0

    def trend(self) -> Spread:
        """Return the rank correlation between strength and score over seeds; 0 if the score is constant."""
        from scipy.stats import rankdata

        x = rankdata(self.strengths)
        ranks = [rankdata(column) for column in self.values.T]
        return spread([float(np.corrcoef(x, y)[0, 1]) if y.std() > 0 else 0.0 for y in ranks])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What alignment does to one encoder."""

    kind: str
    best: float
    gain: Difference
    end: Difference
    largest: float


def curve(
    records: Sequence[Record], metric: str, *, detail: str = "", variant: str = "default", per_data: int = 0
) -> Curve | None:
    """Collect the scores of one metric from records."""
    wanted = (r for r in records if (r.metric, r.detail, r.variant) == (metric, detail, variant) and "strength" in r.settings)
    by = grouped((float(r.settings["strength"]), r) for r in wanted)
    found = {strength: {r.seed: r for r in rows} for strength, rows in by.items()}
    if 0.0 not in found:
        return None
    seeds = sorted(set.intersection(*(set(v) for v in found.values())))
    if not seeds:
        return None
    strengths = tuple(sorted(found))
    kept = [[found[s][seed] for seed in seeds] for s in strengths]
    values = np.array([[r.value for r in row] for row in kept])
    lengths = {len(r.items) for row in kept for r in row}
    items = np.array([[r.items for r in row] for row in kept]) if len(lengths) == 1 and lengths != {0} else None
    return Curve(strengths, values, np.array([seed // per_data if per_data else 0 for seed in seeds]), items)


def judge(test: Curve, val: Curve) -> Verdict:
    """Judge what alignment does to one encoder: validation rows choose the strength, test rows measure the change."""
    if len(test.strengths) < 2:
        raise InputError(f"strengths is {test.strengths}, expected 0 and at least one more")
    last = test.strengths[-1]
    best = val.strengths[int(np.nan_to_num(val.mean, nan=-np.inf).argmax())]
    better, ends, drops = test.clear(best), test.clear(last), test.clear(last, best)
    falls = any(test.clear(b, a) < 0 for a, b in pairwise(test.strengths))
    helped, otherwise = "inner" if drops < 0 else "uneven" if falls else "gain", "decline" if ends < 0 else "flat"
    kind = helped if best > 0 and better > 0 else otherwise
    return Verdict(kind, best, test.change(best), test.change(last), last)
