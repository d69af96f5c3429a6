"""Devices and precision through Lightning Fabric; the only file that knows it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from tuplet.processes import deaf
from tuplet.train.config import TrainConfig
from tuplet.types import InputError


class Runtime:
    """Where a run happens: model, objective and optimiser placed on their devices."""

    def __init__(self, config: TrainConfig) -> None:
        # Fabric asks torchmetrics for its version only, and loading that takes seconds
        known = sys.modules.setdefault("torchmetrics", stub := ModuleType("torchmetrics"))
        try:
            from lightning_fabric import Fabric
        finally:
            if known is stub:
                del sys.modules["torchmetrics"]
        devices, nodes = _started(config.devices)
        with warnings.catch_warnings():  # Fabric suggests more devices, which is the user's choice
            warnings.simplefilter("ignore")
            try:
                self.fabric = Fabric(
                    accelerator=config.accelerator,
                    devices=devices,
                    num_nodes=nodes,
                    strategy="ddp" if config.strategy == "fsdp" else config.strategy,
                    precision="bf16-mixed" if config.precision == "bf16" else "32-true",
                )
            except (RuntimeError, ValueError) as error:
                raise InputError(
                    f"accelerator {config.accelerator!r} with devices = {config.devices} and strategy "
                    f"{config.strategy!r} cannot be used here ({error}); try accelerator='auto'"
                ) from error
            if self.device.type == "mps" and config.precision != "float32":
                raise InputError(f"precision is {config.precision!r}, but Apple's MPS trains in float32; leave it out")
            if config.devices > 1:
                with deaf():
                    self.fabric.launch()
        self.sharded = config.strategy == "fsdp" and self.world > 1

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
        return self.fabric.device

    def place(self, model: nn.Module, objective: object) -> None:
        """Move both to the device, with the weights of the first process, and shard the model if asked to."""
        for module in (model, objective):
            if isinstance(module, nn.Module):
                module.to(self.device)
                if self.world > 1:
                    for tensor in (*module.parameters(), *module.buffers()):
                        dist.broadcast(tensor.detach(), src=0)
        if self.sharded:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.type, (self.world,))
            for tower in {id(m): m for group in model.children() for m in group.children()}.values():
                fully_shard(tower, mesh=mesh)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which to embed and differentiate."""
        return self.fabric.autocast()

    def explain(self, error: Exception, config: TrainConfig) -> None:
        """Raise one line for what a compiler or a device cannot do, and for other processes that ended."""
        whole = " ".join(str(error).split())
        why = whole[:200]
        if config.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise InputError(f"compile is True, but torch.compile fails ({type(error).__name__}: {why}); set compile=False")
        if isinstance(error, dist.DistError) or "gloo" in whole or " by peer" in whole:
            raise InputError(
                f"another process of this training ended ({why[:100]}); see what it said, then repeat the command to continue"
            ) from None
        if self.device.type == "mps" and ("MPS" in whole or "float64" in whole):
            raise InputError(f"Apple's MPS cannot take this step ({why}); set accelerator='cpu'") from error

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over processes, once per step however often it differentiated."""
        grads = [p.grad for p in parameters if p.grad is not None and not _is_sharded(p)]
        if self.world == 1 or not grads:
            return
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        for grad, mean in zip(grads, torch.split(flat / self.world, [g.numel() for g in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def clip(self, parameters: Iterable[nn.Parameter], largest: float) -> torch.Tensor:
        """Scale gradients down to a norm and return the norm that they had, which waits for nothing."""
        kinds: dict[bool, list[nn.Parameter]] = {}
        for p in parameters:
            if p.grad is not None:
                kinds.setdefault(_is_sharded(p), []).append(p)
        norms = [nn.utils.get_total_norm([p.grad for p in some if p.grad is not None]) for some in kinds.values()]
        norm = norms[0] if len(norms) == 1 else torch.stack([whole(n) for n in norms]).norm()
        for some in kinds.values():
            nn.utils.clip_grads_with_norm_(some, largest, norm)
        return whole(norm)

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


def _started(devices: int) -> tuple[int, int]:
    """Return devices per node and nodes: those that torchrun started, or all on this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices, 1
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if devices != world:
        raise InputError(f"devices is {devices}, but torchrun started {world} processes; set devices to that number")
    return local, world // local


def whole(value: torch.Tensor) -> torch.Tensor:
    """Collect a sharded tensor; all processes must ask for it."""
    return value.full_tensor() if _is_sharded(value) else value  # type: ignore[attr-defined]


def like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Shard a tensor as another one is."""
    if not _is_sharded(other) or _is_sharded(value):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(other, DTensor)
    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)


def _is_sharded(value: torch.Tensor) -> bool:
    return hasattr(value, "full_tensor")
