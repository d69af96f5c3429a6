"""All scores beside each other on one space: which of them finds matches, and which has hubs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tuplet.diagnose import hubs
from tuplet.evaluate.evaluation import Result
from tuplet.evaluate.retrieval import retrieve
from tuplet.functional.rows import unit
from tuplet.functional.scores import conic_cosine, cosine, multilinear, simplex_volume, span_projection, triangle_area
from tuplet.types import Embeddings, InputError

Joint = Callable[[Tensor, Sequence[Tensor]], Tensor]
"""Score of unit queries ``(Nq, D)`` against tuples of unit members, each ``(Nc, D)``."""

SCORERS: dict[str, Joint] = {
    "mean cosine": cosine,
    "anchor cosine": lambda q, c: cosine(q, c[:1]),
    "centroid cosine": lambda q, c: cosine(q, [torch.stack(list(c)).mean(dim=0)]),
    "cone": conic_cosine,
    "projection": span_projection,
    "conditional volume": lambda q, c: -(1 - span_projection(q, c).square()).clamp_min(0).sqrt(),
    "volume": lambda q, c: -simplex_volume(q, c),
    "triangle area": lambda q, c: -triangle_area(q, c),
    "MIP": multilinear,
}
"""Name -> score, higher is better. The triangle's area is defined for two members."""


def scorers(
    emb: Embeddings, query: str, candidates: Sequence[str], *, relevance: str = "instance", k: int = 10
) -> list[Result]:
    """Search one space by every score.

    Args:
        emb: the space; rows that lack one of the modalities are left out.
        query: modality that asks.
        candidates: modalities that answer together; the first one is the anchor of ``anchor cosine``.
        relevance: as in `retrieve`.
        k: length of the lists that hubs are counted in; at most the number of candidates.

    Returns:
        For every score ``scorer/R@1``, ``scorer/hub skew`` and ``scorer/largest hub``, with its name as the detail. Projection
        and conditional volume order candidates alike; both are there because papers name both.

    Raises:
        InputError: if the query is among the candidates, or there are no candidates; and as `retrieve`.

    Source:
        UniAlign scores by volume, GRAM by volume, TRIANGLE by area, Symile by MIP, OVA-IB by projection.

    Example:
        >>> e = torch.eye(6)
        >>> found = scorers(Embeddings.of({"a": e, "b": e, "c": e}), "a", ["b", "c"], k=1)
        >>> {r.detail: r.value for r in found if r.metric == "scorer/R@1"}["mean cosine"]
        1.0
    """
    if query in candidates or not candidates:
        raise InputError(f"candidates is {list(candidates)}, expected one modality or more other than {query!r}")
    found = []
    there = torch.stack([emb.present[m] for m in (query, *candidates)]).all(dim=0)
    q, c = unit(emb.z[query][there]), [unit(emb.z[m][there]) for m in candidates]
    for name, joint in SCORERS.items():
        if name == "triangle area" and len(candidates) != 2:
            continue

        def score(asked: dict[str, Tensor], answers: dict[str, Tensor], joint: Joint = joint) -> Tensor:
            return joint(unit(asked[query]), [unit(answers[m]) for m in candidates])

        r = retrieve(emb, (query,), tuple(candidates), score=score, relevance=relevance)
        spread = hubs(joint(q, c), k=min(k, len(q)))
        found += [
            Result("scorer/R@1", r.values["R@1"], name, True, r.chance["R@1"], r.pool, tuple(map(float, r.items["R@1"]))),
            Result("scorer/hub skew", spread.skew, name, False, pool=r.pool),
            Result("scorer/largest hub", spread.largest, name, False, pool=r.pool),
        ]
    return found
