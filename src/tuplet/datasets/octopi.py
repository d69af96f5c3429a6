"""PhysiCLeAR, the data of Octopi: a GelSight Mini pressed on and rotated over everyday objects, ranked by people.

``root/processed/physiclear_{object}_{n}/{frame}.jpg`` and ``root/{train,val,test}_samples.json``, ``{object: [folders of
frames]}``, names in ``processed`` or paths from root. Where ``contact_text_octopi.csv`` (rows ``path of the frame,text_id``)
and ``text/octopi_{text_id}.pt`` of AnyTouch are there too, rows have text, as token ids. Where ``ranks.json`` is there,
``{object: {"hardness": 0, "roughness": 1, "texture": 2}}``, rows have targets.

From published code: folders, samples, sensor id 3. Guessed: ``ranks.json`` (the ranks stand in a source file of Octopi;
write them down in this form), and where the text files lie. There is no vision: it is absent. Published code gives the touch
picture twice; `duplicate_touch` does so. Licence: see the release.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tuplet.data import Source
from tuplet.data.splits import PARTS
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, homes, inside, names_in, strings, table, whole
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError

RANKS = ("hardness", "roughness", "texture")
NAMES = ("low", "middle", "high")
TEXTS = "contact_text_octopi.csv"
ABOUT = {
    "name": "octopi",
    "title": "PhysiCLeAR",
    "citation": "S. Yu et al., Octopi: Object Property Reasoning with Large Tactile-Language Models, RSS 2024",
    "licence": "see the release of Octopi",
}


def read(root: Path, *, duplicate_touch: bool = False, side: int = 224) -> Content:
    """Read the samples, and every frame of their folders."""
    files = [root / f"{part}_samples.json" for part in PARTS]
    samples = [(file, code, _samples(file)) for code, file in enumerate(files)]
    part = homes(samples, "object")
    ranks = _ranks(root / "ranks.json", part) if (root / "ranks.json").exists() else {}
    texts = _texts(root / TEXTS) if (root / TEXTS).exists() else {}
    rows = []
    for file, code, found in samples:
        for thing, folders in found.items():
            for name in folders:
                folder = inside(root, name if "/" in name else f"processed/{name}", file)
                for frame in (f for f in names_in(folder) if f.endswith((".jpg", ".png"))):
                    text = texts.get((folder / frame).relative_to(root).as_posix())
                    rows.append(
                        Row(
                            group=thing,
                            pictures=dict.fromkeys(("touch", "vision") if duplicate_touch else ("touch",), folder / frame),
                            sensor=3,
                            ids=None if text is None else root / "text" / f"octopi_{text}.pt",
                            target=ranks.get(thing, {}),
                            part={"octopi": code},
                        )
                    )
    return content(rows, ABOUT, dict.fromkeys(RANKS, NAMES) if ranks else {}, side=side, duplicate_touch=duplicate_touch)


def load(
    root: str | Path,
    *,
    duplicate_touch: bool = False,
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load touch, text and ranks of PhysiCLeAR, split by object as published.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        duplicate_touch: give the touch picture as vision too, as published code does; otherwise vision is absent.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`; the seed has no effect here.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``hardness``, ``roughness``, ``texture`` (3 ranks each, where
        there is a file of ranks) and ``sensor``, also in ``aux``; group = object.

    Raises:
        InputError: for a missing folder, damaged samples or ranks, or an object in two parts.

    Example:
        >>> load("no")
        Traceback (most recent call last):
        tuplet.types.InputError: no/train_samples.json cannot be read (No such file or directory); give the folder that holds it
    """
    how = How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, partial(read, duplicate_touch=duplicate_touch, side=side), how, published="octopi")


def _samples(file: Path) -> dict[str, list[str]]:
    """Read the folders of every object."""
    found = json_in(file, "give the folder that holds it")
    if not isinstance(found, dict):
        raise InputError(f"{file} is no JSON object, expected {{object: [folders of frames]}}")
    return {k: strings(v, f"{file}: {k[:40]!a}") for k, v in found.items()}


def _ranks(file: Path, things: dict[str, int]) -> dict[str, dict[str, int]]:
    """Read the ranks of every object."""
    found = json_in(file, "write {object: {hardness: 0, roughness: 1, texture: 2}}")
    out = {}
    for thing in things:
        ranks = found.get(thing) if isinstance(found, dict) else None
        if not isinstance(ranks, dict):
            raise InputError(f"{file} has no ranks of {thing[:60]!a}, expected {{'hardness': 0, 'roughness': 1, 'texture': 2}}")
        out[thing] = {k: whole(ranks.get(k), 0, 2, f"{file}: {k} of {thing[:60]!a}") for k in RANKS}
    return out


def _texts(file: Path) -> dict[str, int]:
    """Read which text each frame has; of repeated rows the first counts."""
    found: dict[str, int] = {}
    for number, row in enumerate(table(file, 2, "copy it again"), 1):
        if number > 1 or row[1].isdecimal():
            found.setdefault(row[0], whole(row[1], 0, 10**9, f"{file}, row {number}: text id"))
    return found


READER = Reader(load, read, partial(described, read=read), __doc__)
