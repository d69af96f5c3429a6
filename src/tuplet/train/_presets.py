"""How the papers trained, number by number, and what runs on two cores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tuplet.train.config import Optimizer

PresetName = Literal["small", "paper"]


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings of one task."""

    lr: float
    beta: float = 1.0
    seeds: tuple[int, ...] = (42,)
    dim: int = 256
    batch_size: int = 64
    optimizer: Optimizer = "adam"
    tau: float = 0.01
    epochs: int = 50
    guessed: tuple[str, ...] = ("epochs",)


PAPER = {
    "mosei": Preset(1e-5),
    "mujoco_push": Preset(1e-3),
    "vfd_orientation": Preset(1e-3),
    "vfd_trajectory": Preset(1e-4),
    "vfp_contact": Preset(1e-4, guessed=("epochs", "lr")),
    "vfpd_trajectory": Preset(1e-4),
    "vfpdo_trajectory": Preset(1e-4),
    "wesad": Preset(1e-4, beta=0.5, guessed=("epochs", "lr")),
    "wesad_retrieval": Preset(1e-4, beta=0.5, seeds=(42, 0, 1), guessed=("epochs", "lr")),
}
"""Task of OVA-IB -> its settings. Where the learning rate is not stated, it is that of the trajectory tasks."""

SMALL = Preset(
    1e-3,
    seeds=(0, 1, 2),
    dim=64,
    optimizer="adamw",
    tau=0.1,
    epochs=8,
    guessed=("lr", "seeds", "dim", "optimizer", "tau", "epochs"),
)
"""For two cores and small data; no paper's numbers but ``batch_size`` and ``beta``."""

UNI_OMA = replace(
    PAPER["vfd_orientation"],
    seeds=tuple(range(10)),
    guessed=("lr", "beta", "dim", "batch_size", "optimizer", "tau", "epochs", "seeds"),
)
"""UniOMA states its ten seeds' number and that all methods share one setup, nothing else: the rest is OVA-IB's."""
