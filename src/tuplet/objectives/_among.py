"""An objective among some of the modalities, so that every pair can have a strength of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from tuplet.objectives.compose import Objective
from tuplet.types import Embeddings, InputError, Loss, Traits


class Among(Objective):
    r"""An objective that sees only the named modalities."""

    traits = Traits(modalities=(2, None), symmetric=False, rowwise=False)
    score = None

    def __init__(self, modalities: Sequence[str], objective: Callable[[Embeddings], Loss]) -> None:
        super().__init__()
        self.modalities = tuple(sorted(set(modalities)))
        self.objective = objective
        self.__name__ = "+".join(self.modalities)  # of its terms in a sum
        known = objective.traits if isinstance(objective, Objective) else Traits()
        self.traits = replace(self.traits, missing=known.missing, needs=known.needs, cost=known.cost)

    def advance(self, progress: float) -> None:
        """Pass on how much of the run is done."""
        if isinstance(self.objective, Objective):
            self.objective.advance(progress)

    def forward(self, emb: Embeddings) -> Loss:
        """Return the loss among the named modalities."""
        return self.objective(self._cut(emb))

    def split(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the terms among the named modalities."""
        inner, cut = self.objective, self._cut(emb)
        return inner.split(cut) if isinstance(inner, Objective) else {"total": inner(cut).total}

    terms = split

    def _cut(self, emb: Embeddings) -> Embeddings:
        if unknown := sorted(set(self.modalities) - set(emb.modalities)):
            raise InputError(f"modalities names {unknown}, which z does not have; z has {list(emb.modalities)}")
        z, h, present = ({k: side[k] for k in self.modalities} for side in (emb.z, emb.h, emb.present))
        return replace(emb, z=z, h=h, present=present)
