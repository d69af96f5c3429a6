"""The optimiser, and its learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tuplet.train.config import TrainConfig


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Compute the learning rate of a step: linear warm-up from 0, then half a cosine down to 0."""
    rising = round(config.warmup * total)
    if step < rising:
        return config.lr * (step + 1) / rising
    return config.lr * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1))) / 2


def make_optimizer(
    model: nn.Module, objective: Callable[..., Any], config: TrainConfig, *, apart: bool = False
) -> torch.optim.Optimizer:
    """Build the optimiser of everything that is not frozen."""
    modules = [model, objective] if isinstance(objective, nn.Module) else [model]
    trained = [[p for p in m.parameters() if p.requires_grad] for m in modules]
    each = trained if apart else [[p for some in trained for p in some]]
    groups = [  # biases, norms and temperatures have nothing to decay to; apart, their order is the same: runs continue
        {"params": [p for p in parameters if (p.ndim > 1) == matrix], "weight_decay": config.weight_decay if matrix else 0.0}
        for matrix in (True, False)
        for parameters in each
    ]
    settings: dict[str, Any] = {"lr": config.lr, "betas": config.betas, "eps": config.eps, "fused": True}
    if config.optimizer == "adam":
        return torch.optim.Adam([{**group, "weight_decay": 0.0} for group in groups], **settings)
    return torch.optim.AdamW(groups, **settings)
