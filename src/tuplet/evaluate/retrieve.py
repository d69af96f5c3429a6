"""Retrieval from any modalities to any others, with ties, pool size and chance told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.functional.scores import cosine, unit
from tuplet.types import Embeddings, InputError, one_of

Score = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]
Ties = Literal["expected", "optimistic", "pessimistic"]
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well queries find what belongs to them.

    Attributes:
        values: ``R@k`` (share of queries with a relevant candidate among the first k), ``MdR`` (median rank of the first
            relevant candidate) and ``mAP`` (mean average precision).
        chance: the same numbers for a score that is constant.
        items: metric -> float64 ``(queries,)``, one value per query; the rank for ``MdR``.
        queries: number of queries.
        pool: number of candidates.
        dropped: rows left out because a modality of the query or the candidate is missing.
        tied: queries whose first relevant candidate ties with an irrelevant one.
    """

    values: dict[str, float]
    chance: dict[str, float]
    items: dict[str, NDArray[np.float64]]
    queries: int
    pool: int
    dropped: int
    tied: int


def retrieve(
    emb: Embeddings,
    query: tuple[str, ...],
    candidates: tuple[str, ...],
    *,
    score: Score,
    relevance: str = "instance",
    ties: Ties = "expected",
) -> Retrieval:
    """Retrieve the rows of some modalities with the same rows of other modalities.

    Args:
        emb: embeddings of a split.
        query: modalities of the queries.
        candidates: modalities of the candidates; none of the queries'.
        score: ``score(query, candidates) -> (Nq, Nc)``, higher is better: an objective's own, or `mean_cosine`.
        relevance: ``"instance"`` (the same row), ``"group"`` (the same group id), or the name of a class target (the same
            label).
        ties: how equal scores are ranked: the ``"expected"`` value over random orders, or the best or worst order.

    Returns:
        The `Retrieval`; each row with all the modalities present is one query and one candidate.

    Raises:
        InputError: if no row has all the modalities, the relevance is unknown, or scores are not finite.

    Example:
        >>> emb = Embeddings.of({"a": torch.eye(4), "b": torch.eye(4)})
        >>> retrieve(emb, ("a",), ("b",), score=mean_cosine).values["R@1"]
        1.0
    """
    here = torch.stack([emb.present[k] for k in (*query, *candidates)]).all(dim=0)
    if not here.any():
        raise InputError(f"no row has all of {sorted({*query, *candidates})}; choose other modalities")
    with torch.no_grad():
        scores = score(
            {k: emb.z[k][here].double() for k in query},
            {k: emb.z[k][here].double() for k in candidates},
        )
    if not bool(torch.isfinite(scores).all()):
        raise InputError(f"score gave values that are not finite for {query} -> {candidates}")
    if relevance == "instance":
        ids = torch.arange(int(here.sum()))
    elif relevance == "group":
        if emb.group is None:
            raise InputError(
                "relevance is 'group', but the embeddings have no group; use 'instance' or a target's name"
            )
        ids = emb.group[here]
    elif relevance in emb.target and not emb.target[relevance].is_floating_point():
        ids = emb.target[relevance][here]
    else:
        classes = [k for k, v in emb.target.items() if not v.is_floating_point()]
        raise InputError(f"relevance is {relevance!r}, expected 'instance', 'group' or a class target of {classes}")
    relevant = (ids[:, None] == ids).numpy()
    items, tied = rank_metrics(scores.double().numpy(), relevant, ties=ties)
    blind, _ = rank_metrics(np.zeros(scores.shape), relevant)
    return Retrieval(
        values=_summary(items),
        chance=_summary(blind),
        items=items,
        queries=len(scores),
        pool=scores.shape[1],
        dropped=int((~here).sum()),
        tied=tied,
    )


def mean_cosine(query: Mapping[str, Tensor], candidates: Mapping[str, Tensor]) -> Tensor:
    """Score by the mean cosine over the pairs of a query and a candidate modality: one yardstick for all objectives.

    Args:
        query: modality -> ``(Nq, D)``.
        candidates: modality -> ``(Nc, D)``.

    Returns:
        ``(Nq, Nc)`` in [-1, 1].

    Example:
        >>> mean_cosine({"a": torch.eye(2)}, {"b": torch.eye(2)})
        tensor([[1., 0.],
                [0., 1.]])
    """
    queries = torch.stack([unit(q) for q in query.values()]).mean(dim=0)
    lengths = torch.linalg.vector_norm(queries, dim=1, keepdim=True)
    scores: Tensor = cosine(queries, list(candidates.values())) * lengths
    return scores


