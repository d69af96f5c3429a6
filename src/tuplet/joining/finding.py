"""What a new modality finds in a space, both directions, beside ridge regression and chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tuplet.data import Source
from tuplet.evaluate import retrieve
from tuplet.evaluate._paired import paired_difference, told_apart
from tuplet.evaluate._units import by_group, unit_ids
from tuplet.evaluate.retrieval import Retrieval
from tuplet.evaluate.screen import wrapped
from tuplet.joining._ridge import ridge_layer
from tuplet.model import AlignmentModel, embed

SHOWN = ("R@1", "R@10", "mAP")


@dataclass(frozen=True)
class Reached:
    """Retrieval between new modalities and a space on test rows; ``str`` says it in words and as a table.

    Attributes:
        joined: ``"touch -> text"`` -> how well the new modality finds, and is found in, the space.
        ridge: the same of ridge regression onto the space.
        pool: number of candidates, the largest of all directions.
        better: 1 where the mean average precision over all directions is above that of ridge regression, -1 where it is below,
            0 where a 95 % interval over test rows, paired, cannot tell.
    """

    joined: dict[str, Retrieval]
    ridge: dict[str, Retrieval]
    pool: int
    better: int

    def __str__(self) -> str:
        if not self.joined:
            return "No test row has both the new modality and an item of the space: nothing can be measured."
        first, found = next(iter(self.joined.items()))
        said = f"{first}: {found.values['R@1']:.1%} of {found.queries} test rows find their match first, by chance "
        said += f"{found.chance['R@1']:.1%}, by ridge regression {self.ridge[first].values['R@1']:.1%}. "
        how = {1: "better than", 0: "not told apart from", -1: "worse than"}[self.better]
        mean, linear = (np.mean([r.values["mAP"] for r in side.values()]) for side in (self.joined, self.ridge))
        lines = wrapped(f"{said}In all directions the model is {how} ridge regression (mAP {mean:.3f} and {linear:.3f}).")
        lines += ["", f"{'':<33}{'model':>8}{'ridge':>8}{'chance':>8}{'pool':>7}"]
        for name, r in self.joined.items():
            for metric in SHOWN:
                words = f"{name[:24]}, {metric}"
                numbers = (r.values[metric], self.ridge[name].values[metric], r.chance[metric])
                lines.append(f"{words:<33}{''.join(f'{v:>8.3f}' for v in numbers)}{r.pool:>7}")
        return "\n".join(lines)


def reached(model: AlignmentModel, source: Source, old: Sequence[str]) -> Reached:
    """Measure what the modalities of a model that are not in the space find in it, and what ridge regression does."""
    new = [k for k in source.modalities if k not in old]
    layers = {k: ridge_layer(model, source, k, old) for k in new}
    linear = AlignmentModel(
        {**{k: model.encoders[k] for k in old}, **layers},
        {**{k: model.projections[k] for k in old}, **dict.fromkeys(new, nn.Identity())},
        dict(model.bridges.items()),
    )
    here, groups = source.test.present, unit_ids(source, "test")
    ways = [d for a in new for b in old for d in ((a, b), (b, a)) if bool((here[a] & here[b]).any())]
    if not ways:
        return Reached({}, {}, 0, 0)
    rows = torch.cat([(here[a] & here[b]).nonzero().flatten() for a, b in ways])
    units = rows if groups is None else groups[rows]  # rows of a group are no independent draws
    found, items = [], []
    for one in (model, linear):
        emb = embed(one, source.test)
        found.append({f"{a} -> {b}": retrieve(emb, (a,), (b,)) for a, b in ways})
        items.append(np.array(by_group(np.concatenate([r.items["mAP"] for r in found[-1].values()]), units)))
    return Reached(found[0], found[1], max(r.pool for r in found[0].values()), told_apart(paired_difference(*items)))
