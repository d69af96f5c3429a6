"""What the methods share: a model of three towers, and which of their weights are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from torch import nn

from tuplet.model import AlignmentModel
from tuplet.nets import BridgingAdapter, Tower, TowerEncoder
from tuplet.nets.towers import ClipTower
from tuplet.types import InputError

NAMES = ("text", "touch", "vision")


def checked(towers: Mapping[str, Tower]) -> dict[str, Tower]:
    """Refuse anything but one tower each for text, touch and vision."""
    if set(towers) != set(NAMES):
        raise InputError(f"towers has {sorted(towers)}, expected {list(NAMES)}; clip(folder, part) makes each")
    if len({id(t) for t in towers.values()}) < len(NAMES):
        raise InputError("two of the towers are the same object; make a copy for touch, clip(folder, part='vision') again")
    return dict(towers)


def aligned(
    towers: Mapping[str, Tower],
    *,
    bridge: BridgingAdapter | None = None,
    modulator: nn.Module | None = None,
    blocks: Literal["own", "last"] = "own",
) -> AlignmentModel:
    """Build the model of three frozen towers, whose projections are frozen, too."""
    encoders = {
        k: TowerEncoder(t, k, bridge=bridge, modulator=modulator if k == "touch" else None, blocks=blocks)
        for k, t in towers.items()
    }
    for t in towers.values():
        t.projection.requires_grad_(False)
    return AlignmentModel(encoders, {k: t.projection for k, t in towers.items()}, {} if bridge is None else {"bridge": bridge})


def free(tower: Tower, *parts: str) -> None:
    """Train the parts of a tower whose names begin so."""
    module = cast(nn.Module, tower)
    found = {name: p for name, p in module.named_parameters() if name.startswith(tuple(f"body.{part}" for part in parts))}
    for part in parts:
        if not any(name.startswith(f"body.{part}") for name in found):
            raise InputError(f"the tower has no {part}; give a vision tower of CLIP, clip(folder)")
    for parameter in found.values():
        parameter.requires_grad_(True)


def with_lora(tower: Tower, *, rank: int, scale: int) -> None:
    """Add low-rank updates to a tower that `clip` made."""
    if not isinstance(tower, ClipTower):
        raise InputError(f"the tower is a {type(tower).__name__}, expected one that clip() makes for low-rank updates")
    tower.add_lora(rank=rank, scale=scale)
