"""A pilot: what `tuplet.train.strategic` does with a few strengths and seeds, for a short time, judged on validation rows.

Small networks are all overhead, so the trainings of one pair run side by side: their weights lie in one tensor and the layers
are mapped over it. What cannot be mapped so (recurrent nets, batch norm, missing rows, groups) is trained one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from tuplet.audit._keep import tuples
from tuplet.data import Rows, Source
from tuplet.data.views import order_of
from tuplet.evaluate._units import by_group
from tuplet.model import AlignmentModel
from tuplet.objectives import Pairwise
from tuplet.objectives.unimodal import UnimodalTask
from tuplet.train._rate import learning_rate
from tuplet.train._rows import ROWS, groups, some
from tuplet.train.config import TrainConfig
from tuplet.train.loop import fit
from tuplet.train.strength import UNCLIPPED, untrained, weighted
from tuplet.types import Batch, InputError

Matrix = Sequence[Sequence[float]]
TAU = 0.07
STRENGTHS = (0.0, 0.3, 1.0, 3.0)
STEPS = 300
BLOCK = 256
"""Rows judged at once by all trainings."""


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
        >>> from tuplet.datasets import blocks
        >>> tried = pilot(blocks.load(rows=400), ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=4)
        >>> tried.strengths, len(tried.gain), tried.rows
        ((0.0, 1.0), 2, 80)
    """
    if len(seeds) < 2:
        raise InputError(f"seeds has {len(seeds)} entry, expected two or more: one says nothing of the spread")
    levels = tuple(sorted({0.0, *map(float, strengths)}))
    source = source.select(pair).labelled(target)
    config = TrainConfig(lr=3e-3) if config is None else config
    size = min(config.batch_size, len(source.train))
    config = replace(config, epochs=-(-steps // (min(len(source.train), ROWS) // size)), batch_size=size)
    train, val = (some(rows) for rows in (source.train, source.val if part == "val" else source.test))
    about = source.targets[target]
    stacked = _stackable(source, target, train)
    run = _side_by_side if stacked else _one_by_one
    fitted, outcomes = run(source, target, levels, tuple(seeds), config, train, val)
    change = torch.stack(list(outcomes.values())).nanmean(dim=0)  # (strengths, seeds, rows); nan where missing
    there = ~change.isnan().any(dim=(0, 1))
    change = 100 * (change - change[:1])[:, :, there]
    ids = groups(source, val)
    ids = None if ids is None else ids[there]
    drawn = change.mean(dim=1) if ids is None else torch.tensor([by_group(c, ids) for c in change.mean(dim=1)])
    return Pilot(
        strengths=levels,
        seeds=tuple(seeds),
        metric="accuracy" if about.kind == "class" else "r2",
        scores={k: tuples(v.nanmean(dim=2).tolist()) for k, v in outcomes.items()},
        gain=tuples(change.mean(dim=(1, 2)).tolist()),
        covariance=tuples((_covariance(drawn) + _covariance(change.mean(dim=2))).tolist()),
        rows=change.shape[2],
        fitted=fitted,
        chance=float(val.target[target].bincount().max()) / len(val) if about.kind == "class" else 0.0,
        groups=None if ids is None else drawn.shape[1],
    )


def _covariance(samples: Tensor) -> Tensor:
    """Covariance of the mean of ``(strengths, n)`` samples; of few, the off-diagonal is halved."""
    n = samples.shape[1]
    found = torch.cov(samples.double()) / n
    return found if n > 30 else (found + found.diagonal().diag()) / 2


def _stackable(source: Source, target: str, train: Batch) -> bool:
    model, _ = untrained(source, target=target)
    unmapped = (nn.RNNBase, nn.modules.batchnorm._BatchNorm, nn.Dropout)
    whole = all(bool(p.all()) for p in train.present.values())
    return whole and train.group is None and not any(isinstance(m, unmapped) for m in model.modules())


class _Both(nn.Module):
    """Two modalities' encoders, heads and projections as one function of their inputs."""

    def __init__(self, source: Source, target: str, seed: int) -> None:
        super().__init__()
        self.model, self.task = untrained(source, target=target, seed=seed)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return heads' outputs and unit embeddings."""
        h = {k: encoder(inputs[k]) for k, encoder in self.model.encoders.items()}
        z = {k: F.normalize(self.model.projections[k](h[k]), dim=-1) for k in h}
        return {k: self.task.heads[k](h[k]) for k in h}, z


def _side_by_side(
    source: Source,
    target: str,
    levels: tuple[float, ...],
    seeds: tuple[int, ...],
    config: TrainConfig,
    train: Batch,
    val: Batch,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    base = [_Both(source, target, seed) for seed in seeds]
    parameters, _ = stack_module_state(base)
    weights = {
        k: p.detach().expand(len(levels), *p.shape).clone().requires_grad_() for k, p in parameters.items()
    }  # (strengths, seeds, ...)
    strength = torch.tensor(levels)[:, None]
    decayed = [p for p in weights.values() if p.ndim > 3]
    plain = [p for p in weights.values() if p.ndim <= 3]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    one = partial(_called, base[0])
    forward = torch.vmap(torch.vmap(one), in_dims=(0, None))  # seeds differ in rows; strengths see the same
    n, y = len(train), train.target[target]
    per_epoch = n // config.batch_size
    total, step = per_epoch * config.epochs, 0
    for epoch in range(config.epochs):
        order = torch.stack([order_of(n, seed=seed, epoch=epoch) for seed in seeds])
        for start in range(0, per_epoch * config.batch_size, config.batch_size):
            at = order[:, start : start + config.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, total, config)
            out, z = forward(weights, {k: x[at] for k, x in train.inputs.items()})
            task = sum(_loss(o, y[at]) for o in out.values())
            assert isinstance(task, Tensor)
            loss = (task + strength * _contrast(*z.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1

    shared = torch.vmap(torch.vmap(one, in_dims=(0, None)), in_dims=(0, None))

    @torch.no_grad()
    def judged(batch: Batch) -> dict[str, Tensor]:
        blocks = [
            shared(weights, {k: x[at : at + BLOCK] for k, x in batch.inputs.items()})[0]
            for at in range(0, len(batch), BLOCK)
        ]
        truth = batch.target[target]
        return {k: _outcome(torch.cat([b[k] for b in blocks], dim=2), truth) for k in blocks[0]}

    return {k: float(v[0].mean()) for k, v in judged(train).items()}, judged(val)


def _called(
    module: nn.Module, weights: dict[str, Tensor], inputs: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    found: tuple[dict[str, Tensor], dict[str, Tensor]] = functional_call(module, weights, (inputs,))
    return found


def _loss(out: Tensor, truth: Tensor) -> Tensor:
    """The loss of every member, as `tuplet.objectives.UnimodalTask`."""
    if truth.is_floating_point():
        return (out - truth.reshape(out.shape[1:])).abs().mean(dim=(2, 3))
    each = F.cross_entropy(out.flatten(0, 2), truth.expand(out.shape[:3]).flatten(), reduction="none")
    return each.view(out.shape[:3]).mean(dim=2)


def _contrast(a: Tensor, b: Tensor) -> Tensor:
    """Symmetric InfoNCE of every member."""
    logits = (a / TAU) @ b.mT
    own = logits.diagonal(dim1=2, dim2=3)
    return ((logits.logsumexp(dim=3) - own).mean(dim=2) + (logits.logsumexp(dim=2) - own).mean(dim=2)) / 2


def _outcome(out: Tensor, truth: Tensor) -> Tensor:
    """1 for a right class, or a row's share of R2."""
    if not truth.is_floating_point():
        return (out.argmax(dim=-1) == truth).float()
    y = truth.reshape(len(truth), -1)
    spread = (y - y.mean(dim=0)).square().sum(dim=1).mean().clamp_min(1e-12)
    return 1 - (out - y).square().sum(dim=-1) / spread


@dataclass(frozen=True, eq=False, kw_only=True)
class _Held(Rows):
    """Rows at hand, to train on."""

    batch: Batch

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        return self.batch.map(lambda value: value[rows])


Fitted = tuple[AlignmentModel, UnimodalTask]


def _one_by_one(
    source: Source,
    target: str,
    levels: tuple[float, ...],
    seeds: tuple[int, ...],
    config: TrainConfig,
    train: Batch,
    val: Batch,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    names = sorted(source.modalities)

    def trained(level: float, seed: int) -> Fitted:
        model, task = untrained(source, target=target, seed=seed)
        whole = weighted(task, level, Pairwise(tau=TAU), names)
        run = fit(
            model, whole, train=_Held(source, "train", batch=train), config=replace(config, clip=UNCLIPPED, seed=seed)
        )
        if run.stopped:
            raise KeyboardInterrupt
        return model, task

    found = [[trained(level, seed) for seed in seeds] for level in levels]

    def judged(fitted: Fitted, batch: Batch) -> dict[str, Tensor]:
        model, task = fitted
        held = _Held(source, "val", batch=batch)
        with torch.no_grad():
            parts = [task.predict(model(held[at : at + BLOCK])) for at in range(0, len(held), BLOCK)]
        out = {k: torch.cat([p[k] for p in parts]) for k in names}
        truth = batch.target[target]
        return {k: _outcome(o, truth).where(batch.present[k], torch.nan) for k, o in out.items()}

    outcomes = [[judged(run, val) for run in row] for row in found]
    fitted = [judged(run, train) for run in found[0]]
    return (
        {k: float(torch.stack([f[k] for f in fitted]).nanmean()) for k in names},
        {k: torch.stack([torch.stack([o[k] for o in row]) for row in outcomes]) for k in names},
    )
