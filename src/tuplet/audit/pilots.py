"""A pilot: what `tuplet.train.strategic` does with a few strengths and seeds, for a short time, judged on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from tuplet.audit._folds import check_folds, judging
from tuplet.audit._keep import tuples
from tuplet.data import Source
from tuplet.functional._measures import hits, shares_of_r2
from tuplet.train._many import Many, Member
from tuplet.train.config import TrainConfig
from tuplet.types import InputError

Matrix = Sequence[Sequence[float]]
TAU = 0.07
STRENGTHS = (0.0, 0.3, 1.0, 3.0)
STEPS = 300
WIDEST = 1 << 24
"""Numbers that the batches of models trained side by side hold, at most; of wide modalities, folds are trained in turn."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """Outcomes of one pair on rows that it was not trained on.

    Attributes:
        strengths: rising, the first 0.
        seeds: of the trainings.
        metric: ``"accuracy"`` or ``"r2"``.
        scores: modality -> ``(strengths, seeds)`` mean outcome.
        gain: ``(strengths,)`` mean over modalities and seeds of the change since strength 0, in points (hundredths).
        covariance: ``(strengths, strengths)`` of the gain: that of rows, or of groups of rows, and that of seeds, added.
        freedom: degrees of freedom of this covariance; None: one less than the groups, or many.
        rows: number of those rows.
        fitted: modality -> mean outcome on training rows at strength 0; far above validation, it is overfitting.
        chance: what the best constant prediction reaches on those rows: the share of the most frequent class, or 0.
        groups: number of groups (subjects, clips) among those rows; None where every row is a draw of its own.
        folds: 1 if those rows are one part. Otherwise each row is judged once, by models that saw no row of its group; a
            group then counts as much as any other in scores and gain, however many rows it has.
        bar: what the best mean score must exceed to be surely above ``chance``, by a t interval over groups; None where
            rows are counted.
    """

    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    metric: str
    scores: dict[str, Matrix]
    gain: Sequence[float]
    covariance: Matrix
    rows: int
    fitted: dict[str, float]
    chance: float = 0.0
    groups: int | None = None
    folds: int = 1
    bar: float | None = None
    freedom: float | None = None

    def __post_init__(self) -> None:
        """Check that all numbers are of the same strengths and seeds."""
        n = len(self.strengths)
        tables = [*self.scores.values()]
        if not (
            n == len(self.gain) == len(self.covariance)
            and all(len(row) == n for row in self.covariance)
            and all(len(t) == n and all(len(row) == len(self.seeds) for row in t) for t in tables)
        ):
            raise InputError(
                f"a pilot of {n} strengths and {len(self.seeds)} seeds has tables of other sizes; start anew with --fresh"
            )


def pilot(
    source: Source,
    pair: tuple[str, str],
    *,
    target: str = "label",
    strengths: Sequence[float] = STRENGTHS,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    config: TrainConfig | None = None,
    part: Literal["val", "test"] = "val",
    folds: int | None = None,
) -> Pilot:
    """Train a pair a few times at a few strengths and compare outcomes on other rows, paired by row and seed.

    Args:
        source: the data.
        pair: two modalities.
        target: what the heads predict.
        strengths: 0 or more; 0 is added.
        seeds: two or more, of weights and batches.
        steps: of every training; epochs are rounded up.
        config: batch size, learning rate, weight decay, warm-up.
        part: rows to judge by. A choice made by test rows is no longer tested by them: ``"test"`` is for verifying one.
        folds: 1 judges by that part. More: training and validation rows are judged in so many folds of whole groups. None
            chooses 5 (or one per group, if fewer) where the validation part has fewer than 200 rows or 10 groups.

    Returns:
        The `Pilot`.

    Raises:
        InputError: for fewer than two seeds, more folds than groups, or as `tuplet.train.strategic`.

    Notes:
        At most `ROWS` training rows, and as many to judge by. Encoders of the preset ``"small"``, InfoNCE at temperature 0.07
        on three-layer projections, no dropout: equal to `tuplet.train.strategic` up to rounding, which a test holds. Folds
        are trained side by side, for as many steps each. Inputs stay scaled by the training part.

    Example:
        >>> from tuplet.simulators import blocks
        >>> tried = pilot(blocks.load(rows=400), ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=4)
        >>> tried.strengths, len(tried.gain), tried.rows
        ((0.0, 1.0), 2, 320)
    """
    if len(set(seeds)) < max(2, len(seeds)):
        raise InputError(f"seeds is {tuple(seeds)}, expected two or more, each once: one says nothing of the spread")
    check_folds(folds, source)
    given: dict[str, Any] = {"target": target, "strengths": strengths, "seeds": seeds, "steps": steps, "config": config}
    return Pilots(source.select(pair), part=part, folds=folds, **given).pilot(pair)


class Pilots:
    """The pilots of a source's pairs. Without alignment, an encoder is trained once per seed, not once per pair."""

    def __init__(
        self,
        source: Source,
        *,
        target: str,
        strengths: Sequence[float],
        seeds: Sequence[int],
        steps: int,
        config: TrainConfig | None = None,
        part: Literal["val", "test"] = "val",
        folds: int | None = None,
    ) -> None:
        self.source, self.target, self.seeds = source.labelled(target), target, tuple(seeds)
        self.levels = tuple(sorted({0.0, *map(float, strengths)}))
        self.judging = judging(self.source, target, part=part, folds=folds)
        config = TrainConfig(lr=3e-3) if config is None else config
        rows = min(len(train) for train, _ in self.judging.parts)
        size = min(config.batch_size, rows)
        self.config = replace(config, epochs=-(-steps // (rows // size)), batch_size=size)
        self.alone = cache(self._alone)

    def pilot(self, pair: tuple[str, str]) -> Pilot:
        """Train a pair at every strength above 0, and compare with its encoders alone."""
        aligned = self._trained(pair, self.levels[1:])
        alone = {k: self.alone(k) for k in sorted(pair)}
        held, folds = self.judging.held, len(self.judging.parts)
        outcomes = {  # modality -> (strengths, seeds, rows)
            k: torch.cat([outcome, self._outcomes(aligned, k, self.levels[1:])]) for k, (_, outcome, _) in alone.items()
        }
        change = torch.stack(list(outcomes.values())).nanmean(dim=0)  # nan where missing
        there = ~change.isnan().any(dim=(0, 1))
        change = 100 * (change - change[:1])[:, :, there]
        ids = None if self.judging.units is None else self.judging.units[held]
        drawn = by_unit(change, None if ids is None else ids[there], equal=folds > 1)  # (strengths, seeds, units)
        classes = self.source.targets[self.target].kind == "class"
        y = self.judging.rows.target[self.target][held]
        constant = torch.zeros(int(y.max()) + 1 if classes else 1, len(y))  # outcomes of the constant predictions
        if classes:
            constant.scatter_(0, y[None], 1.0)
        constant = by_unit(constant, ids, equal=folds > 1)
        trained = sum(len(train) for train, _ in self.judging.parts) / folds
        covariance, freedom = crossed(drawn, len(held) / trained)
        covariance[1:, 1:] += (50 / change.shape[2]) ** 2 * torch.eye(len(drawn) - 1)  # half a row: none may have changed yet
        best = constant[constant.mean(dim=1).argmax()]
        scores = {k: by_unit(v, ids, equal=folds > 1) for k, v in outcomes.items()}
        return Pilot(
            strengths=self.levels,
            seeds=self.seeds,
            metric="accuracy" if classes else "r2",
            scores={k: tuples(v.nanmean(dim=2).tolist()) for k, v in scores.items()},
            gain=tuples(drawn.mean(dim=(1, 2)).tolist()),
            covariance=tuples(covariance.tolist()),
            freedom=freedom,
            rows=change.shape[2],
            fitted={k: fitted for k, (fitted, _, _) in alone.items()},
            chance=float(best.mean()),
            groups=None if ids is None else drawn.shape[2],
            folds=folds,
            bar=None if ids is None else _bar(scores, best),
        )

    def _trained(self, names: tuple[str, ...], levels: Sequence[float]) -> list[Many]:
        """Train some modalities at some strengths; the models of each fold, of several folds side by side."""
        rows, count = self.judging.rows, len(self.judging.parts)
        width = sum(rows.inputs[k][0].numel() for k in names)
        together = max(1, WIDEST // (width * self.config.batch_size * len(levels) * len(self.seeds)))
        found: list[Many] = []
        while len(found) < count:
            folds = range(count)[len(found) : len(found) + together]
            members = [Member(names, level, seed, fold) for fold in folds for level in levels for seed in self.seeds]
            many = Many(self.source, members, target=self.target, tau=TAU)
            many.fit(rows, self.config, folds=[train for train, _ in self.judging.parts])
            found += [many] * len(folds)
        return found

    def _alone(self, name: str) -> tuple[float, Tensor, list[Tensor]]:
        """Train one modality without alignment: mean outcome on training rows, outcomes, the first seed's ``h`` by fold."""
        trained = self._trained((name,), (0.0,))
        first = [Member((name,), 0.0, self.seeds[0], fold) for fold in range(len(trained))]
        inputs = self.judging.rows.inputs[name]
        h = [
            many.read(member, name, inputs[held])[1]
            for many, member, (_, held) in zip(trained, first, self.judging.parts, strict=True)
        ]
        fitted = self._outcomes(trained, name, (0.0,), fitted=True)
        return float(fitted.nanmean()), self._outcomes(trained, name, (0.0,)), h

    def _outcomes(self, trained: list[Many], name: str, levels: Sequence[float], *, fitted: bool = False) -> Tensor:
        """Return ``(strengths, seeds, rows)`` outcomes of held rows, or of those trained on; nan where one is missing."""
        rows, out = self.judging.rows, []
        parts = [train if fitted else held for train, held in self.judging.parts]
        for fold, (many, at) in enumerate(zip(trained, parts, strict=True)):
            read = [many.read(m, name, rows.inputs[name][at])[0] for m in many.members if m.fold == fold]
            out.append(torch.stack(read))
        at = torch.cat(parts)
        y, said = rows.target[self.target][at], torch.cat(out, dim=1)
        found = shares_of_r2(said, y) if y.is_floating_point() else hits(said, y)
        return torch.where(rows.present[name][at], found, torch.nan).view(len(levels), len(self.seeds), len(at))


def by_unit(outcomes: Tensor, ids: Tensor | None, *, equal: bool) -> Tensor:
    """Gather ``(..., rows)`` outcomes into one per group, of their mean; ``equal``: a large group counts as any other."""
    if ids is None:
        return outcomes
    codes = torch.unique(ids, return_inverse=True)[1]
    found = outcomes.new_zeros(2, *outcomes.shape[:-1], int(codes.max()) + 1)
    found.index_add_(-1, codes, torch.stack([outcomes.nan_to_num(), (~outcomes.isnan()).to(outcomes.dtype)]))
    sums, rows = found  # rows that are there
    share = rows if equal else rows.sum(-1, keepdim=True) / (rows > 0).sum(-1, keepdim=True)
    return torch.where(rows > 0, sums / share, torch.nan)


def _bar(scores: dict[str, Tensor], constant: Tensor) -> float | None:
    """Return what the best mean score must exceed: the constant prediction and a one-sided 97.5 % t interval over groups."""
    from scipy.special import stdtrit

    best = max((row for v in scores.values() for row in v.nanmean(dim=1)), key=lambda row: float(row.nanmean()))
    above = (best - constant)[~best.isnan()].double()
    n = len(above)
    return min(1.0, float(constant.mean() + stdtrit(n - 1, 0.975) * above.std() / n**0.5)) if n > 1 else None


def crossed(drawn: Tensor, share: float = 0.0) -> tuple[Tensor, float]:
    """Covariance of the mean of ``(strengths, seeds, units)`` changes, and its degrees of freedom (Satterthwaite's)."""
    # Seeds and units are crossed and both drawn at random: what they do together is in the means of both, and is taken from
    # the seeds' part (Searle, Casella, McCulloch, Variance Components, 1992, section 4.3). The training rows are a draw too:
    # share, judged rows per training row, enlarges the units' part (Nadeau, Bengio, Machine Learning 52, 2003).
    drawn = drawn.double()
    seeds, units = drawn.shape[1:]
    if units == 1:  # how much units differ is not known: by all that a score can change
        return torch.tensor([0.0, *[100.0**2] * (len(drawn) - 1)]).double().diag(), 1.0
    own = drawn - drawn.mean(1, keepdim=True) - drawn.mean(2, keepdim=True) + drawn.mean((1, 2), keepdim=True)
    rest = own.flatten(1) @ own.flatten(1).T / ((seeds - 1) * (units - 1) * seeds * units)
    by_unit, by_seed = _covariance(drawn.mean(1)) * (1 + share), _covariance(drawn.mean(2))
    left = (1 - rest.diagonal() / by_seed.diagonal().clamp_min(1e-300)).clamp_min(0).sqrt()
    by_seed = by_seed * left[:, None] * left
    parts = ((by_unit, units - 1), (by_seed, seeds - 1), (rest, (seeds - 1) * (units - 1)))
    total = by_unit + by_seed
    spread = sum(float(part.trace()) ** 2 / many for part, many in parts)
    return total, max(seeds - 1.0, float(total.trace()) ** 2 / spread if spread else units - 1.0)


def _covariance(samples: Tensor) -> Tensor:
    """Covariance of the mean of ``(strengths, n)`` samples; of few, the off-diagonal is halved."""
    n = samples.shape[1]
    found = torch.cov(samples).view(len(samples), -1) / n
    return found if n > 30 else (found + found.diagonal().diag()) / 2
