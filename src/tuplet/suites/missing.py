"""What is left of each objective when a quarter, a half or three quarters of all training entries are missing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tuplet.catalog import SOURCES
from tuplet.data import Source, hide
from tuplet.study.suite import Budget, Suite, Task
from tuplet.suites.entries import baselines, objectives
from tuplet.suites.quickstart import THREE

RATES = (0.0, 0.25, 0.5, 0.75)
SETTINGS = {
    "pairwise": {"tau": 0.07},
    "pairwise_hub": {"tau": 0.1},
    "sigmoid": {"tau": 0.07},
    "cmc": {"tau": 0.1},
    "bottleneck": {"tau": 0.1, "beta": 1.0},
    "symile": {"tau": 0.03},
    "symile_n_squared": {"tau": 0.03},
    "gram": {"tau": 0.1},
    "triangle": {"tau": 0.07},
    "one_vs_all": {"tau": 0.1, "beta": 1.0},
    "one_vs_all_sufficiency": {"tau": 0.1},
    "cone": {"tau": 0.2},
    "uni_align": {"tau": 0.316},
    "structure": {"tau": 0.07, "weight": 10.0},
    "transport": {"epsilon": 0.05},
    "comm": {"tau": 0.03},
}
"""What tuning chose in quickstart on these three views, on validation rows with nothing missing; one rule for all."""


def missing() -> Suite:
    """Build the suite."""
    budget = replace(Budget(), trials=0)
    tasks = tuple(
        Task(
            f"{100 * rate:.0f} percent missing",
            f"Digits, three views, {100 * rate:.0f} % of training entries missing",
            partial(_load, rate),
            THREE,
            "label",
            10,
            budget,
            at=rate,
        )
        for rate in RATES
    )
    entries = (*baselines()[:3], *(replace(e, trials=(), defaults=SETTINGS.get(e.name, e.defaults)) for e in objectives()))
    return Suite(
        name="missing",
        factory="tuplet.suites.missing:missing",
        tasks=tasks,
        entries=entries,
        baseline="pairwise",
        about=(
            "2,000 handwritten digits, three feature views. While the encoders are trained without labels, each view of each "
            "row is hidden with one probability, independently of everything and anew for each seed. Probes and retrieval then "
            "see whole rows, so what differs is the encoders. Settings are those that quickstart's tuning chose with nothing "
            "missing; nothing is tuned here. Objectives use rows with two views or more; UniAlign, structure and OT "
            "consistency also those with one."
        ),
        axis="share of training entries missing",
    )


def _load(rate: float) -> Source:
    source = SOURCES["digits"]()
    return hide(source, rate) if rate else source
