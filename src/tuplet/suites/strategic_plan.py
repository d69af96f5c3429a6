"""What the strategic suite runs: data sets, amounts of training, strengths, and what is tuned."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tuplet.io import AnyOf, Between
from tuplet.simulators import redundancy
from tuplet.study._ledger import marked

NAME = "strategic"
METRICS = {"cka": "CKA", "svcca": "SVCCA", "knn10": "mutual-kNN, k = 10", "knn100": "mutual-kNN, k = 100"}
"""Similarity -> its label."""


@dataclass(frozen=True)
class Regime:
    """How much there is to learn from, and how long."""

    name: str
    rows: int | None
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Plan:
    """What the suite runs."""

    shared: tuple[int, ...] = (0, 2, 4, 6, 8)
    regimes: tuple[Regime, ...] = (Regime("all", None, 10, 512), Regime("few", 1024, 100, 256))
    strengths: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0)
    lrs: tuple[float, ...] = (1e-3, 5e-3, 1e-2, 5e-2)
    decays: tuple[float, ...] = (0.0, 0.1)
    trainings: int = 5
    rows: int = redundancy.ROWS
    similar: int = 4096
    queries: int = 512
    tau: float = 0.07

    @property
    def factory(self) -> str:
        """Return what marks a run folder; other settings need another folder."""
        return marked(NAME, asdict(self))


_COUNT = Between(int, 1, 10**9)
PLAN = {
    "shared": [Between(int, 0, 10**3)],
    "regimes": [{"name": str, "rows": AnyOf(None, _COUNT), "epochs": _COUNT, "batch_size": _COUNT}],
    "strengths": [Between(float, 0)],
    "lrs": [Between(float, 0)],
    "decays": [Between(float, 0)],
    "trainings": _COUNT,
    "rows": _COUNT,
    "similar": _COUNT,
    "queries": _COUNT,
    "tau": Between(float, 0),
}
"""A `Plan` in the marker of a run folder."""
