"""The gradient of an objective for one batch: plain, or cached with the memory of one chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.train._gather import gather
from tuplet.types import Batch, Embeddings, InputError, Loss


def plain_step(
    model: Callable[[Batch], Embeddings],
    objective: Callable[[Embeddings], Loss],
    batch: Batch,
) -> Loss:
    """Embed the batch, gather, evaluate the objective and accumulate gradients."""
    loss = _evaluated(objective, model(batch))
    loss.total.backward()  # type: ignore[no-untyped-call]
    return loss


def cached_step(
    model: Callable[[Batch], Embeddings],
    objective: Callable[[Embeddings], Loss],
    batch: Batch,
    *,
    chunk: int,
) -> Loss:
    """Do what `plain_step` does with the activations of one chunk in memory at a time."""
    starts = range(0, len(batch), chunk)
    pieces = [batch.map(partial(_rows, start=i, stop=i + chunk)) for i in starts]
    states, embedded = [], []
    for piece in pieces:
        states.append(random_state())
        with torch.no_grad():
            embedded.append(model(piece))
    whole = {
        (kind, k): torch.cat([getattr(e, kind)[k] for e in embedded])
        for kind in ("z", "h", "aux")
        for k in getattr(embedded[0], kind)
    }
    leaves = {key: value.requires_grad_() for key, value in whole.items() if value.is_floating_point()}
    emb = replace(
        embedded[0],
        aux={k: v for (kind, k), v in whole.items() if kind == "aux"},
        z={k: v for (kind, k), v in leaves.items() if kind == "z"},
        h={k: v for (kind, k), v in leaves.items() if kind == "h"},
        present=batch.present,
        index=batch.index,
        group=batch.group,
        target=batch.target,
        rows=slice(0, len(batch)),
    )
    loss = _evaluated(objective, emb)
    loss.total.backward()  # type: ignore[no-untyped-call]
    after = random_state()
    for i, (piece, state) in enumerate(zip(pieces, states, strict=True)):
        set_random_state(state)
        again = model(piece)
        rows = slice(i * chunk, i * chunk + len(piece))
        surrogate = [
            (getattr(again, kind)[k] * leaf.grad[rows]).sum()
            for (kind, k), leaf in leaves.items()
            if leaf.grad is not None
        ]
        torch.stack(surrogate).sum().backward()  # type: ignore[no-untyped-call]
    set_random_state(after)
    return loss


def _evaluated(objective: Callable[[Embeddings], Loss], emb: Embeddings) -> Loss:
    loss: object = objective(gather(emb))
    if not isinstance(loss, Loss):
        raise InputError(f"objective returned {type(loss).__name__}, expected tuplet.Loss(total, terms)")
    if not loss.total.requires_grad:
        raise InputError("objective returned a total without gradient; compute it from emb.z or emb.h undetached")
    return loss


def _rows(value: Tensor, *, start: int, stop: int) -> Tensor:
    return value[start:stop]


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
