"""What alignment of some strength changes: values over strength and seed, differences to 0, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tuplet.bench.record import Record
from tuplet.bench.stats import Spread, spread
from tuplet.evaluate.paired import Difference, paired_difference
from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Curve:
    """One number over strengths and seeds.

    Attributes:
        strengths: ascending, 0 first.
        values: ``(strengths, seeds)``; seed by seed, everything but the strength is the same.
        blocks: ``(seeds,)`` number of the data set that a seed belongs to.
        items: ``(strengths, seeds, rows)`` outcomes per test row, if they were kept.
    """

    strengths: tuple[float, ...]
    values: NDArray[np.float64]
    blocks: NDArray[np.int64]
    items: NDArray[np.float64] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the mean over seeds per strength."""
        means: NDArray[np.float64] = self.values.mean(axis=1)
        return means

    def upto(self, largest: float) -> Curve:
        """Return the part of the curve up to a strength."""
        n = sum(s <= largest for s in self.strengths)
        items = None if self.items is None else self.items[:n]
        return Curve(self.strengths[:n], self.values[:n], self.blocks, items)

    def at(self, strength: float) -> NDArray[np.float64]:
        """Return the values of all seeds at a strength."""
        found: NDArray[np.float64] = self.values[self.strengths.index(strength)]
        return found

    def spread(self, strength: float) -> Spread:
        """Return mean, standard deviation and interval over seeds."""
        return spread(self.at(strength))

    def change(self, strength: float, base: float = 0.0) -> Difference:
        """Return the difference to another strength, paired by seed, with its 95 % interval.

        Over seeds and test rows where rows were kept, over the seeds' differences where not.
        """
        i, j = self.strengths.index(strength), self.strengths.index(base)
        if self.items is not None:
            return paired_difference(self.items[i], self.items[j])
        apart = spread(self.values[i] - self.values[j])
        return Difference(apart.mean, apart.low, apart.high)

    def clear(self, strength: float, base: float = 0.0) -> int:
        """Return 1 or -1 if the difference's interval leaves 0 out and every data set agrees on the sign; 0 otherwise."""
        d = self.change(strength, base)
        delta = self.at(strength) - self.at(base)
        signs = {int(np.sign(delta[self.blocks == b].mean())) for b in np.unique(self.blocks)}
        return signs.pop() if d.clear and len(signs) == 1 else 0

    def trend(self) -> Spread:
        """Return the rank correlation between strength and value, over seeds; 0 for a constant."""
        from scipy.stats import rankdata

        x = rankdata(self.strengths)
        ranks = [rankdata(column) for column in self.values.T]
        return spread([float(np.corrcoef(x, y)[0, 1]) if y.std() > 0 else 0.0 for y in ranks])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What alignment does to one encoder.

    Attributes:
        kind: ``"gain"``: better where validation says so, and no worse at the end; ``"uneven"``: so too, with a clear fall
            from one strength to the next on the way; ``"inner"``: better there and worse at the end; ``"decline"``: nowhere
            better and worse at the end; ``"flat"``: none of these is clear.
        best: the strength with the best mean validation value, chosen without test rows.
        gain: test difference between ``best`` and 0.
        end: test difference between the largest strength and 0.
        drop: test difference between the largest strength and ``best``.
        largest: the largest strength.
    """

    kind: str
    best: float
    gain: Difference
    end: Difference
    drop: Difference
    largest: float


def curve(
    records: Sequence[Record], metric: str, *, detail: str = "", variant: str = "default", per_data: int = 0
) -> Curve | None:
    """Collect one number over strengths.

    Args:
        records: of one task, their ``settings["strength"]`` a number.
        metric: name of the metric.
        detail: as in the records, such as a modality.
        variant: as in the records.
        per_data: seeds per data set, where ``seed = data set * per_data + k``; 0 if all are of one.

    Returns:
        The curve over the seeds that every strength has; None without records, or without strength 0.

    Example:
        >>> made = [Record("s", "t", str(x), "default", 0, {"strength": x}, "accuracy", x / 2) for x in (1.0, 0.0)]
        >>> curve(made, "accuracy").values.tolist()
        [[0.0], [0.5]]
    """
    found: dict[float, dict[int, Record]] = {}
    for r in records:
        if (r.metric, r.detail, r.variant) == (metric, detail, variant) and "strength" in r.settings:
            found.setdefault(float(r.settings["strength"]), {})[r.seed] = r
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
    """Say what alignment does, from test values, where validation values choose the strength.

    Args:
        test: on test rows.
        val: on validation rows.

    Returns:
        The verdict.

    Raises:
        InputError: for a single strength.

    Example:
        >>> rises = Curve((0.0, 1.0, 2.0), np.array([[0.1, 0.2], [0.5, 0.6], [0.3, 0.4]]), np.zeros(2))
        >>> judge(rises, rises).kind
        'inner'
    """
    if len(test.strengths) < 2:
        raise InputError(f"strengths is {test.strengths}, expected 0 and at least one more")
    last = test.strengths[-1]
    best = val.strengths[int(np.nan_to_num(val.mean, nan=-np.inf).argmax())]
    better, ends, drops = test.clear(best), test.clear(last), test.clear(last, best)
    falls = any(test.clear(b, a) < 0 for a, b in pairwise(test.strengths))
    helped, otherwise = "inner" if drops < 0 else "uneven" if falls else "gain", "decline" if ends < 0 else "flat"
    kind = helped if best > 0 and better > 0 else otherwise
    return Verdict(kind, best, test.change(best), test.change(last), test.change(last, best), last)
