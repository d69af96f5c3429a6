"""Alignment objectives on six feature views of 2,000 real digits: what each does to the space, in minutes."""

from __future__ import annotations

from tuplet.catalog import SOURCES
from tuplet.study._regimes import Starts, regimes
from tuplet.study.suite import Budget, Suite, Task
from tuplet.suites.entries import baselines, objectives

VIEWS = ("factors", "fourier", "karhunen", "morphology", "pixels", "zernike")
THREE = ("fourier", "karhunen", "zernike")


def quickstart(start: Starts = "random") -> Suite:
    """Build the suite."""
    budget = Budget()
    load = SOURCES["digits"]
    tasks = (
        Task("six views", "Digits, all six feature views", load, VIEWS, "label", 10, budget),
        Task("three views", "Digits, three views: Fourier, Karhunen-Loeve, Zernike", load, THREE, "label", 10, budget),
    )
    return Suite(
        name="quickstart",
        factory="tuplet.suites.quickstart:quickstart" + ("" if start == "random" else f"?start={start}"),
        tasks=tuple(t for task in tasks for t in regimes(task, start)),
        entries=(*baselines(), *objectives()),
        baseline="pairwise",
        about=(
            "2,000 handwritten digits (UCI Multiple Features), each described by six feature views. Encoders are trained "
            "without labels to align the views; then frozen, they are probed for the digit and used to retrieve one view "
            "from the others."
        ),
    )
