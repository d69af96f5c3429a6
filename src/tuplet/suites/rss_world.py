"""Where a touch comparison gets its towers, training sets and probe sets: simulated, or from folders of real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tuplet.data import Source
from tuplet.io import write_atomic
from tuplet.model import AlignmentModel
from tuplet.nets import TowerEncoder, tokeniser
from tuplet.nets.towers import ClipTower, clip
from tuplet.objectives import Pairwise, Temperature
from tuplet.simulators import touch
from tuplet.simulators._touch_gel import SENSORS
from tuplet.simulators._touch_words import HARD, PATTERNS, ROUGH
from tuplet.suites.rss_measure import Number, Probed
from tuplet.train import TrainConfig, fit
from tuplet.types import InputError

WORDS, LENGTH = 512, 24
"""Ids and tokens of the tiny text tower."""
BASE_SEED, PROBE_SEED = 900, 500
"""Seeds of the worlds that the base and the probes see; those of training sets are the run's."""
TARGETS = ("family", "roughness", "hardness")
PROMPTS = ("A surface with {}.", "It feels {}.", "The object is {}.")


def configuration(size: int) -> dict[str, Any]:
    """Return the shape of the tiny towers: 16 patches, as many text levels as half of the picture's."""
    layer = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "initializer_factor": 4.0}
    vision = layer | {"num_hidden_layers": 4, "image_size": size, "patch_size": 12}
    text = {"num_hidden_layers": 2, "vocab_size": WORDS, "max_position_embeddings": LENGTH, "bos_token_id": 1}
    return {"vision_config": vision, "text_config": layer | text | {"eos_token_id": 2}, "projection_dim": 32}


@dataclass(frozen=True)
class Simulated:
    """Objects pressed on four simulated sensors; every part of it has objects of its own."""

    contacts: int = 1200
    objects: int = 400
    size: int = 48
    base_contacts: int = 10000
    base_epochs: int = 24

    @property
    def corpora(self) -> dict[str, tuple[str, ...]]:
        """Return training set -> its sensors."""
        return {"gelsight": ("gelsight",), "digit": ("digit",), "all": tuple(SENSORS)}

    @property
    def main(self) -> str:
        """Return the training set of most tables."""
        return "all"

    @property
    def probed(self) -> dict[str, str]:
        """Return probe set -> its sensor, which is called so."""
        return {"gelsight": "gelsight", "digit": "digit"}

    def corpus(self, name: str, seed: int) -> Source:
        """Return a training set; every contact by one sensor."""
        return _world(self.contacts, self.size, self.corpora[name], 1 + seed, False)

    def probes(self, seed: int) -> list[Probed]:
        """Return two of the sensors, one after the other."""
        shared = self.across(seed)
        names = shared.source.targets["sensor"].names
        return [replace(shared, name=k, sensor=names.index(k)) for k in self.probed]

    def pictures(self, seed: int) -> list[Probed]:
        """Return the photographs of the objects, each once."""
        return [replace(self.across(seed), name="photographs", sensor=0, modalities=("vision",))]

    def across(self, seed: int) -> Probed:
        """Return what is probed; every contact by every sensor."""
        return Probed("all", _world(self.objects, self.size, tuple(SENSORS), PROBE_SEED + seed, True), TARGETS)

    def towers(self, folder: Path) -> dict[str, ClipTower]:
        """Return the three towers of the base."""
        if not (file := folder / "towers.safetensors").is_file():
            raise InputError(f"{file} is gone, with which this run began; put it back, or give another --out")
        state = load_file(file)
        found = {k: tower(self.size, "text" if k == "text" else "vision") for k in ("text", "touch", "vision")}
        for t in found.values():
            for name, module in (("body", t.body), ("projection", t.projection)):
                head = f"{t.part}.{name}."
                module.load_state_dict({k.removeprefix(head): v for k, v in state.items() if k.startswith(head)})
        return found

    def prompted(self, seed: int) -> list[Probed]:
        """Return the same set."""
        return [self.across(seed)]

    def prompts(self, target: str) -> list[Tensor]:
        """Return, for every class of a target in the order of its codes, the ids of its sentences."""
        named: dict[str, Mapping[str, Sequence[str]]] = {
            "family": PATTERNS,
            "roughness": {"rough": ROUGH[True], "smooth": ROUGH[False]},
            "hardness": {"hard": HARD[True], "soft": HARD[False]},
        }
        words = named[target]
        encode = tokeniser("words", length=LENGTH, vocabulary=WORDS)
        return [encode([p.format(word) for p in PROMPTS for word in words[k]]) for k in sorted(words)]

    def make_base(self, folder: Path) -> Number:
        """Train towers on photographs, presses and sentences of other objects; return the best validation loss."""
        source = _world(self.base_contacts, self.size, tuple(SENSORS), BASE_SEED, False)
        codes = [source.values[t] for t in TARGETS]
        # one tower sees both kinds of pictures; objects of one of the 24 descriptions are no negatives of each other
        source = replace(source, group=codes[0] * 4 + codes[1] * 2 + codes[2])
        torch.manual_seed(0)
        towers = {"text": tower(self.size, "text"), "vision": tower(self.size, "vision")}
        towers["touch"] = towers["vision"]
        model = AlignmentModel(
            {k: TowerEncoder(t, k, frozen=False) for k, t in towers.items()}, {k: t.projection for k, t in towers.items()}
        )
        config = TrainConfig(epochs=self.base_epochs, batch_size=128, lr=1e-3, weight_decay=0.1, keep="best")
        run = fit(model, Pairwise(tau=Temperature(0.1)), train=source.train, val=source.val, config=config)
        state = {
            f"{t.part}.{name}.{k}": v.contiguous()
            for t in (towers["text"], towers["vision"])
            for name, module in (("body", t.body), ("projection", t.projection))
            for k, v in module.state_dict().items()
        }
        write_atomic(folder / "towers.safetensors", save(state))
        return Number("training/val", "", min(epoch["val"] for epoch in run.history))


class Stem(nn.Sequential):
    """Three convolutions in the place of one: so that few pictures teach a transformer textures (Xiao et al., 2021)."""

    def __init__(self, width: int) -> None:
        layers = [nn.Conv2d(3, 24, 3, 2, 1), nn.GELU(), nn.Conv2d(24, 48, 3, 2, 1), nn.GELU()]
        super().__init__(*layers, nn.Conv2d(48, width, 3, 3, bias=False))

    @property
    def weight(self) -> torch.Tensor:
        """Return the weight whose dtype pictures are cast to."""
        return cast(torch.Tensor, self[-1].weight)


def tower(size: int, part: Literal["vision", "text"]) -> ClipTower:
    """Make a tiny tower with random weights."""
    made = clip(configuration(size), part, unit=part == "vision")
    if part == "vision":
        made.body.embeddings.patch_embedding = Stem(made.width)
    return made


@lru_cache(maxsize=6)
def _world(contacts: int, size: int, sensors: Sequence[str], seed: int, same: bool) -> Source:
    encode = tokeniser("words", length=LENGTH, vocabulary=WORDS)
    return touch.load(contacts=contacts, size=size, sensors=sensors, seed=seed, same_contact=same, tokenise=encode)
