"""TVL-HCT: a DIGIT and a camera held together, swept over things, with captions.

``root/hct/data1``, ``data2``, ``data3``, each with pictures ``{trial}/{vision,tactile}/{i}-{stamp}.jpg`` and either
``train.csv`` and ``test.csv`` (header; columns ``url``, ``tactile``, ``tactile_background``, ``caption``; paths from that
folder) or ``contact.json`` and ``not_contact.json`` (lists ``vision`` and ``tactile``), which have no captions and no test
rows.

From published code: files, crop, rotation, sensor id 1; untouched frames, up to a tenth as many, say "background". Guessed:
that the rotation is counter-clockwise, and that a trial is the folder above ``tactile``. The published lists may have one
trial in both parts: `verify` counts them. It also warns if touch and vision look swapped, as in the first release. No
background is subtracted, as in AnyTouch and TLV-CoRe. Licence: see the release.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tuplet.data import Source
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, inside, strings, table
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError, in_range, one_of

COLOUR = (0.2917, 0.2971, 0.2910)
"""Mean red, green and blue of a DIGIT in TVL."""
TOP = 200
"""Pixels above the crop in data3."""
TURNS = (0, 90, 180, 270)
ABOUT = {
    "name": "tvl",
    "title": "TVL, human-collected (HCT)",
    "citation": "L. Fu et al., A Touch, Vision, and Language Dataset for Multimodal Alignment, ICML 2024",
    "licence": "see the release of TVL",
}


def read(root: Path, *, crop: bool = True, rotate: int = 90, not_contact: float = 0.1, side: int = 224) -> Content:
    """Read the lists of every folder."""
    in_range("not_contact", not_contact, 0, 1)
    one_of("rotate", rotate, TURNS)
    base = root / "hct" if (root / "hct").is_dir() else root
    folders = [f for f in (base / f"data{i}" for i in (1, 2, 3)) if f.is_dir()]
    rows = [row for folder in folders for row in _rows(folder, not_contact)]
    turns = {"touch": partial(_turned, degrees=rotate)} | ({"vision": _cropped} if crop else {})
    return content(
        rows, ABOUT, {"contact": ("no", "yes")}, side=side, prepare=turns, crop=crop, rotate=rotate, not_contact=not_contact
    )


def load(
    root: str | Path,
    *,
    split: Literal["published", "folders"] = "published",
    crop: bool = True,
    rotate: int = 90,
    not_contact: float = 0.1,
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load touch, vision and captions of TVL-HCT.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        split: ``"published"``, a tenth of the training rows, by trial, as validation; ``"folders"``: no trial in two parts.
        crop: keep the square of the photograph where the sensor touches: 0.26 of the longer side, at the top, in the middle.
        rotate: degrees that touch is turned by, after it is padded to a square: 0, 90, 180 or 270.
        not_contact: untouched frames, as a share of the touched ones, at most.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``contact`` and ``sensor``, also in ``aux``; group = trial.

    Raises:
        InputError: for a missing file, a damaged list, paths that are not of touch and vision, or a picture too small to crop.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: tvl has no row; give the folder that `tuplet data info tvl` describes
    """
    one_of("split", split, ("published", "folders"))
    reading = partial(read, crop=crop, rotate=rotate, not_contact=not_contact, side=side)
    how = How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, reading, how, published="hct" if split == "published" else None)


def _rows(folder: Path, share: float) -> list[Row]:
    """Read the rows of one folder: captions of its CSV files, or its JSON files without any."""
    lists = [(folder / "train.csv", 0), (folder / "test.csv", 2)]
    if any(file.exists() for file, _ in lists):
        rows = [
            _row(folder, file, (line[0], line[1]), line[3], part)
            for file, part in lists
            for line in table(file, 4, "copy it again")
            if line[0] != "url"
        ]
    else:
        rows = _listed(folder, folder / "contact.json", "", None)
    other = folder / "not_contact.json"
    free = _listed(folder, other, "background", int(share * len(rows))) if share and other.exists() else []
    return rows + free


def _listed(folder: Path, file: Path, text: str, most: int | None) -> list[Row]:
    """Read a JSON file of two lists; of too many rows, an even choice."""
    found = json_in(file, "give the folder that holds it")
    views = found if isinstance(found, dict) else {}
    vision, touch = (strings(views.get(k), f"{file}: {k}") for k in ("vision", "tactile"))
    if len(vision) != len(touch):
        raise InputError(f"{file} lists {len(vision)} pictures of vision and {len(touch)} of tactile; copy it again")
    n = len(vision)
    chosen = np.arange(n) if most is None or n <= most else np.unique(np.linspace(0, n - 1, most).astype(int))
    return [_row(folder, file, (vision[i], touch[i]), text, 0) for i in chosen]


def _row(folder: Path, file: Path, names: tuple[str, str], text: str, part: int) -> Row:
    """Make a row of two paths and what is said of them."""
    vision, touch = (inside(folder, name, file) for name in names)
    if vision.parent.name != "vision" or touch.parent.name != "tactile":
        raise InputError(f"{file} pairs {names[0][:60]!a} with {names[1][:60]!a}, expected .../vision/... and .../tactile/...")
    group = touch.parent.parent.relative_to(folder.parent).as_posix()
    contact = int(text != "background")
    return Row(group, {"touch": touch, "vision": vision}, 1, {"text": text}, target={"contact": contact}, part={"hct": part})


def _cropped(image: Any, file: Path) -> Any:
    """Keep the square of the photograph where the sensor touches."""
    edge, top = math.ceil(math.sqrt(2) * 0.18 * max(image.size)), TOP if "data3" in file.parts else 0
    left = (image.width - edge) // 2
    if left < 0 or top + edge > image.height:
        raise InputError(f"{file} has {image.width} x {image.height} pixels, too few to crop {edge} at {top}; give crop=False")
    return image.crop((left, top, left + edge, top + edge))


def _turned(image: Any, file: Path, degrees: int) -> Any:
    """Pad a touch picture to a square, black, and turn it counter-clockwise."""
    from PIL import ImageOps

    return ImageOps.pad(image, (max(image.size),) * 2).rotate(degrees)


def _report(root: Path) -> list[str]:
    """Say what was found, and whether touch and vision look swapped."""
    columns = read(root).columns
    some = np.unique(np.linspace(0, len(columns["group"]) - 1, 64).astype(int))
    mean = {k: columns[f"input.{k}"][some].mean(axis=(0, 2, 3)) / 255 for k in ("touch", "vision")}
    far = {k: np.abs(colour - COLOUR).sum() for k, colour in mean.items()}
    swapped = ["vision is nearer to the colour of a DIGIT than touch: are the folders swapped, as in the first release?"]
    return described(root, read) + swapped * bool(far["vision"] < far["touch"])


READER = Reader(load, read, _report, __doc__)
