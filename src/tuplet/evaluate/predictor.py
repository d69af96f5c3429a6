"""Train a predictor, stop it on validation rows, keep its best epoch: the one loop behind every downstream number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.types import InputError, in_range, positive


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
        positive("lr", self.lr)


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
        parts = _cut(torch.arange(len(val.target)), 4 * config.batch_size)
        return sum(float(loss_of(net, val, rows)) * len(rows) for rows in parts) / len(val.target)

    def steps() -> list[Tensor]:
        """Cut the rows anew, without an incomplete last batch."""
        cut = _cut(torch.randperm(len(y)), config.batch_size)
        return cut[:-1] if len(cut) > 1 and len(cut[-1]) < config.batch_size else cut

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        net = build().to(config.device)
        best, epochs = fit_best(
            net,
            steps,
            lambda rows: loss_of(net, train, rows),
            lambda: validation(net),
            lr=config.lr,
            epochs=config.epochs,
            patience=config.patience,
        )
    if not math.isfinite(best):
        raise InputError(f"lr is {config.lr}, with which the validation loss is never finite; lower it")
    return Fitted(net, shift, scale, best, epochs)


def fit_best(
    net: nn.Module,
    steps: Callable[[], Iterable[Tensor]],
    loss: Callable[[Tensor], Tensor],
    validation: Callable[[], float],
    *,
    lr: float,
    epochs: int,
    patience: int | None = None,
) -> tuple[float, int]:
    """Train with Adam, keep the epoch with the least validation loss, and return that loss and the epochs done."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    best, at, done, weights = math.inf, 0, 0, {k: v.clone() for k, v in net.state_dict().items()}
    while done < epochs and (patience is None or done - at < patience):
        net.train()
        for rows in steps():
            optimizer.zero_grad()
            loss(rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        net.eval()
        done += 1
        with torch.no_grad():
            now = validation()
        if now < best:
            best, at = now, done
            weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
    net.load_state_dict(weights)
    return best, done


def width_of(target: Tensor) -> int:
    """Return how many outputs a predictor of a target needs."""
    return target.shape[1] if target.is_floating_point() else int(target.max()) + 1


def check_targets(train: Tensor, other: Tensor, part: str, *, reader: str = "predictor") -> None:
    """Refuse targets that no predictor can be trained or tested on."""
    if not len(train) or not len(other):
        raise InputError(f"train has {len(train)} rows and {part} {len(other)}, expected one or more in both")
    if train.is_floating_point():
        return
    classes = set(train.tolist())
    if len(classes) < 2:
        raise InputError(f"the training targets hold one class only; a {reader} needs two or more")
    if unseen := sorted(set(other.tolist()) - classes):
        raise InputError(f"class {unseen[0]} is in the {part} targets and not in the training targets; split by class")


def _cut(rows: Tensor, size: int) -> list[Tensor]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
