"""What the numbers of an inspected space amount to: one sentence first, then what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tuplet.diagnose import Hubs
from tuplet.evaluate._paired import paired_difference
from tuplet.evaluate._pairing import ADVICE
from tuplet.evaluate.retrieval import Retrieval

Pair = tuple[str, str]
GOOD = 0.5
"""Share of queries that must find their match among the first 10 for a direction to be usable."""
FEW = 50
"""Pools below it tell nothing: by guessing, a fifth or more of the matches is among the first 10."""
APART, PLANE = 0.3, 0.9
"""Distance of centroids, and area under a linear classifier's ROC curve, from which modalities lie apart."""
AWAY = 0.1
"""Matches point away from each other if their mean cosine is that far below 0 and below that of others."""
CROWD = 0.1
"""A hub is in the first places of this share of the queries, or more."""
MARGIN = 10
"""And that many times as often as the average candidate."""


def verdict(directions: Mapping[Pair, Retrieval]) -> str:
    """Say whether a space is usable for search, and which direction is worst."""
    pool = min(d.pool for d in directions.values())
    if pool < FEW:
        return f"Unknown: {pool} items have both modalities of a direction, too few to tell; give {FEW} or more."
    blind = [d for d, r in directions.items() if not above_chance(r)]
    if len(blind) == len(directions):
        return (
            f"Not usable for search: in no direction are matches found more often than by guessing. "
            f"{ADVICE.partition('?')[0].replace('array', 'modality')}?"
        )
    worst = min(blind or directions, key=lambda d: directions[d].values["R@10"])
    r = directions[worst]
    said = f"{share(r.values['R@10'])} of the queries find their match among the first 10 of {r.pool:,}"
    if blind:
        return f"Usable for search in part: {arrow(worst)} finds matches no more often than guessing ({said})."
    if r.values["R@10"] < GOOD:
        chance = share(r.chance["R@10"])
        return f"Usable for search in part: in the worst direction, {arrow(worst)}, {said} (by guessing {chance})."
    return f"Usable for search: in the worst direction, {arrow(worst)}, {said}."


def above_chance(r: Retrieval) -> bool:
    """Tell whether matches are among the first 10 more often than by guessing, by a 95 % interval over the queries."""
    apart = paired_difference(r.items["R@10"], r.items["R@10"] * 0 + r.chance["R@10"])
    return apart.low > 0


def notes(
    copies: Mapping[str, int],
    zeros: Mapping[str, int],
    hubs: Mapping[Pair, Hubs],
    pairs: Mapping[Pair, Mapping[str, float]],
    spread: Mapping[str, Mapping[str, float]],
    gain: str = "",
) -> Iterator[str]:
    """Say what is wrong with a space, each with what to do about it."""
    for k, n in zeros.items():
        if n:
            yield f"{k}: {n:,} vectors are all zeros, which no cosine can place; embed those items again, or leave them out."
    for k, n in copies.items():
        if n > zeros[k]:
            yield (
                f"{k}: {n:,} vectors equal another item's, and search cannot tell those items apart; drop the copies, or give "
                f"their items one group and count it as the match (relevance group)."
            )
    if away := {k: p for k, p in pairs.items() if p["cosine"] < min(0.0, p["cosine_others"]) - AWAY}:
        said = "; ".join(f"{', '.join(k)} {p['cosine']:.2f}" for k, p in away.items())
        yield (
            f"Matches point away from each other (mean cosine of {said}): rank by the score that the space was trained with, "
            f"or negate one of the two."
        )
    if apart := {k: p for k, p in pairs.items() if p["centroid_gap"] > APART and p["separable"] > PLANE}:
        said = "; ".join(f"{', '.join(k)} {p['centroid_gap']:.2f}" for k, p in apart.items())
        yield (
            f"Modalities lie apart (distance of centroids: {said}): a search over several at once lists one of them first. "
            f"Search one at a time, or subtract from each its mean vector{gain}."
        )
    crowd = {
        k: h for k, h in hubs.items() if h.largest > max(CROWD * h.queries, MARGIN * h.queries * h.places / len(h.occurrence))
    }
    if crowd:
        (a, b), h = max(crowd.items(), key=lambda item: item[1].largest / item[1].queries)
        more = f", and {len(crowd) - 1} more directions have hubs" if len(crowd) > 1 else ""
        yield (
            f"Hubs: in {a} -> {b}, one item is among the first {h.places} of {h.largest:,.0f} of {h.queries:,} queries, and "
            f"{share(h.never)} of the items are never found{more}. `tuplet.evaluate.refine.csls` lowers hubs."
        )
    for k, s in spread.items():
        if s["effective_rank"] < min(3, s["width"]):
            of = f"{s['effective_rank']:.1f} directions of {s['width']:.0f}"
            yield f"{k} has collapsed: its vectors fill {of}; train it again."


def arrow(direction: Pair) -> str:
    """Write a direction."""
    return f"{direction[0]} -> {direction[1]}"


def share(value: float) -> str:
    """Write a share in per cent."""
    return f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %"
