"""Many small networks trained side by side in one process: what `tuplet.train.strategic` does, a whole grid at a time.

A step of a network with a thousand weights is all overhead, so that one after the other the grid of the strategic suite would
take hours. Here weights of all networks lie in one tensor, layers are batched products, and InfoNCE takes its gradient in
closed form from one exponential. A test holds the result equal to `tuplet.train.strategic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tuplet.data import Source
from tuplet.data.views import order_of
from tuplet.nets import MLP
from tuplet.train import TrainConfig
from tuplet.train._rate import learning_rate
from tuplet.train.strength import untrained
from tuplet.types import in_range

WIDTH, LAYERS, SLOPE = 12, 3, 0.01
"""Of the encoders: three linear layers of the width of the input, as in the paper's appendix 4.1, LeakyReLU in between."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the networks of a stack."""

    strength: float
    seed: int = 0
    lr: float = 1e-2
    weight_decay: float = 0.0


class Stack:
    """Encoders and heads of two modalities, for many members at once."""

    def __init__(
        self,
        source: Source,
        members: Sequence[Member],
        *,
        target: str = "label",
        tau: float = 0.07,
        rows: int | None = None,
    ) -> None:
        in_range("tau", tau, 0.04)
        self.train = source.train[slice(0, len(source.train) if rows is None else rows)]
        self.source, self.members, self.target, self.tau = source, tuple(members), target, tau
        self.names = tuple(sorted(source.modalities))
        seeds = sorted({m.seed for m in members})
        first = {seed: [p.detach() for p in _parameters(source, target, seed)] for seed in seeds}
        self.shapes = [p.shape for p in first[seeds[0]]]
        self.weights = torch.stack([torch.cat([p.flatten() for p in first[m.seed]]) for m in self.members])
        self.decayed = torch.cat([torch.full((p.numel(),), float(p.ndim > 1)) for p in first[seeds[0]]])

    def fit(self, config: TrainConfig, report: Callable[[int], None] = lambda epoch: None) -> None:
        """Train with AdamW; of ``config``, epochs, batch size and warm-up count. ``report`` hears of every epoch done."""
        rows = self.train
        seeds = sorted({m.seed for m in self.members})
        of = torch.tensor([seeds.index(m.seed) for m in self.members])
        strength = torch.tensor([m.strength for m in self.members])
        peak = torch.tensor([m.lr for m in self.members])[:, None]
        decay = torch.tensor([m.weight_decay for m in self.members])[:, None] * self.decayed
        size = min(config.batch_size, len(rows))
        per_epoch = len(rows) // size
        total, step = per_epoch * config.epochs, 0
        first, second = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        for epoch in range(config.epochs):
            order = torch.stack([order_of(len(rows), seed=seed, epoch=epoch) for seed in seeds])
            for start in range(0, per_epoch * size, size):
                at = order[:, start : start + size]
                inputs = {k: rows.inputs[k][at][of] for k in self.names}
                gradient = self._gradient(inputs, rows.target[self.target][at][of], strength)
                lr = peak * (learning_rate(step, total, config) / config.lr)
                step += 1
                self.weights.mul_(1 - lr * decay)
                first.lerp_(gradient, 0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                spread = second.div(1 - 0.999**step).sqrt_().add_(1e-8)
                self.weights.sub_(lr / (1 - 0.9**step) * first / spread)
            report(epoch + 1)

    @torch.no_grad()
    def represent(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``h`` of every member, ``(members, n, WIDTH)``, from ``(n, WIDTH)`` inputs."""
        return {k: self._forward(inputs[k].expand(len(self.members), -1, -1), i)[0] for i, k in enumerate(self.names)}

    @torch.no_grad()
    def correct(self, inputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the share of rows that each member's head gets right, ``(members,)`` per modality."""
        x = {k: inputs[k].expand(len(self.members), -1, -1) for k in self.names}
        out = {k: self._forward(x[k], i)[1].argmax(dim=2) for i, k in enumerate(self.names)}
        return {k: (v == labels).double().mean(dim=1) for k, v in out.items()}

    def _forward(self, x: Tensor, modality: int, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        flat = self.weights if weights is None else weights
        pieces = torch.split(flat, [s.numel() for s in self.shapes], dim=1)
        each = len(self.shapes) // len(self.names)
        for k in range(modality * each, (modality + 1) * each, 2):
            layer = (k - modality * each) // 2
            if layer == LAYERS:
                h = x
            elif layer:
                x = F.leaky_relu(x, SLOPE)
            matrix, bias = pieces[k].view(-1, *self.shapes[k]), pieces[k + 1]
            x = torch.baddbmm(bias[:, None], x, matrix.mT)
        return h, x

    def _gradient(self, inputs: dict[str, Tensor], labels: Tensor, strength: Tensor) -> Tensor:
        leaf = self.weights.detach().requires_grad_()
        found = [self._forward(inputs[k], i, leaf) for i, k in enumerate(self.names)]
        losses = [F.cross_entropy(out.mT, labels, reduction="none").mean(dim=1).sum() for _, out in found]
        if bool(strength.any()):
            z = [F.normalize(h, dim=2) for h, _ in found]
            losses.append((strength * StackedContrast.apply(*z, strength > 0, self.tau)).sum())
        return torch.autograd.grad(torch.stack(losses).sum(), leaf)[0]


class StackedContrast(torch.autograd.Function):
    """Symmetric InfoNCE of many pairs of unit-length batches, one after the other in memory that stays in cache."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, wanted: Tensor, tau: float) -> Tensor:
        """Return one loss per pair, 0 where it is not wanted."""
        members, rows, dim = a.shape
        losses, grad_a, grad_b = a.new_zeros(members), torch.zeros_like(a), torch.zeros_like(b)
        shares = a.new_empty(rows, rows)
        one = a.new_ones(rows, 1)
        scale = 1 / (tau * math.log(2))  # powers of two take a quarter of the time of exponentials
        for s in wanted.nonzero()[:, 0].tolist():
            x, y = a[s], b[s]
            # cosines are at most 1: logits less 1 / tau, from one product
            torch.mm(torch.cat([x * scale, one], 1), torch.cat([y, one * -scale], 1).mT, out=shares).exp2_()
            r, c = shares.sum(1), shares.sum(0)
            losses[s] = (r.log().mean() + c.log().mean()) / 2 + (1 - (x * y).sum(1).mean()) / tau
            pulled = torch.cat([y.mT, y.mT / c]) @ shares.mT
            grad_a[s] = ((pulled[:dim] / r + pulled[dim:]) / 2 - y.mT).mT / (rows * tau)
            pulled = torch.cat([x.mT, x.mT / r]) @ shares
            grad_b[s] = ((pulled[:dim] / c + pulled[dim:]) / 2 - x.mT).mT / (rows * tau)
        ctx.save_for_backward(grad_a, grad_b)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the gradients that were found on the way."""
        grad_a, grad_b = ctx.saved_tensors
        weight = grads[0][:, None, None]
        return weight * grad_a, weight * grad_b, None, None


def encoder(name: str) -> MLP:
    """Make one encoder, as the paper's synthetic experiments have it."""
    return MLP(WIDTH, WIDTH, hidden=WIDTH, layers=LAYERS, activation="leaky_relu", norm="none")


def _parameters(source: Source, target: str, seed: int) -> list[Tensor]:
    model, task = untrained(source, target=target, encoders=encoder, projector="none", seed=seed)
    return [p for k in sorted(source.modalities) for m in (model.encoders[k], task.heads[k]) for p in m.parameters()]
