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
    from tuplet.bench.suite import Budget, Task


@dataclass(frozen=True)
class Probes:
    """The default of `tuplet.bench.suite.Task.protocol`.

    Example:
        >>> from tuplet.bench.suite import Budget
        >>> from tuplet.data import SOURCES
        >>> len(Probes().build(SOURCES["digits"](), Budget()).encoders)
        6
    """

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
        return evaluate(model, objective, source, target=task.target)

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure the inputs themselves; the only row without an aligned model that probes know."""
        if kind != "inputs":
            raise InputError(
                f"kind is {kind!r}, expected 'inputs'; late fusion and single modalities need `Downstream`"
            )
        return evaluate_inputs(source, target=task.target)
