"""`fit`: a training loop that reads in a few minutes, resumes exactly and loses nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuplet.data import Rows, batches
from tuplet.io.files import locked, write_atomic
from tuplet.model import AlignmentModel
from tuplet.objectives.compose import Objective
from tuplet.train import checkpoint
from tuplet.train.config import TrainConfig
from tuplet.train.frozen import mixes_rows, train_unfrozen
from tuplet.train.monitor import monitor, warn_if_unbalanced
from tuplet.train.needs import Embedder, View
from tuplet.train.progress import Progress
from tuplet.train.runtime import Runtime
from tuplet.train.step import cached_step, plain_step, random_state, set_random_state
from tuplet.types import Batch, Embeddings, InputError, Loss


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        model: the trained model.
        objective: the objective, with its own parameters trained if it has any.
        history: one dict per epoch: epoch, step, lr, loss, every term, val (validation loss), seconds, and what
            `tuplet.train.monitor.monitor` sees in the last batch: ``space/..``, ``force/..``, ``together/..``, ``weight/..``.
        steps: optimiser steps in all.
        seconds: wall time of this call (a resumed run counts from where it resumed).
        out: folder of the log and the checkpoint, if any.
    """

    model: AlignmentModel
    objective: Callable[[Embeddings], Loss]
    history: list[dict[str, float]]
    steps: int
    seconds: float
    out: Path | None


def fit(
    model: AlignmentModel,
    objective: Callable[[Embeddings], Loss],
    *,
    train: Rows,
    val: Rows | None = None,
    config: TrainConfig | None = None,
    augment: View | None = None,
) -> Run:
    """Train a model, and the objective's own parameters, on paired rows.

    Args:
        model: changed in place.
        objective: any function from `Embeddings` to `Loss`.
        train: rows to train on, as in ``source.train``.
        val: rows whose loss is logged after each epoch.
        config: see `TrainConfig`; defaults when left out.
        augment: makes one random view of a batch, for objectives that need views (`CoMM`); `tuplet.nets.Augment` when left
            out.

    Returns:
        The `Run`.

    Raises:
        InputError: for fewer than two training rows, a loss that is not finite (naming step and term), or a run folder
            that holds a run with other settings or is damaged.

    Notes:
        With ``config.out`` the log (``train.jsonl``) and one checkpoint are kept there, and calling again continues from
        it: killed at any moment, a resumed run on one CPU thread ends with the same bits as an uninterrupted one.

    Example:
        >>> from tuplet.data import from_arrays
        >>> from tuplet.objectives import Pairwise
        >>> x = torch.randn(40, 3).numpy()
        >>> source = from_arrays({"a": x, "b": x[:, ::-1].copy()})
        >>> model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
        >>> fit(model, Pairwise(), train=source.train, config=TrainConfig(epochs=2, batch_size=8)).steps
        6
    """
    config = config or TrainConfig()
    if len(train) < 2:
        raise InputError(f"train has {len(train)} row, expected 2 or more; nothing to contrast it with")
    if config.out and config.out.exists() and not config.out.is_dir():
        raise InputError(f"out is {config.out}, which is a file; expected a folder that exists or can be made")
    if not any(p.requires_grad for x in (model, objective) if isinstance(x, nn.Module) for p in x.parameters()):
        raise InputError("model has no parameter that requires a gradient, nothing would train; unfreeze a module")
    train_unfrozen(model)
    if config.step == "cached" and any(mixes_rows(m) for m in model.modules()):
        raise InputError("step is 'cached', but the model has BatchNorm, which sees one chunk only; use norm='group'")
    began = time.perf_counter()
    runtime = Runtime(config)
    batch_size = min(config.batch_size, len(train)) // runtime.world
    if batch_size < 1 or (batch_size * runtime.world) < 2:
        raise InputError(f"batch_size is {config.batch_size} for {runtime.world} devices, expected 2 rows or more")
    per_epoch = len(train) // (batch_size * runtime.world)
    total = per_epoch * config.epochs
    runtime.place(model, objective)
    optimizer = _optimizer(model, objective, config, apart=runtime.sharded)
    embed = Embedder(model, objective, augment)
    torch.manual_seed(config.seed)

    file = config.out / checkpoint.NAME if config.out else None
    data = str(getattr(train, "fingerprint", ""))
    run = {"objective": checkpoint.describe(objective), "data": data, "rows": len(train), "steps": total}
    identity = {"config": _plain(config.fixed()), **run}
    warned = False
    step, history, sums = 0, list[dict[str, float]](), dict[str, float]()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    with ExitStack() as held:
        held.enter_context(locked(config.out if runtime.rank == 0 else None))
        runtime.barrier()  # from here on nobody else changes the folder
        if file and file.exists():
            state = _resume(file, model, objective, optimizer, identity)
            step, history, sums = state["step"], state["history"], state["sums"]
        runtime.barrier()  # nobody may replace the checkpoint before all have read it
        _advance(objective, step / total)
        advance = held.enter_context(Progress(config.progress and runtime.rank == 0, total, step))
        if config.out and runtime.rank == 0:
            _write_log(config.out, history)
        for epoch in range(step // per_epoch, config.epochs):
            start = time.perf_counter()
            done = step - epoch * per_epoch
            whole = batches(train, batch_size=batch_size * runtime.world, seed=config.seed, epoch=epoch)
            for number, batch in enumerate(whole):
                if number < done:
                    continue
                lr = learning_rate(step, total, config)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                with runtime.autocast():
                    loss = _step(embed, objective, _own(batch, runtime), config)
                _add(sums, loss, step)
                runtime.average(parameters)
                norm = runtime.clip(parameters, config.clip)
                if not math.isfinite(norm):
                    raise InputError(
                        f"the gradient has norm {norm} at step {step} though the loss is finite; lower lr or raise tau. "
                        f"The last checkpoint is kept"
                    )
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
                _advance(objective, step / total)
                last = step == (epoch + 1) * per_epoch
                advance(loss)
                if last:
                    means = {k: runtime.mean(v / per_epoch) for k, v in sums.items()}
                    entry = {"epoch": epoch + 1, "step": step, "lr": lr, **means}
                    if val is not None:
                        with runtime.autocast():
                            entry["val"] = validation_loss(
                                model,
                                objective,
                                val,
                                batch_size=batch_size * runtime.world,
                                device=runtime.device,
                                augment=augment,
                            )
                    seen = monitor(embed, objective, _own(batch, runtime))
                    warned = warned or (runtime.rank == 0 and warn_if_unbalanced(seen))
                    history.append(entry | seen | {"seconds": time.perf_counter() - start})
                    sums = {}
                due = last if config.checkpoint_every is None else step % config.checkpoint_every == 0 or step == total
                if file and due:
                    shared = {k: runtime.mean(v) for k, v in sums.items()}
                    state = {**identity, "step": step, "history": history, "sums": shared}
                    if runtime.rank == 0 or runtime.sharded:
                        checkpoint.save(file, model, objective, optimizer, state, write=runtime.rank == 0)
                if last and config.out and runtime.rank == 0:
                    _write_log(config.out, history)
    model.eval()
    return Run(model, objective, history, total, time.perf_counter() - began, config.out)


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Compute the learning rate of a step: linear warm-up from 0, then half a cosine down to 0.

    Args:
        step: from 0.
        total: number of steps of the run.
        config: ``lr`` and ``warmup``.

    Returns:
        The learning rate; a pure function, so resuming needs no scheduler state.

    Example:
        >>> c = TrainConfig(lr=1.0, warmup=0.5)
        >>> [round(learning_rate(i, 4, c), 2) for i in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    rising = round(config.warmup * total)
    if step < rising:
        return config.lr * (step + 1) / rising
    return config.lr * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1))) / 2


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


