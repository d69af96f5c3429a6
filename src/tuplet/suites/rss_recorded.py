"""The touch comparison on real data: the towers of a CLIP and the published sets that the user has in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from torch import Tensor

from tuplet.catalog import READERS
from tuplet.data import Source, Target
from tuplet.datasets._touch_files import SENSORS
from tuplet.datasets._touch_source import in_ids
from tuplet.datasets.touch_and_go import CLASSES
from tuplet.io import write_atomic
from tuplet.model._towers import checksum
from tuplet.nets.tokens import Tokeniser, tokeniser_of
from tuplet.nets.towers import ClipTower, clip
from tuplet.suites.papers import place
from tuplet.suites.rss_measure import Head, Number, Probed, numbered
from tuplet.suites.rss_plan import ABLATIONS, Plan
from tuplet.types import InputError

GELSIGHT, DIGIT, _, MINI, DURAGEL, TAXIM = SENSORS
CORPORA = {
    "touch_and_go": (GELSIGHT,),
    "ssvtp": (DIGIT,),
    "tvl": (DIGIT,),
    "octopi": (MINI,),
    "tacquad": (MINI, DIGIT, DURAGEL),
}
"""Training set -> its sensors."""
PROBED = {"touch_and_go": GELSIGHT, "objectfolder_touch": TAXIM, "feel": GELSIGHT}
"""Probe set -> its sensor."""
PICTURES = {"cifar-10": "label", "cifar-100": "label", "dogs": "breed"}
"""Set of plain pictures -> its target."""
FOLDERS = {"cifar-10": ("cifar", "cifar-10-batches-py"), "cifar-100": ("cifar", "cifar-100-python")}
"""Set -> its reader and its folder, where they are called otherwise."""
LEVELS = 12
"""Of the text tower: at each there is an adapter."""
PROMPTS = {
    "material": "the object being touched is {c}, it is an image of {c}.",
    **dict.fromkeys(("hardness", "roughness"), "the object being touched feels {c}, the surface show sort of {c}ness."),
}
"""Target -> the sentence of a class, in the words of TLV-Link."""

PAPER = (*list(ABLATIONS)[:9], "4 levels", "6 levels", "8 levels", "10 levels", "rank 8", "rank 16", "rank 64", "rank 128")
"""Variants of TLV-CoRe, whose defaults are 12 levels and rank 32."""


@dataclass(frozen=True)
class Recorded:
    """Published touch sets on disk; the seed of a run redraws weights, order and heads, not the data."""

    root: str
    tower: str
    sets: tuple[str, ...]  # which of them are there
    side: int  # pixels that the tower reads
    length: int  # tokens that it reads
    sha256: str  # of its weights

    @property
    def corpora(self) -> dict[str, tuple[str, ...]]:
        """Return training set -> its sensors."""
        return {k: v for k, v in CORPORA.items() if k in self.sets}

    @property
    def main(self) -> str:
        """Return the set of most sensors, the first of equals."""
        return max(self.corpora, key=lambda k: len(CORPORA[k]))

    @property
    def probed(self) -> dict[str, str]:
        """Return probe set -> its sensor."""
        return {k: v for k, v in PROBED.items() if k in self.sets}

    def corpus(self, name: str, seed: int) -> Source:
        """Return a training set, whose sensors are numbered from 0."""
        return _numbered(_read(self, name), CORPORA[name])

    def probes(self, seed: int) -> list[Probed]:
        """Return the touch sets with their published heads; roughness has a split of its own."""
        found = []
        if "touch_and_go" in self.sets:
            source = _read(self, "touch_and_go")
            found.append(Probed("touch_and_go", source, ("material", "hardness")))
            if bool((source.values["roughness"] >= 0).any()):
                found.append(Probed("touch_and_go", _read(self, "touch_and_go", task="roughness"), ("roughness",)))
        if "objectfolder_touch" in self.sets:
            source, head = _read(self, "objectfolder_touch"), Head(lr=1e-3, weight_decay=0.01)
            found.append(Probed("objectfolder_touch", source, ("material",), head=head))
        if "feel" in self.sets:
            source = _read(self, "feel")
            found.append(Probed("feel", source, ("grasp",), modalities=("touch_a", "touch_b"), head=Head(lr=1e-3)))
        return found

    def pictures(self, seed: int) -> list[Probed]:
        """Return the sets of plain pictures."""
        there = [k for k in PICTURES if k in self.sets]
        return [Probed(k, _read(self, k), (PICTURES[k],), modalities=("vision",)) for k in there]

    def across(self, seed: int) -> Probed:
        """Return the main set; its items lie in one part each, so that no probe can learn them."""
        source = _read(self, self.main)
        there = set(source.values["sensor"].tolist())
        names = [k for i, k in enumerate(source.targets["sensor"].names) if i in there]
        return Probed(self.main, _numbered(source, names), (), relevance="group")

    def prompted(self, seed: int) -> list[Probed]:
        """Return Touch and Go, whose classes have names."""
        return [p for p in self.probes(seed) if p.name == "touch_and_go"]

    def prompts(self, target: str) -> list[Tensor]:
        """Return the ids of the sentence of every class, in the order of its codes."""
        return [_words(self.tower, self.length)([PROMPTS[target].format(c=name)]) for name in CLASSES[target]]

    def make_base(self, folder: Path) -> Number:
        """Check that the folder holds the three towers; return how many weights they have."""
        size = sum(p.numel() for t in self.towers(folder).values() for m in (t, t.projection) for p in m.parameters())
        write_atomic(folder / "tower.json", json.dumps({"tower": self.tower, "sha256": self.sha256}).encode())
        return Number("weights", "", float(size))

    def towers(self, folder: Path) -> dict[str, ClipTower]:
        """Return the towers; touch begins as a copy of vision."""
        vision = clip(self.tower, unit=True)
        return {"text": clip(self.tower, "text"), "touch": deepcopy(vision), "vision": vision}


def paper_plan(world: Recorded) -> Plan:
    """Return the plan with the paper's settings, for real data."""
    return Plan(world, name="rss", lrs=(2e-4,), sizes={}, head=Head(), ablations=PAPER, accelerator="auto")


