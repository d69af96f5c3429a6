"""SSVTP: cloth and other things photographed and touched with a DIGIT at the same place, labelled with adjectives in TVL.

``root/images_rgb/image_{id}_rgb.*``, ``root/images_tac/image_{id}_tac.*``, ``root/text/labels_{id}.txt`` (one line of
adjectives) and ``root/train.csv``, ``root/test.csv``, whose first column is the path of the photograph.

From published code: all of this, sensor id 1; it skips rows without a file, which here is an option. Not read:
``synonyms.json``. Nothing says which rows show the same thing, so every row is a group. Licence: see the release of TVL.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.datasets._files import contents
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, homes, inside, names_in, table
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError, one_of

ABOUT = {
    "name": "ssvtp",
    "title": "SSVTP, with the adjectives of TVL",
    "citation": (
        "J. Kerr et al., Self-Supervised Visuo-Tactile Pretraining to Locate and Follow Garment Features, RSS 2023; L. Fu et "
        "al., A Touch, Vision, and Language Dataset for Multimodal Alignment, ICML 2024"
    ),
    "licence": "see the release of TVL",
}


def read(root: Path, *, missing: Literal["refuse", "skip"] = "refuse", side: int = 224) -> Content:
    """Read both lists and find the touch and the text of every photograph."""
    one_of("missing", missing, ("refuse", "skip"))
    touches = {Path(name).stem: name for name in names_in(root / "images_tac")}
    listed = []
    for file, code in ((root / "train.csv", 0), (root / "test.csv", 2)):
        paths = [row[0] for row in table(file, 1, "give the folder that holds it")]
        listed.append((file, code, [path for i, path in enumerate(paths) if i or "/" in path]))  # a header is no path
    part = homes(listed, "photograph")
    rows = []
    for name, code in part.items():
        file = inside(root, name, root / "train.csv")
        number = re.fullmatch(r"image_(.+)_rgb", file.stem)
        if number is None:
            raise InputError(
                f"{root}/train.csv or test.csv lists {name[:80]!a}, expected images_rgb/image_ID_rgb.jpg in column 1"
            )
        touch = root / "images_tac" / touches.get(f"image_{number[1]}_tac", f"image_{number[1]}_tac.jpg")
        words = root / "text" / f"labels_{number[1]}.txt"
        if missing == "skip" and not (file.is_file() and touch.is_file()):
            continue
        text = contents(words, "copy it").decode(errors="replace") if words.exists() else ""
        rows.append(Row(name, {"touch": touch, "vision": file}, 1, {"text": text}, part={"ssvtp": code}))
    return content(rows, ABOUT, {}, side=side, missing=missing)


def load(
    root: str | Path,
    *,
    split: Literal["published", "drawn"] = "published",
    missing: Literal["refuse", "skip"] = "refuse",
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load touch, vision and adjectives of SSVTP.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        split: ``"published"``, a tenth of the training rows as validation, or ``"drawn"``, 60 / 20 / 20.
        missing: what to do with listed pictures that are not there; the published code skips them.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; target and ``aux`` ``sensor``.

    Raises:
        InputError: for a missing file, a damaged list, or a photograph in two parts.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/images_tac cannot be read (No such file or directory); give the folder that holds it
    """
    one_of("split", split, ("published", "drawn"))
    how = How(side, normalisation, tokenise, seed)
    return assemble(
        root, ABOUT, partial(read, missing=missing, side=side), how, published="ssvtp" if split == "published" else None
    )


READER = Reader(load, read, partial(described, read=read), __doc__)
