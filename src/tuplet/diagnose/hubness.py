"""Hubs: candidates that many queries find, whatever they ask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Hubs:
    """How often candidates are found.

    Attributes:
        occurrence: int64 ``(Nc,)``, in how many queries' first k each candidate is.
        skew: population skewness of these counts; 0 for a symmetric spread, large where few candidates are in most lists.
        largest: the largest count.
        never: share of candidates that no query finds.
        queries: number of queries.
        places: length of a list.

    Example:
        >>> hubs(torch.eye(3), k=1).largest
        1
    """

    occurrence: Int[Tensor, " C"]
    skew: float
    largest: int
    never: float
    queries: int
    places: int


def hubs(scores: Float[Tensor, "Q C"], k: int = 10) -> Hubs:
    r"""Count in how many queries' first k every candidate is.

    .. math:: N_k(c) = |\{q : c \in \mathrm{top}_k(q)\}|, \qquad \mathrm{skew} = \frac{E (N_k - \mu)^3}{\sigma^3}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        k: length of a list; at most the number of candidates.

    Returns:
        The `Hubs`.

    Raises:
        InputError: if the scores are no finite matrix or k is out of range.

    Source:
        Radovanovic et al. (2010).

    Example:
        >>> found = hubs(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), k=1)
        >>> found.occurrence, found.largest, found.never
        (tensor([2, 0]), 2, 0.5)
    """
    if scores.ndim != 2 or scores.numel() == 0 or not bool(torch.isfinite(scores).all()):
        raise InputError(f"scores has shape {tuple(scores.shape)}, expected a finite (Nq, Nc) that is not empty")
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k is {k}, expected 1 to {scores.shape[1]}, the number of candidates")
    found = torch.bincount(scores.topk(k, dim=1).indices.flatten(), minlength=scores.shape[1])
    return counted(found, k)


def counted(n: Int[Tensor, " C"], k: int) -> Hubs:
    """Describe how often candidates were found."""
    away = n.double() - n.double().mean()
    spread = away.square().mean().sqrt()
    skew = float(away.pow(3).mean() / spread**3) if float(spread) > 0 else 0.0
    return Hubs(n, skew, int(n.max()), float((n == 0).double().mean()), int(n.sum()) // k, k)
