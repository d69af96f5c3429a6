"""The gradient of an objective for one batch: plain, or cached with the memory of one chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter

import torch

from tuplet.train._gather import gather
from tuplet.train._undo import random_state, set_random_state
from tuplet.types import Batch, Embeddings, InputError, Loss


def plain_step(model: Callable[[Batch], Embeddings], objective: Callable[[Embeddings], Loss], batch: Batch) -> Loss:
    """Embed the batch, gather, evaluate the objective and accumulate gradients."""
    return _differentiated(objective, model(batch))


def cached_step(
    model: Callable[[Batch], Embeddings], objective: Callable[[Embeddings], Loss], batch: Batch, *, chunk: int
) -> Loss:
    """Do what `plain_step` does with the activations of one chunk in memory at a time."""
    starts = range(0, len(batch), chunk)
    pieces = [batch.map(itemgetter(slice(i, i + chunk))) for i in starts]
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
    loss = _differentiated(objective, emb)
    after = random_state()
    for i, (piece, state) in enumerate(zip(pieces, states, strict=True)):
        set_random_state(state)
        again = model(piece)
        rows = slice(i * chunk, i * chunk + len(piece))
        surrogate = [
            (getattr(again, kind)[k] * leaf.grad[rows]).sum() for (kind, k), leaf in leaves.items() if leaf.grad is not None
        ]
        torch.stack(surrogate).sum().backward()  # type: ignore[no-untyped-call]
    set_random_state(after)
    return loss


def _differentiated(objective: Callable[[Embeddings], Loss], emb: Embeddings) -> Loss:
    loss: object = objective(gather(emb))
    if not isinstance(loss, Loss):
        raise InputError(f"objective returned {type(loss).__name__}, expected tuplet.Loss(total, terms)")
    if not loss.total.requires_grad:
        raise InputError("objective returned a total without gradient; compute it from emb.z or emb.h undetached")
    loss.total.backward()  # type: ignore[no-untyped-call]
    return loss
