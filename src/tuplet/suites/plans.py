"""The tasks of the OVA-IB and UniOMA tables: modalities, targets and settings, whichever data they are run on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tuplet.data import Source
from tuplet.study.suite import Budget, Task
from tuplet.suites.downstream import PAIR, Downstream
from tuplet.train._presets import PAPER, SMALL, UNI_OMA, Preset, PresetName
from tuplet.types import Kind


@dataclass(frozen=True)
class Plan:
    """What a task of the papers is, whichever data it is run on."""

    name: str
    label: str
    modalities: tuple[str, ...]
    protocol: Downstream
    headlines: Mapping[str, str]
    units: Mapping[str, str]
    paper: Preset

    def renamed(self, modalities: Mapping[str, str], targets: Mapping[str, str]) -> Plan:
        """Make the same plan for data that use other names."""

        def m(names: str) -> str:
            return re.sub(r"\w+", lambda name: modalities.get(name[0], name[0]), names)

        def t(name: str) -> str:
            return targets.get(name, name)

        protocol = replace(
            self.protocol,
            targets=tuple(t(k) for k in self.protocol.targets if t(k)),
            directions=tuple((tuple(map(m, q)), tuple(map(m, c))) for q, c in self.protocol.directions),
            hard=m(self.protocol.hard),
            kinds={m(k): v for k, v in self.protocol.kinds.items()},
        )
        return replace(
            self,
            modalities=tuple(sorted(map(m, self.modalities))),
            protocol=protocol,
            headlines={m(k) if "->" in k else t(k): v for k, v in self.headlines.items()},
            units={t(k): v for k, v in self.units.items()},
        )

    def task(self, load: Callable[[], Source], preset: PresetName) -> Task:
        """Make the task on some data."""
        protocol = replace(self.protocol, preset=preset)
        settings = SMALL if preset == "small" else self.paper
        given: Any = {k: getattr(settings, k) for k in ("dim", "batch_size", "epochs", "lr", "optimizer")}
        return Task(
            name=self.name,
            label=self.label,
            load=load,
            modalities=self.modalities,
            target=protocol.targets[0] if protocol.targets else "",
            classes=0,
            budget=Budget(**given, trials=0),
            protocol=protocol,
            columns=protocol.columns(self.modalities, self.headlines, self.units),
            negatives="all",
        )


def _plan(
    name: str, label: str, modalities: str, headlines: Mapping[str, str], paper: str = "", *, unit: str = "", **more: Any
) -> Plan:
    """Make a plan; its targets and directions are what the headlines name, one of them perhaps with a unit."""
    directions = tuple(tuple(tuple(part.split("+")) for part in k.split("->")) for k in headlines if "->" in k)
    targets = more.pop("targets", tuple(k for k in headlines if "->" not in k))
    protocol = Downstream(targets=targets, directions=directions, **more)  # type: ignore[arg-type]
    units = {targets[-1]: unit} if unit else {}
    return Plan(name, label, tuple(modalities.split()), protocol, headlines, units, PAPER[paper] if paper else UNI_OMA)


_PADDED: dict[str, Kind] = {"audio": "padded", "text": "padded", "vision": "padded"}
PLANS = {
    p.name: p
    for p in (
        _plan(
            "VFP",
            "Vision, force, pose: contact at the next step",
            "force pose vision",
            {"contact": "VFP contact"},
            "vfp_contact",
        ),
        _plan(
            "VFD",
            "Vision, force, depth: same trajectory or not, and orientation at the next step",
            "depth force vision",
            {PAIR: "VFD pair", "orientation": "VFD orientation"},
            "vfd_trajectory",
            unit="squared quaternion units",
            hard="pose",
        ),
        _plan(
            "VFPD",
            "Vision, force, pose, depth: same trajectory or not",
            "depth force pose vision",
            {PAIR: "VFPD pair"},
            "vfpd_trajectory",
            hard="pose",
        ),
        _plan(
            "VFPDO",
            "Vision, force, pose, depth, optical flow: same trajectory or not",
            "depth flow force pose vision",
            {PAIR: "VFPDO pair"},
            "vfpdo_trajectory",
            hard="pose",
        ),
        _plan(
            "Push",
            "Vision, force, pose histories: position of the pushed object one step ahead",
            "force pose vision",
            {"position": "Push"},
            "mujoco_push",
            unit="m^2",
            kinds={"pose": "vector"},
        ),
        _plan(
            "MOSEI",
            "Vision, audio, text of spoken opinions: positive or not",
            "audio text vision",
            {"label": "MOSEI"},
            "mosei",
            kinds=_PADDED,
        ),
        _plan(
            "WESAD",
            "ECG, respiration, blood volume pulse: three states, and the pulse of the same window",
            "bvp ecg respiration",
            {"state": "WESAD", "ecg+respiration->bvp": "WESAD mAP"},
            "wesad",
        ),
        _plan(
            "Wearable",
            "Accelerometer and gyroscope at the wrist: seven exercises, and the other sensor's window",
            "accelerometer gyroscope",
            {"exercise": "Wearable", "accelerometer->gyroscope": "Wearable mAP"},
        ),
        _plan(
            "VAT",
            "Vision, impact sound, touch of objects: retrieval of the same object",
            "audio touch vision",
            {"vision->audio": "Vis-Aud", "vision->touch": "Vis-Tact", "touch->audio": "Tact-Aud"},
            targets=("material",),
            relevance="group",
            kinds={"audio": "signal"},  # rows are bands, as channels in time
        ),
        _plan(
            "VIP",
            "Camera, inertial sensors, joint angles: pose of the end effector",
            "imu joints vision",
            {"pose": "VIP"},
            unit="squared metres and quaternion units",
        ),
    )
}
"""Name -> what the task is. The paper trains VFD twice, at 1e-4 for pairs and 1e-3 for orientation; here one training, at 1e-4,
serves both."""
