"""OVA-IB's tables: six objectives on robot and physiology data, every modality subset, its two ablations."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from tuplet.data._cache import cache_folder
from tuplet.objectives import Bottleneck, Objective, OneVsAll
from tuplet.simulators.opinions import FILE
from tuplet.study.suite import Entry, Make, Settings, Suite, Task
from tuplet.suites.claims import ova_ib_claims
from tuplet.suites.papers import check_preset, recorded, row, simulated, suite
from tuplet.suites.plans import PLANS
from tuplet.train._presets import PAPER, PresetName

TASKS = ("VFP", "VFD", "VFPD", "VFPDO", "Push", "MOSEI", "WESAD")


def ova_ib_sim(preset: str = "small") -> Suite:
    """Build the suite on stand-ins: simulated robots and physiology, and one real wearable set."""
    opinions = cache_folder() / FILE
    there = {"MOSEI": opinions.is_file(), "Wearable": find_spec("seglearn") is not None}
    names = [*(name for name in TASKS if name != "MOSEI"), *(name for name, found in there.items() if found)]
    absent = {
        "MOSEI": f" MOSEI is left out: tuplet data convert opinions --root DIR --out {opinions}",
        "Wearable": " Wearable is left out: pip install --no-deps seglearn",
    }
    about = (
        "The comparison of OVA-IB on stand-ins: robots and physiology are simulated, so no number here compares with the "
        "paper's; Wearable is real, and MOSEI is real sentences and emoji with synthetic speech, paired by us. All objectives "
        "are trained at one temperature, without tuning: 0.1, or the paper's 0.01 with its preset."
        + "".join(text for name, text in absent.items() if not there[name])
    )
    tasks = tuple(simulated(name, check_preset(preset)) for name in names)
    return suite("ova-ib-sim", "ova_ib", tasks, entries(check_preset(preset)), about, **_more(preset))


def ova_ib(root: str, preset: str = "paper") -> Suite:
    """Build the suite on the data sets themselves."""
    about = "The protocol of OVA-IB on its data sets. What the paper leaves open is marked in the documentation of each reader."
    tasks = recorded(TASKS, root, check_preset(preset))
    return suite("ova-ib", "ova_ib", tasks, entries(check_preset(preset)), about, root=root, **_more(preset))


def _more(preset: str) -> dict[str, Any]:
    first = PAPER["wesad_retrieval"].seeds if preset == "paper" else ()
    return {"preset": preset, "claims": ova_ib_claims, "first": first}


def entries(preset: PresetName) -> tuple[Entry, ...]:
    """List the paper's rows, and its two ablations."""
    pairwise, symile, gram, triangle, ours = (
        row(name, preset) for name in ("pairwise", "symile", "gram", "triangle", "one_vs_all")
    )
    tau = pairwise.defaults
    learned = "a learned projector in the place of the span (the paper's ablation)"
    plain = "without minimality (the paper's ablation)"
    return (
        pairwise,
        Entry("bottleneck", "Pairwise CLIP + IB", _weighted(Bottleneck), defaults=tau),
        symile,
        gram,
        triangle,
        Entry("one_vs_all", ours.label, _weighted(OneVsAll), defaults=tau, note="beta 1, for WESAD 0.5"),
        row("one_vs_all_beta_0", preset, of="one_vs_all", label="OVA-IB, beta 0", note=plain, beta=0.0),
        Entry("one_vs_all_mlp", "OVA-IB, MLP", _projected, defaults=tau, note=learned),
        row("cone", preset, note="against the best non-negative mixture of the other views; not in the paper"),
    )


def _weighted(objective: Callable[..., Objective]) -> Make:
    """Build an objective with the paper's weight for a task."""
    return lambda settings, task: objective(beta=PLANS[task.name].paper.beta, **settings)


def _projected(settings: Settings, task: Task) -> Objective:
    size, beta = len(task.modalities), PLANS[task.name].paper.beta
    return OneVsAll(projector="mlp", modalities=size, dim=task.budget.dim, beta=beta, **settings)
