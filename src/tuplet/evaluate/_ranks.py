"""Where relevant candidates stand among all, and what that is worth: metrics from counts, exact over ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, one_of

Ties = Literal["expected", "optimistic", "pessimistic"]
CUTOFFS = (1, 5, 10)
DEPTH = 10
"""Places that nDCG looks at."""

Items = dict[str, NDArray[np.float64]]


class Standing(NamedTuple):
    """How one relevant candidate per entry stands: ``(n,)`` counts each."""

    higher: NDArray[np.int64]
    size: NDArray[np.int64]
    above: NDArray[np.int64]
    found: NDArray[np.int64]


def rank_metrics(
    scores: NDArray[np.float64], relevant: NDArray[np.bool_], *, ties: Ties = "expected", cutoffs: Sequence[int] = CUTOFFS
) -> tuple[Items, int]:
    r"""Rank candidates per query and measure where the relevant ones stand.

    .. math:: \mathrm{nDCG@10} = \frac{\sum_{i \le 10} \mathrm{rel}_i / \log_2(i + 1)}
        {\sum_{i \le \min(10, R)} 1 / \log_2(i + 1)}

    Args:
        scores: ``(Nq, Nc)``, higher is better.
        relevant: bool ``(Nq, Nc)``, at least one per query.
        ties: ``"expected"``: exact expectation over random orders of equal scores; ``"optimistic"``, ``"pessimistic"``:
            relevant candidates first or last among equals.
        cutoffs: the ``k`` of ``R@k``.

    Returns:
        Per-query ``R@k``, ``MdR`` and ``MnR`` (rank of the first relevant), ``MRR`` (its reciprocal), ``mAP`` (average
        precision) and ``nDCG@10``, and the number of queries whose first relevant candidate ties with an irrelevant one.

    Raises:
        InputError: if a query has nothing relevant, or a cut-off is not a whole number of at least 1.

    Source:
        Ties as in McSherry and Najork (2008), Computing information retrieval performance measures efficiently in the
        presence of tied scores.

    Example:
        >>> items, tied = rank_metrics(np.zeros((1, 4)), np.array([[True, False, False, False]]))
        >>> float(items["R@1"][0]), float(items["MdR"][0]), tied
        (0.25, 2.5, 1)
    """
    check_options(ties, cutoffs)
    if not relevant.any(axis=1).all():
        raise InputError("relevant has a query with nothing to find; leave that query out")
    standings = [standing(row, row[mine]) for row, mine in zip(scores, relevant, strict=True)]
    return measured(standings, scores.shape[1], ties=ties, cutoffs=cutoffs)


def check_options(ties: str, cutoffs: Sequence[int]) -> None:
    """Refuse an unknown way with ties and cut-offs that are no ranks."""
    one_of("ties", ties, ("expected", "optimistic", "pessimistic"))
    whole = isinstance(cutoffs, Sequence) and all(isinstance(k, int | np.integer) and k >= 1 for k in cutoffs)
    if not whole or not cutoffs:
        raise InputError(f"cutoffs is {cutoffs!r}, expected whole numbers >= 1, such as (1, 5, 10)")


def standing(row: NDArray[np.float64], mine: NDArray[np.float64]) -> Standing:
    """Count, for every relevant score ``mine`` of one query, what stands above and beside it in ``row``; best first."""
    row, mine = np.sort(row), np.sort(mine)
    counts = []
    for some in (row, mine):
        end = np.searchsorted(some, mine, "right")
        counts += [len(some) - end, end - np.searchsorted(some, mine, "left")]
    return Standing(*(c[::-1] for c in counts))


def measured(standings: Sequence[Standing], pool: int, *, ties: Ties, cutoffs: Sequence[int] = CUTOFFS) -> tuple[Items, int]:
    """Turn the standings of every query's relevant candidates, best first, into its metrics."""
    counts = np.array([len(s.higher) for s in standings])
    all_of = Standing(*(np.concatenate(c) for c in zip(*standings, strict=True)))
    starts = np.cumsum(counts) - counts
    best = Standing(*(c[starts] for c in all_of))
    precision, gain = _worth(all_of, np.arange(len(all_of.higher)) - np.repeat(starts, counts), pool, ties)
    items, tied = of_best(best, pool, ties=ties, cutoffs=cutoffs)
    items["mAP"] = np.add.reduceat(precision, starts) / counts
    items[f"nDCG@{DEPTH}"] = np.add.reduceat(gain, starts) / _discounts(pool)[np.minimum(counts, DEPTH)]
    return items, tied


