"""The loss on rows that are not trained on, and which epoch it chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tuplet.data import Rows, batches
from tuplet.model import AlignmentModel
from tuplet.objectives.compose import Objective
from tuplet.train import checkpoint
from tuplet.train.needs import Embedder, View
from tuplet.train.step import random_state, set_random_state
from tuplet.types import Embeddings, Loss


@torch.no_grad()
def validation_loss(
    model: AlignmentModel,
    objective: Callable[[Embeddings], Loss],
    rows: Rows,
    *,
    batch_size: int,
    device: torch.device | None = None,
    augment: View | None = None,
) -> float:
    """Average the objective over batches of rows it is not trained on, in a fixed order.

    Args:
        model: put into evaluation mode meanwhile.
        objective: any function from `Embeddings` to `Loss`.
        rows: the validation rows; an incomplete last batch is left out, as its loss would not be comparable.
        batch_size: rows per batch; clipped to the number of rows.
        device: where the model is.
        augment: as in `fit`.

    Returns:
        The mean loss. Random states are left as they were.

    Example:
        >>> from tuplet.data import from_arrays
        >>> from tuplet.objectives import Pairwise
        >>> x = torch.randn(40, 3).numpy()
        >>> rows = from_arrays({"a": x, "b": x}).val
        >>> validation_loss(AlignmentModel.mlp({"a": (3,), "b": (3,)}), Pairwise(), rows, batch_size=4) > 0
        True
    """
    modes = {m: m.training for m in model.modules()}
    random = random_state()
    own = {name: g.get_state() for name, g in checkpoint.generators(objective).items()}
    size, embed = min(batch_size, len(rows)), Embedder(model, objective, augment)
    held = (batch.map(lambda value: value.to(device)) for batch in batches(rows, batch_size=size, seed=0, epoch=0))
    try:
        model.eval()
        torch.manual_seed(0)  # random views and negatives are the same each time
        losses = [float(objective(embed(batch)).total) for batch in held]
    finally:
        set_random_state(random)
        for name, generator in checkpoint.generators(objective).items():
            generator.set_state(own[name])
        for module, mode in modes.items():
            module.training = mode
    return sum(losses) / len(losses)


def advance(objective: Callable[..., Any], progress: float) -> None:
    """Tell scheduled weights how much of the run is done.

    Args:
        objective: any callable.
        progress: a share in [0, 1].

    Example:
        >>> advance(len, 0.5)
    """
    if isinstance(objective, Objective):
        objective.advance(progress)


def lacks_pairs(rows: Rows | None) -> str:
    """Say why a loss on these rows would compare nothing.

    Args:
        rows: the validation rows, if there are any.

    Returns:
        What they lack; empty if at least two rows have two modalities or more.

    Example:
        >>> lacks_pairs(None)
        'no validation rows'
    """
    if rows is None or not len(rows):
        return "no validation rows"
    paired = 0
    for start in range(0, len(rows), 256):
        present = rows[slice(start, min(start + 256, len(rows)))].present
        paired += int((torch.stack(list(present.values())).sum(dim=0) > 1).sum())
        if paired > 1:
            return ""
    return f"{paired} of {len(rows)} validation rows with two modalities"


def best_epoch(history: Sequence[dict[str, float]]) -> int | None:
    """Find the epoch with the lowest validation loss.

    Args:
        history: of a run, one entry per epoch.

    Returns:
        Its number, from 1; the first of equals; None where no validation loss is finite.

    Example:
        >>> best_epoch([{"val": 2.0}, {"val": math.nan}, {"val": 1.0}, {"val": 1.0}])
        3
    """
    losses = [entry.get("val", math.nan) for entry in history]
    finite = [v for v in losses if math.isfinite(v)]
    return losses.index(min(finite)) + 1 if finite else None


def exhausted(history: Sequence[dict[str, float]], patience: int | None) -> bool:
    """Tell whether the validation loss has not improved for so many epochs that training stops.

    Args:
        history: of a run, one entry per epoch.
        patience: epochs without improvement; None for never.

    Returns:
        Whether it stops.

    Example:
        >>> exhausted([{"val": 1.0}, {"val": 2.0}], 1), exhausted([{"val": 2.0}, {"val": 1.0}], 1)
        (True, False)
    """
    return patience is not None and len(history) - (best_epoch(history) or 0) >= patience
