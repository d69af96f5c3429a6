"""The tasks and rows that the OVA-IB and UniOMA tables share, on simulated stand-ins or on the data sets themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from torch import Tensor

from tuplet.catalog import READERS, SOURCES
from tuplet.data import Source
from tuplet.functional.cluster_kernel import ClusterKernel
from tuplet.objectives import PUBLISHED, Objective, Structure
from tuplet.study.suite import Entry, Settings, Suite, Task
from tuplet.suites.entries import maker
from tuplet.suites.plans import PLANS
from tuplet.train._presets import SMALL, Preset, PresetName
from tuplet.types import InputError


def baselines() -> tuple[Entry, ...]:
    """List the rows that a careful reader misses in the papers."""
    return (
        Entry("inputs", "Inputs", kind="inputs", note="the same MLP on the inputs, pictures at 16 x 16; no encoder"),
        Entry("none", "No alignment", kind="random", note="untrained encoders: what alignment has to beat"),
        Entry(
            "single",
            "Best single",
            kind="single",
            note="each modality alone, encoder and MLP end to end on labels; the best on validation rows",
        ),
        Entry("fusion", "Late fusion", kind="fusion", note="encoders and MLP end to end on labels"),
    )


@cache
def _cluster_kernels(
    load: Callable[[], Source], names: Sequence[str], preset: PresetName
) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """Fit a kernel for every modality whose rows are windows of time, ``(T, attributes)``; absent rows are left out."""
    train = load().select(names).train
    series = [k for k, m in train[[0]].inputs.items() if m.dim() == 3]
    rows = train[:]
    empty = ClusterKernel(components=8, draws=10) if preset == "small" else ClusterKernel()
    return {k: deepcopy(empty).fit(rows.inputs[k][rows.present[k]]) for k in series}


BASES = ("pairwise", "symile", "gram", "triangle", "one_vs_all")
"""Published objectives of both papers' tables."""


def row(name: str, preset: PresetName, *, of: str = "", label: str = "", note: str = "", **more: Any) -> Entry:
    """Make the row of a published objective at a preset's temperature: OVA-IB's 0.01, or 0.1 for data of seconds."""
    published = PUBLISHED[of or name]
    tau = SMALL.tau if preset == "small" else Preset(1.0).tau
    settings = {published.tau: tau} if published.tau == "tau" else dict(published.paper)
    return Entry(name, label or published.label, maker(published), defaults=settings | more, sizes=published.sizes, note=note)


def regularised(entry: Entry, preset: PresetName, *, weight: float) -> Entry:
    """Add UniOMA's regulariser with learned weights to a row."""

    def make(settings: Settings, task: Task) -> Objective:
        names = tuple(sorted(task.modalities))
        kernels = _cluster_kernels(task.load, task.modalities, preset)
        structure = Structure(coupling="gw", kernels=kernels, weights="learned", modalities=names)
        base = entry.make and entry.make({k: v for k, v in settings.items() if k != "weight"}, task)
        assert isinstance(base, Objective)
        return base + structure * float(settings["weight"])

    settings = entry.defaults | {"weight": weight}
    return replace(entry, name=f"{entry.name}_gw", label=f"{entry.label} + GW", make=make, defaults=settings)


def suite(name: str, module: str, tasks: tuple[Task, ...], entries: tuple[Entry, ...], about: str, **more: Any) -> Suite:
    """Build a suite of a paper's rows; its options, which rebuild it, are ``preset`` and perhaps ``root``."""
    options: dict[str, Any] = {k: more.pop(k) for k in ("root", "preset") if k in more}
    factory = f"tuplet.suites.{module}:{name.replace('-', '_')}?{urlencode(options)}"
    return Suite(name, factory, tasks, (*baselines(), *entries), "pairwise", about, **more)


def check_preset(preset: str) -> PresetName:
    """Refuse anything but the two presets."""
    if preset == "small":
        return "small"
    if preset == "paper":
        return "paper"
    raise InputError(f"preset is {preset!r}, expected 'small' or 'paper'")


def simulated(name: str, preset: PresetName) -> Task:
    """Make a task on its stand-in."""
    plan = PLANS[name]
    if name == "MOSEI":  # sentences, clips and pictures, where the recorded data are series
        plan = replace(plan, protocol=replace(plan.protocol, kinds={}))
    return plan.task(partial(_stand_in, name, preset), preset)


def recorded(names: Sequence[str], root: str, preset: PresetName) -> tuple[Task, ...]:
    """Make the tasks whose data sets are there."""
    there = [n for n in names if place(root, RECORDED[n].folder).exists()]
    if not there:
        wanted = sorted({RECORDED[n].folder for n in names})
        raise InputError(f"root {root} has none of {wanted}; put each data set into a folder of that name")
    found = []
    for name in there:
        data = RECORDED[name]
        plan = PLANS[name].renamed(data.modalities, data.targets)
        found.append(plan.task(partial(_real, name, root), preset))
    return tuple(found)


@dataclass(frozen=True)
class Recorded:
    """Where a task's data lie, what they call things, and how they are read."""

    folder: str
    modalities: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)


VISION_TOUCH = Recorded("vision_touch", {"vision": "image"})
RECORDED = {
    **dict.fromkeys(("VFP", "VFD", "VFPD", "VFPDO"), VISION_TOUCH),
    "Push": Recorded(
        "mujoco_push",
        {"vision": "image", "force": "sensors", "pose": "position"},
        {"position": "object"},
        {"window": 32, "horizon": 1, "target": "last"},
    ),
    "MOSEI": Recorded("mosei"),
    "WESAD": Recorded("wesad"),
    "VAT": Recorded("objectfolder", targets={"material": ""}),
}
"""Task -> its data set. Push with 32 steps and the next position is guessed from OVA-IB's shapes."""
STAND_INS: dict[str, tuple[str, dict[str, int], dict[str, int]]] = {
    **dict.fromkeys(("VFP", "VFD", "VFPD", "VFPDO"), ("peg", {"episodes": 240, "size": 32, "every": 6}, {"size": 128})),
    "Push": ("push", {"episodes": 200}, {"episodes": 1000}),
    "MOSEI": ("opinions", {"draws": 1}, {}),
    "WESAD": ("physiology", {}, {}),
    "Wearable": ("wearable", {}, {}),
    "VAT": ("tap", {"size": 32}, {}),
    "VIP": ("arm", {"size": 32, "episodes": 100}, {}),
}
"""Task -> source that stands in, what it is made with under ``"small"``, and under ``"paper"``."""


def _stand_in(name: str, preset: PresetName) -> Source:
    source, small, paper = STAND_INS[name]
    load: Callable[..., Source] = SOURCES[source] if source in SOURCES else READERS[source].load
    return load(**(small if preset == "small" else paper))


def _real(name: str, root: str) -> Source:
    data = RECORDED[name]
    load: Callable[..., Source] = READERS[data.folder].load
    return load(place(root, data.folder), **data.options)


def place(root: str, folder: str) -> Path:
    """Return the converted file of a data set if it is there, or else its folder."""
    file = Path(root, f"{folder}.safetensors")
    return file if file.exists() else Path(root, folder)