def recorded(root: Path | None, tower: Path | None) -> Recorded:
    """Find the sets below root, and check every list and the towers before anything is computed."""
    if root is None or tower is None:
        raise InputError("rss reads real data: give --root DIR, where the data sets lie, and --tower DIR, a CLIP that you have")
    there = tuple(k for k in {**CORPORA, **PROBED, **PICTURES} if _place(str(root), k).exists())
    if not set(there) & set(CORPORA):
        raise InputError(f"root {root} has none of {sorted(CORPORA)}; put each data set into a folder of that name")
    text, vision = clip(tower, "text"), clip(tower)
    if (low := min(text.levels, vision.levels)) < LEVELS:
        raise InputError(f"tower {tower} has {low} levels, expected {LEVELS} or more, as every published CLIP has")
    length, side = int(text.body.config.max_position_embeddings), int(vision.body.config.image_size)
    world = Recorded(str(root.resolve()), str(tower.resolve()), there, side, length, checksum(tower))
    for look in (world.probes, world.pictures):
        look(0)
    for name in world.corpora:
        world.corpus(name, 0)
    return world


def _place(root: str, name: str) -> Path:
    """Return where a set lies."""
    return place(root, FOLDERS.get(name, ("", name))[1])


@cache
def _read(world: Recorded, name: str, **options: str) -> Source:
    """Read a set as the towers read it: pictures from 0 to 1, texts as ids."""
    reader = READERS[FOLDERS.get(name, (name, ""))[0]]
    load: Callable[..., Source] = partial(
        reader.load, _place(world.root, name), side=world.side, normalisation="none", **options
    )
    return in_ids(load, lambda texts: _words(world.tower, world.length)(texts).numpy())


@cache
def _words(tower: str, length: int) -> Tokeniser:
    return tokeniser_of(Path(tower), length)


def _numbered(source: Source, names: tuple[str, ...] | list[str]) -> Source:
    """Number the sensors of a source by their place among some names."""
    values = {**source.values, "sensor": numbered(source, names)[source.values["sensor"]]}
    return replace(source, values=values, targets={**source.targets, "sensor": Target("class", len(names), names=tuple(names))})
