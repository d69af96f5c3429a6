"""Train a predictor, stop it on validation rows, keep its best epoch: the one loop behind every downstream number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.types import InputError, in_range


@dataclass(frozen=True)
class PredictorConfig:
    """Settings of a downstream predictor.

    Args:
        layers: linear layers of the MLP; 4 in OVA-IB, 1 for a linear predictor.
        hidden: width in between (guessed).
        epochs: most passes over the training rows (guessed).
        patience: epochs without a better validation loss after which training stops (guessed).
        batch_size: rows per step; 64 in OVA-IB.
        lr: learning rate of Adam (guessed; OVA-IB gives those of its whole runs only).
        seed: of the initial weights and of the order of rows; torch's global random state is left alone.
        device: where to train, such as ``"cpu"`` or ``"cuda"``.

    Raises:
        InputError: naming the setting that is out of range.

    Example:
        >>> PredictorConfig(layers=1).hidden
        256
    """

    layers: int = 4
    hidden: int = 256
    epochs: int = 60
    patience: int = 8
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "epochs", "patience", "batch_size"):
            in_range(name, getattr(self, name), 1)
        in_range("seed", self.seed, 0)
        if not 0 < self.lr < math.inf:
            raise InputError(f"lr is {self.lr}, expected a positive number")


@dataclass(frozen=True)
class Examples:
    """Rows that a predictor reads, and their targets."""

    read: Callable[[Tensor], Any]
    target: Tensor


@dataclass(frozen=True)
class Fitted:
    """A trained predictor."""

    net: nn.Module
    shift: Tensor
    scale: Tensor
    loss: float
    epochs: int

    @torch.no_grad()
    def outputs(self, examples: Examples, *, batch_size: int = 256) -> Tensor:
        """Return the outputs for all rows, on the CPU, real ones in the target's unit."""
        self.net.eval()
        rows = _cut(torch.arange(len(examples.target)), batch_size)
        return torch.cat([self.net(examples.read(r)).cpu() for r in rows]) * self.scale + self.shift


def fit_predictor(
    build: Callable[[], nn.Module], train: Examples, val: Examples, *, config: PredictorConfig | None = None
) -> Fitted:
    """Train a network by cross-entropy on classes or squared error on real targets, and keep its best epoch."""
    config = config or PredictorConfig()
    y = train.target
    check_targets(y, val.target, "val")
    real = y.is_floating_point()
    shift = y.mean(dim=0) if real else torch.tensor(0.0)
    scale = y.std(dim=0, correction=0) if real else torch.tensor(1.0)
    scale = torch.where(scale > 0, scale, 1.0)

    def loss_of(net: nn.Module, examples: Examples, rows: Tensor) -> Tensor:
        out, wanted = net(examples.read(rows)), examples.target[rows]
        if real:
            return F.mse_loss(out, ((wanted - shift) / scale).to(out))
        return F.cross_entropy(out, wanted.to(out.device))

    def validation(net: nn.Module) -> float:
        net.eval()
        with torch.no_grad():
            parts = _cut(torch.arange(len(val.target)), 4 * config.batch_size)
            return sum(float(loss_of(net, val, rows)) * len(rows) for rows in parts) / len(val.target)

    best, weights, since, epochs = math.inf, dict[str, Tensor](), 0, 0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        net = build().to(config.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=config.lr, fused=True)
        for epochs in range(1, config.epochs + 1):  # noqa: B007 - the last one is returned
            net.train()
            steps = _cut(torch.randperm(len(y)), config.batch_size)
            for rows in steps[:-1] if len(steps) > 1 and len(steps[-1]) < config.batch_size else steps:
                optimizer.zero_grad()
                loss_of(net, train, rows).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            now, since = validation(net), since + 1
            if now < best:
                best, since = now, 0
                weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
            if since >= config.patience:
                break
    if not math.isfinite(best):
        raise InputError(f"lr is {config.lr}, with which the validation loss is never finite; lower it")
    net.load_state_dict(weights)
    return Fitted(net, shift, scale, best, epochs)


def width_of(target: Tensor) -> int:
    """Return how many outputs a predictor of a target needs."""
    return target.shape[1] if target.is_floating_point() else int(target.max()) + 1


def check_targets(train: Tensor, other: Tensor, part: str) -> None:
    """Refuse targets that no predictor can be trained or tested on."""
    if not len(train) or not len(other):
        raise InputError(f"train has {len(train)} rows and {part} {len(other)}, expected one or more in both")
    if train.is_floating_point():
        return
    classes = set(train.tolist())
    if len(classes) < 2:
        raise InputError("the training targets hold one class only; a predictor needs two or more")
    if unseen := sorted(set(other.tolist()) - classes):
        raise InputError(f"class {unseen[0]} is in the {part} targets and not in the training targets; split by class")


def _cut(rows: Tensor, size: int) -> list[Tensor]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
