"""Data: what a source is, sources that ship with the package, and a user's own arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from tuplet.data.aligned import from_arrays
from tuplet.data.arrays import Arrays
from tuplet.data.batch import batches
from tuplet.data.missing import hide
from tuplet.data.npz import from_npz
from tuplet.data.pairs import Pairs, draw_pairs, pair_parts
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.reading import read
from tuplet.data.show import show
from tuplet.data.source import Modality, Provenance, Rows, Source, Target
from tuplet.data.sources import (
    arm,
    av_mnist,
    blocks,
    digits,
    emoji,
    mosei,
    mujoco_push,
    mustard,
    objectfolder,
    opinions,
    peg,
    physiology,
    push,
    redundancy,
    spoken_digits,
    tap,
    vision_touch,
    wearable,
    wesad,
)
from tuplet.data.splits import Split, split_rows
from tuplet.data.stored import Stored, from_columns, from_table
from tuplet.data.table import Table, write_table
from tuplet.data.ungroup import ungroup

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

__all__ = [
    "READERS",
    "SOURCES",
    "Arrays",
    "Modality",
    "Pairs",
    "Preprocessing",
    "Provenance",
    "Reader",
    "Rows",
    "Source",
    "Split",
    "Stored",
    "Table",
    "Target",
    "batches",
    "draw_pairs",
    "from_arrays",
    "from_columns",
    "from_npz",
    "from_table",
    "hide",
    "pair_parts",
    "read",
    "show",
    "split_rows",
    "ungroup",
    "write_table",
]
