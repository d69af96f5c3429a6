"""ObjectFolder 1.0 and 2.0, materials from simulated touch: the probe sets of TLV-CoRe, AnyTouch and UniTouch.

``root/touch/{object}/{i}.png`` (2.0, objects above 100), ``root/obj1.0/{object}/{i}.png`` (1.0, objects up to 100),
``label.json`` ``{object: 0 .. 6}`` and ``split.json`` ``{"train", "val", "test": [[object, i], ...]}``, the part val being
optional.

From published code: files, sensor ids (2.0: 5, Taxim; 1.0: -1, unknown). Guessed: nothing, but the authors' split and the
order of their seven materials are not public: make both files, or take ``split="objects"``. A split by picture has one
object in several parts: `verify` counts them. Licence: CC BY 4.0.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.data.splits import PARTS
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, whole
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError, one_of

OLD = 100
"""Largest object of ObjectFolder 1.0."""
CLASSES = {"material": tuple(f"material {i}" for i in range(7))}
ABOUT = {
    "name": "objectfolder_touch",
    "title": "ObjectFolder, touch and materials",
    "citation": "R. Gao et al., ObjectFolder 2.0: A Multisensory Object Dataset for Sim2Real Transfer, CVPR 2022",
    "licence": "CC BY 4.0",
}


def read(root: Path, *, version: Literal["1.0", "2.0"] = "2.0", side: int = 224) -> Content:
    """Read the split and the labels of one version."""
    one_of("version", version, ("1.0", "2.0"))
    file, old = root / "split.json", version == "1.0"
    split = json_in(file, "give the folder that holds it")
    labels = json_in(root / "label.json", "give the folder that holds it")
    rows: list[Row] = []
    seen: dict[tuple[int, int], int] = {}
    for code, part in enumerate(PARTS):
        pairs = split.get(part, []) if isinstance(split, dict) else None
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise InputError(f"{file} has no list of [object, number] in {part}, expected {{train, val, test}}")
        for pair in pairs:
            thing, number = (
                whole(v, 0, 10**9, f"{file}, {part}: {k}") for v, k in zip(pair, ("object", "number"), strict=True)
            )
            if seen.setdefault((thing, number), code) != code:
                raise InputError(f"{file} has picture {thing}/{number} in two parts; that leaks test data, remove one")
            if (thing <= OLD) != old:
                continue
            label = labels.get(str(thing)) if isinstance(labels, dict) else None
            rows.append(
                Row(
                    group=str(thing),
                    pictures={"touch": root / ("obj1.0" if old else "touch") / str(thing) / f"{number}.png"},
                    sensor=-1 if old else 5,
                    target={"material": whole(label, 0, 6, f"{root / 'label.json'}: object {thing}")},
                    part={"objectfolder": code},
                )
            )
    return content(rows, ABOUT, CLASSES, side=side, version=version)


def load(
    root: str | Path,
    *,
    version: Literal["1.0", "2.0"] = "2.0",
    split: Literal["published", "objects"] = "published",
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load touch of ObjectFolder with the material of each object; vision and text are absent.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        version: ``"2.0"``, objects above 100, or ``"1.0"``, the others.
        split: ``"published"``, that of ``split.json``; ``"objects"``: 60 / 20 / 20, no object in two parts.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``material`` (7) and ``sensor``, also in ``aux``; group = object.

    Raises:
        InputError: for a missing file, a damaged list, an object without label, or a picture in two parts.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/split.json cannot be read (No such file or directory); give the folder that holds it
    """
    one_of("split", split, ("published", "objects"))
    reading, how = partial(read, version=version, side=side), How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, reading, how, published="objectfolder" if split == "published" else None, label="material")


READER = Reader(load, read, partial(described, read=read), __doc__)
