"""Refinements of a score matrix, off by default: each changes which candidates are found, none is part of a model.

``dual_softmax``, ``sinkhorn`` and ``csls`` look at all queries at once (they are transductive): a single new query cannot be
refined so. ``query_bank`` needs a bank of other queries, such as those of the training rows.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.types import InputError, in_range, one_of, positive


def dual_softmax(
    scores: Float[Tensor, "Q C"], *, beta: float = 20.0, form: Literal["product", "prior", "inverted"] = "product"
) -> Float[Tensor, "Q C"]:
    r"""Weigh every score by how much its candidate prefers the query among all queries. Transductive.

    .. math:: p_{ij} = \frac{e^{\beta s_{ij}}}{\sum_i e^{\beta s_{ij}}}, \qquad r_{ij} =
        \frac{e^{\beta s_{ij}}}{\sum_j e^{\beta s_{ij}}}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        beta: inverse temperature; beyond about 40, give float64 scores, as products of shares leave float32.
        form: ``"product"`` gives :math:`p r`, ``"prior"`` :math:`s p` (CAMoE, up to a factor), ``"inverted"`` :math:`p` alone.

    Returns:
        ``(Nq, Nc)``, higher is better.

    Raises:
        InputError: if the scores are no finite matrix, beta is not positive or the form is unknown.

    Source:
        Cheng et al. (2021), CAMoE; Smith et al. (2017) for the inverted softmax.

    Example:
        >>> s = torch.tensor([[0.9, 0.8], [0.9, 0.1]])  # one candidate is the best of both queries
        >>> dual_softmax(s, form="inverted").argmax(dim=1)
        tensor([1, 0])
    """
    _check(scores, beta=beta)
    one_of("form", form, ("product", "prior", "inverted"))
    inverted = (beta * scores).softmax(dim=0)
    if form == "product":
        return inverted * (beta * scores).softmax(dim=1)
    return scores * inverted if form == "prior" else inverted


def query_bank(
    scores: Float[Tensor, "Q C"],
    bank: Float[Tensor, "B _"],
    *,
    beta: float = 20.0,
    k: int = 1,
    rows: Literal["hubs", "all"] = "hubs",
) -> Float[Tensor, "Q C"]:
    r"""Divide by how much a bank of other queries likes each candidate. Not transductive: the bank is not the test's queries.

    .. math:: q_{ij} = \frac{e^{\beta s_{ij}}}{\sum_b e^{\beta b_{bj}}}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        bank: ``(Nb, Nc)``, scores of the bank's queries with the same candidates.
        beta: inverse temperature; beyond about 80, give float64 scores, as the ratio leaves float32.
        k: candidates that are among the ``k`` best of a query of the bank are hubs.
        rows: ``"hubs"`` changes the rows whose best candidate is a hub, as published: the others keep their scores, so
            rows have different scales and only an order within a row means something. ``"all"`` changes all rows.

    Returns:
        ``(Nq, Nc)``, higher is better within a row.

    Raises:
        InputError: if shapes disagree, beta is not positive or k is out of range.

    Source:
        Bogolin et al. (2022), QB-Norm.

    Example:
        >>> bank = torch.tensor([[0.9, 0.0], [0.9, 0.1]])
        >>> query_bank(torch.tensor([[0.8, 0.7]]), bank).argmax(dim=1)
        tensor([1])
    """
    _check(scores, beta=beta)
    one_of("rows", rows, ("hubs", "all"))
    if bank.ndim != 2 or bank.shape[1] != scores.shape[1]:
        raise InputError(f"bank has shape {tuple(bank.shape)}, expected (Nb, {scores.shape[1]}): the same candidates as scores")
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k is {k}, expected 1 to {scores.shape[1]}, the number of candidates")
    log = beta * scores - torch.logsumexp(beta * bank, dim=0)
    if rows == "all":
        return log.exp()
    hubs = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
    hubs[bank.topk(k, dim=1).indices.flatten()] = True
    return torch.where(hubs[scores.argmax(dim=1)][:, None], log.exp(), scores)


def csls(scores: Float[Tensor, "Q C"], *, k: int = 10) -> Float[Tensor, "Q C"]:
    r"""Subtract how near each side is to its own nearest neighbours. Transductive.

    .. math:: 2 s_{ij} - \tfrac1k \sum_{j' \in N_k(i)} s_{ij'} - \tfrac1k \sum_{i' \in N_k(j)} s_{i'j}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        k: neighbours; at most the number of queries and of candidates.

    Returns:
        ``(Nq, Nc)``, higher is better.

    Raises:
        InputError: if the scores are no finite matrix or k is out of range.

    Source:
        Conneau et al. (2018), cross-domain similarity local scaling.

    Example:
        >>> csls(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), k=1)
        tensor([[ 0., -2.],
                [-2.,  0.]])
    """
    _check(scores)
    if not 1 <= k <= min(scores.shape):
        raise InputError(f"k is {k}, expected 1 to {min(scores.shape)}, the smaller number of queries and candidates")
    return 2 * scores - scores.topk(k, dim=1).values.mean(1, keepdim=True) - scores.topk(k, dim=0).values.mean(0, keepdim=True)


def sinkhorn(scores: Float[Tensor, "Q C"], *, beta: float = 20.0, rounds: int = 100) -> Float[Tensor, "Q C"]:
    r"""Scale :math:`e^{\beta s}` until every query and every candidate has the same mass. Transductive; for one match each.

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        beta: inverse temperature.
        rounds: of scaling rows to 1 / Nq, then columns to 1 / Nc.

    Returns:
        The logarithm of the plan ``(Nq, Nc)``, higher is better.

    Raises:
        InputError: if the scores are no finite matrix, or a number is not positive.

    Source:
        Sinkhorn (1967); Cuturi (2013).

    Example:
        >>> plan = sinkhorn(torch.tensor([[0.9, 0.8], [0.9, 0.1]])).exp()
        >>> plan.sum(dim=0)
        tensor([0.5000, 0.5000])
    """
    _check(scores, beta=beta)
    in_range("rounds", rounds, 1)
    log = beta * scores
    queries, candidates = (torch.tensor(n, dtype=log.dtype).log() for n in log.shape)
    for _ in range(rounds):
        log = log - torch.logsumexp(log, dim=1, keepdim=True) - queries
        log = log - torch.logsumexp(log, dim=0, keepdim=True) - candidates
    return log


def _check(scores: Tensor, *, beta: float = 1.0) -> None:
    """Refuse anything but a finite matrix and a positive inverse temperature."""
    if scores.ndim != 2 or not scores.is_floating_point() or scores.numel() == 0:
        raise InputError(f"scores is {scores.dtype} of shape {tuple(scores.shape)}, expected floating (Nq, Nc), not empty")
    if not bool(torch.isfinite(scores).all()):
        raise InputError("scores has NaN or infinite values; leave such queries and candidates out")
    positive("beta", beta)
