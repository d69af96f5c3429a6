"""Interior-point solver of the union information: Newton steps on the tables themselves, many problems at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.information._solvers import TINY, Bounds, dual, feasible, support, value

REFINE = 2  # solves per Newton step with one factorisation
LOOSE = 100.0  # largest ratio of a slack to its central value, either way


class _State(NamedTuple):
    """Problems still running: their marginals, table, slack, weight of the barrier, best bounds and place."""

    first: Tensor
    second: Tensor
    joint: Tensor
    slack: Tensor
    mu: Tensor
    upper: Tensor
    lower: Tensor
    place: Tensor

    def keep(self, which: Tensor) -> _State:
        return _State(*(v[which] for v in self))


def interior(first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"], *, gap: float, rounds: int = 200) -> Bounds:
    r"""Follow the central path of the primal, whose iterates keep the marginals, to a certified gap."""
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    s = _start(first, second)
    upper, lower = s.upper.clone(), s.lower.clone()
    used = torch.full(upper.shape, rounds, device=upper.device)
    for step in range(rounds):
        s, done = _step(s, gap)
        if bool(done.any()) or step == rounds - 1:
            upper[s.place], lower[s.place] = s.upper, s.lower
            used[s.place[done]] = step
            s = s.keep(~done)
            if not len(s.place):
                break
    return Bounds(upper, lower, used)


def _start(first: Tensor, second: Tensor) -> _State:
    """The product distribution within each class, and a barrier of a twentieth of a nat in all."""
    held = support(first, second)
    joint = torch.where(held, first[:, :, None] * (second / second.sum(1, keepdim=True).clamp_min(TINY))[:, None], 0.0)
    mu = 0.05 / held.sum((1, 2, 3), dtype=joint.dtype).clamp_min(1)
    slack = torch.where(held, (_cells(mu) / joint.clamp_min(TINY)).clamp(max=1), 0.0)
    worst = torch.full_like(mu, torch.inf)
    return _State(first, second, joint, slack, mu, worst, -worst, torch.arange(len(mu), device=mu.device))


def _step(s: _State, gap: float) -> tuple[_State, Tensor]:
    """One Newton step of every problem; also which of them had ended before it."""
    held = support(s.first, s.second)
    q = torch.where(held, s.joint, 1.0)
    log_share = torch.where(held, q.log() - s.joint.sum(-1, keepdim=True).clamp_min(TINY).log(), 0.0)
    pull = torch.where(held, _cells(s.mu) / q - log_share, 0.0)
    a, b, move = _direction(s, held, pull)
    upper = torch.minimum(s.upper, value(feasible(s.joint, s.first, s.second)))
    lower = torch.maximum(s.lower, dual(a, b, s.first, s.second).nan_to_num(-torch.inf))
    ok = move.isfinite().all(-1).all(-1).all(-1)
    done = (upper - lower <= gap) | ~ok

    slack_move = torch.where(held, _cells(s.mu) / q - s.slack - s.slack * move / q, 0.0)
    potential = torch.where(held, a[:, :, None] + b[:, None], 0.0)  # moves that keep the marginals do not feel it
    slope = (move * (pull + potential)).sum((1, 2, 3))
    length = _to_boundary(s.joint, move, held)
    for _ in range(30):
        ahead = torch.where(held, s.joint + _cells(length) * move, 1.0)
        steep = ahead.log() - (s.joint.sum(-1) + _cells(length)[..., 0] * move.sum(-1)).clamp_min(TINY).log()[..., None]
        steep = torch.where(held, potential + _cells(s.mu) / ahead - steep, 0.0)
        bad = (move * steep).sum((1, 2, 3)) < -0.5 * slope.abs()
        if not bool(bad.any()):
            break
        length = torch.where(bad, length / 2, length)
    joint = torch.where(held, s.joint + _cells(length) * move, 0.0)
    slack = s.slack + _cells(_to_boundary(s.slack, slack_move, held)) * slack_move
    central = _cells(s.mu) / torch.where(held, joint, 1.0)
    slack = torch.where(held, torch.minimum(torch.maximum(slack, central / LOOSE), central * LOOSE), 0.0)
    least = 0.1 * gap / held.sum((1, 2, 3)).clamp_min(1)
    mu = torch.maximum(s.mu * (1 - 0.9 * length), least)  # a full step earns a tenth of the barrier
    return _State(s.first, s.second, joint, slack, mu, upper, lower, s.place), done


def _direction(s: _State, held: Tensor, pull: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solve for the potentials of both marginals and the move of the table, which corrects the marginals too."""
    t, n, p, y = s.joint.shape
    rows = s.first > 0
    columns = s.second > 0
    columns = columns.scatter(1, s.second.argmax(1, keepdim=True), False)  # one redundant equation per class
    diagonal = s.joint / (1 + s.slack)
    rank1 = (s.joint * s.slack / (1 + s.slack)).sum(-1, keepdim=True).clamp_min(TINY).rsqrt() * diagonal
    inverse = rank1[..., :, None] * rank1[..., None, :]
    inverse.diagonal(dim1=-2, dim2=-1).add_(diagonal)
    own1 = inverse.sum(2) + torch.diag_embed((~rows).to(inverse))
    own2 = inverse.sum(1) * columns[..., :, None] * columns[..., None, :] + torch.diag_embed((~columns).to(inverse))
    scale1, factor1 = _factor(own1.reshape(t * n, y, y))
    scale1, factor1 = scale1.view(t, n, y), factor1.view(t, n, y, y)
    inverse *= scale1[:, :, None, :, None] * columns[:, None, :, None]
    cross = inverse.transpose(2, 3).reshape(t, n, y, p * y)
    del inverse
    cross = torch.linalg.solve_triangular(factor1, cross, upper=False).reshape(t, n * y, p * y)
    schur = -(cross.mT @ cross)
    blocks = schur.view(t, p, y, p, y).diagonal(dim1=1, dim2=3)  # (t, y, y, p)
    blocks.add_(own2.permute(0, 2, 3, 1))
    scale2, factor2 = _factor(schur)

    def inside(cells: Tensor) -> Tensor:
        return diagonal * cells + rank1 * (rank1 * cells).sum(-1, keepdim=True)

    def potentials(lack1: Tensor, lack2: Tensor) -> tuple[Tensor, Tensor]:
        half = torch.linalg.solve_triangular(factor1, (scale1 * lack1 * rows)[..., None], upper=False)
        half = half.reshape(t, n * y, 1)
        right = scale2[..., None] * ((lack2 * columns).reshape(t, p * y, 1) - (cross * half).sum(1)[..., None])
        flat = scale2[..., None] * torch.cholesky_solve(right, factor2)
        half = (half - (cross * flat.mT).sum(2, keepdim=True)).reshape(t, n, y, 1)
        a = scale1 * torch.linalg.solve_triangular(factor1.mT, half, upper=True)[..., 0]
        return a * rows, flat.view(t, p, y) * columns

    a, b = torch.zeros_like(s.first), torch.zeros_like(s.second)
    move = inside(pull)
    for _ in range(REFINE):  # the rank one term magnifies rounding; a second solve restores the marginals
        moved = s.joint + move
        more_a, more_b = potentials(s.first - moved.sum(2), s.second - moved.sum(1))
        a, b = a + more_a, b + more_b
        move = move + inside(torch.where(held, more_a[:, :, None] + more_b[:, None], 0.0))
    return a, b, move


def _factor(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Scale to a unit diagonal and factorise, with as small a ridge as each matrix needs."""
    scale = matrix.diagonal(dim1=1, dim2=2).clamp_min(TINY).rsqrt()
    matrix = (scale[:, :, None] * matrix).mul_(scale[:, None])
    ridge = torch.full_like(scale[:, :1], 1e-14)
    matrix.diagonal(dim1=1, dim2=2).add_(ridge)
    for _ in range(8):
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not bool(failed.any()):
            break
        more = torch.where(failed[:, None] > 0, 9 * ridge, 0.0)  # ten times as much where that was too little
        matrix.diagonal(dim1=1, dim2=2).add_(more)
        ridge += more
    return scale, factor


def _to_boundary(x: Tensor, move: Tensor, held: Tensor) -> Tensor:
    """Longest step, at most 1, that leaves every entry half a per cent of itself."""
    fastest = torch.where(held, -move / x.clamp_min(TINY), 0.0).amax((1, 2, 3))
    return (0.995 / fastest.clamp_min(1e-12)).clamp(max=1)


def _cells(per_problem: Tensor) -> Tensor:
    return per_problem[:, None, None, None]
