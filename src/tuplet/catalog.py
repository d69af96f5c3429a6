"""Every data set by its short name: sources that ship or are simulated, and readers of real data in a folder of the user's."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from tuplet.data import Source
from tuplet.datasets import (
    av_mnist,
    digits,
    emoji,
    mosei,
    mujoco_push,
    mustard,
    objectfolder,
    vision_touch,
    wearable,
    wesad,
)
from tuplet.simulators import arm, blocks, opinions, peg, physiology, push, redundancy, spoken_digits, tap

SOURCES: dict[str, Callable[[], Source]] = {
    "arm": arm.load,
    "blocks": blocks.load,
    "digits": digits.load,
    "emoji": emoji.load,
    "peg": peg.load,
    "physiology": physiology.load,
    "push": push.load,
    "redundancy": redundancy.load,
    "tap": tap.load,
}
"""Short name -> function that loads the source."""


@runtime_checkable
class Reader(Protocol):
    """A module that reads real data, which lie in a folder of the user's."""

    def load(self, root: str | Path) -> Source:
        """Return the source; a reader's own options follow by name."""
        ...

    def verify(self, root: str | Path) -> list[str]:
        """Read everything and return what was found."""
        ...

    def convert(self, root: str | Path, out: str | Path) -> Path:
        """Clean once and write one file, which `load` takes as root."""
        ...


READERS: dict[str, Reader] = {
    "av_mnist": av_mnist,
    "mosei": mosei,
    "mujoco_push": mujoco_push,
    "mustard": mustard,
    "objectfolder": objectfolder,
    "opinions": opinions,
    "spoken_digits": spoken_digits,
    "vision_touch": vision_touch,
    "wearable": wearable,
    "wesad": wesad,
}
"""Short name -> module that reads real data; none is shipped or downloaded."""
