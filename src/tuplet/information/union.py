"""The union information of two sources, from their marginals with the target alone, by the solver that suits the size."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.information.certificate import Bounds
from tuplet.information.interior import interior
from tuplet.types import one_of

Solver = Literal["auto", "interior"]

LARGEST = 6000
"""Most unknowns ``min(N, P) Y`` for which ``"auto"`` factorises a dense matrix."""

CHUNK = 4_000_000
"""Most numbers ``T N P Y^2`` of one batch of problems on its way through the interior solver."""


def union_information(
    first: Float[Tensor, "T N Y"],
    second: Float[Tensor, "T P Y"],
    *,
    gap: float = 1e-6,
    solver: Solver = "auto",
) -> Bounds:
    r"""Least information about the target that sources with the given marginals can have, for ``T`` problems at once.

    .. math::
        I^* = \min_q I_q(X_1, X_2; Y) = H(Y) + \min_q \sum q \log \frac{q}{\sum_y q}
        \quad \text{with} \quad q(x_1, y) = p(x_1, y), \; q(x_2, y) = p(x_2, y)

    Args:
        first: ``(T, N, Y)`` masses :math:`p(x_1, y)` >= 0, summing to 1 per problem; computed with in float64.
        second: ``(T, P, Y)`` masses :math:`p(x_2, y)`, of the same mass per class.
        gap: certified upper minus lower bound to reach, in nats.
        solver: see `discrete`.

    Returns:
        The `Bounds` of :math:`I^*` in nats. The least information is certainly between them, even where the gap was not
        reached.

    Source:
        Bertschinger, Rauh, Olbrich, Jost and Ay (2014), Quantifying unique information, definition 4.

    Example:
        >>> copy = torch.tensor([[[0.5, 0.0], [0.0, 0.5]]])  # each source tells the target
        >>> union_information(copy, copy).upper
        tensor([0.6931], dtype=torch.float64)
    """
    one_of("solver", solver, ("auto", "interior"))
    first, second = first.double(), second.double()
    p = first.sum(1)
    entropy = -torch.xlogy(p, p).sum(1)
    one, two = (
        (torch.xlogy(f, f).sum((1, 2)) - torch.xlogy(f.sum(2), f.sum(2)).sum(1)) + entropy for f in (first, second)
    )
    least, most = torch.maximum(one, two), one + two
    out = Bounds(most.clone(), least.clone(), torch.zeros_like(most, dtype=torch.long))
    (open_,) = torch.nonzero(most - least > gap, as_tuple=True)
    if len(open_):
        size = max(1, CHUNK // (first.shape[1] * second.shape[1] * first.shape[2] ** 2))
        for chunk in torch.split(open_, size):
            found = interior(first[chunk], second[chunk], gap=gap)
            out.upper[chunk] = torch.minimum(most[chunk], found.upper + entropy[chunk])
            out.lower[chunk] = torch.maximum(least[chunk], found.lower + entropy[chunk])
            out.rounds[chunk] = found.rounds
    return out
