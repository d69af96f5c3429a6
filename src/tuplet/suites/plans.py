"""The tasks of the OVA-IB and UniOMA tables: modalities, targets and settings, whichever data they are run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tuplet.data import Source
from tuplet.study.suite import Budget, Task
from tuplet.suites.downstream import PAIR, Downstream
from tuplet.train._presets import PAPER, SMALL, UNI_OMA, Preset, PresetName


@dataclass(frozen=True)
class Plan:
    """What a task of the papers is, whichever data it is run on."""

    name: str
    label: str
    modalities: tuple[str, ...]
    protocol: Downstream
    headlines: Mapping[str, str]
    units: Mapping[str, str] = field(default_factory=dict)
    paper: Preset = UNI_OMA

    def renamed(self, modalities: Mapping[str, str], targets: Mapping[str, str]) -> Plan:
        """Make the same plan for data that use other names."""

        def m(name: str) -> str:
            return modalities.get(name, name)

        def t(name: str) -> str:
            return targets.get(name, name)

        protocol = replace(
            self.protocol,
            targets=tuple(t(k) for k in self.protocol.targets if t(k)),
            directions=tuple((tuple(map(m, q)), tuple(map(m, c))) for q, c in self.protocol.directions),
            hard=m(self.protocol.hard),
            kinds={m(k): v for k, v in self.protocol.kinds.items()},
        )
        there = {
            "->".join("+".join(map(m, part.split("+"))) for part in k.split("->")): v for k, v in self.headlines.items()
        }
        return replace(
            self,
            modalities=tuple(sorted(map(m, self.modalities))),
            protocol=protocol,
            headlines=there | {t(k): v for k, v in self.headlines.items()},
            units={t(k): v for k, v in self.units.items()},
        )

    def task(self, load: Callable[[], Source], preset: PresetName) -> Task:
        """Make the task on some data."""
        protocol = replace(self.protocol, preset=preset)
        settings = SMALL if preset == "small" else self.paper
        budget = Budget(
            dim=settings.dim,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            lr=settings.lr,
            optimizer=settings.optimizer,
            trials=0,
        )
        return Task(
            name=self.name,
            label=self.label,
            load=load,
            modalities=self.modalities,
            target=protocol.targets[0] if protocol.targets else "",
            classes=0,
            budget=budget,
            protocol=protocol,
            columns=protocol.columns(self.modalities, self.headlines, self.units),
            negatives="all",
        )


PLANS = {
    p.name: p
    for p in (
        Plan(
            "VFP",
            "Vision, force, pose: contact at the next step",
            ("force", "pose", "vision"),
            Downstream(targets=("contact",)),
            {"contact": "VFP contact"},
            paper=PAPER["vfp_contact"],
        ),
        Plan(
            "VFD",
            "Vision, force, depth: same trajectory or not, and orientation at the next step",
            ("depth", "force", "vision"),
            Downstream(targets=(PAIR, "orientation"), hard="pose"),
            {PAIR: "VFD pair", "orientation": "VFD orientation"},
            {"orientation": "squared quaternion units"},
            paper=PAPER["vfd_trajectory"],
        ),
        Plan(
            "VFPD",
            "Vision, force, pose, depth: same trajectory or not",
            ("depth", "force", "pose", "vision"),
            Downstream(targets=(PAIR,), hard="pose"),
            {PAIR: "VFPD pair"},
            paper=PAPER["vfpd_trajectory"],
        ),
        Plan(
            "VFPDO",
            "Vision, force, pose, depth, optical flow: same trajectory or not",
            ("depth", "flow", "force", "pose", "vision"),
            Downstream(targets=(PAIR,), hard="pose"),
            {PAIR: "VFPDO pair"},
            paper=PAPER["vfpdo_trajectory"],
        ),
        Plan(
            "Push",
            "Vision, force, pose histories: position of the pushed object one step ahead",
            ("force", "pose", "vision"),
            Downstream(targets=("position",), kinds={"pose": "vector"}),
            {"position": "Push"},
            {"position": "m^2"},
            paper=PAPER["mujoco_push"],
        ),
        Plan(
            "MOSEI",
            "Vision, audio, text of spoken opinions: positive or not",
            ("audio", "text", "vision"),
            Downstream(targets=("label",), kinds={"audio": "padded", "text": "padded", "vision": "padded"}),
            {"label": "MOSEI"},
            paper=PAPER["mosei"],
        ),
        Plan(
            "WESAD",
            "ECG, respiration, blood volume pulse: three states, and the pulse of the same window",
            ("bvp", "ecg", "respiration"),
            Downstream(targets=("state",), directions=((("ecg", "respiration"), ("bvp",)),)),
            {"state": "WESAD", "ecg+respiration->bvp": "WESAD mAP"},
            paper=PAPER["wesad"],
        ),
        Plan(
            "Wearable",
            "Accelerometer and gyroscope at the wrist: seven exercises, and the other sensor's window",
            ("accelerometer", "gyroscope"),
            Downstream(targets=("exercise",), directions=((("accelerometer",), ("gyroscope",)),)),
            {"exercise": "Wearable", "accelerometer->gyroscope": "Wearable mAP"},
        ),
        Plan(
            "VAT",
            "Vision, impact sound, touch of objects: retrieval of the same object",
            ("audio", "touch", "vision"),
            Downstream(
                targets=("material",),
                directions=((("vision",), ("audio",)), (("vision",), ("touch",)), (("touch",), ("audio",))),
                relevance="group",
                kinds={"audio": "signal"},  # rows are bands, as channels in time
            ),
            {"vision->audio": "Vis-Aud", "vision->touch": "Vis-Tact", "touch->audio": "Tact-Aud"},
        ),
        Plan(
            "VIP",
            "Camera, inertial sensors, joint angles: pose of the end effector",
            ("imu", "joints", "vision"),
            Downstream(targets=("pose",)),
            {"pose": "VIP"},
            {"pose": "squared metres and quaternion units"},
        ),
    )
}
"""Name -> what the task is. The paper trains VFD twice, at 1e-4 for pairs and 1e-3 for orientation; here one training, at 1e-4,
serves both."""
