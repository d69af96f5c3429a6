"""Many small models trained side by side: `tuplet.train.strategic` for many strengths, seeds and pairs of modalities at once.

A step of a network with some thousand weights is all overhead, and one training after the other would take hours. Here the
weights of a modality's trainings lie in one tensor per layer, ``(copies, ...)``, its network is mapped over them, and InfoNCE
takes its gradient in closed form from one exponential. A test holds the result equal to `tuplet.train.strategic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tuplet.data import Source
from tuplet.data.views import order_of
from tuplet.functional.rows import unit
from tuplet.train._rate import learning_rate
from tuplet.train.config import TrainConfig
from tuplet.train.strength import untrained
from tuplet.types import Batch, InputError, in_range

BLOCK = 256
"""Rows that a trained model reads at a time."""


@dataclass(frozen=True, slots=True)
class Member:
    """One training: two modalities and the strength of their alignment, or any modalities and strength 0."""

    names: tuple[str, ...]
    strength: float
    seed: int = 0
    fold: int = 0  # of the rows that it trains on

    @property
    def copy(self) -> Member:
        """What a modality's weights depend on: without alignment, not on its partner."""
        return self if self.strength else Member((), 0.0, self.seed, self.fold)


class Tower(nn.Module):
    """Encoder, head and projection of one modality as a function of its inputs."""

    def __init__(self, encoder: nn.Module, head: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head, self.projection = encoder, head, projection

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the head says, the embedding before it is scaled, and what both are made of."""
        h = self.encoder(x)
        return self.head(h), self.projection(h), h


class Many:
    """The models of many members; those of one modality that need not differ are one copy."""

    def __init__(
        self,
        source: Source,
        members: Sequence[Member],
        *,
        target: str = "label",
        tau: float = 0.07,
        **settings: Any,
    ) -> None:
        """Draw the weights as `strategic` does; ``settings`` are those of `untrained`."""
        in_range("tau", tau, 0.04)  # below it, the closed form of InfoNCE leaves float32
        self.members, self.target, self.tau = tuple(members), target, tau
        self.copies = {
            name: tuple(dict.fromkeys(m.copy for m in members if name in m.names))
            for name in sorted({k for m in members for k in m.names})
        }
        drawn = {}
        for seed in {m.seed for m in members}:
            model, task = untrained(source, target=target, seed=seed, **settings)
            for k in self.copies:
                drawn[k, seed] = Tower(model.encoders[k], task.heads[k], model.projections[k])
        self.towers = {k: drawn[k, copies[0].seed] for k, copies in self.copies.items()}
        self.weights = {
            k: {
                p: torch.stack([drawn[k, c.seed].get_parameter(p).detach() for c in copies]).requires_grad_()
                for p, _ in self.towers[k].named_parameters()
            }
            for k, copies in self.copies.items()
        }

    @property
    def size(self) -> int:
        """Number of parameters of one member that has all the modalities."""
        return sum(p[0].numel() for weights in self.weights.values() for p in weights.values())

    def place(self, member: Member, name: str) -> int:
        """Find a member's copy of a modality."""
        return self.copies[name].index(member.copy)

    def fit(
        self,
        rows: Batch,
        config: TrainConfig,
        report: Callable[[int], None] = lambda epoch: None,
        *,
        folds: Sequence[Tensor] | None = None,
    ) -> None:
        """Train with AdamW, as `tuplet.train.fit` without clipping; ``folds``: rows by fold; ``report`` hears of epochs."""
        every = [p for weights in self.weights.values() for p in weights.values()]
        matrices, vectors = [p for p in every if p.ndim > 2], [p for p in every if p.ndim <= 2]  # one more for copies
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
        parts = [torch.arange(len(rows))] if folds is None else folds
        n = min(map(len, parts))  # the smallest says how long an epoch is
        size = min(config.batch_size, n)
        per_epoch = n // size
        total, order = per_epoch * config.epochs, dict[tuple[int, int], Tensor]()
        for step in range(total):
            at = {}
            for seed, fold in {(m.seed, m.fold) for m in self.members}:
                epoch, begun = divmod(step, len(parts[fold]) // size)
                if not begun:
                    order[seed, fold] = parts[fold][order_of(len(parts[fold]), seed=seed, epoch=epoch)]
                at[seed, fold] = order[seed, fold][begun * size : (begun + 1) * size]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, total, config)
            loss = self._loss(rows, at)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (step + 1) % per_epoch == 0:
                report((step + 1) // per_epoch)
        if not all(bool(p.isfinite().all()) for p in every):
            raise InputError(f"the loss is not finite with lr = {config.lr:g}; lower lr or the strengths")

    @torch.no_grad()
    def read(self, member: Member, name: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a member's head of a modality says of inputs, ``(n, out)``, and ``h``."""
        weights = {k: p[self.place(member, name)] for k, p in self.weights[name].items()}
        parts = [_called(self.towers[name], weights, inputs[i : i + BLOCK]) for i in range(0, len(inputs), BLOCK)]
        return torch.cat([out for out, _, _ in parts]), torch.cat([h for _, _, h in parts])

    def _call(self, name: str, x: Tensor) -> tuple[Tensor, ...]:
        """Run every copy of a modality's tower on inputs of its own, ``(copies, n, ...)``."""
        tower, weights = self.towers[name], self.weights[name]
        if not any(isinstance(m, nn.RNNBase) for m in tower.modules()):
            mapped: tuple[Tensor, ...] = torch.vmap(partial(_called, tower))(weights, x)
            return mapped
        each = [_called(tower, {k: p[i] for k, p in weights.items()}, x[i]) for i in range(len(x))]
        return tuple(torch.stack(parts) for parts in zip(*each, strict=True))

    def _loss(self, rows: Batch, at: Mapping[tuple[int, int], Tensor]) -> Tensor:
        """Sum the losses of all members; ``at`` holds the rows of this step by seed and fold."""
        y, z, losses = rows.target[self.target], {}, []
        for name, copies in self.copies.items():
            here = torch.stack([at[c.seed, c.fold] for c in copies])  # (copies, size)
            out, flat, _ = self._call(name, rows.inputs[name][here])
            z[name] = unit(flat)
            losses.append(_task(out, y[here], rows.present[name][here]))
        if aligned := [m for m in self.members if m.strength]:
            a, b = (torch.stack([z[m.names[i]][self.place(m, m.names[i])] for m in aligned]) for i in (0, 1))
            both = [(rows.present[m.names[0]] & rows.present[m.names[1]])[at[m.seed, m.fold]] for m in aligned]
            kin = None if rows.group is None else torch.stack([rows.group[at[m.seed, m.fold]] for m in aligned])
            contrast = Contrast.apply(a, b, torch.stack(both), kin, self.tau)
            losses.append((torch.tensor([m.strength for m in aligned]) * contrast).sum())
        return torch.stack(losses).sum()


def _called(tower: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = functional_call(tower, dict(weights), (x,))
    return found


def _task(out: Tensor, y: Tensor, here: Tensor) -> Tensor:
    """Sum over copies of the loss of `tuplet.objectives.UnimodalTask`, a mean over the rows that are here."""
    if y.is_floating_point():
        each = (out - y.reshape(out.shape)).abs().mean(dim=2)
    else:
        each = F.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
    return (torch.where(here, each, 0.0).sum(dim=1) / here.sum(dim=1).clamp_min(1)).sum()


class Contrast(torch.autograd.Function):
    """Symmetric InfoNCE of many pairs of unit-length batches, one after the other in memory that stays in cache."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, here: Tensor, kin: Tensor | None, tau: float) -> Tensor:
        """Return a loss per pair of ``(members, n, D)`` batches, over rows that are here; kin are no negatives."""
        losses, grads = a.new_zeros(len(a)), (torch.zeros_like(a), torch.zeros_like(b))
        scale = 1 / (tau * math.log(2))  # powers of two take a quarter of the time of exponentials
        for s in range(len(a)):
            at = slice(None) if bool(here[s].all()) else here[s].nonzero()[:, 0]
            x, y = a[s, at], b[s, at]
            n, dim = x.shape
            if not n:
                continue
            one = a.new_ones(n, 1)
            # cosines are at most 1: exp((x y - 1) / tau), both subtracted and scaled in one product
            shares = (torch.cat([x * scale, one], 1) @ torch.cat([y, one * -scale], 1).mT).exp2_()
            if kin is not None:
                same = kin[s, at][:, None] == kin[s, at]
                shares[same.fill_diagonal_(False)] = 0.0
            r, c = shares.sum(1), shares.sum(0)  # partition sums of rows and of columns
            losses[s] = (r.log().mean() + c.log().mean()) / 2 + (1 - (x * y).sum(1).mean()) / tau
            # d loss / d x_i = sum_j shares_ij (1 / r_i + 1 / c_j) y_j / (2 n tau) - y_i / (n tau); y likewise
            pulled = torch.cat([y.mT, y.mT / c]) @ shares.mT
            grads[0][s, at] = ((pulled[:dim] / r + pulled[dim:]) / 2 - y.mT).mT / (n * tau)
            pulled = torch.cat([x.mT, x.mT / r]) @ shares
            grads[1][s, at] = ((pulled[:dim] / c + pulled[dim:]) / 2 - x.mT).mT / (n * tau)
        ctx.save_for_backward(*grads)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the gradients that were found on the way."""
        a, b = (grads[0][:, None, None] * found for found in ctx.saved_tensors)
        return a, b, None, None, None
