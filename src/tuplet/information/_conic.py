"""The union information as a conic program for Clarabel: an independent solver of small tables."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.information._certificate import Bounds, dual, feasible, support, value


def conic(first: Float[Tensor, "T N Y"], second: Float[Tensor, "T P Y"], *, gap: float = 1e-6) -> Bounds:
    r"""Solve with one exponential cone per cell, one problem after the other."""
    solved = [_solve(one.cpu(), two.cpu(), gap) for one, two in zip(first, second, strict=True)]
    upper, lower, rounds = (torch.tensor(v, device=first.device) for v in zip(*solved, strict=True))
    return Bounds(upper.to(first.dtype), lower.to(first.dtype), rounds)


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
    cones = sparse.vstack(
        [sparse.hstack([none, eye]), sparse.hstack([-eye, none]), sparse.hstack([-members[pair], none])]
    )
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
