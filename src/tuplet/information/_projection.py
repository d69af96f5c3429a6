"""Alternating projections for the union information: matrix products only, for tables too large to factorise."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.information._certificate import TINY, Bounds, dual, feasible

CHECK = 25
"""Rounds between two certificates."""

GROW = 1.1
"""Growth of the over-relaxation after a round that went down."""


def projection(
    first: Float[Tensor, "T N Y"],
    second: Float[Tensor, "T P Y"],
    *,
    gap: float = 1e-4,
    rounds: int = 5000,
    sweeps: int = 1,
) -> Bounds:
    r"""Project onto the marginals of each class, then add the classes up, in turn."""
    t = len(first)
    mass1, mass2 = first.sum(2), second.sum(2)
    log_total = (mass1.clamp_min(TINY).log()[:, :, None] + mass2.clamp_min(TINY).log()[:, None]).clamp_min(-600.0)
    classes = first.sum(1, keepdim=True)
    scale1 = first / mass1.clamp_min(TINY)[..., None]
    scale2 = second / (mass2.clamp_min(TINY)[..., None] * classes.clamp_min(TINY))
    upper = torch.full((t,), torch.inf, dtype=first.dtype, device=first.device)
    lower, used, place = -upper, torch.full((t,), rounds, device=first.device), torch.arange(t, device=first.device)
    best = upper.clone()
    omega = torch.ones_like(best)
    for step in range(rounds):
        total = log_total.exp()
        for _ in range(sweeps):
            scale2 = second / (total.mT @ scale1).clamp_min(TINY)
            scale1 = first / (total @ scale2).clamp_min(TINY)
        a, b = scale1.clamp_min(TINY).log(), scale2.clamp_min(TINY).log()
        if step % CHECK == CHECK - 1 or step == rounds - 1:
            upper[place] = torch.minimum(upper[place], _value(total, scale1, scale2, first, second))
            lower[place] = torch.maximum(lower[place], dual(a, b, first, second).nan_to_num(-torch.inf))
            keep = upper[place] - lower[place] > gap
            used[place[~keep]] = step + 1
            kept = (place, first, second, scale1, scale2, log_total, best, omega, a, b)
            place, first, second, scale1, scale2, log_total, best, omega, a, b = (v[keep] for v in kept)
            if not len(place):
                break
        now = (a * first).sum((1, 2)) + (b * second).sum((1, 2))
        fell = now <= best + 1e-15
        omega = torch.where(fell, omega * GROW, 1.0)
        best = now
        change = (scale1 @ scale2.mT).clamp_min(TINY).log()
        log_total = (log_total + omega[:, None, None] * change).clamp_min(-600.0)
        log_total = log_total - log_total.logsumexp((1, 2), keepdim=True)
    return Bounds(upper, lower, used)


def _value(total: Tensor, scale1: Tensor, scale2: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The objective at the feasible table next to the iterate, one class at a time."""
    whole = torch.zeros_like(total)
    out = torch.zeros_like(total[:, 0, 0])
    for y in range(first.shape[2]):
        joint = total * scale1[:, :, None, y] * scale2[:, None, :, y]
        joint = feasible(joint[..., None], first[..., y : y + 1], second[..., y : y + 1])[..., 0]
        out += torch.xlogy(joint, joint).sum((1, 2))
        whole += joint
    return out - torch.xlogy(whole, whole).sum((1, 2))
