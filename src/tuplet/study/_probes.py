"""What a task measures unless it says otherwise: MLP encoders, probes of every subset, retrieval by leaving one out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuplet.data import Source
from tuplet.evaluate import Result, evaluate, evaluate_inputs
from tuplet.model import AlignmentModel
from tuplet.types import Embeddings, InputError, Loss

if TYPE_CHECKING:
    from tuplet.study.suite import Budget, Task


FEW = 6
"""Modalities up to which every subset is probed; beyond, single ones and all together."""


@dataclass(frozen=True)
class Probes:
    """The default of `tuplet.study.suite.Task.protocol`."""

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make an MLP encoder and a projection per modality."""
        shapes = {k: m.shape for k, m in source.modalities.items()}
        return AlignmentModel.mlp(shapes, dim=budget.dim, hidden=budget.hidden)

    def measure(
        self,
        model: AlignmentModel,
        objective: Callable[[Embeddings], Loss] | None,
        source: Source,
        task: Task,
        seed: int,
    ) -> list[Result]:
        """Measure probes, subsets, retrieval and the space, as `evaluate` does; probes draw nothing from the seed."""
        which = None if len(task.modalities) <= FEW else _singles_and_all(task.modalities)
        return evaluate(model, objective, source, target=task.target or None, which=which)

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure the inputs themselves; the only row without an aligned model that probes know."""
        if kind != "inputs":
            raise InputError(
                f"kind is {kind!r}, expected 'inputs'; late fusion and single modalities need `Downstream`"
            )
        which = None if len(task.modalities) <= FEW else _singles_and_all(task.modalities)
        return evaluate_inputs(source, target=task.target or None, which=which)


@dataclass(frozen=True)
class ByKind(Probes):
    """The same with encoders chosen by what the rows of each modality are."""

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make the encoders that suit the source."""
        return AlignmentModel.for_source(source, dim=budget.dim)


def _singles_and_all(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [*((k,) for k in sorted(names)), tuple(sorted(names))]