def rank_metrics(
    scores: NDArray[np.float64], relevant: NDArray[np.bool_], *, ties: Ties = "expected"
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Rank candidates per query and measure where the relevant ones stand.

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        relevant: bool ``(Nq, Nc)``, at least one per query.
        ties: ``"expected"``: exact expectation over random orders of equal scores; ``"optimistic"``, ``"pessimistic"``:
            relevant candidates first or last among equals.

    Returns:
        Per-query ``R@1``, ``R@5``, ``R@10``, ``MdR`` (rank of the first relevant) and ``mAP`` (average precision), and the
        number of queries whose first relevant candidate ties with an irrelevant one.

    Raises:
        InputError: if a query has nothing relevant.

    Source:
        Ties as in McSherry and Najork (2008), Computing information retrieval performance measures efficiently in the
        presence of tied scores.

    Example:
        >>> items, tied = rank_metrics(np.zeros((1, 4)), np.array([[True, False, False, False]]))
        >>> float(items["R@1"][0]), float(items["MdR"][0]), tied
        (0.25, 2.5, 1)
    """
    one_of("ties", ties, ("expected", "optimistic", "pessimistic"))
    if not relevant.any(axis=1).all():
        raise InputError("relevant has a query with nothing to find; leave that query out")
    level = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)  # of the first relevant candidate
    at_level = scores == level
    before, size = (scores > level).sum(axis=1), at_level.sum(axis=1)
    found = (at_level & relevant).sum(axis=1)
    tied = int((size > found).sum())
    if ties == "pessimistic":
        before = before + size - found
    if ties != "expected":
        size = found
    items = {f"R@{k}": _hit_probability(size, found, k - before) for k in CUTOFFS}
    items["MdR"] = before + (size + 1) / (found + 1)
    if (relevant.sum(axis=1) == 1).all():  # average precision is 1 / rank, averaged over the places of the tie
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, scores.shape[1] + 1))])
        items["mAP"] = (harmonic[before + size] - harmonic[before]) / size
    else:
        nudge = {"expected": 0, "optimistic": -1, "pessimistic": 1}[ties]
        items["mAP"] = _average_precision(scores, relevant, nudge)
    return items, tied


def _hit_probability(size: NDArray[Any], found: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float64]:
    """Probability that ``places`` draws without replacement from a tie of ``size`` meet one of its ``found`` relevant."""
    miss = np.ones(len(size))
    for drawn in range(CUTOFFS[-1]):
        left = np.clip((size - found - drawn) / np.maximum(size - drawn, 1), 0.0, 1.0)
        miss *= np.where(drawn < places, left, 1.0)
    return 1 - miss


def _average_precision(scores: NDArray[np.float64], relevant: NDArray[np.bool_], nudge: int) -> NDArray[np.float64]:
    """Expected average precision: place i of a tie of n with r relevant holds one with probability r / n."""
    order = np.lexsort((nudge * relevant, -scores))  # relevant first, last or anywhere among equals
    ranked = np.take_along_axis(relevant, order, axis=1)
    places = np.arange(scores.shape[1])
    first = np.diff(np.take_along_axis(scores, order, axis=1), axis=1, prepend=np.nan) != 0
    if nudge:  # the order within ties is settled: every place is its own tie
        first[:] = True
    last = np.roll(first, -1, axis=1)  # the first place of a row always starts a tie, so the last one ends it
    start = np.maximum.accumulate(np.where(first, places, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, places, places[-1])[:, ::-1], axis=1)[:, ::-1]
    so_far = np.cumsum(ranked, axis=1)
    above: NDArray[np.int64] = np.take_along_axis(so_far - ranked, start, axis=1)
    n, r = end - start + 1, np.take_along_axis(so_far, end, axis=1) - above
    others = (places - start) * (r - 1) / np.maximum(n - 1, 1)  # expected relevant ones before it within the tie
    total: NDArray[np.float64] = (r / n * (above + others + 1) / (places + 1)).sum(axis=1)
    return total / so_far[:, -1]


def _summary(items: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {k: float(np.median(v) if k == "MdR" else v.mean()) for k, v in items.items()}
