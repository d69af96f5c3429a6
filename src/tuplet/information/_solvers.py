"""Bounds on the union information that hold for any iterate of any solver, and two solvers: projections and a conic program."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-300  # stands for zero where one divides


CHECK = 25  # rounds between two certificates
GROW = 1.1  # growth of the over-relaxation after a round that went down


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
    a: Float[Tensor, "T N Y"], b: Float[Tensor, "T P Y"], first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"]
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


def conic(first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"], *, gap: float) -> Bounds:
    """Solve one problem after the other by Clarabel, with one exponential cone per cell: an independent check."""
    solved = [_solve(one.cpu(), two.cpu(), gap) for one, two in zip(first, second, strict=True)]
    upper, lower, rounds = zip(*solved, strict=True)
    return Bounds(first.new_tensor(upper), first.new_tensor(lower), torch.tensor(rounds, device=first.device))


def _solve(first: Tensor, second: Tensor, gap: float) -> tuple[float, float, int]:
    import clarabel
    from scipy import sparse

    held = support(first[None], second[None])[0]
    n, p, y = held.shape
    x1, x2, label = (v.numpy() for v in torch.nonzero(held, as_tuple=True))
    cells, one = len(x1), np.ones(len(x1))
    number = np.arange(cells)
    pair = x1 * p + x2
    members = sparse.csr_matrix((one, (pair, number)), shape=(n * p, cells))
    eye, none = sparse.identity(cells, format="csr"), sparse.csr_matrix((cells, cells))
    cones = sparse.vstack([sparse.hstack([none, eye]), sparse.hstack([-eye, none]), sparse.hstack([-members[pair], none])])
    cones = cones.tocsr()[np.arange(3 * cells).reshape(3, cells).T.ravel()]  # (-t, q, sum q) cell by cell
    rows = sparse.csr_matrix((one, (x1 * y + label, number)), shape=(n * y, cells))
    columns = sparse.csr_matrix((one, (x2 * y + label, number)), shape=(p * y, cells))
    sums = sparse.vstack([rows, columns])
    wanted = np.concatenate([first.numpy().ravel(), second.numpy().ravel()])
    used = np.flatnonzero(wanted > 0)
    a = sparse.vstack([sparse.hstack([sums[used], sparse.csr_matrix((len(used), cells))]), cones]).tocsc()
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = max(gap / 100, 1e-11)
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix((2 * cells, 2 * cells)),
        np.concatenate([np.zeros(cells), one]),
        a,
        np.concatenate([wanted[used], np.zeros(3 * cells)]),
        [clarabel.ZeroConeT(len(used)), *[clarabel.ExponentialConeT()] * cells],
        settings,
    ).solve()
    joint = torch.zeros_like(held, dtype=torch.float64)
    joint[held] = torch.from_numpy(np.array(solution.x[:cells])).clamp_min(0)
    multiplier = np.zeros(len(wanted))
    multiplier[used] = -np.array(solution.z[: len(used)])
    b1, b2 = torch.from_numpy(multiplier[: n * y]).view(1, n, y), torch.from_numpy(multiplier[n * y :]).view(1, p, y)
    upper = value(feasible(joint[None], first[None], second[None]))
    return float(upper), float(dual(b1, b2, first[None], second[None])), int(solution.iterations)


def projection(first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"], *, gap: float, rounds: int = 5000) -> Bounds:
    """Project onto the marginals of each class, then add the classes up, in turn: matrix products only, for large tables."""
    t = len(first)
    # q(x1, x2, y) = total(x1, x2) scale1(x1, y) scale2(x2, y), where total is the sum over the classes of the last round
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
        # the dual value a round should lower; as long as it does, steps of log total grow (over-relaxation omega)
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
