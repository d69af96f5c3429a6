"""What predictions are worth, and scaling by training rows: pure tensors, once for probes, predictors, pilots and trainings."""

from __future__ import annotations

import torch
from torch import Tensor


def hits(outputs: Tensor, truth: Tensor) -> Tensor:
    """Say for each row, 1 or 0, whether the largest of its ``(..., n, classes)`` outputs is its class."""
    return (outputs.argmax(dim=-1) == truth).float()


def shares_of_r2(outputs: Tensor, truth: Tensor) -> Tensor:
    """Give each row of ``(..., n, k)`` outputs a number, ``(..., n)``; their mean is R2 over all dimensions of the target."""
    y = truth.reshape(len(truth), -1)
    spread = (y - y.mean(dim=0)).square().sum(dim=1).mean().clamp_min(1e-12)
    return 1 - (outputs - y).square().sum(dim=-1) / spread


def scaling(train: Tensor, *, least: float = 1e-8) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of training rows; columns that do not vary keep their size."""
    mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0)
    return mean, torch.where(deviation > least, deviation, 1.0)
