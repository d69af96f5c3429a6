"""Which modules are frozen, and how they stay as they are while others train."""

from __future__ import annotations

from torch import nn

from tuplet.nets import Named


def train_unfrozen(model: nn.Module) -> None:
    """Put a model into training mode, but leave what is frozen as it is used: no Dropout, no moving statistics."""
    kept = {m: m.training for tower in _towers(model) if not any(True for _ in tower.parameters()) for m in tower.modules()}
    model.train()
    for module, mode in kept.items():
        module.training = mode
    for module in frozen(model):
        module.eval()


def frozen(model: nn.Module) -> list[nn.Module]:
    """List the modules that have parameters, none of which requires a gradient."""
    every = {m: list(m.parameters()) for m in model.modules()}
    return [m for m, owned in every.items() if owned and not any(p.requires_grad for p in owned)]


def _towers(model: nn.Module) -> list[nn.Module]:
    groups = [m for m in model.modules() if isinstance(m, Named)]
    return [tower for group in groups for tower in group.values()] or [model]


def mixes_rows(module: nn.Module) -> bool:
    """Say whether the rows of a batch influence each other in a module, as it is set now."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None)
