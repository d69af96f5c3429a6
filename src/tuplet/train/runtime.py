"""Devices and precision through Lightning Fabric; the only file that knows it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from tuplet.train.config import TrainConfig
from tuplet.types import InputError


class Runtime:
    """Where a run happens: model, objective and optimiser placed on their devices.

    Args:
        config: accelerator, devices, strategy and precision.

    Example:
        >>> Runtime(TrainConfig()).world
        1
    """

    def __init__(self, config: TrainConfig) -> None:
        from lightning_fabric import Fabric

        with warnings.catch_warnings():  # Fabric suggests more devices, which is the user's choice
            warnings.simplefilter("ignore")
            try:
                self.fabric = Fabric(
                    accelerator=config.accelerator,
                    devices=config.devices,
                    strategy=config.strategy,
                    precision="bf16-mixed" if config.precision == "bf16" else "32-true",
                )
            except (RuntimeError, ValueError) as error:
                raise InputError(
                    f"accelerator {config.accelerator!r} with devices = {config.devices} and strategy "
                    f"{config.strategy!r} cannot be used here ({error}); try accelerator='auto'"
                ) from error
            if config.devices > 1:
                self.fabric.launch()

    @property
    def world(self) -> int:
        """Return the number of processes."""
        return int(self.fabric.world_size)

    @property
    def rank(self) -> int:
        """Return the number of this process."""
        return int(self.fabric.global_rank)

    @property
    def device(self) -> torch.device:
        """Return this process's device."""
        device: torch.device = self.fabric.device
        return device

    def place(self, *modules: object) -> None:
        """Move modules to the device, with the weights of the first process."""
        for module in modules:
            if isinstance(module, nn.Module):
                module.to(self.device)
                if self.world > 1:
                    for tensor in (*module.parameters(), *module.buffers()):
                        dist.broadcast(tensor.detach(), src=0)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which to embed and differentiate."""
        context: AbstractContextManager[Any] = self.fabric.autocast()
        return context

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over processes, once per step however often it differentiated.

        By hand, because Fabric's module wrapper refuses frozen dataclasses such as `Batch`.
        """
        grads = [p.grad for p in parameters if p.grad is not None]
        if self.world == 1 or not grads:
            return
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        for grad, mean in zip(grads, torch.split(flat / self.world, [g.numel() for g in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def mean(self, value: float) -> float:
        """Return the mean of a number over processes."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.world

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            self.fabric.barrier()
