"""UniOMA's table: the structure regulariser on every base objective, with learned weights, and under unequal sampling."""

from __future__ import annotations

from dataclasses import replace

from tuplet.data import hide
from tuplet.study.suite import Entry, Suite, Task
from tuplet.suites.claims import SCARCE, uni_oma_claims
from tuplet.suites.papers import BASES, check_preset, recorded, regularised, row, simulated, suite
from tuplet.train._presets import PresetName

TASKS = ("VFD", "VFP", "Push", "VAT", "VIP")
WEIGHT = 10.0
"""Of the regulariser. UniOMA states none; distances between kernels are small numbers."""


def uni_oma_sim(preset: str = "small") -> Suite:
    """Build the suite on simulated stand-ins."""
    about = (
        "The comparison of UniOMA on simulated stand-ins, so no number here compares with the paper's. Each base objective "
        "runs alone and with the Gromov-Wasserstein regulariser (+ GW), whose weights of modalities are learned."
    )
    tasks = _and_unequal(tuple(simulated(name, check_preset(preset)) for name in TASKS))
    rows = entries(check_preset(preset))
    return suite("uni-oma-sim", "uni_oma", tasks, rows, about, preset=preset, claims=uni_oma_claims)


def uni_oma(root: str, preset: str = "paper") -> Suite:
    """Build the suite on the data sets themselves."""
    about = "The protocol of UniOMA on its data sets. The paper publishes no code: what it leaves open follows OVA-IB."
    tasks = _and_unequal(recorded(("VFD", "VFP", "Push", "VAT"), root, check_preset(preset)))
    rows = entries(check_preset(preset))
    return suite("uni-oma", "uni_oma", tasks, rows, about, root=root, preset=preset, claims=uni_oma_claims)


def _and_unequal(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    return (*tasks, *(unequal(t) for t in tasks if t.name == "Push"))


def unequal(task: Task) -> Task:
    """Sample the camera a quarter as often as the other modalities while training."""
    camera = next(k for k in task.modalities if k in SCARCE)
    return replace(
        task,
        name=f"{task.name}, unequal",
        label=f"{task.label}; {camera} is there in a quarter of the training rows",
        load=lambda: hide(task.load(), 0.75, modalities=[camera]),
        columns=tuple(replace(c, headline="") for c in task.columns),
    )


def entries(preset: PresetName) -> tuple[Entry, ...]:
    """List every base objective alone and regularised, CoMM and OT consistency."""
    ours = row("cone", preset, note="against the best non-negative mixture of the other views; not in the paper")
    bases = [*(row(name, preset) for name in BASES), ours]
    pairs = [(e, regularised(e, preset, weight=WEIGHT)) for e in bases]
    return (
        *(entry for pair in pairs for entry in pair),
        row("comm", "small", note="NT-Xent of every view against the fused one, tau 0.1"),
        row("transport", preset, note="a reading of OTLC's abstract"),
    )
