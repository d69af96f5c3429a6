"""Search: embed what somebody types, and score the rows of a split against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuplet.data import Source
from tuplet.evaluate.retrieval import Score, mean_cosine
from tuplet.model import AlignmentModel
from tuplet.types import Batch, Embeddings, InputError, evaluating


def search(
    model: AlignmentModel,
    source: Source,
    query: Mapping[str, Any],
    candidates: Embeddings,
    into: tuple[str, ...],
    *,
    score: Score = mean_cosine,
) -> Tensor:
    """Score every candidate row against every query."""
    if unknown := sorted({*query, *into} - set(source.modalities)):
        raise InputError(f"query and into name {unknown}, expected some of {sorted(source.modalities)}")
    if both := sorted(set(query) & set(into)):
        raise InputError(f"query and into both name {both}; search other modalities than the query's")
    made = {k: source.preprocessing[k].apply(raw, name=f"query[{k!r}]") for k, raw in query.items()}
    n = len(next(iter(made.values()))[0])
    inputs = {k: torch.zeros(n, *m.shape) for k, m in source.modalities.items()}
    present = {k: torch.zeros(n, dtype=torch.bool) for k in inputs}
    for k, (rows, here) in made.items():
        inputs[k], present[k] = torch.from_numpy(rows), torch.from_numpy(here)
    with torch.no_grad(), evaluating(model):
        z: dict[str, Tensor] = model(Batch(inputs, present, torch.arange(n))).z
        sides = ({k: z[k].double() for k in query}, {k: candidates.z[k].double() for k in into})
        found = score(*sides)
    there = torch.stack([candidates.present[k] for k in into]).all(dim=0)
    return torch.where(there, found, -torch.inf)
