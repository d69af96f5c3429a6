"""One safetensors file per run: weights, optimiser, random state and where the run stands."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.io import parse_state, write_atomic
from tuplet.model import AlignmentModel
from tuplet.objectives.schedule import Schedule
from tuplet.train._checkpoint_schema import FIX, SCHEMA, STATE, entries
from tuplet.train._runtime import like, whole
from tuplet.train._undo import generators, random_state, set_random_state
from tuplet.types import InputError

NAME = "checkpoint.safetensors"


def save(
    path: Path,
    model: nn.Module,
    objective: Callable[..., Any],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    best: dict[str, Tensor] | None = None,
    write: bool = True,
) -> None:
    """Write a checkpoint atomically."""
    from safetensors.torch import save as serialise

    tensors = weights(model, objective) | {f"best.{k}": v for k, v in (best or {}).items()}
    for number, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": torch.as_tensor(v) for k, v in entry.items()}
    tensors |= {f"random.{k}": g.get_state() for k, g in generators(objective).items()}
    devices = dict(enumerate(random_state()))
    tensors |= {"random.torch" if i == 0 else f"random.cuda{i - 1}": v for i, v in devices.items()}
    tensors = separate(tensors)
    if not write:
        return
    metadata = {"tuplet": json.dumps({"schema": SCHEMA, "crc32": _crc32(tensors), **state})}
    write_atomic(path, serialise(tensors, metadata))


def weights(model: nn.Module, objective: Callable[..., Any]) -> dict[str, Tensor]:
    """Copy the parameters and buffers of a model but those of its base, and of an objective that is a module."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items() if k not in _based(model)}
    if isinstance(objective, nn.Module):
        tensors |= {f"objective.{k}": v for k, v in objective.state_dict().items()}
    return {k: v.detach().clone() for k, v in tensors.items()}


def put(tensors: dict[str, Tensor], model: nn.Module, objective: Callable[..., Any]) -> None:
    """Put back what `weights` copied."""
    shapes = model.state_dict()
    own = {k: shapes[k] for k in _based(model)} | part(tensors, "model")
    model.load_state_dict({k: like(v, shapes[k]) if k in shapes else v for k, v in own.items()})
    if isinstance(objective, nn.Module):
        objective.load_state_dict(part(tensors, "objective"))


def _based(model: nn.Module) -> frozenset[str]:
    """Return the keys of a model's state that the base of a tower holds."""
    return model.based if isinstance(model, AlignmentModel) else frozenset()


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Select the tensors under a name."""
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Collect tensors on the CPU, none of which shares memory with another: what a file can hold."""
    taken, apart = set[int](), dict[str, Tensor]()
    for k, v in tensors.items():
        value = whole(v.detach()).cpu().contiguous()
        apart[k] = value.clone() if value.untyped_storage().data_ptr() in taken else value
        taken.add(apart[k].untyped_storage().data_ptr())
    return apart


def check_same(here: dict[str, Any], saved: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run with other settings."""
    own = ("objective", "data", "rows", "steps", "rows_per_step")
    before = {"start": "random", "compile": False}  # of runs from before there was a choice
    now, then = ({**before, **run["config"], **{k: run.get(k) for k in own if k in run}} for run in (here, saved))
    then.setdefault("rows_per_step", now["rows_per_step"])
    for k in sorted(now.keys() | then.keys()):
        if now.get(k) != then.get(k):
            if k == "rows_per_step":
                raise InputError(
                    f"{folder} holds a run of {then[k]} rows a step, this one has {now[k]}, as its devices share batch_size "
                    f"otherwise; set devices so that both are the same, or use another out folder"
                )
            raise InputError(
                f"{folder} holds a run with {k} = {then.get(k)}, this one has {k} = {now.get(k)}; use another out folder, "
                f"the same settings to resume, or --fresh to start the folder anew"
            )


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint without applying it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
            text = (file.metadata() or {}).get("tuplet")
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}); {FIX}") from None
    if text is None:
        raise InputError(f"{path} cannot be read as a checkpoint (it does not say of which run); {FIX}")
    state = parse_state(text, STATE, where=f"{path} cannot be read as a checkpoint", fix=FIX)
    if state.pop("crc32") != _crc32(tensors):
        raise InputError(f"{path} cannot be read as a checkpoint (checksum differs); {FIX}")
    if state["step"] > state["steps"]:
        raise InputError(f"{path} is at step {state['step']} of {state['steps']}; {FIX}")
    return tensors, state


def restore(
    path: Path,
    model: nn.Module,
    objective: Callable[..., Any],
    optimizer: torch.optim.Optimizer | None = None,
    *,
    saved: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Put a checkpoint back in place."""
    tensors, state = read(path) if saved is None else saved
    try:
        put(tensors, model, objective)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise InputError(f"{path} was made by another model or objective: {what[:200]}; use another out folder") from None
    if optimizer is not None:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries(path, part(tensors, "optimizer"), optimizer)})
        random, owned = part(tensors, "random"), generators(objective)
        devices = [random.pop(k) for k in ("torch", *sorted(k for k in random if k.startswith("cuda"))) if k in random]
        if random.keys() != owned.keys() or not devices:
            raise InputError(f"{path} has the random states {sorted(random)}, expected torch and {sorted(owned)}; {FIX}")
        try:
            set_random_state(devices if torch.cuda.device_count() == len(devices) - 1 else devices[:1])
            for name, value in random.items():
                owned[name].set_state(value)
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{path} has a random state that is none ({str(error).splitlines()[0]}); {FIX}") from None
    return state


def describe(objective: Callable[..., Any]) -> str:
    """Name an objective and its settings, so that a resumed run can tell whether it is the same."""
    if not isinstance(objective, nn.Module):
        return str(getattr(objective, "__qualname__", type(objective).__qualname__))
    parts = []
    for name, module in objective.named_modules():
        plain = {k: v for k, v in sorted(vars(module).items()) if k != "training" and _is_plain(v) and not k.startswith("_")}
        parts.append(f"{name}{type(module).__name__}{plain}")
    return " ".join(parts)


def _is_plain(value: object) -> bool:
    """Return whether a value prints the same in every process, which functions and modules do not."""
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    if isinstance(value, dict):
        return all(_is_plain(k) and _is_plain(v) for k, v in value.items())
    return isinstance(value, bool | int | float | str | Schedule)


def _crc32(tensors: dict[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), total))
    return total
