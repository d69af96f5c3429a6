"""Many small models trained side by side: `tuplet.train.strategic` for many strengths, seeds and pairs of modalities at once.

A step of a network with some thousand weights is all overhead, and one training after the other would take hours. Here the
weights of a modality's trainings lie in one tensor per layer, ``(copies, ...)``, which one product applies to all of them, and
InfoNCE takes its gradient in closed form from one exponential. A test holds the result equal to `tuplet.train.strategic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tuplet.data import Source
from tuplet.data.views import order_of
from tuplet.functional.rows import unit
from tuplet.nets.mlp import MLP
from tuplet.train._rate import learning_rate
from tuplet.train.config import TrainConfig
from tuplet.train.strength import untrained
from tuplet.types import Batch, InputError, in_range

BLOCK = 256
"""Rows that a trained model reads at a time."""
CACHE = 1 << 16
"""Cosines that InfoNCE takes at a time: what it makes of them stays in cache."""


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
        self, source: Source, members: Sequence[Member], *, target: str = "label", tau: float = 0.07, **settings: Any
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

    def _loss(self, rows: Batch, at: Mapping[tuple[int, int], Tensor]) -> Tensor:
        """Sum the losses of all members; ``at`` holds the rows of this step by seed and fold."""
        y, z, losses = rows.target[self.target], {}, []
        for name, copies in self.copies.items():
            here = torch.stack([at[c.seed, c.fold] for c in copies])  # (copies, size)
            x = rows.inputs[name].index_select(0, here.flatten())  # an index of two dimensions takes longer
            tower, weights = self.towers[name], self.weights[name]
            h = _side_by_side(tower.encoder, weights, x.view(*here.shape, *x.shape[1:]), "encoder.")
            out = _side_by_side(tower.head, weights, h, "head.")
            z[name] = unit(_side_by_side(tower.projection, weights, h, "projection."))
            losses.append(_task(out, y[here], rows.present[name][here]))
        if aligned := [m for m in self.members if m.strength]:
            a, b = (torch.stack([z[m.names[i]][self.place(m, m.names[i])] for m in aligned]) for i in (0, 1))
            both = [(rows.present[m.names[0]] & rows.present[m.names[1]])[at[m.seed, m.fold]] for m in aligned]
            kin = None if rows.group is None else torch.stack([rows.group[at[m.seed, m.fold]] for m in aligned])
            contrast = Contrast.apply(a, b, torch.stack(both), kin, self.tau)
            losses.append((torch.tensor([m.strength for m in aligned]) * contrast).sum())
        return torch.stack(losses).sum()


def _called(module: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Any:
    return functional_call(module, dict(weights), (x,))


def _side_by_side(module: nn.Module, weights: Mapping[str, Tensor], x: Tensor, at: str) -> Tensor:
    """Run copies of a network, whose weights are named from ``at`` on, on inputs of their own, ``(copies, n, ...)``."""
    if isinstance(module, nn.Sequential | MLP):
        for name, part in module.named_children():
            x = _side_by_side(part, weights, x, f"{at}{name}.")
        return x
    if isinstance(module, nn.Flatten):
        return x.flatten(2)
    own = {k.removeprefix(at): p for k, p in weights.items() if k.startswith(at)}
    if isinstance(module, nn.Linear):
        return cast(Tensor, Affine.apply(own["weight"], own["bias"], x))
    if isinstance(module, nn.LayerNorm):
        width = x.shape[2:]  # with weights, be they 1, its kernel is the fast one
        scaled = F.layer_norm(x, width, x.new_ones(width), x.new_zeros(width), module.eps)
        return torch.addcmul(own["bias"][:, None], scaled, own["weight"][:, None])
    if not own:
        return cast(Tensor, module(x))  # of each number alone
    if not any(isinstance(m, nn.RNNBase) for m in module.modules()):
        return cast(Tensor, torch.vmap(partial(_called, module))(own, x))
    return torch.stack([_called(module, {k: p[i] for k, p in own.items()}, x[i]) for i in range(len(x))])


def _task(out: Tensor, y: Tensor, here: Tensor) -> Tensor:
    """Sum over copies of the loss of `tuplet.objectives.UnimodalTask`, a mean over the rows that are here."""
    if y.is_floating_point():
        each = (out - y.reshape(out.shape)).abs().mean(dim=2)
    else:
        each = F.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
    return (torch.where(here, each, 0.0).sum(dim=1) / here.sum(dim=1).clamp_min(1)).sum()


class Affine(torch.autograd.Function):
    """Linear layers side by side, ``(copies, out, in)``; the gradient of weights lies in memory as they do, uncopied."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
        """Return ``x weight^T + bias``, ``(copies, n, out)``."""
        ctx.save_for_backward(weight, x)
        return torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of weights, of biases, and of inputs if somebody asks for it."""
        (weight, x), (grad,) = ctx.saved_tensors, grads
        return grad.mT @ x, grad.sum(1), grad @ weight if ctx.needs_input_grad[2] else None


class Contrast(torch.autograd.Function):
    """Symmetric InfoNCE of many pairs of unit-length batches, a few at a time in memory that stays in cache."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, here: Tensor, kin: Tensor | None, tau: float) -> Tensor:
        """Return a loss per pair of ``(members, n, D)`` batches, over rows that are here; kin are no negatives."""
        n, scale = here.sum(1)[:, None], 1 / (tau * math.log(2))  # powers of two take a quarter of the time of exponentials
        losses, grads = a.new_zeros(len(a)), (torch.empty_like(a), torch.empty_like(b))
        step = max(1, CACHE // a.shape[1] ** 2)
        for part in (slice(i, i + step) for i in range(0, len(a), step)):
            x, y, there, count = a[part], b[part], here[part], n[part].clamp_min(1)
            # cosines are at most 1: exp((x y - 1) / tau)
            shares = torch.baddbmm(a.new_tensor(-scale), x, y.mT, alpha=scale).exp2_()
            if kin is not None:
                same = kin[part, :, None] == kin[part, None]
                same.diagonal(dim1=1, dim2=2).fill_(False)
                shares.masked_fill_(same, 0.0)
            if not there.all():
                shares *= there[:, :, None] & there[:, None]
            r, c = (shares.sum(d).masked_fill_(~there, 1.0) for d in (2, 1))  # partition sums of rows and of columns
            near = torch.where(there, torch.linalg.vecdot(x, y) - 1, 0.0)
            losses[part] = (((r * c).log() / 2 - near / tau) / count).sum(1)
            # d loss / d x_i = sum_j shares_ij (1 / r_i + 1 / c_j) y_j / (2 n tau) - y_i / (n tau); y likewise
            shares *= (1 / r)[:, :, None] + (1 / c)[:, None]
            own = (there / (count * tau))[:, :, None]
            torch.mul(torch.baddbmm(y, shares, y, beta=-1, alpha=0.5), own, out=grads[0][part])
            torch.mul(torch.baddbmm(x, shares.mT, x, beta=-1, alpha=0.5), own, out=grads[1][part])
        ctx.save_for_backward(*grads)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the gradients that were found on the way."""
        a, b = (grads[0][:, None, None] * found for found in ctx.saved_tensors)
        return a, b, None, None, None
