"""The downstream protocol of OVA-IB and UniOMA: frozen encoders, a 4-layer MLP per task and subset, retrieval by own score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tuplet import objectives
from tuplet.data import Pairs, Source, pair_parts
from tuplet.data.splits import PARTS
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
from tuplet.study.suite import Budget, Objective, Task
from tuplet.types import Embeddings, Kind

PAIR = "pair"
"""Name of the task that tells whether two rows are of one trajectory."""


@dataclass(frozen=True)
class Downstream:
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
        parts = {k: embed(model, getattr(source, k)) for k in PARTS}
        features = {k: Features(dict(e.h), e.present, e.index, e.target) for k, e in parts.items()}
        groups = {k: e.group for k, e in parts.items()}
        return [
            *self._predicted(features, groups, source, task, seed),
            *self._retrieved(parts["test"], objective),
            *space_results(parts["test"]),
            *_weights(objective),
        ]

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure a row without alignment."""
        whole = tuple(sorted(source.modalities))
        if kind == "inputs":
            features = {k: pixels(getattr(source, k)) for k in PARTS}
            return self._predicted(features, {k: _group(source, k) for k in PARTS}, source, task, seed)
        if kind == "fusion":
            return self._end_to_end(source, task, seed, [whole])
        found = self._end_to_end(source, task, seed, [(k,) for k in whole])
        best = [replace(r, detail="+".join(whole)) for r in found if r.detail.startswith("best single")]
        return best + [r for r in found if not r.detail.startswith("best single")]

    def _predicted(
        self,
        features: Mapping[str, Features],
        groups: Mapping[str, Tensor | None],
        source: Source,
        task: Task,
        seed: int,
    ) -> list[Result]:
        train, val, test = (features[k] for k in PARTS)
        settings = self._predictor(seed)
        which = self.which(train.modalities)
        found = []
        for name in self.targets:
            pairs = self._pairs(groups, source, task) if name == PAIR else None
            target = None if name == PAIR else name
            results = predict_subsets(train, val, test, target=target, pairs=pairs, which=which, config=settings)
            found += _named(results, name, None if pairs else groups["test"])
        return found

    def _end_to_end(self, source: Source, task: Task, seed: int, which: Sequence[tuple[str, ...]]) -> list[Result]:
        settings = replace(self._predictor(seed), epochs=self.fusion_epochs, patience=4)
        groups = {k: _group(source, k) for k in PARTS}
        found = []
        for name in self.targets:
            pairs = self._pairs(groups, source, task) if name == PAIR else None
            results = late_fusion(
                source,
                lambda: self._encoders(source, task.budget),
                target=None if name == PAIR else name,
                pairs=pairs,
                which=which,
                config=settings,
            )
            found += _named(results, name, None if pairs else groups["test"])
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

    def _pairs(self, groups: Mapping[str, Tensor | None], source: Source, task: Task) -> dict[str, Pairs]:
        """Draw pairs within each part; the same ones for every entry and seed."""
        split = source.split
        n = sum(len(getattr(split, k)) for k in PARTS)
        ids = np.full(1 + max(int(getattr(split, k).max()) for k in PARTS), -1, dtype=np.int64)
        for part, group in groups.items():
            ids[getattr(split, part)] = np.asarray(group)
        assert (ids >= 0).sum() == n
        hard = None
        if self.hard:
            whole = task.load().select([self.hard, next(k for k in source.modalities if k != self.hard)])
            hard = np.zeros((len(ids), int(np.prod(whole.modalities[self.hard].shape))))
            for part in PARTS:
                rows = getattr(whole, part)
                hard[getattr(split, part)] = rows[slice(0, len(rows))].inputs[self.hard].flatten(1).numpy()
        return pair_parts(ids, split, counts=self.counts, seed=0, hard=hard)

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
            title = headlines.get(name, "")
            if name in kinds:
                what = f"mean squared error of {name} from all modalities, {kinds[name]}; lower is better"
                made.append(Column(f"predict/{name}/mse", whole, f"{name} MSE", what, False, True, False, 5, title))
                made.append(
                    Column(f"predict/{name}/r2", whole, f"{name} R2", "share of variance explained", False, False)
                )
            else:
                what = f"accuracy of {name} from all modalities, 4-layer MLP on frozen representations, %"
                made.append(Column(f"predict/{name}/accuracy", whole, f"{name} acc", what, headline=title))
                what = f"balanced accuracy of {name}: mean recall over classes, %"
                made.append(Column(f"predict/{name}/balanced", whole, f"{name} bal", what, ranked=False))
        for query, candidates in self.directions:
            direction = f"{'+'.join(query)}->{'+'.join(candidates)}"
            title = headlines.get(direction, "")
            what = f"mean average precision of {direction} by the objective's own score, relevance {self.relevance}, %"
            made.append(Column("retrieval/own/mAP", direction, f"{direction} own", what, headline=title))
            made.append(
                Column(
                    "retrieval/cosine/mAP", direction, f"{direction} cos", "the same by mean cosine, %", ranked=False
                )
            )
        cosine = "mean cosine of matching embeddings, -1 to 1"
        made.append(Column("space/positive_cosine", "", "Pos. cos", cosine, percent=False, ranked=False))
        return tuple(made)


def _group(source: Source, part: str) -> Tensor | None:
    rows = getattr(source, part)
    found = [rows[slice(i, min(i + 256, len(rows)))].group for i in range(0, len(rows), 256)]
    return None if found[0] is None else torch.cat([g for g in found if g is not None])


def _least(objective: Objective | None) -> int:
    """Return how many modalities the objective needs."""
    return objective.traits.modalities[0] if isinstance(objective, objectives.Objective) else 2


def _weights(objective: Objective | None) -> list[Result]:
    """Return the modality weights that any part of the objective has learned."""
    parts = objective.modules() if isinstance(objective, nn.Module) else ()
    found = [part.logged() for part in parts if isinstance(part, Structure)]
    return [Result(name, value) for weights in found for name, value in weights.items()]


def _named(results: Sequence[Result], name: str, group: Tensor | None) -> list[Result]:
    """Turn ``predict/mse`` into ``predict/position/mse``, and the outcomes of rows into those of groups."""
    return [_gathered(replace(r, metric=f"predict/{name}/{r.metric.split('/')[1]}"), group) for r in results]


def _gathered(result: Result, group: Tensor | None) -> Result:
    if group is None or len(group) != len(result.items):
        return result
    return replace(result, items=by_group(result.items, group))
