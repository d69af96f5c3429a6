"""Hand-written derivatives are first ones only, and say so."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from tuplet.types import InputError


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to be differentiated again, where torch would take what the forward pass saved for constants."""

    @wraps(backward)
    def checked(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise InputError("create_graph is True, but this loss has first derivatives only; leave it False")
        return backward(ctx, *grads)

    return checked