def _advance(objective: Callable[..., Any], progress: float) -> None:
    """Tell scheduled weights how much of the run is done."""
    if isinstance(objective, Objective):
        objective.advance(progress)


def _step(embed: Embedder, objective: Callable[[Embeddings], Loss], batch: Batch, config: TrainConfig) -> Loss:
    if config.step == "cached":
        return cached_step(embed, objective, batch, chunk=config.chunk)
    return plain_step(embed, objective, batch)


def _optimizer(
    model: nn.Module, objective: Callable[..., Any], config: TrainConfig, *, apart: bool = False
) -> torch.optim.Optimizer:
    """Build the optimiser; with ``apart``, sharded and whole parameters do not share a group."""
    modules = [model, objective] if isinstance(objective, nn.Module) else [model]
    found = [[p for p in m.parameters() if p.requires_grad] for m in modules]
    groups = []
    for parameters in found if apart else [[p for some in found for p in some]]:
        # biases, norms and temperatures have nothing to decay to
        groups += [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
    if config.optimizer == "adam":
        return torch.optim.Adam([{**group, "weight_decay": 0.0} for group in groups], lr=config.lr, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def _resume(
    file: Path,
    model: nn.Module,
    objective: Callable[..., Any],
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Restore a checkpoint of the same run, or say what differs."""
    saved = checkpoint.read(file)[1]
    own = ("objective", "data", "rows")
    here, there = ({**run["config"], **{k: run.get(k) for k in own}} for run in (identity, saved))
    for k in sorted(here.keys() | there.keys()):
        if here.get(k) != there.get(k):
            raise InputError(
                f"{file.parent} holds a run with {k} = {there.get(k)}, this one has {k} = {here.get(k)}; use another out "
                f"folder, or the same settings to resume"
            )
    return checkpoint.restore(file, model, objective, optimizer)


def _add(sums: dict[str, float], loss: Loss, step: int) -> None:
    total = float(loss.total.detach())
    if not math.isfinite(total):
        bad = [k for k, v in loss.terms.items() if not bool(torch.isfinite(v))]
        raise InputError(
            f"the loss is {total} at step {step} (terms: {', '.join(bad)}); lower lr or raise tau. The last checkpoint is kept"
        )
    sums["loss"] = sums.get("loss", 0.0) + total
    for k, v in loss.terms.items():
        sums[k] = sums.get(k, 0.0) + float(v)


def _own(batch: Batch, runtime: Runtime) -> Batch:
    """Return this process's share of a batch, on its device."""
    share = len(batch) // runtime.world
    rows = slice(runtime.rank * share, (runtime.rank + 1) * share)
    return batch.map(lambda value: value[rows].to(runtime.device, non_blocking=True))


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return loaded


def _write_log(out: Path, history: list[dict[str, float]]) -> None:
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    write_atomic(out / "train.jsonl", lines.encode())
