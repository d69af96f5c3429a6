"""The loss on rows that are not trained on, and which epoch it chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from tuplet.data import Rows, batches
from tuplet.model import AlignmentModel
from tuplet.objectives.compose import Objective
from tuplet.train._needs import Embedder, View
from tuplet.train._undo import Undo
from tuplet.types import Batch, Embeddings, Loss, evaluating


@torch.no_grad()
def validation_loss(
    model: AlignmentModel,
    objective: Callable[[Embeddings], Loss],
    rows: Rows,
    *,
    batch_size: int,
    device: torch.device | None = None,
    augment: View | None = None,
    held: Iterable[Batch] | None = None,
) -> float:
    """Average the objective over batches of rows it is not trained on, in a fixed order; or over those that were read."""
    undo = Undo(model, objective)
    size, embed = min(batch_size, len(rows)), Embedder(model, objective, augment)
    held = batches(rows, batch_size=size, seed=0, epoch=0) if held is None else held
    try:
        torch.manual_seed(0)  # random views and negatives are the same each time
        with evaluating(model):
            losses = [objective(embed(b.map(lambda value: value.to(device)))).total for b in held]
    finally:
        undo()
    return sum(map(float, losses)) / len(losses)


def advance(objective: Callable[..., Any], progress: float) -> None:
    """Tell scheduled weights how much of the run is done."""
    if isinstance(objective, Objective):
        objective.advance(progress)


def lacks_pairs(rows: Rows | None) -> str:
    """Say why a loss on these rows would compare nothing."""
    if rows is None or not len(rows):
        return "no validation rows"
    paired = int((torch.stack(list(rows.present.values())).sum(dim=0) > 1).sum())
    return "" if paired > 1 else f"{paired} of {len(rows)} validation rows with two modalities"


def best_epoch(history: Sequence[Mapping[str, float | int]]) -> int | None:
    """Find the epoch with the lowest validation loss."""
    losses = [entry.get("val", math.nan) for entry in history]
    finite = [v for v in losses if math.isfinite(v)]
    return losses.index(min(finite)) + 1 if finite else None


def exhausted(history: Sequence[Mapping[str, float | int]], patience: int | None) -> bool:
    """Tell whether the validation loss has not improved for so many epochs that training stops."""
    return patience is not None and len(history) - (best_epoch(history) or 0) >= patience
