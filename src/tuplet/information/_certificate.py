"""Bounds on the union information that hold for any iterate of any solver."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-300
"""Stands for zero where one divides."""


class Bounds(NamedTuple):
    r"""What is certain about the least :math:`-H_Q(Y | X_1, X_2)` of ``T`` problems, in nats."""

    upper: Tensor
    lower: Tensor
    rounds: Tensor


def support(first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"]) -> Tensor:
    """Cells that may hold mass: those of two marginal cells that do."""
    return (first > 0)[:, :, None] & (second > 0)[:, None]


def feasible(
    joint: Float[Tensor, "T N P Y"], first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"]
) -> Float[Tensor, "T N P Y"]:
    r"""Move the least mass that gives a table exactly the wanted marginals."""
    joint = joint * (first / joint.sum(2).clamp_min(TINY)).clamp(max=1)[:, :, None]
    joint = joint * (second / joint.sum(1).clamp_min(TINY)).clamp(max=1)[:, None]
    short1 = (first - joint.sum(2)).clamp_min(0)
    short2 = (second - joint.sum(1)).clamp_min(0)
    return joint + short1[:, :, None] * (short2 / short2.sum(1, keepdim=True).clamp_min(TINY))[:, None]


def value(joint: Float[Tensor, "T N P Y"]) -> Float[Tensor, " T"]:
    r"""The objective :math:`-H(Y | X_1, X_2) = \sum q \log (q / \bar q)`, :math:`\bar q = \sum_y q`."""
    total = joint.sum(-1)
    inner, outer = (t * t.clamp_min(TINY).log() for t in (joint, total))  # xlogy takes three times as long
    return inner.sum((1, 2, 3)) - outer.sum((1, 2))


def dual(
    a: Float[Tensor, "T N Y"],
    b: Float[Tensor, "T P Y"],
    first: Float[Tensor, "T N Y"],
    second: Float[Tensor, "T P Y"],
) -> Float[Tensor, " T"]:
    r"""The dual bound of any potentials, after the least shift of ``a`` that makes them feasible."""
    a, b = torch.where(first > 0, a, -torch.inf), torch.where(second > 0, b, -torch.inf)
    top_a, top_b = a.amax(2, keepdim=True), b.amax(2, keepdim=True)
    top_a, top_b = (torch.where(t.isfinite(), t, 0.0) for t in (top_a, top_b))
    inner = (a - top_a).exp() @ (b - top_b).exp().mT  # one matrix product instead of N P Y exponentials
    excess = (inner.log() + top_a + top_b.mT).amax(2)
    excess = torch.where(first.sum(2) > 0, excess, 0.0)
    linear = (torch.where(first > 0, a * first, 0.0)).sum((1, 2)) + torch.where(second > 0, b * second, 0.0).sum((1, 2))
    return linear - (excess * first.sum(2)).sum(1)
