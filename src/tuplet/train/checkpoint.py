"""One safetensors file per run: weights, optimiser, random state and where the run stands."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.io.files import write_atomic
from tuplet.objectives.schedule import Schedule
from tuplet.train.runtime import like, whole
from tuplet.train.step import random_state, set_random_state
from tuplet.types import InputError

NAME = "checkpoint.safetensors"
SCHEMA = 1


def save(
    path: Path,
    model: nn.Module,
    objective: Callable[..., Any],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    write: bool = True,
) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the file.
        model: its parameters and buffers are kept; sharded ones are collected, for which all processes must call this.
        objective: likewise, if it is a module; also the state of its ``generator``, if it has one.
        optimizer: its per-parameter tensors are kept.
        state: JSON values: where the run stands.
        write: False to help collecting only.

    Example:
        >>> import tempfile
        >>> net = nn.Linear(2, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, NAME)
        ...     save(path, net, len, torch.optim.Adam(net.parameters()), {"step": 3})
        ...     restore(path, net, len, torch.optim.Adam(net.parameters()))["step"]
        3
    """
    from safetensors.torch import save as serialise

    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    if isinstance(objective, nn.Module):
        tensors |= {f"objective.{k}": v for k, v in objective.state_dict().items()}
    for number, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": torch.as_tensor(v) for k, v in entry.items()}
    tensors |= {f"random.{k}": g.get_state() for k, g in generators(objective).items()}
    devices = dict(enumerate(random_state()))
    tensors |= {"random.torch" if i == 0 else f"random.cuda{i - 1}": v for i, v in devices.items()}
    tensors = {k: whole(v.detach()).cpu().contiguous() for k, v in tensors.items()}
    if not write:
        return
    metadata = {"tuplet": json.dumps({"schema": SCHEMA, "crc32": _crc32(tensors), **state})}
    write_atomic(path, serialise(tensors, metadata))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint without applying it.

    Args:
        path: the file.

    Returns:
        Its tensors and its state.

    Raises:
        InputError: if it is damaged, or written by a newer version.

    Example:
        >>> read(Path("nothing.safetensors"))
        Traceback (most recent call last):
        tuplet.types.InputError: nothing.safetensors cannot be read as a checkpoint (No such file or directory...
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
            state = json.loads(file.metadata()["tuplet"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}); remove it to train from the start"
        ) from None
    if state["schema"] > SCHEMA:
        raise InputError(f"{path} has schema {state['schema']}, this tuplet reads up to {SCHEMA}; upgrade tuplet")
    if "crc32" in state and state.pop("crc32") != _crc32(tensors):
        raise InputError(f"{path} cannot be read as a checkpoint (checksum differs); remove it to train from the start")
    return tensors, state


def restore(
    path: Path, model: nn.Module, objective: Callable[..., Any], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Put a checkpoint back in place.

    Args:
        path: the file.
        model: receives its weights.
        objective: receives its weights and random state, if it has any.
        optimizer: receives its tensors; None to load weights only, which leaves random states alone.

    Returns:
        The state that was saved with it.

    Raises:
        InputError: if the file is damaged or made by another model or objective.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     restore(Path(folder, NAME), nn.Linear(1, 1), len)
        Traceback (most recent call last):
        tuplet.types.InputError: ...
    """
    tensors, state = read(path)

    def part(name: str) -> dict[str, Tensor]:
        return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}

    try:
        shapes = model.state_dict()
        model.load_state_dict({k: like(v, shapes[k]) if k in shapes else v for k, v in part("model").items()})
        if isinstance(objective, nn.Module):
            objective.load_state_dict(part("objective"))
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise InputError(
            f"{path} was made by another model or objective: {what[:200]}; use another out folder"
        ) from None
    if optimizer is not None:
        entries: dict[int, dict[str, Tensor]] = {}
        owners = [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in part("optimizer").items():
            number, key = name.split(".", 1)
            owner = owners[int(number)]
            entries.setdefault(int(number), {})[key] = like(value, owner) if value.shape == owner.shape else value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
        random = part("random")
        devices = [random.pop(k) for k in ("torch", *sorted(k for k in random if k.startswith("cuda")))]
        set_random_state(devices if torch.cuda.device_count() == len(devices) - 1 else devices[:1])
        owned = generators(objective)
        for name, value in random.items():
            owned[name].set_state(value)
    return state


def generators(objective: Callable[..., Any]) -> dict[str, torch.Generator]:
    """Find the random generators that an objective owns.

    Args:
        objective: any callable; modules are searched for an attribute ``generator``.

    Returns:
        Path within the objective -> generator.

    Example:
        >>> generators(len)
        {}
    """
    modules = objective.named_modules() if isinstance(objective, nn.Module) else [("", objective)]
    found = {name or "own": getattr(module, "generator", None) for name, module in modules}
    return {name: g for name, g in found.items() if isinstance(g, torch.Generator)}


def describe(objective: Callable[..., Any]) -> str:
    """Name an objective and its settings, so that a resumed run can tell whether it is the same.

    Args:
        objective: a module or any other callable.

    Returns:
        Class and plain attributes of a module and all its parts; the name of a function.

    Example:
        >>> from tuplet.objectives import Gram
        >>> describe(Gram(tau=0.1)) == describe(Gram(tau=0.1)) != describe(Gram(tau=0.2))
        True
    """
    if not isinstance(objective, nn.Module):
        return str(getattr(objective, "__qualname__", type(objective).__qualname__))
    parts = []
    for name, module in objective.named_modules():
        plain = {
            k: v for k, v in sorted(vars(module).items()) if k != "training" and _is_plain(v) and not k.startswith("_")
        }
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
