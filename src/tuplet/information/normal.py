"""Partial information decomposition of jointly Gaussian variables, for continuous and vector targets."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.functional._given import numbers
from tuplet.information.pid import PID, Units, nats_in, of_union
from tuplet.types import InputError, in_range, positive

Array = Tensor | NDArray[np.generic]

FEW = 10
"""Samples per dimension below which an estimate is marked: the sample covariance then overstates every information."""


def gaussian(
    first: Array, second: Array, target: Array, *, ridge: float = 1e-6, units: Units = "bits", gap: float = 1e-5
) -> PID:
    """Decompose what two sources say about a target, from samples, as if all three were jointly Gaussian.

    Args:
        first: ``(n, d1)`` samples of the first source, or ``(n,)``.
        second: ``(n, d2)`` samples of the second.
        target: ``(n, dy)`` samples of the target. Class labels as one-hot columns are a modelling choice, not a Gaussian.
        ridge: variance added to every coordinate, as a fraction of its own; 1e-6 keeps constant directions harmless.
        units, gap: as in `gaussian_covariance`.

    Returns:
        The `PID` of the sample covariance, ``estimator="gaussian"``. Only linear dependence counts. The plug-in estimate is
        biased upward by about ``d1 dy / (2 n)`` nats for :math:`I(X_1; Y)`, and so on; a warning says when ``n`` is small.

    Raises:
        InputError: if the rows disagree, or values are not finite.

    Source:
        As `gaussian_covariance`.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> y, noise = torch.randn(4000, 2, generator=g), torch.randn(4000, 2, generator=g)
        >>> pid = gaussian(y[:, :1] + noise[:, :1], y[:, 1:] + noise[:, 1:], y)  # each sees a part of its own
        >>> round(pid.unique1, 1), round(pid.redundancy, 1)
        (0.5, 0.0)
    """
    in_range("ridge", ridge, 0)
    columns = columns_of(target, first, second)
    covariance, n = covariance_of(torch.cat(columns, dim=1), ridge), len(columns[0])
    dy, d1, d2 = (c.shape[1] for c in columns)
    warnings = few(n, dy + d1 + d2)
    return _decompose(covariance, (dy, d1, d2), units, gap, samples=n, warnings=warnings)


def gaussian_covariance(covariance: Array, *, sizes: tuple[int, int, int], units: Units = "bits", gap: float = 1e-5) -> PID:
    r"""Decompose what two sources say about a target, from the covariance of all three.

    .. math::
        I^* = \min_{\|W\|_2 \le 1} \tfrac12 \log\det\bigl(I + H^\top \Sigma_W^{-1} H\bigr), \qquad
        \Sigma_W = \begin{pmatrix} I & W \\ W^\top & I \end{pmatrix}

    where :math:`H_i` is what source ``i`` sees of the whitened target, in units of its noise, and ``W`` the unknown
    correlation of the noises: BROJA among Gaussian distributions, an upper bound of BROJA's :math:`I^*` for Gaussian data.

    Args:
        covariance: ``(d, d)`` positive definite, of (target, first source, second source).
        sizes: (target, first source, second source) dimensions, which sum to ``d``.
        units: ``"bits"`` or ``"nats"``.
        gap: certified error of :math:`I^*` at which to stop, in ``units``.

    Returns:
        The `PID`, ``estimator="gaussian"``. The objective is convex in ``W``, so that its tangent certifies the gap. Sources
        are first reduced to the at most ``sizes[0]`` directions that see the target. A scalar target needs no search: the
        weaker source has nothing unique.

    Raises:
        InputError: if sizes and covariance disagree, or the covariance is not symmetric and positive definite.

    Source:
        Venkatesh, Bennett, Gale, Ramirez, Heller, Durand, Olsen and Mihalas (2023), Gaussian partial information decomposition;
        Barrett (2015) for scalar targets; Diggavi and Cover (2001) for the convexity. The parametrisation is ours.

    Example:
        >>> c = torch.tensor([[1.0, 0.5, 0.5], [0.5, 1.0, 0.25], [0.5, 0.25, 1.0]])
        >>> pid = gaussian_covariance(c, sizes=(1, 1, 1))
        >>> pid.unique1, round(pid.redundancy, 4)
        (0.0, 0.2075)
    """
    return _decompose(numbers("covariance", covariance).detach().double().cpu(), sizes, units, gap)


def columns_of(target: Array, first: Array, second: Array) -> list[Tensor]:
    """Read samples as ``(n, d)`` float64 matrices, the target first."""
    columns: list[Tensor] = []
    for name, value in {"target": target, "first": first, "second": second}.items():
        rows = numbers(name, value).detach().double().cpu()
        rows = rows[:, None] if rows.ndim == 1 else rows
        n = len(columns[0]) if columns else len(rows) if rows.ndim else 0
        if rows.ndim != 2 or not rows.numel() or len(rows) != n:
            raise InputError(f"{name} has shape {tuple(rows.shape)}, expected (n, d) with the n = {n} rows of target")
        if not bool(rows.isfinite().all()):
            raise InputError(f"{name} has NaN or infinite values; drop those rows or fill them first")
        columns.append(rows)
    return columns


def covariance_of(rows: Tensor, ridge: float) -> Tensor:
    """Return the sample covariance, every variance enlarged by a share of its own."""
    covariance = torch.cov(rows.mT)
    scale = covariance.diagonal().clone()
    scale[scale <= 0] = 1.0
    return covariance + torch.diag(ridge * scale)


def few(n: int, d: int) -> tuple[str, ...]:
    """Warn of few samples."""
    said = f"{n} samples for {d} dimensions: informations are overstated; reduce the dimensions, or see `gaussian_copula`"
    return (said,) if n < FEW * d else ()


def _decompose(
    covariance: Tensor,
    sizes: tuple[int, int, int],
    units: Units,
    gap: float,
    *,
    samples: int | None = None,
    warnings: tuple[str, ...] = (),
) -> PID:
    factor = nats_in(units)
    positive("gap", gap)
    d = sum(sizes)
    if covariance.shape != (d, d) or min(sizes) < 1:
        raise InputError(f"covariance has shape {tuple(covariance.shape)}, expected ({d}, {d}) for sizes {sizes} >= 1")
    if not bool(covariance.isfinite().all()) or not torch.allclose(covariance, covariance.mT, rtol=1e-6, atol=1e-9):
        raise InputError("covariance is not finite and symmetric; average it with its transpose or find what is NaN")
    if int(torch.linalg.cholesky_ex(covariance)[1]):
        raise InputError("covariance is not positive definite; add a ridge to its diagonal or drop dependent columns")
    h1, h2 = _views(covariance, sizes)
    i1, i2 = _information(h1), _information(h2)
    union, lower = _least(h1, h2, gap / factor)
    least = max(i1, i2)
    together = _joint_information(covariance, sizes)
    union = max(min(union, i1 + i2, together), least)
    lower = min(max(lower, least), union)
    reached = (union - lower) * factor
    if reached > 1.01 * gap:
        warnings = (*warnings, f"the certified gap is {reached:.1e} {units}, not the {gap:.1e} asked for")
    return PID(
        **{k: v * factor for k, v in of_union(i1, i2, together, union).items()},
        gap=reached,
        units=units,
        definition="BROJA among Gaussians",
        estimator="gaussian",
        samples=samples,
        warnings=warnings,
    )


def _views(covariance: Tensor, sizes: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """What each source sees of the whitened target in units of its noise, reduced to the directions that see any."""
    t = sizes[0]
    root = torch.linalg.cholesky(covariance[:t, :t])
    views, start = [], t
    for size in sizes[1:]:
        block = slice(start, start + size)
        seen = torch.linalg.solve_triangular(root, covariance[:t, block], upper=False).mT
        noise = torch.linalg.cholesky(covariance[block, block] - seen @ seen.mT)
        h = torch.linalg.solve_triangular(noise, seen, upper=False)
        views.append(torch.linalg.qr(h)[1] if size > t else h)
        start += size
    return views[0], views[1]


def _information(h: Tensor) -> float:
    return float(torch.logdet(torch.eye(h.shape[1], dtype=h.dtype) + h.mT @ h)) / 2


def _joint_information(covariance: Tensor, sizes: tuple[int, int, int]) -> float:
    t = sizes[0]
    parts = (covariance[:t, :t], covariance[t:, t:], covariance)
    target, sources, whole = (float(torch.linalg.cholesky(c).diagonal().log().sum()) for c in parts)
    return target + sources - whole


def _least(h1: Tensor, h2: Tensor, gap: float) -> tuple[float, float]:
    """The least joint information of both views over the correlation of their noises, and a certified lower bound."""
    from scipy.optimize import minimize

    if h1.shape[1] == 1:
        least = max(_information(h1), _information(h2))
        return least, least
    if len(h1) > len(h2):
        h1, h2 = h2, h1
    shape = (len(h1), len(h2))
    eye, base = torch.eye(len(h1), dtype=h1.dtype), torch.eye(h2.shape[1], dtype=h1.dtype) + h2.mT @ h2

    # With W = L^-1 A, L L' = I + A A', every A is feasible; the objective is log det(I + H2' H2 + D' D) / 2, D = L H1 - A H2:
    # nothing is projected, and nothing cancels as the noises become one. f(W) - I* <= <G, W> + |G|_* (nuclear) certifies.
    def parts(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        root = torch.linalg.cholesky(eye + a @ a.mT)
        rest = root @ h1 - a @ h2
        return root, rest, base + rest.mT @ rest

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        a = torch.from_numpy(flat).view(shape).requires_grad_()
        loss = torch.logdet(parts(a)[2]) / 2
        (slope,) = torch.autograd.grad(loss, a)
        return float(loss.detach()), slope.numpy().ravel()

    def bounds(flat: NDArray[np.float64]) -> tuple[float, float]:
        a = torch.from_numpy(flat).view(shape)
        root, rest, inner = parts(a)
        w = torch.linalg.solve_triangular(root, a, upper=False)
        seen1 = root.mT @ rest
        seen2 = h2 - w.mT @ seen1
        slope = -seen1 @ torch.linalg.solve(inner, seen2.mT)
        found = float(torch.logdet(inner)) / 2
        return found, found - float((slope * w).sum() + torch.linalg.matrix_norm(slope, "nuc"))

    flat, upper, lower = np.zeros(shape[0] * shape[1]), math.inf, -math.inf
    for _ in range(20):  # restarts forget the curvature of where the search began
        options = {"maxiter": 500, "maxfun": 2000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-12}
        flat = minimize(objective, flat, jac=True, method="L-BFGS-B", options=options).x
        found, certain = bounds(flat)
        stuck = found > upper - 1e-15
        upper, lower = min(upper, found), max(lower, certain)
        if upper - lower <= gap or stuck:
            break
    return upper, lower
