"""UniOMA's table: the structure regulariser on every base objective, with learned weights, and under unequal sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

from tuplet.data import Source, hide
from tuplet.objectives import CoMM, Objective, TransportConsistency
from tuplet.study.suite import Entry, Settings, Suite, Task
from tuplet.suites.claims import SCARCE, uni_oma_claims
from tuplet.suites.papers import BASES, base, baselines, check_preset, recorded, regularised, simulated
from tuplet.train._presets import PresetName

TASKS = ("VFD", "VFP", "Push", "VAT", "VIP")
WEIGHT = 10.0
"""Of the regulariser. UniOMA states none; distances between kernels are small numbers."""


def uni_oma_sim(preset: str = "small") -> Suite:
    """Build the suite on simulated stand-ins."""
    tasks = tuple(simulated(name, check_preset(preset)) for name in TASKS)
    about = (
        "The comparison of UniOMA on simulated stand-ins, so no number here compares with the paper's. Each base objective "
        "runs alone and with the Gromov-Wasserstein regulariser (+ GW), whose weights of modalities are learned."
    )
    return _suite(
        "uni-oma-sim",
        "uni_oma_sim?" + urlencode({"preset": preset}),
        (*tasks, *(unequal(t) for t in tasks if t.name == "Push")),
        about,
        check_preset(preset),
    )


def uni_oma(root: str, preset: str = "paper") -> Suite:
    """Build the suite on the data sets themselves."""
    about = "The protocol of UniOMA on its data sets. The paper publishes no code: what it leaves open follows OVA-IB."
    tasks = recorded(("VFD", "VFP", "Push", "VAT"), root, check_preset(preset))
    tasks = (*tasks, *(unequal(t) for t in tasks if t.name == "Push"))
    return _suite(
        "uni-oma", "uni_oma?" + urlencode({"root": root, "preset": preset}), tasks, about, check_preset(preset)
    )


def unequal(task: Task) -> Task:
    """Sample the camera a quarter as often as the other modalities while training."""
    camera = next(k for k in task.modalities if k in SCARCE)
    return replace(
        task,
        name=f"{task.name}, unequal",
        label=f"{task.label}; {camera} is there in a quarter of the training rows",
        load=partial(_thinned, task.load, camera),
        columns=tuple(replace(c, headline="") for c in task.columns),
    )


def entries(preset: PresetName) -> tuple[Entry, ...]:
    """List the rows without alignment, every base objective alone and regularised, CoMM and OT consistency."""
    pairs = [(base(name, preset), regularised(name, preset, weight=WEIGHT)) for name in BASES]
    return (
        *baselines(),
        *(entry for pair in pairs for entry in pair),
        Entry(
            "comm", "CoMM", _comm, defaults={"tau": 0.1}, note="NT-Xent of every view against the fused one, tau 0.1"
        ),
        Entry(
            "transport", "OT consistency", _transport, defaults={"epsilon": 0.05}, note="a reading of OTLC's abstract"
        ),
    )


def _thinned(load: Callable[[], Source], modality: str) -> Source:
    return hide(load(), 0.75, modalities=[modality])


def _comm(settings: Settings, task: Task) -> Objective:
    return CoMM(tuple(sorted(task.modalities)), task.budget.dim, **settings)


def _transport(settings: Settings, task: Task) -> Objective:
    return TransportConsistency(**settings)


def _suite(name: str, call: str, tasks: tuple[Task, ...], about: str, preset: PresetName) -> Suite:
    return Suite(
        name=name,
        factory=f"tuplet.suites.uni_oma:{call}",
        tasks=tasks,
        entries=entries(preset),
        baseline="pairwise",
        about=about,
        claims=uni_oma_claims,
    )
