"""Whether retrieval is near chance: the first sign that row i of one array is not row i of the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tuplet.data import Rows
from tuplet.evaluate.evaluation import Result, retrieval_results
from tuplet.evaluate.retrieval import mean_cosine
from tuplet.model import AlignmentModel
from tuplet.model.embedding import embed

ADVICE = "Check the pairing first: does row i mean the same thing in every array? If it does, train longer or raise tau."
FACTOR = 1.5
"""Retrieval below so many times chance is near it."""
POOL = 1000
"""Validation rows that are looked at, at most."""


def near(value: float, chance: float | None) -> bool:
    """Tell whether a mean average precision is next to what chance reaches."""
    return value < FACTOR * (chance or 0.0)


def warning(value: float, chance: float | None) -> str:
    """Say that validation rows retrieve next to nothing."""
    return f"Retrieval on validation rows is near chance (mAP {value:.3f}, chance {chance:.3f}). {ADVICE}"


def near_chance(results: Sequence[Result]) -> bool:
    """Tell whether retrieval was measured and found next to nothing."""
    found = [r for r in results if r.metric.endswith("/mAP") and r.detail == "mean" and r.chance is not None]
    return bool(found) and all(near(r.value, r.chance) for r in found)


def doubt(model: AlignmentModel, objective: object, rows: Rows) -> str:
    """Say in a line that validation retrieval is at chance, where it is."""
    if not len(rows):
        return ""
    scores = {"cosine": mean_cosine} | ({"own": own} if (own := getattr(objective, "score", None)) else {})
    some = rows.take(torch.linspace(0, len(rows) - 1, min(POOL, len(rows))).round().long())  # evenly spaced
    found = retrieval_results(embed(model, some, batch_size=256), scores)
    if not near_chance(found):
        return ""
    best = max((r for r in found if r.metric.endswith("/mAP") and r.detail == "mean"), key=lambda r: r.value)
    return warning(best.value, best.chance)
