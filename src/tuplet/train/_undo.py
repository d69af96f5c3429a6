"""Random states and whatever else looking at a model may change, and how to put them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def random_state() -> list[Tensor]:
    """Read the random state of the CPU and of every CUDA device in use."""
    initialized = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = torch.cuda.get_rng_state_all() if initialized else []
    return [torch.get_rng_state(), *devices]


def set_random_state(state: list[Tensor]) -> None:
    """Restore what `random_state` read."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(state[1:])


def generators(objective: Callable[..., Any]) -> dict[str, torch.Generator]:
    """Find the random generators that an objective owns."""
    modules = objective.named_modules() if isinstance(objective, nn.Module) else [("", objective)]
    found = {name or "own": getattr(module, "generator", None) for name, module in modules}
    return {name: g for name, g in found.items() if isinstance(g, torch.Generator)}


class Undo:
    """What looking at a model, or half a step, may change: random states, running statistics and training modes."""

    def __init__(self, model: object, objective: Callable[..., Any]) -> None:
        modules = [m for m in (model, objective) if isinstance(m, nn.Module)]
        self.random = random_state()
        self.generators = [(g, g.get_state()) for g in generators(objective).values()]
        self.buffers = [(b, b.detach().clone()) for m in modules for b in m.buffers()]
        self.modes = [(m, m.training) for m in (model.modules() if isinstance(model, nn.Module) else ())]

    def __call__(self) -> None:
        """Put everything back."""
        set_random_state(self.random)
        for generator, state in self.generators:
            generator.set_state(state)
        with torch.no_grad():
            for buffer, value in self.buffers:
                buffer.copy_(value)
        for module, mode in self.modes:
            module.training = mode
