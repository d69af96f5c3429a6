"""Retrieval in two stages: candidates that are near by the cosine of some member, then the exact score of those alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.evaluate.retrieval import Score, sides_of
from tuplet.functional._frame import even_product
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError, in_range

PANEL = 2**22
"""Cosines that are held at a time."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """The best candidates of every query, as far as the shortlist goes.

    Attributes:
        rows: int64 ``(n,)``, the rows of the embeddings that have all the modalities; each is a query and a candidate.
        found: int64 ``(n, keep)``, places in ``rows`` of the candidates, best first; -1 where the shortlist is shorter.
        scores: float64 ``(n, keep)``, their scores; minus infinity where there is none.
        ranks: float64 ``(n,)``, the place of the query's own row, 1 for the first, ties at their mean; infinity where the
            shortlist lacks it.
        sizes: int64 ``(n,)``, candidates scored per query.
    """

    rows: Tensor
    found: Tensor
    scores: Tensor
    ranks: Tensor
    sizes: Tensor

    def recall(self, k: int) -> float:
        """Return the share of queries whose own row is among the first ``k``; tied rows count by their mean place."""
        return float((self.ranks <= k).double().mean())

    def agreement(self, exact: Reranked, k: int) -> float:
        """Return the share of the first ``k`` candidates of an exhaustive search that are among the first ``k`` here."""
        in_range("k", k, 1, min(self.found.shape[1], exact.found.shape[1]) + 1)
        if not torch.equal(self.rows, exact.rows):
            raise InputError("exact was searched in other rows; search the same embeddings and modalities")
        there = (exact.found[:, :k, None] == self.found[:, None, :k]).any(dim=2)
        return float(there[exact.found[:, :k] >= 0].double().mean())


@torch.no_grad()
def rerank(
    emb: Embeddings, query: tuple[str, ...], candidates: tuple[str, ...], *, score: Score, shortlist: int = 100, keep: int = 10
) -> Reranked:
    r"""Search for every query among the candidates that some pair of members brings near, and rank those exactly.

    .. math::
        L(q) = \bigcup_{i, j} \operatorname{top}_n \cos(q_i, c_j), \qquad \text{rank by } s(q, c) \text{ over } c \in L(q)

    Args:
        emb: embeddings of the rows to search.
        query: modalities of the queries.
        candidates: modalities of the candidates; none of the queries'.
        score: ``score(query, candidates) -> (Nq, Nc)``, an objective's own; called in float64 with one query at a time.
        shortlist: ``n``, candidates per pair of a query's and a candidate's modality, at least 1. With the number of rows, the
            search is exhaustive.
        keep: candidates that are returned per query, at least 1.

    Returns:
        The `Reranked` of every row that has all the modalities.

    Raises:
        InputError: if a modality is unknown or on both sides, no row has all of them, an option is out of range, or scores are
            not finite.

    Notes:
        The shortlist of a query has at most ``n`` times the number of pairs. A candidate that is near by no member alone, and
        scores high by all of them together, is missed: measure `Reranked.agreement` with an exhaustive search on some
        thousand rows before relying on one ``n``. Cost: all cosines, and one call of ``score`` per query; for a pool of a few
        thousand rows the exhaustive `tuplet.evaluate.retrieve` is the faster one.

    Example:
        >>> from tuplet.objectives import Cone
        >>> e = torch.eye(4)
        >>> found = rerank(Embeddings.of({"a": e, "b": e, "c": e}), ("a",), ("b", "c"), score=Cone().score, shortlist=1)
        >>> found.recall(1), found.found[:, 0].tolist(), found.sizes.tolist()
        (1.0, [0, 1, 2, 3], [1, 1, 1, 1])
    """
    in_range("shortlist", shortlist, 1)
    in_range("keep", keep, 1)
    query, candidates = sides_of(emb, query, candidates)
    rows = torch.stack([emb.present[k] for k in (*query, *candidates)]).all(dim=0).nonzero()[:, 0]
    n = len(rows)
    if not n:
        raise InputError(f"no row has all of {sorted({*query, *candidates})}; choose other modalities")
    z = {k: emb.z[k][rows].double() for k in (*query, *candidates)}
    directions = {k: unit(x) for k, x in z.items()}
    found = torch.full((n, min(keep, n)), -1, dtype=torch.long)
    scores = torch.full(found.shape, -torch.inf, dtype=torch.float64)
    ranks, sizes = torch.full((n,), torch.inf, dtype=torch.float64), torch.zeros(n, dtype=torch.long)
    step = max(1, PANEL // n)
    for start in range(0, n, step):
        near = torch.zeros(min(step, n - start), n, dtype=torch.bool, device=rows.device)
        for i in query:
            for j in candidates:
                cosines = even_product(directions[i][start : start + step], directions[j])
                near.scatter_(1, cosines.topk(min(shortlist, n), dim=1).indices, True)
        for place, listed in enumerate(near, start):
            pool = listed.nonzero()[:, 0]
            given = score({k: z[k][place : place + 1] for k in query}, {k: z[k][pool] for k in candidates})
            values = _checked(given, len(pool))
            best = values.topk(min(keep, len(pool)))
            found[place, : len(best.indices)] = pool[best.indices].cpu()
            scores[place, : len(best.values)] = best.values.cpu()
            sizes[place] = len(pool)
            if bool(listed[place]):
                own = values[pool == place]
                ranks[place] = float((values > own).sum()) + (float((values == own).sum()) + 1) / 2
    return Reranked(rows.cpu(), found, scores, ranks, sizes)


def _checked(scores: Tensor, size: int) -> Tensor:
    """Refuse scores of one query that have the wrong shape or are not finite."""
    if tuple(scores.shape) != (1, size):
        raise InputError(f"score gave shape {tuple(scores.shape)} for 1 query and {size} candidates")
    if not bool(torch.isfinite(scores).all()):
        raise InputError("score gave values that are not finite; train again with a lower lr or choose another score")
    return scores[0].double()
