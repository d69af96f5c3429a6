"""Devices and precision through Lightning Fabric; the only file that knows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tuplet.train.config import TrainConfig


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
            self.fabric = Fabric(
                accelerator=config.accelerator,
                devices=config.devices,
                strategy=config.strategy,
                precision="bf16-mixed" if config.precision == "bf16" else "32-true",
            )
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

    def place(
        self, model: nn.Module, objective: Callable[..., Any], optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, Callable[..., Any]]:
        """Move everything to the device; with several processes, keep parameters in step.

        Returns:
            The model and the objective to call. The given ones keep their weights and names.
        """
        model.to(self.device)
        if isinstance(objective, nn.Module):
            objective.to(self.device)
        if self.world == 1:
            return model, objective
        placed: nn.Module = self.fabric.setup_module(model)
        if isinstance(objective, nn.Module) and any(p.requires_grad for p in objective.parameters()):
            return placed, self.fabric.setup_module(objective)
        return placed, objective

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which to embed and differentiate."""
        context: AbstractContextManager[Any] = self.fabric.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Differentiate a scalar."""
        if self.world == 1:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(loss)

    def mean(self, value: float) -> float:
        """Return the mean of a number over processes."""
        if self.world == 1:
            return value
        reduced = self.fabric.all_reduce(torch.tensor(value, device=self.device), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return float(reduced)
