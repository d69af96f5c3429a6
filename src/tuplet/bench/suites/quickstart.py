"""Alignment objectives on six feature views of 2,000 real digits: what each does to the space, in minutes."""

from __future__ import annotations

from tuplet.bench.suite import Budget, Entry, Settings, Suite, Task
from tuplet.data import SOURCES
from tuplet.objectives import Bottleneck, Gram, Objective, OneVsAll, Pairwise, Supervised, Symile, Triangle

VIEWS = ("factors", "fourier", "karhunen", "morphology", "pixels", "zernike")
THREE = ("fourier", "karhunen", "zernike")
TAUS = tuple({"tau": tau} for tau in (0.03, 0.1))
TAUS_AND_BETAS = ({"tau": 0.03, "beta": 0.3}, {"tau": 0.1, "beta": 1.0})


def _supervised(settings: Settings, task: Task) -> Objective:
    return Supervised(len(task.modalities) * task.budget.dim, task.classes, target=task.target)


def quickstart() -> Suite:
    """Build the suite.

    Returns:
        Two tasks, at most twelve entries, every trained one with the same encoders, batches, steps and trials.

    Example:
        >>> [t.name for t in quickstart().tasks]
        ['six views', 'three views']
    """
    budget = Budget()
    load = SOURCES["digits"]
    tasks = (
        Task("six views", "Digits, all six feature views", load, VIEWS, "label", 10, budget),
        Task("three views", "Digits, three views: Fourier, Karhunen-Loeve, Zernike", load, THREE, "label", 10, budget),
    )
    entries = (
        Entry("raw", "Inputs", kind="inputs", note="scaled inputs, no encoder"),
        Entry("none", "Random encoders", kind="random", note="untrained: what alignment has to beat"),
        Entry(
            "supervised",
            "Supervised",
            _supervised,
            note="trained end to end with all labels: the ceiling for probes; it cannot retrieve",
        ),
        Entry("pairwise", "Pairwise CLIP", lambda s, t: Pairwise(**s), defaults={"tau": 0.07}, trials=TAUS),
        Entry(
            "pairwise_hub",
            "Pairwise hub",
            lambda s, t: Pairwise(pairs="hub", **s),
            defaults={"tau": 0.07},
            trials=TAUS,
            note="every view with the first one only",
        ),
        Entry("symile", "Symile", lambda s, t: Symile(**s), defaults={"tau": 0.07}, trials=TAUS, note="n negatives"),
        Entry(
            "symile_n_squared",
            "Symile all tuples",
            lambda s, t: Symile(negatives="n_squared", **s),
            defaults={"tau": 0.07},
            trials=TAUS,
            sizes=(3,),
            note="all B^(M-1) negatives; affordable with three views",
        ),
        Entry("gram", "GRAM", lambda s, t: Gram(**s), defaults={"tau": 0.07}, trials=TAUS),
        Entry("triangle", "TRIANGLE", lambda s, t: Triangle(**s), defaults={"tau": 0.07}, trials=TAUS, sizes=(3,)),
        Entry(
            "one_vs_all",
            "OVA-IB",
            lambda s, t: OneVsAll(**s),
            defaults={"tau": 0.01, "beta": 1.0},
            trials=TAUS_AND_BETAS,
        ),
        Entry(
            "one_vs_all_sufficiency",
            "OVA-IB beta 0",
            lambda s, t: OneVsAll(beta=0.0, **s),
            defaults={"tau": 0.01},
            trials=TAUS,
            note="without minimality: blind to sign",
        ),
        Entry(
            "bottleneck",
            "Pairwise + IB",
            lambda s, t: Bottleneck(**s),
            defaults={"tau": 0.07, "beta": 1.0},
            trials=TAUS_AND_BETAS,
        ),
    )
    return Suite(
        name="quickstart",
        factory="tuplet.bench.suites.quickstart:quickstart",
        tasks=tasks,
        entries=entries,
        baseline="pairwise",
        about=(
            "2,000 handwritten digits (UCI Multiple Features), each described by six feature views. Encoders are trained "
            "without labels to align the views; then frozen, they are probed for the digit and used to retrieve one view "
            "from the others."
        ),
    )
