"""Sums of a loss and its terms, and whether all was finite: kept on the device, as each look at a number waits for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tuplet.types import InputError, Loss

EVERY = 32
"""Steps after which one looks whether all numbers were finite; before a checkpoint and a log one looks in any case."""


class Tally:
    """What has been seen since an epoch began."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.dtype = device, torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.sums = dict[str, Tensor]()
        self.bad = torch.zeros((), device=device)
        """1 from the first step on at which loss or gradient was not finite; optimisers on a device skip steps then."""
        self.step = torch.zeros((), device=device, dtype=torch.int64)
        self.norm, self.loss = torch.zeros(2, device=device)

    def begin(self, sums: Mapping[str, float] | None = None) -> None:
        """Start an epoch, or take it up where another call left it."""
        self.sums = {k: self._number(v) for k, v in (sums or {}).items()}

    def add(self, loss: Loss) -> None:
        """Add what a step gave."""
        for name, value in [("loss", loss.total), *loss.terms.items()]:
            value = self._number(value)
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def judge(self, loss: Loss, norm: Tensor, step: int) -> None:
        """Note a step whose loss or gradient is not finite, if it is the first."""
        bad = ~(torch.isfinite(loss.total.detach()) & torch.isfinite(norm))
        first = bad & (self.bad == 0)
        self.step = torch.where(first, step, self.step)
        self.norm = torch.where(first, norm, self.norm)
        self.loss = torch.where(first, loss.total.detach(), self.loss)
        self.bad = torch.maximum(self.bad, bad.to(self.bad.dtype))

    def check(self) -> None:
        """Look whether all was finite."""
        if not float(self.bad):
            return
        fix, step = "lower lr or raise tau. The last checkpoint is kept", int(self.step)
        loss = float(self.loss)
        if not math.isfinite(loss):
            terms = [k for k, v in self.read().items() if k != "loss" and not math.isfinite(v)]
            raise InputError(f"the loss is {loss} at step {step} (terms: {', '.join(terms)}); {fix}")
        raise InputError(f"the gradient has norm {float(self.norm)} at step {step} though the loss is finite; {fix}")

    def read(self) -> dict[str, float]:
        """Return the sums as numbers."""
        return {k: float(v) for k, v in self.sums.items()}

    def _number(self, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().to(self.device, self.dtype)
        return torch.tensor(value, device=self.device, dtype=self.dtype)  # not by float32, as a tensor would be made
