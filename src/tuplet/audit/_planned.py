"""What ``--align auto`` does: audit a recipe, then train every modality on its task and align the pairs that it helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from tuplet.audit.run import Audit, audit
from tuplet.objectives import Objective, Pairwise
from tuplet.objectives.supervised import UnimodalTask
from tuplet.train import Recipe, TrainConfig
from tuplet.train.strength import weighted
from tuplet.types import InputError

LONGEST = 1200
"""Steps of a pilot, if the recipe trains longer."""
Plan = list[tuple[str, str, float]]
"""Pairs to align, and how strongly."""


def audit_recipe(recipe: Recipe, out: Path, *, report: Callable[[int, int, str], None]) -> Audit:
    """Audit a recipe's source, with pilots as long as its training."""
    _has_target(recipe)
    own = recipe.config
    steps = min(own.epochs * max(len(recipe.source.train) // own.batch_size, 1), LONGEST)
    config = TrainConfig(batch_size=own.batch_size, lr=own.lr, weight_decay=own.weight_decay, warmup=own.warmup)
    return audit(recipe.source, target=recipe.target, steps=steps, config=config, out=out, report=report)


def aligned(recipe: Recipe, plan: Plan) -> Objective:
    """Make the objective of a plan: each modality's task, and InfoNCE between the pairs that it names."""
    _has_target(recipe)
    with torch.no_grad():
        emb = recipe.model.eval()(recipe.source.train[slice(0, 2)])
    recipe.model.train()
    widths = {k: h.shape[1] for k, h in emb.h.items()}
    task = UnimodalTask(widths, recipe.source.targets[recipe.target].size, target=recipe.target)
    return weighted(task, {(a, b): strength for a, b, strength in plan}, Pairwise(tau=0.07), tuple(widths))


def _has_target(recipe: Recipe) -> None:
    if recipe.target not in recipe.source.targets:
        raise InputError(
            f"--align auto asks about the recipe's target {recipe.target!r}, but {recipe.source.name} has "
            f"{sorted(recipe.source.targets)}; name one of them with Recipe(..., target=...)"
        )
