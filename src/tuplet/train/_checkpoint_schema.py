"""What a checkpoint must hold."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tuplet.errors import InputError
from tuplet.io import AnyOf, Between
from tuplet.train._runtime import like

SCHEMA = 1
_SEEN = AnyOf(None, float)
STATE = {
    "schema": Between(int, 1, SCHEMA),
    "crc32": Between(int, 0, 2**32 - 1),
    "config": {...: object},
    "objective": str,
    "data": str,
    "rows": Between(int, 0),
    "steps": Between(int, 0),
    "rows_per_step?": Between(int, 2),
    "step": Between(int, 0),
    "history": [{"epoch": Between(int, 1), "step": Between(int, 1), "lr": float, "loss": float, ...: _SEEN}],
    "sums": {...: float},
}
"""What a checkpoint says of its run; null in the history is a number that is not defined."""
ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam and AdamW keep of each parameter."""
FIX = "remove it to train from the start"


def entries(path: Path, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Return what an Adam knows of each parameter, or refuse what it cannot have known."""
    owners = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = {str(i): i for i in range(len(owners))}
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        if number not in numbers or key not in ADAM:
            raise InputError(f"{path} has the unknown optimizer entry {name[:60]!r}; {FIX}")
        owner = owners[numbers[number]]
        shape = () if key == "step" else tuple(owner.shape)
        if tuple(value.shape) != shape or not value.is_floating_point():
            raise InputError(
                f"{path} has {value.dtype} {tuple(value.shape)} as optimizer entry {name!r}, expected {shape}; {FIX}"
            )
        found.setdefault(numbers[number], {})[key] = value if key == "step" else like(value, owner)
    for i, entry in found.items():
        if missing := sorted(set(ADAM) - set(entry)):
            raise InputError(f"{path} lacks the optimizer entry '{i}.{missing[0]}'; {FIX}")
    return found
