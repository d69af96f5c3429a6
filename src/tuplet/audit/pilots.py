"""A pilot: what `tuplet.train.strategic` does with a few strengths and seeds, for a short time, judged on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from tuplet.audit._keep import tuples
from tuplet.data import Source
from tuplet.evaluate._units import by_group
from tuplet.functional._measures import hits, shares_of_r2
from tuplet.train._many import Many, Member
from tuplet.train._rows import groups, some
from tuplet.train.config import TrainConfig
from tuplet.types import Batch, InputError

Matrix = Sequence[Sequence[float]]
TAU = 0.07
STRENGTHS = (0.0, 0.3, 1.0, 3.0)
STEPS = 300


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
        rows: number of those rows.
        fitted: modality -> mean outcome on training rows at strength 0; far above validation, it is overfitting.
        chance: what the best constant prediction reaches on those rows: the share of the most frequent class, or 0.
        groups: number of groups (subjects, clips) among those rows; None where every row is a draw of its own.
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
                f"a pilot of {n} strengths and {len(self.seeds)} seeds has tables of other sizes; start the folder anew with "
                "--fresh"
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
) -> Pilot:
    """Train a pair a few times at a few strengths and compare validation outcomes, paired by row and seed.

    Args:
        source: the data.
        pair: two modalities.
        target: what the heads predict.
        strengths: 0 or more; 0 is added.
        seeds: two or more, of weights and batches.
        steps: of every training; epochs are rounded up.
        config: batch size, learning rate, weight decay, warm-up.
        part: rows to judge by. A choice made by test rows is no longer tested by them: ``"test"`` is for verifying one.

    Returns:
        The `Pilot`.

    Raises:
        InputError: for fewer than two seeds, or as `tuplet.train.strategic`.

    Notes:
        At most `ROWS` training rows, and as many to judge by. Encoders of the preset ``"small"``, InfoNCE at temperature 0.07
        on three-layer projections, no dropout: equal to `tuplet.train.strategic` up to rounding, which a test holds.

    Example:
        >>> from tuplet.simulators import blocks
        >>> tried = pilot(blocks.load(rows=400), ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=4)
        >>> tried.strengths, len(tried.gain), tried.rows
        ((0.0, 1.0), 2, 80)
    """
    if len(seeds) < 2:
        raise InputError(f"seeds has {len(seeds)} entry, expected two or more: one says nothing of the spread")
    of = Pilots(source.select(pair), target=target, strengths=strengths, seeds=seeds, steps=steps, config=config, part=part)
    return of.pilot(pair)


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
    ) -> None:
        self.source, self.target, self.seeds = source.labelled(target), target, tuple(seeds)
        self.levels = tuple(sorted({0.0, *map(float, strengths)}))
        self.train, self.val = some(self.source.train), some(getattr(self.source, part))
        config = TrainConfig(lr=3e-3) if config is None else config
        size = min(config.batch_size, len(self.train))
        self.config = replace(config, epochs=-(-steps // (len(self.train) // size)), batch_size=size)
        self.alone = cache(self._alone)

    def pilot(self, pair: tuple[str, str]) -> Pilot:
        """Train a pair at every strength above 0, and compare with its encoders alone."""
        aligned = self._trained(pair, self.levels[1:])
        alone = {k: self.alone(k) for k in sorted(pair)}
        outcomes = {  # modality -> (strengths, seeds, rows)
            k: torch.cat([outcome, self._outcomes(aligned, k, self.val)]) for k, (_, outcome, _) in alone.items()
        }
        change = torch.stack(list(outcomes.values())).nanmean(dim=0)  # nan where missing
        there = ~change.isnan().any(dim=(0, 1))
        change = 100 * (change - change[:1])[:, :, there]
        ids = groups(self.source, self.val)
        ids = None if ids is None else ids[there]
        drawn = change.mean(dim=1) if ids is None else torch.tensor([by_group(c, ids) for c in change.mean(dim=1)])
        classes = self.source.targets[self.target].kind == "class"
        y = self.val.target[self.target]
        return Pilot(
            strengths=self.levels,
            seeds=self.seeds,
            metric="accuracy" if classes else "r2",
            scores={k: tuples(v.nanmean(dim=2).tolist()) for k, v in outcomes.items()},
            gain=tuples(change.mean(dim=(1, 2)).tolist()),
            covariance=tuples((_covariance(drawn) + _covariance(change.mean(dim=2))).tolist()),
            rows=change.shape[2],
            fitted={k: fitted for k, (fitted, _, _) in alone.items()},
            chance=float(y.bincount().max()) / len(y) if classes else 0.0,
            groups=None if ids is None else drawn.shape[1],
        )

    def _trained(self, names: tuple[str, ...], levels: Sequence[float]) -> Many:
        members = [Member(names, level, seed) for level in levels for seed in self.seeds]
        many = Many(self.source, members, target=self.target, tau=TAU)
        many.fit(self.train, self.config)
        return many

    def _alone(self, name: str) -> tuple[float, Tensor, Tensor]:
        """Train one modality without alignment: mean outcome on training rows, outcomes, and ``h`` of the first seed."""
        many = self._trained((name,), (0.0,))
        fitted, outcomes = (self._outcomes(many, name, rows) for rows in (self.train, self.val))
        return float(fitted.nanmean()), outcomes, many.read(many.members[0], name, self.val.inputs[name])[1]

    def _outcomes(self, many: Many, name: str, batch: Batch) -> Tensor:
        """Return ``(strengths, seeds, rows)`` outcomes, nan where the modality is missing."""
        out = torch.stack([many.read(m, name, batch.inputs[name])[0] for m in many.members])
        y = batch.target[self.target]
        found = shares_of_r2(out, y) if y.is_floating_point() else hits(out, y)
        return torch.where(batch.present[name], found, torch.nan).view(-1, len(self.seeds), len(batch))


def _covariance(samples: Tensor) -> Tensor:
    """Covariance of the mean of ``(strengths, n)`` samples; of few, the off-diagonal is halved."""
    n = samples.shape[1]
    found = torch.cov(samples.double()) / n
    return found if n > 30 else (found + found.diagonal().diag()) / 2
