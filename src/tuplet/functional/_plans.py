"""Gromov-Wasserstein plans: where to start, what they cost, conditional gradients over exact vertices, mirror steps."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._sinkhorn import LIGHT, potentials
from tuplet.types import InputError, one_of

PROOF = 10  # rounds of `vertices` in search of prices that prove an assignment optimal, before one is solved for


@torch.library.custom_op(
    "tuplet::gromov_plan",
    mutates_args=(),
    schema="(Tensor Kx, Tensor Ky, Tensor p, Tensor q, Tensor start, float epsilon, int iterations, float tol) -> Tensor",
)
def gromov_plan(
    Kx: Tensor, Ky: Tensor, p: Tensor, q: Tensor, start: Tensor, epsilon: float, iterations: int, tol: float
) -> Tensor:
    r"""Maximise :math:`\mathrm{tr}(K^x T K^y T^\top)` over plans, from a start; not differentiable."""
    if epsilon:
        return _mirror(Kx, Ky, p, q, start, epsilon, iterations, tol)
    return _conditional(Kx, Ky, p, q, start, iterations, tol)


@gromov_plan.register_fake
def _(Kx: Tensor, Ky: Tensor, p: Tensor, q: Tensor, start: Tensor, epsilon: float, iterations: int, tol: float) -> Tensor:
    return torch.empty_like(start, memory_format=torch.contiguous_format)


def _conditional(Kx: Tensor, Ky: Tensor, p: Tensor, q: Tensor, start: Tensor, iterations: int, tol: float) -> Tensor:
    """Step towards the best vertex, as far as the trace grows: along a line it is a quadratic."""
    plan = start.clone(memory_format=torch.contiguous_format)
    inner = Kx @ times(plan, Ky)
    going = torch.arange(len(plan), device=plan.device)
    for _ in range(iterations):
        there = vertices(inner[going], p[going], q[going], near=plan[going])
        new = (there != plan[going]).any(dim=2).any(dim=1)
        going, there = going[new], there[new]
        if not len(going):
            break
        toward = there - plan[going]
        rise = Kx[going] @ times(there, Ky[going]) - inner[going]
        slope = 2 * (inner[going] * toward).sum(dim=(1, 2))
        curve = (rise * toward).sum(dim=(1, 2))
        top = (slope / (-2 * curve).clamp_min(1e-300)).clamp(0, 1)
        step = torch.where(curve < 0, top, (slope + curve > 0).to(top))
        moved = 2 * (slope * step + curve * step**2) > tol  # twice the trace enters the distance
        going, step = going[moved], step[moved][:, None, None]
        plan[going] = torch.where(step < 1, plan[going] + step * toward[moved], there[moved])
        inner[going] += step * rise[moved]
    return plan


def _mirror(Kx: Tensor, Ky: Tensor, p: Tensor, q: Tensor, start: Tensor, epsilon: float, iterations: int, tol: float) -> Tensor:
    """Solve the entropic problem linearised at the last plan, with its potentials kept and its accuracy rising."""
    a, b = p.clamp_min(LIGHT), q.clamp_min(LIGHT)
    held = (p > 0)[:, :, None] & (q > 0)[:, None, :]
    plan, f, change = start.clone(memory_format=torch.contiguous_format), epsilon * a.log(), 1.0
    for _ in range(iterations):
        cost = -4 * Kx @ plan @ Ky
        f, g, error = potentials(cost, a, b, f, epsilon, 100, max(0.01 * change, 0.1 * tol))
        after = torch.where(held, ((f[:, :, None] + g[:, None, :] - cost) / epsilon).exp(), 0.0)
        change = float((after - plan).abs().sum(dim=(1, 2)).max())
        plan = after
        if change <= tol and float(error.max()) <= tol:
            break
    return plan


def gromov_value(Kx: Float[Tensor, "S N N"], Ky: Float[Tensor, "S P P"], plan: Float[Tensor, "S N P"]) -> Float[Tensor, " S"]:
    r"""Gromov-Wasserstein cost of given plans, :math:`\\sum_{ijkl} T_{ij} T_{kl} (K^x_{ik} - K^y_{jl})^2`, ``(S,)``."""
    # Proposition 1 of Peyre et al., completed to squares: what depends on Ky keeps its digits where kernels nearly match.
    p, q = plan.sum(dim=2), plan.sum(dim=1)
    pp, qq = p[:, :, None] * p[:, None, :], q[:, :, None] * q[:, None, :]
    carried = times(plan.mT, times(plan.mT, Kx).mT)
    mean = torch.where(qq > 0, carried / torch.where(qq > 0, qq, 1.0), 0.0)
    spread = (pp * Kx.square()).sum(dim=(1, 2)) - (qq * mean.square()).sum(dim=(1, 2))
    return (qq * (Ky - mean).square()).sum(dim=(1, 2)) + spread


def consensus_kernel(
    kernels: Float[Tensor, "S P P"], plans: Float[Tensor, "S N P"], *, weights: Float[Tensor, " S"]
) -> Float[Tensor, "N N"]:
    r"""Give the best consensus at fixed plans, :math:`C = \\sum_s \\lambda_s T_s K_s T_s^\\top / (p p^\\top)`."""
    # Proposition 4. Where plans differ in their row masses, an entry is averaged over the kernels that have it.
    p = plans.sum(dim=2)
    mass = torch.einsum("s,si,sj->ij", weights, p, p)
    total = torch.einsum("s,sij->ij", weights, times(plans, times(plans, kernels).mT))
    return torch.where(mass > 0, total / torch.where(mass > 0, mass, 1.0), 0.0)


def start_plan(
    p: Float[Tensor, "S N"], q: Float[Tensor, "S P"], start: Literal["pairing", "product"]
) -> Float[Tensor, "S N P"]:
    """Give a plan ``(S, N, P)`` of these masses to start from: their product, or as much as possible on the diagonal."""
    one_of("start", start, ("pairing", "product"))
    if start == "product":
        return p[:, :, None] * q[:, None, :] / p.sum(dim=1).clamp_min(1e-30)[:, None, None]
    if p.shape != q.shape:
        raise InputError(f"start is 'pairing' for {p.shape[1]} and {q.shape[1]} rows; use 'product' or give a plan")
    kept = torch.minimum(p, q)
    left, right = p - kept, q - kept
    rest = left[:, :, None] * right[:, None, :] / left.sum(dim=1).clamp_min(1e-30)[:, None, None]
    return torch.diag_embed(kept) + rest


def times(plan: Float[Tensor, "S N P"], K: Float[Tensor, "S P R"]) -> Float[Tensor, "S N R"]:
    """Multiply, :math:`T K`; a plan with one entry per row, such as a permutation, only moves rows."""
    if torch.compiler.is_compiling() or bool((plan.count_nonzero(dim=2) > 1).any()):
        return plan @ K
    entry, order = plan.max(dim=2)
    return entry[:, :, None] * K.gather(1, order[:, :, None].expand(-1, -1, K.shape[2]))


def vertices(
    gain: Float[Tensor, "S N P"],
    p: Float[Tensor, "S N"],
    q: Float[Tensor, "S P"],
    *,
    near: Float[Tensor, "S N P"] | None = None,
) -> Float[Tensor, "S N P"]:
    r"""Solve :math:`\max_{T \in \Pi(p, q)} \langle T, G \rangle` exactly, on the CPU."""
    plans = np.zeros(gain.shape)
    hints = np.zeros(gain.shape) if near is None else near.cpu().numpy()
    batch = zip(plans, gain.cpu().numpy(), p.cpu().numpy(), q.cpu().numpy(), hints, strict=True)
    for plan, G, a, b, hint in batch:
        rows, columns = a.nonzero()[0], b.nonzero()[0]
        if len(rows) and len(columns):
            held = np.ix_(rows, columns)
            plan[held] = _vertex(G[held], a[rows], b[columns], hint[held])
    return torch.from_numpy(plans).to(gain)


def _vertex(G: np.ndarray, a: np.ndarray, b: np.ndarray, hint: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    n, m = G.shape
    common = math.lcm(n, m)
    if common > 2 * max(n, m) or np.ptp(a) > 1e-12 or np.ptp(b) > 1e-12:
        return _programme(G, a, b)
    if n != m:
        copies = np.repeat(np.repeat(G, common // n, axis=0), common // m, axis=1)
        rows, columns = linear_sum_assignment(copies, maximize=True)
        plan = np.zeros_like(G)
        np.add.at(plan, (rows // (common // n), columns // (common // m)), a.sum() / common)
        return plan
    order = hint.argmax(axis=1)
    if np.bincount(order, minlength=n).max() > 1:
        order = np.arange(n)
    moved = G[:, order]
    half = moved.diagonal() / 2
    reduced = half[:, None] + half - moved  # 0 on the diagonal, where the hint is
    proof, exact = np.zeros(n), 1e-13 * np.abs(half).max()
    for _ in range(PROOF):  # shortest paths: prices under which no entry is below 0, so that nothing beats the hint
        lower = (proof[:, None] + reduced).min(axis=0)
        if (lower >= proof - exact).all():
            break
        proof = lower
    else:
        order = order[linear_sum_assignment(reduced + proof[:, None] - proof)[1]]
    plan = np.zeros_like(G)
    plan[np.arange(n), order] = a
    return plan


def _programme(G: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from scipy import sparse
    from scipy.optimize import linprog

    n, m = G.shape
    sums = sparse.vstack([sparse.kron(sparse.eye(n), np.ones((1, m))), sparse.kron(np.ones((1, n)), sparse.eye(m))])
    found = linprog(-G.ravel(), A_eq=sums.tocsr(), b_eq=np.concatenate([a, b * (a.sum() / b.sum())]), method="highs")
    if found.status != 0:
        raise RuntimeError(f"the linear programme of {n} x {m} masses failed: {found.message}")
    return np.asarray(found.x).reshape(n, m)
