"""Similarity of two representations of the same rows: every metric by one name, always beside chance.

CKA asks about the whole space, SVCCA about its main subspace, neighbour metrics about who lies next to whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from tuplet.diagnose._lists import METRICS, Neighbours, neighbours, search
from tuplet.diagnose._rows import Array, Rows, paired, prepared
from tuplet.diagnose.centred import Kernel, cka, svcca
from tuplet.diagnose.knn import cknna, cycle_knn, lcs_knn, mutual_knn
from tuplet.diagnose.moments import Moments
from tuplet.diagnose.score import Null, Score

__all__ = [
    "Array",
    "Kernel",
    "Moments",
    "Neighbours",
    "Null",
    "Rows",
    "Score",
    "Similarity",
    "cka",
    "cknna",
    "cycle_knn",
    "lcs_knn",
    "mutual_knn",
    "neighbours",
    "prepared",
    "similarity",
    "svcca",
]


@dataclass(frozen=True, slots=True)
class Similarity(Mapping[str, Score]):
    """All metrics of two representations, by name: ``cka``, ``svcca``, ``mutual_knn``, ``cknna``, ``cycle_knn``, ``lcs_knn``.

    Attributes:
        scores: metric -> its score.
        n: rows.
        k: neighbours.
    """

    scores: dict[str, Score]
    n: int
    k: int

    def __getitem__(self, metric: str) -> Score:
        return self.scores[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def numbers(self) -> dict[str, float]:
        """Return metric -> value."""
        return {name: score.value for name, score in self.scores.items()}

    def __str__(self) -> str:
        """Say every score, one to a line."""
        return "\n".join(str(score) for score in self.scores.values())


@torch.no_grad()
def similarity(
    a: Array,
    b: Array,
    *,
    k: int = 10,
    components: int | float = 10,
    rows: Rows = "unit",
    shuffles: int = 100,
    seed: int = 0,
) -> Similarity:
    """Measure everything: unbiased linear CKA, SVCCA, mutual-kNN, CKNNA, cycle-kNN and ordered neighbours."""
    x, y = paired(a, b)
    scores = {
        "cka": cka(x, y, shuffles=shuffles, seed=seed),
        "svcca": svcca(x, y, components=components, shuffles=shuffles, seed=seed),
    }
    lists = search(x, y, k=k, rows=rows)
    scores |= {name: lists.score(name, shuffles=shuffles, seed=seed) for name in METRICS}
    return Similarity(scores, len(x), k)
