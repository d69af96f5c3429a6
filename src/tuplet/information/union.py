"""The union information of two sources, from their marginals with the target alone, by the solver that suits the size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._given import numbers
from tuplet.information._interior import interior
from tuplet.information._solvers import TINY, Bounds, conic, projection
from tuplet.types import InputError, one_of

Solver = Literal["auto", "interior", "projection", "conic"]

LARGEST = 4000
"""Most unknowns ``min(N, P) Y`` for which ``"auto"`` factorises: 128 MB, and some seconds per Newton step on one core."""

MIDDLE = 1000
"""Unknowns beyond which ``"auto"`` tries projections first if the gap may be `COARSE`; with 400 both take as long."""

COARSE = 5e-5  # gap in nats that projections usually reach

CELLS = 100_000_000
"""Most numbers ``N P Y^2`` of one problem for which ``"auto"`` takes Newton steps: 800 MB, five times."""

CHUNK = 400_000
"""Most numbers ``T N P Y^2`` of one batch of problems on its way through a solver: 3 MB, which stay in cache."""


def union_information(
    first: Float[Tensor, "T N Y"],
    second: Float[Tensor, "T P Y"],
    *,
    gap: float = 1e-6,
    solver: Solver = "auto",
    ceiling: Float[Tensor, " T"] | None = None,
) -> Bounds:
    r"""Least information about the target that sources with the given marginals can have, for ``T`` problems at once.

    .. math::
        I^* = \min_q I_q(X_1, X_2; Y) = H(Y) + \min_q \sum q \log \frac{q}{\sum_y q}
        \quad \text{with} \quad q(x_1, y) = p(x_1, y), \; q(x_2, y) = p(x_2, y)

    Args:
        first: ``(T, N, Y)`` masses :math:`p(x_1, y)` >= 0, summing to 1 per problem; computed with in float64.
        second: ``(T, P, Y)`` masses :math:`p(x_2, y)`, of the same mass per class.
        gap: certified upper minus lower bound to reach, in nats.
        solver: ``"interior"`` certifies any gap down to about 1e-9, by a dense factorisation of size ``min(N, P) Y``;
            ``"projection"`` needs only matrix products and ``N P`` numbers, and reaches about 1e-5; ``"conic"`` is Clarabel,
            an independent check. ``"auto"`` chooses between the first two by size.
        ceiling: ``(T,)`` nats that :math:`I^*` cannot exceed, as the information of a known joint; what it settles is not
            solved.

    Returns:
        The `Bounds` of :math:`I^*` in nats, which hold even where the gap was not reached.

    Raises:
        InputError: if the marginals are not of one shape, are negative or not finite, or disagree on a class's mass.

    Source:
        Bertschinger, Rauh, Olbrich, Jost and Ay (2014), Quantifying unique information, definition 4.

    Example:
        >>> copy = torch.tensor([[[0.5, 0.0], [0.0, 0.5]]])  # each source tells the target
        >>> union_information(copy, copy).upper
        tensor([0.6931], dtype=torch.float64)
    """
    one_of("solver", solver, ("auto", "interior", "projection", "conic"))
    first, second = _checked(first, second)
    classes = first.sum(1)
    entropy = -torch.xlogy(classes, classes).sum(1)
    one, two = ((torch.xlogy(f, f).sum((1, 2)) - torch.xlogy(f.sum(2), f.sum(2)).sum(1)) + entropy for f in (first, second))
    least, most = torch.maximum(one, two), one + two
    if ceiling is not None:
        most = torch.maximum(torch.minimum(most, ceiling.double()), least)
    out = Bounds(most.clone(), least.clone(), torch.zeros_like(most, dtype=torch.long))
    n, p, y = first.shape[1], second.shape[1], first.shape[2]
    solvers: dict[str, Callable[..., Bounds]] = {"interior": interior, "projection": projection, "conic": conic}
    for name in _by_size(n, p, y, gap) if solver == "auto" else (solver,):
        (open_,) = torch.nonzero(out.upper - out.lower > gap, as_tuple=True)
        for chunk in torch.split(open_, max(1, CHUNK // (n * p * y * y))) if len(open_) else ():
            found = solvers[name](first[chunk], second[chunk], gap=gap)
            out.upper[chunk] = torch.minimum(out.upper[chunk], found.upper + entropy[chunk])
            out.lower[chunk] = torch.maximum(out.lower[chunk], found.lower + entropy[chunk])
            out.rounds[chunk] += found.rounds
    return out


def _by_size(n: int, p: int, y: int, gap: float) -> tuple[str, ...]:
    """Return the solvers to try in turn."""
    if min(n, p) * y > LARGEST or n * p * y * y > CELLS:
        return ("projection",)
    return ("projection", "interior") if gap >= COARSE and min(n, p) * y > MIDDLE else ("interior",)


def _checked(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    first, second = (numbers(k, v).detach().double() for k, v in (("first", first), ("second", second)))
    fit = first.ndim == second.ndim == 3 and first.shape[::2] == second.shape[::2]
    if not fit or not first.numel() * second.numel():
        raise InputError(
            f"first has shape {tuple(first.shape)} and second {tuple(second.shape)}, expected (T, N, Y) and (T, P, Y); give as "
            "many problems and classes in both"
        )
    for name, given in (("first", first), ("second", second)):
        if not bool((given >= 0).all() & given.isfinite().all()):
            raise InputError(f"{name} has negative, NaN or infinite entries, expected masses p(x, y)")
    mass, other = first.sum(1), second.sum(1)
    if bool(((mass - other).abs() > 1e-6).any()) or bool(((mass.sum(1) - 1).abs() > 1e-6).any()):
        raise InputError(
            f"first and second differ by up to {float((mass - other).abs().max()):.1e} in the mass of a class and sum to "
            f"{float(mass.sum(1).min()):.6g} or more, expected the same p(y) of total 1; rescale the posteriors class by class"
        )
    return first, second * (mass / other.clamp_min(TINY))[:, None]