def of_best(
    best: Standing, pool: int, *, ties: Ties, cutoffs: Sequence[int] = CUTOFFS, alone: bool = False
) -> tuple[Items, int]:
    """Measure from the best relevant candidate of every query; ``alone``: it has no other, so that nothing is left out."""
    higher, size, _, found = best
    tied = int((size > found).sum())
    before = higher + (size - found if ties == "pessimistic" else 0)
    if ties != "expected":
        size = found
    items = {f"R@{k}": _hit_probability(size, found, k - before, min(k, pool)) for k in cutoffs}
    items["MdR"] = items["MnR"] = before + (size + 1) / (found + 1)
    items["MRR"] = _reciprocal(before, size, found, pool)
    if alone:
        items["mAP"], items[f"nDCG@{DEPTH}"] = _worth(best, np.zeros_like(found), pool, ties)
    return items, tied


def chance(counts: NDArray[np.int64], pool: int, *, cutoffs: Sequence[int] = CUTOFFS) -> Items:
    """Measure a constant score for queries with so many relevant candidates."""
    different, which = np.unique(counts, return_inverse=True)
    zero = np.zeros_like(different)
    tie = Standing(zero, np.full_like(different, pool), zero, different)
    items, _ = of_best(tie, pool, ties="expected", cutoffs=cutoffs)
    precision, gain = _worth(tie, zero, pool, "expected")  # of each of the relevant ones
    items["mAP"] = precision
    items[f"nDCG@{DEPTH}"] = gain * different / _discounts(pool)[np.minimum(different, DEPTH)]
    return {k: v[which] for k, v in items.items()}


def _worth(
    places: Standing, order: NDArray[np.int64], pool: int, ties: Ties
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision at, and discounted gain of, every relevant candidate; ``order`` counts those of the query before it."""
    higher, size, above, found = places
    discounts = _discounts(pool)
    if ties != "expected":
        rank = higher + order - above + (size - found if ties == "pessimistic" else 0)
        return (order + 1) / (rank + 1), discounts[np.minimum(rank + 1, DEPTH)] - discounts[np.minimum(rank, DEPTH)]
    harmonic = _harmonic(pool)
    span = harmonic[higher + size] - harmonic[higher]
    share = (found - 1) / np.maximum(size - 1, 1)
    precision = ((above + 1 - share * (higher + 1)) * span + share * size) / size
    return precision, (discounts[np.minimum(higher + size, DEPTH)] - discounts[np.minimum(higher, DEPTH)]) / size


def _harmonic(pool: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, pool + 1))])


def _discounts(pool: int) -> NDArray[np.float64]:
    """Sum the discounts of the first 0 .. `DEPTH` places; there are no more places than candidates."""
    each = np.where(np.arange(DEPTH) < pool, 1 / np.log2(np.arange(DEPTH) + 2), 0.0)
    return np.concatenate([[0.0], np.cumsum(each)])


def _hit_probability(size: NDArray[Any], found: NDArray[Any], places: NDArray[Any], most: int) -> NDArray[np.float64]:
    """Probability that ``places`` draws without replacement from a tie of ``size`` meet one of its ``found`` relevant."""
    miss = np.ones(len(size))
    for drawn in range(most):
        left = np.clip((size - found - drawn) / np.maximum(size - drawn, 1), 0.0, 1.0)
        miss *= np.where(drawn < places, left, 1.0)
    return 1 - miss


def _reciprocal(before: NDArray[Any], size: NDArray[Any], found: NDArray[Any], pool: int) -> NDArray[np.float64]:
    """Expected reciprocal rank of the first of ``found`` relevant ones in a tie of ``size``."""
    harmonic = _harmonic(pool)
    value: NDArray[np.float64] = (harmonic[before + size] - harmonic[before]) / size  # a single one: all places alike
    for i in np.flatnonzero(found > 1):
        b, n, r = int(before[i]), int(size[i]), int(found[i])
        drawn = np.arange(n - r + 1)
        still = np.concatenate([[1.0], np.cumprod((n - r - drawn[:-1]) / (n - drawn[:-1]))])  # none in so many draws
        value[i] = (still * r / (n - drawn) / (b + 1 + drawn)).sum()
    return value
