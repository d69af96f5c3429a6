"""Hubs: candidates that many queries find, whatever they ask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Hubs:
    """How often candidates are found.

    Attributes:
        occurrence: float64 ``(Nc,)``, in how many queries' first k each candidate is, expected over random orders of ties.
        skew: population skewness of these counts; 0 for a symmetric spread, large where few candidates are in most lists.
        largest: the largest count.
        never: share of candidates that no query can find.
        queries: number of queries.
        places: length of a list.

    Example:
        >>> hubs(torch.eye(3), k=1).largest
        1.0
    """

    occurrence: Float[Tensor, " C"]
    skew: float
    largest: float
    never: float
    queries: int
    places: int


def hubs(scores: Float[Tensor, "Q C"], k: int = 10) -> Hubs:
    r"""Count in how many queries' first k every candidate is.

    .. math:: N_k(c) = \sum_q P(c \in \mathrm{top}_k(q)), \qquad \mathrm{skew} = \frac{E (N_k - \mu)^3}{\sigma^3}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        k: length of a list; at most the number of candidates.

    Returns:
        The `Hubs`.

    Raises:
        InputError: if the scores are no finite matrix or k is out of range.

    Notes:
        Candidates that tie at the last place share the places that are left: a space of equal scores has no hub.

    Source:
        Radovanovic et al. (2010).

    Example:
        >>> found = hubs(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), k=1)
        >>> found.occurrence, found.largest, found.never
        (tensor([2., 0.], dtype=torch.float64), 2.0, 0.5)
    """
    if scores.ndim != 2 or scores.numel() == 0 or not bool(torch.isfinite(scores).all()):
        raise InputError(f"scores has shape {tuple(scores.shape)}, expected a finite (Nq, Nc) that is not empty")
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k is {k}, expected 1 to {scores.shape[1]}, the number of candidates")
    return counted(occurrences(scores, k), k, len(scores))


def occurrences(scores: Float[Tensor, "Q C"], k: int) -> Float[Tensor, " C"]:
    """Count in how many queries' first k every candidate is, expected over random orders of equal scores."""
    last = scores.topk(k, dim=1).values[:, -1:]  # (Q, 1), the score at the k-th place
    above, level = scores > last, scores == last
    left = k - above.sum(dim=1)  # places for those that are level with it, at least 1
    return above.sum(dim=0).double() + (left.double() / level.sum(dim=1)) @ level.double()


def counted(n: Float[Tensor, " C"], k: int, queries: int) -> Hubs:
    """Describe how often candidates were found."""
    away = n - n.mean()
    spread = float(away.square().mean().sqrt())
    varied = spread > 1e-9 * k * queries  # by more than rounding
    skew = float(away.pow(3).mean()) / spread**3 if varied else 0.0
    return Hubs(n, skew, float(n.max()), float((n == 0).double().mean()), queries, k)
