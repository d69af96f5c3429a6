"""What the touch comparison trains: methods on one base, their ablations, and batches of several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tuplet import methods
from tuplet.model import AlignmentModel
from tuplet.nets import Tower
from tuplet.objectives import Cone, Objective, OneVsAll, Pairwise, Structure, Temperature
from tuplet.study._ledger import marked
from tuplet.suites.rss_measure import Head, World
from tuplet.suites.rss_world import Simulated
from tuplet.train import TrainConfig

NAME = "rss-sim"
LABELS = {
    "clip": "frozen CLIP",
    "tlv_core": "TLV-CoRe",
    "tlv_link": "TLV-Link",
    "any_touch": "AnyTouch",
    "vit_lens": "ViT-Lens-2",
    "uni_touch": "sensor tokens (UniTouch)",
    "one_vs_all": "UBA + OVA-IB",
    "cone": "UBA + cone",
    "structure": "UBA + GW structure",
}
"""Method -> its label. The last three are TLV-CoRe with another alignment; nobody has published them."""
COMPARED = ("tlv_core", "tlv_link", "any_touch", "vit_lens")
"""Methods whose sensitivity to the size of batches is measured."""
TINY: dict[str, dict[str, Any]] = {
    "tlv_core": {"rank": 8, "levels": 2},
    "tlv_link": {"rank": 4, "scale": 4},
    "vit_lens": {"blocks": 1},
    "any_touch": {"rank": 4, "decoder": (64, 2, 4)},
}
"""Method -> its sizes on tiny towers: adapters of an eighth of the width, as in the paper, at every text level."""
ABLATIONS: dict[str, dict[str, Any]] = {
    "no modulation": {"modulate": False},
    "no decoupling": {"alpha": 0.0},
    "no adapter": {"levels": 0},
    "uniform decoupling": {"mode": "uniform"},
    "decoupling at tokens": {"site": "tokens"},
    **{f"alpha {a:g}": {"alpha": a} for a in (0.01, 0.05, 0.5, 1.0)},
    **{f"{n} level{'s' * (n > 1)}": {"levels": n} for n in (1, 4, 6, 8, 10)},
    **{f"rank {r}": {"rank": r} for r in (2, 4, 8, 16, 32, 64, 128)},
}
"""Variant of TLV-CoRe -> what it changes."""
SMALL = (*list(ABLATIONS)[:9], "1 level", "rank 2", "rank 4", "rank 16", "rank 32")
"""Variants on tiny towers."""


@dataclass(frozen=True)
class Plan:
    """What the suite runs."""

    world: World = field(default_factory=Simulated)
    name: str = NAME
    methods: tuple[str, ...] = tuple(LABELS)
    epochs: int = 12
    batch_size: int = 64
    ablations: tuple[str, ...] = SMALL
    batches: tuple[int, ...] = (8, 16, 32, 128)
    lrs: tuple[float, ...] = (3e-4, 1e-3, 3e-3)  # tried by every method, if they are several
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TINY)  # method -> those that are not its paper's
    accelerator: Literal["cpu", "auto"] = "cpu"
    head: Head = field(default_factory=lambda: Head(lr=1e-2))

    @property
    def factory(self) -> str:
        """Return what marks a run folder; other settings need another folder."""
        return marked(self.name, asdict(self))

    def variants(self, method: str) -> dict[str, dict[str, Any]]:
        """Return the variants of a method that are trained on the set of all sensors, and what each changes."""
        found = {k: ABLATIONS[k] for k in self.ablations} if method == "tlv_core" else {}
        if method in COMPARED:
            found |= {f"batch {b}": {"batch_size": b} for b in self.batches}
        return found


def build(
    method: str,
    towers: Mapping[str, Tower],
    *,
    sensors: int,
    settings: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, Any]],
    config: TrainConfig,
) -> tuple[AlignmentModel, Objective, TrainConfig]:
    """Build a method with all that its paper sets, but for its sizes and, in ablations, settings."""
    size: dict[str, Any] = {**sizes.get(method, {})}
    if method == "tlv_link":
        built = methods.tlv_link(towers, **size)
    elif method == "vit_lens":
        built = methods.vit_lens(towers, **size)
    elif method == "uni_touch":
        built = methods.uni_touch(towers, sensors=sensors, **size)
    elif method == "any_touch":
        built = methods.any_touch(towers, sensors=sensors, matching=0.1 if sensors > 1 else 0.0, **size)
    else:
        objective = {
            "one_vs_all": lambda: OneVsAll(tau=Temperature(0.07), beta=0.0),
            "cone": lambda: Cone(tau=Temperature(0.07)),
            "structure": lambda: Pairwise(tau=Temperature(0.07)) + 10.0 * Structure(coupling="gw"),
        }.get(method, lambda: None)()
        more = {**sizes.get("tlv_core", {}), "objective": objective, **settings}
        built = methods.tlv_core(towers, sensors=sensors, **more)
    model, loss, theirs = built
    return (
        model,
        loss,
        replace(theirs, **{k: getattr(config, k) for k in ("epochs", "batch_size", "lr", "seed", "accelerator")}),
    )
