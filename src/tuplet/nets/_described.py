"""Networks as data: which class, made with which arguments; and made again from that, without running any foreign code."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tuplet.errors import InputError
from tuplet.nets.images import ResNet18, SmallCNN
from tuplet.nets.mlp import MLP, Projection, Residual
from tuplet.nets.sequence import LSTM, SequenceCNN

CLASSES: dict[str, type[nn.Module]] = {
    c.__name__: c for c in (MLP, Projection, SmallCNN, ResNet18, SequenceCNN, LSTM, nn.Identity, nn.Linear)
}
"""Class name -> class that a file may name."""
LARGEST = 2**22  # no argument of a network is larger
DEEPEST = 64  # nor does a network have more layers


def describe(module: nn.Module) -> dict[str, Any]:
    """Describe a network by its class and arguments."""
    module = plain(module)
    custom = {"class": "custom", "name": type(module).__qualname__}
    if type(module) is nn.Linear:
        sizes = {"in_features": module.in_features, "out_features": module.out_features}
        return {"class": "Linear", "arguments": sizes | {"bias": module.bias is not None}}
    if type(module) is nn.Identity:
        return {"class": "Identity", "arguments": {}}
    if type(module) is Residual:
        parts = {"main": describe(module.main), "branch": describe(module.branch)}
        known = all(p["class"] != "custom" for p in parts.values())
        return {"class": "Residual", **parts, "out_features": module.last.out_features} if known else custom
    arguments = getattr(module, "_arguments", None)
    if arguments is None or CLASSES.get(type(module).__name__) is not type(module):
        return custom
    again = build({"class": type(module).__name__, "arguments": arguments})
    shapes = {k: v.shape for k, v in again.state_dict().items()}
    if {k: v.shape for k, v in module.state_dict().items()} != shapes:  # somebody changed it by hand
        return custom
    return {"class": type(module).__name__, "arguments": dict(arguments)}


def build(description: Mapping[str, Any], *, depth: int = 0) -> nn.Module:
    """Make a network again, without memory for its weights (on PyTorch's meta device)."""
    name, arguments = description.get("class"), description.get("arguments", {})
    if name == "Residual":
        return _residual(description, depth)
    if not isinstance(name, str) or name not in CLASSES:
        raise InputError(f"class is {str(name)[:80]!r}, expected one of {', '.join(sorted(CLASSES))}")
    found = {} if name == "Identity" else inspect.signature(CLASSES[name]).parameters
    known = {k: p for k, p in found.items() if k not in ("device", "dtype")}
    required = {k for k, p in known.items() if p.default is p.empty}
    if not isinstance(arguments, Mapping) or not required <= set(arguments) <= set(known):
        raise InputError(f"arguments of {name} are {str(arguments)[:80]}, expected {', '.join(known)}")
    for key, value in arguments.items():
        bound = DEEPEST if key == "layers" else LARGEST
        if isinstance(value, float) or (isinstance(value, int) and not 0 <= value <= bound):
            raise InputError(f"{key} of {name} is {value}, expected a whole number up to {bound}")
        if value is not None and not isinstance(value, int | str):
            raise InputError(f"{key} of {name} is a {type(value).__name__}, expected a number or a word")
    try:
        with torch.device("meta"):
            made = CLASSES[name](**arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"arguments of {name} are {str(dict(arguments))[:80]}, which do not make one ({error})") from None
    if sum(math.prod(v.shape) for v in made.state_dict().values()) > 2**36:
        raise InputError(f"{name} with {str(dict(arguments))[:80]} has more than 2^36 numbers")
    return made


def _residual(description: Mapping[str, Any], depth: int) -> Residual:
    """Make a `Residual` of two networks that a file describes; residuals inside of residuals are none of ours."""
    parts, width = [description.get("main"), description.get("branch")], description.get("out_features")
    if depth or not all(isinstance(p, Mapping) for p in parts) or isinstance(width, bool) or not isinstance(width, int):
        raise InputError(f"Residual is {str(dict(description))[:80]}, expected main, branch and out_features")
    if not 0 < width <= LARGEST:
        raise InputError(f"out_features of Residual is {width}, expected a whole number up to {LARGEST}")
    main, branch = (build(p, depth=depth + 1) for p in parts if isinstance(p, Mapping))
    with torch.device("meta"):
        return Residual(main, branch, width)


def plain(module: nn.Module) -> nn.Module:
    """Return the module itself, where `torch.compile` was laid around it."""
    inner = getattr(module, "_orig_mod", None)
    return plain(inner) if isinstance(inner, nn.Module) else module
