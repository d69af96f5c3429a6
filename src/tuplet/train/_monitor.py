"""What `fit` logs once per epoch about the space that is taking shape and the forces that shape it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from tuplet.diagnose.panels import forces, panel
from tuplet.objectives.compose import Objective
from tuplet.train._gather import gather
from tuplet.train._needs import Embedder
from tuplet.train._undo import Undo
from tuplet.types import Batch, Embeddings

UNBALANCED = 50.0
"""Ratio of two terms' gradient norms from which on one of them hardly matters."""


def monitor(embed: Embedder, objective: Callable[[Embeddings], Any], batch: Batch) -> dict[str, float]:
    """Look at the space and the loss on one batch, leaving random states as they were."""
    undo = Undo(embed.model, objective)
    try:
        if isinstance(embed.model, torch.nn.Module):
            embed.model.eval()  # as the space will be used
        with torch.no_grad():
            emb = gather(embed(batch))
        emb = replace(emb, rows=slice(0, len(emb)))
        # on the CPU: one wait instead of many, and float64, which not every device has
        z, present = ({k: v.cpu() for k, v in side.items()} for side in (emb.z, emb.present))
        here = replace(emb, z=z, h=z, present=present, group=None if emb.group is None else emb.group.cpu())
        found = {f"space/{k}": v for k, v in panel(here).items()}
        if isinstance(objective, Objective) and len(emb) > 1:
            leaves = {k: v.detach().clone().requires_grad_() for k, v in emb.z.items()}
            views = {k: v.detach().clone().requires_grad_() for k, v in emb.aux.items() if k.startswith("view")}
            with torch.enable_grad():
                terms = objective.split(replace(emb, z=leaves, aux=emb.aux | views))
                if len(terms) > 1:
                    norms, cosines = forces(terms, leaves | views)
                    found |= {f"force/{k}": v for k, v in norms.items()}
                    found |= {f"together/{k}": v for k, v in cosines.items()}
    finally:
        undo()
    for part in objective.modules() if isinstance(objective, torch.nn.Module) else ():
        logged = getattr(part, "logged", None)
        if callable(logged):
            found |= logged()
    return found


def warn_if_unbalanced(entry: Mapping[str, float | int]) -> bool:
    """Warn when one term of a loss pulls 50 times as hard as another."""
    norms = {k.removeprefix("force/"): v for k, v in entry.items() if k.startswith("force/") and v > 0}
    if not norms:
        return False
    low, high = min(norms, key=norms.__getitem__), max(norms, key=norms.__getitem__)
    if norms[high] < UNBALANCED * norms[low]:
        return False
    warnings.warn(
        f"the gradient of {high} is {norms[high] / norms[low]:.0f} times that of {low} at the embeddings; {low} will hardly "
        f"matter unless its weight is raised",
        stacklevel=2,
    )
    return True
