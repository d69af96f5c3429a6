"""The downstream protocol of OVA-IB and UniOMA: frozen encoders, a 4-layer MLP per task and subset, retrieval by own score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tuplet import objectives
from tuplet.data import Pairs, Source, pair_parts
from tuplet.evaluate import (
    Features,
    PredictorConfig,
    Result,
    embed,
    late_fusion,
    mean_cosine,
    pixels,
    predict_subsets,
    retrieve,
)
from tuplet.evaluate._units import by_group
from tuplet.evaluate.evaluation import space_results
from tuplet.evaluate.subset import subsets
from tuplet.model import AlignmentModel
from tuplet.nets import Projection, encoders
from tuplet.objectives import Structure
from tuplet.study._columns import Column
from tuplet.study.suite import Budget, Objective, Probes, Task
from tuplet.types import Embeddings, Kind

PAIR = "pair"
"""Name of the task that tells whether two rows are of one trajectory."""


@dataclass(frozen=True)
class Downstream(Probes):
    """What is measured on a task's frozen encoders."""

    targets: tuple[str, ...] = ()
    directions: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    relevance: str = "instance"
    hard: str = ""
    counts: tuple[int, int, int] = (2000, 500, 1000)
    preset: Literal["small", "paper"] = "small"
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    fusion_epochs: int = 12

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make encoders by what the rows are, and a three-layer projection each."""
        made = self._encoders(source, budget)
        return AlignmentModel(made, {k: Projection(budget.dim, budget.dim) for k in made})

    def measure(
        self, model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int
    ) -> list[Result]:
        """Predict every target from every subset of frozen representations, retrieve, and describe the space."""
        parts = [embed(model, rows) for rows in (source.train, source.val, source.test)]
        features = [Features(dict(e.h), e.present, e.index, e.target) for e in parts]
        return [
            *self._predicted(features, source, task, seed),
            *self._retrieved(parts[2], objective),
            *space_results(parts[2]),
            *_weights(objective),
        ]

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure a row without alignment."""
        whole = tuple(sorted(source.modalities))
        if kind == "inputs":
            return self._predicted([pixels(rows) for rows in (source.train, source.val, source.test)], source, task, seed)
        if kind == "fusion":
            return self._end_to_end(source, task, seed, [whole])
        found = self._end_to_end(source, task, seed, [(k,) for k in whole])
        best = [replace(r, detail="+".join(whole)) for r in found if r.detail.startswith("best single")]
        return best + [r for r in found if not r.detail.startswith("best single")]

    def _predicted(self, features: Sequence[Features], source: Source, task: Task, seed: int) -> list[Result]:
        """Predict every target from features of the three parts."""
        which, settings = self.which(features[0].modalities), self._predictor(seed)
        return self._of_targets(source, task, partial(predict_subsets, *features, which=which, config=settings))

    def _end_to_end(self, source: Source, task: Task, seed: int, which: Sequence[tuple[str, ...]]) -> list[Result]:
        """Predict every target with encoders that are trained for it."""
        settings = replace(self._predictor(seed), epochs=self.fusion_epochs, patience=4)
        make = partial(self._encoders, source, task.budget)
        return self._of_targets(source, task, partial(late_fusion, source, make, which=which, config=settings))

    def _of_targets(self, source: Source, task: Task, predict: Callable[..., list[Result]]) -> list[Result]:
        """Name results ``predict/position/mse``; the outcomes of rows become those of groups."""
        found = []
        for name in self.targets:
            pairs = self._pairs(source, task) if name == PAIR else None
            for r in predict(target=None if pairs else name, pairs=pairs):
                renamed = replace(r, metric=f"predict/{name}/{r.metric.split('/')[1]}")
                found.append(_of_pairs(renamed, source, pairs["test"]) if pairs else _gathered(renamed, source.test.group))
        return found

    def which(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """List the subsets: all of up to three modalities, each alone and all together beyond, as in the paper's tables."""
        every = subsets(names)
        return every if len(names) <= 3 else [s for s in every if len(s) in (1, len(names))]

    def _encoders(self, source: Source, budget: Budget) -> dict[str, nn.Module]:
        kinds = {k: kind for k, kind in self.kinds.items() if k in source.modalities}
        return encoders(source, preset=self.preset, dim=budget.dim, kinds=kinds)

    def _predictor(self, seed: int) -> PredictorConfig:
        """Return the settings of every predictor of this preset: four layers in both."""
        if self.preset == "paper":
            return PredictorConfig(seed=seed)
        return PredictorConfig(hidden=128, batch_size=128, epochs=30, patience=5, seed=seed)

    def _pairs(self, source: Source, task: Task) -> dict[str, Pairs]:
        """Draw pairs within each part; the same ones for every entry and seed."""
        assert source.group is not None
        hard = None
        if self.hard:  # a modality that encoders may not see
            hard = task.load().read(self.hard, torch.arange(len(source.group))).flatten(1).numpy()
        return pair_parts(source.group.numpy(), source.split, counts=self.counts, seed=0, hard=hard)

    def _retrieved(self, emb: Embeddings, objective: Objective | None) -> list[Result]:
        scores = {"cosine": mean_cosine}
        if own := getattr(objective, "score", None):
            scores["own"] = own
        found = []
        for kind, score in scores.items():
            for query, candidates in self.directions:
                if kind == "own" and len(query) + len(candidates) < _least(objective):
                    continue  # a triangle does not score two vectors; its cosine stands alone
                r = retrieve(emb, query, candidates, score=score, relevance=self.relevance)
                detail = f"{'+'.join(query)}->{'+'.join(candidates)}"
                for metric in ("R@1", "mAP"):
                    items = tuple(np.asarray(r.items[metric], dtype=float).tolist()) if metric == "mAP" else ()
                    name = f"retrieval/{kind}/{metric}"
                    one = Result(name, r.values[metric], detail, True, r.chance[metric], r.pool, items)
                    found.append(_gathered(one, emb.group))
        return found

    def columns(
        self, source_names: Sequence[str], headlines: Mapping[str, str], kinds: Mapping[str, str]
    ) -> tuple[Column, ...]:
        """Make the columns of the task's table."""
        whole = "+".join(sorted(source_names))
        made = []
        for name in self.targets:
            title, metric = headlines.get(name, ""), f"predict/{name}"
            if name in kinds:
                what = f"mean squared error of {name} from all modalities, {kinds[name]}; lower is better"
                made.append(Column(f"{metric}/mse", whole, f"{name} MSE", what, False, True, False, 5, title))
                made.append(Column(f"{metric}/r2", whole, f"{name} R2", "share of variance explained", False, False))
            else:
                what = f"accuracy of {name} from all modalities, 4-layer MLP on frozen representations, %"
                made.append(Column(f"{metric}/accuracy", whole, f"{name} acc", what, headline=title))
                what = f"balanced accuracy of {name}: mean recall over classes, %"
                made.append(Column(f"{metric}/balanced", whole, f"{name} bal", what, ranked=False))
        for query, candidates in self.directions:
            to = f"{'+'.join(query)}->{'+'.join(candidates)}"
            what = f"mean average precision of {to} by the objective's own score, relevance {self.relevance}, %"
            made.append(Column("retrieval/own/mAP", to, f"{to} own", what, headline=headlines.get(to, "")))
            made.append(Column("retrieval/cosine/mAP", to, f"{to} cos", "the same by mean cosine, %", ranked=False))
        cosine = "mean cosine of matching embeddings, -1 to 1"
        return (*made, Column("space/positive_cosine", "", "Pos. cos", cosine, percent=False, ranked=False))


def _least(objective: Objective | None) -> int:
    """Return how many modalities the objective needs."""
    return objective.traits.modalities[0] if isinstance(objective, objectives.Objective) else 2


def _weights(objective: Objective | None) -> list[Result]:
    """Return the modality weights that any part of the objective has learned."""
    parts = objective.modules() if isinstance(objective, nn.Module) else ()
    found = [part.logged() for part in parts if isinstance(part, Structure)]
    return [Result(name, value) for weights in found for name, value in weights.items()]


def _of_pairs(result: Result, source: Source, pairs: Pairs) -> Result:
    """Turn the outcomes of pairs into one per group: jackknife pseudo-values, as spread as a mean over pairs of groups."""
    assert source.group is not None
    values = np.asarray(result.items)
    if len(values) != len(pairs):
        return result
    rows = np.stack([pairs.left, pairs.right])
    groups, ends = np.unique(source.group.numpy()[rows], return_inverse=True)
    left, right = ends.reshape(rows.shape)
    other = left != right  # a pair within a group counts once
    sums, counts = (np.bincount(left, v, len(groups)) + np.bincount(right, v * other, len(groups)) for v in (values, values**0))
    if (counts == len(values)).any():  # without this group no pair is left
        return result
    without = (values.sum() - sums) / (len(values) - counts)
    away = (len(groups) - 1) * (without.mean() - without)
    return replace(result, items=tuple((values.mean() + away).tolist()))


def _gathered(result: Result, group: Tensor | None) -> Result:
    if group is None or len(group) != len(result.items):
        return result
    return replace(result, items=by_group(result.items, group))
