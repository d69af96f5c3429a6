"""What `fit` logs once per epoch about the space that is taking shape and the forces that shape it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tuplet.diagnose.forces import forces
from tuplet.diagnose.panel import panel
from tuplet.objectives.compose import Objective
from tuplet.train.checkpoint import generators
from tuplet.train.gather import gather
from tuplet.train.needs import Embedder
from tuplet.train.step import random_state, set_random_state
from tuplet.types import Batch, Embeddings

UNBALANCED = 50.0
"""Ratio of two terms' gradient norms from which on one of them hardly matters."""


def monitor(embed: Embedder, objective: Callable[[Embeddings], Any], batch: Batch) -> dict[str, float]:
    """Look at the space and the loss on one batch, leaving random states as they were.

    Args:
        embed: the model.
        objective: any objective; the terms of an `Objective` that has several are measured apart.
        batch: this process's rows; all processes must call this.

    Returns:
        ``space/..`` as `panel` gives them, ``force/<term>`` (norm of its gradient at the embeddings), ``together/<a>|<b>``
        (cosine between two terms' gradients) and ``weight/<modality>`` where the objective learns weights.

    Notes:
        One forward pass of the model, and one backward pass of the loss alone per term.

    Example:
        >>> from tuplet.data import from_arrays
        >>> from tuplet.model import AlignmentModel
        >>> from tuplet.objectives import OneVsAll
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(20, 3))
        >>> rows, model = from_arrays({"a": x, "b": -x}).train, AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=8)
        >>> found = monitor(Embedder(model, OneVsAll()), OneVsAll(), rows[:])
        >>> [k for k in found if k.startswith("force")]
        ['force/sufficiency', 'force/minimality']
    """
    random, modes = random_state(), {m: m.training for m in _modules(embed.model)}
    own = {name: g.get_state() for name, g in generators(objective).items()}
    try:
        for module in modes:
            module.training = False  # as the space will be used, and running statistics stay as they are
        with torch.no_grad():
            emb = gather(embed(batch))
        emb = replace(emb, rows=slice(0, len(emb)))
        found = {f"space/{k}": v for k, v in panel(emb).items()}
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
        set_random_state(random)
        for module, mode in modes.items():
            module.training = mode
        for name, generator in generators(objective).items():
            generator.set_state(own[name])
    for part in objective.modules() if isinstance(objective, torch.nn.Module) else ():
        logged = getattr(part, "logged", None)
        if callable(logged):
            found |= logged()
    return found


def _modules(model: object) -> list[torch.nn.Module]:
    return list(model.modules()) if isinstance(model, torch.nn.Module) else []


def warn_if_unbalanced(entry: dict[str, float]) -> bool:
    """Warn when one term of a loss pulls 50 times as hard as another.

    Args:
        entry: what `monitor` returned.

    Returns:
        Whether it warned.

    Example:
        >>> warn_if_unbalanced({"force/a": 1.0, "force/b": 2.0})
        False
    """
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
