"""ObjectFolder 2, cross-sensory retrieval: pictures, impact sounds and touch of many objects.

``root/vision/{object}/{i}.png``, ``root/touch/{object}/{i}.png``, ``root/audio_spectrogram/{object}/{i}.npy`` and a JSON file
``{"train" | "val" | "test": {object: [i, ...]}}`` that splits the objects. These are renderings of the object models, which the
benchmark's own scripts make; they are not shipped with the models.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns
from tuplet.data._lazy import Lazy
from tuplet.data._media import opened_picture
from tuplet.data._scaling import Scaling
from tuplet.data.splits import PARTS
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader, Shape, opened, spanned
from tuplet.datasets._touch_source import coloured
from tuplet.io.hdf5 import file_marks
from tuplet.io.npy import read_npy
from tuplet.types import InputError, in_range, one_of

FOLDERS = {"vision": "vision", "touch": "touch", "audio": "audio_spectrogram"}
CROP, SIDE = 320, 256
"""Pixels: the middle of a touch picture that is kept, and the side that all pictures are scaled to."""
ABOUT = {
    "name": "objectfolder",
    "title": "ObjectFolder 2.0, cross-sensory retrieval",
    "citation": (
        "R. Gao et al., ObjectFolder 2.0: A Multisensory Object Dataset for Sim2Real Transfer, CVPR 2022; R. Gao et al., The "
        "ObjectFolder Benchmark: Multisensory Learning with Neural and Real Objects, CVPR 2023"
    ),
    "licence": "CC BY 4.0",
    "unit.vision": "brightness",
    "unit.touch": "brightness",
    "unit.audio": "spectrogram as stored",
}


def read(root: Path, *, split: str = "split.json", side: int = SIDE) -> Content:
    """Read the split and find the files, a row per instance; pictures and sounds are read on demand."""
    in_range("side", side, 1)
    file = root / split
    instances = _instances(file)
    paths = {
        name: [root / folder / obj / f"{i}{'.npy' if name == 'audio' else '.png'}" for _, obj, i in instances]
        for name, folder in FOLDERS.items()
    }
    for name, files in paths.items():
        if absent := [f for f in files if not f.is_file()]:
            raise InputError(f"{absent[0]} does not exist, nor do {len(absent) - 1} others of {name} that {file} lists")
    first = read_npy(paths["audio"][0])
    if first.dtype.kind not in "uif":
        raise InputError(f"{paths['audio'][0]} has dtype {first.dtype}, expected numbers")
    columns: dict[str, Any] = {
        "input.vision": _pictures(paths["vision"], side, crop=None),
        "input.touch": _pictures(paths["touch"], side, crop=CROP),
        "input.audio": _sounds(paths["audio"], first),
        "group": np.unique([obj for _, obj, _ in instances], return_inverse=True)[1],
        "split": np.array([part for part, _, _ in instances], dtype=np.int8),
    }
    every = [path for files in paths.values() for path in files]
    digest = hashlib.sha256(f"{file_marks(every)} {json.dumps(instances)} {side}".encode())
    return Content(columns, ABOUT, digest.hexdigest())


def load(
    root: str | Path, *, split: str = "split.json", side: int = SIDE, normalisation: Literal["imagenet", "none"] = "imagenet"
) -> Source:
    """Load pictures, touch and sounds, split by object as the file says.

    Args:
        root: folder of ``vision``, ``touch``, ``audio_spectrogram`` and the split; or a file that `Reader.convert` wrote.
        split: name of the JSON file.
        side: pixels that pictures are scaled to; 256 as published. A converted file must have the same.
        normalisation: of pictures: ``"imagenet"`` subtracts the mean colour of ImageNet and divides by its deviation, as
            published; ``"none"`` leaves 0 to 1.

    Returns:
        Modalities ``vision`` and ``touch`` (3, side, side), the middle 320 pixels of touch, and ``audio`` as stored, scaled by
        training statistics; no target; group = object, so that a result is relevant, for mean average precision, when
        its group is that of the query, and instances of one object are not negatives of each other.

    Raises:
        InputError: as `read`.

    Source:
        Layout, split and sizes of the ObjectFolder Benchmark (Gao et al., 2023).

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/split.json cannot be read (No such file or directory); give the folder that holds it
    """
    root = Path(root)
    one_of("normalisation", normalisation, ("imagenet", "none"))
    pictures = ("vision", "touch")
    needed: dict[str, tuple[str, Shape]] = {"group": ("i", ()), "split": ("i", ())}
    needed |= {f"input.{k}": ("u", (3, side, side)) for k in pictures}
    content = opened(root, ABOUT, needed, partial(read, split=split, side=side))
    columns = content.columns
    if "input.audio" not in columns:
        raise InputError(f"root {root} has no column input.audio; convert it again")
    inputs: dict[str, Any] = {k: columns[f"input.{k}"] for k in FOLDERS}
    scaling: dict[str, Scaling] = {}
    if normalisation == "imagenet":
        inputs |= {k: coloured(inputs[k], "imagenet") for k in pictures}
        scaling = dict.fromkeys(pictures, "none")
    return from_columns(
        inputs,
        group=columns["group"],
        split=Split.of(columns["split"]),
        scaling=scaling,
        kinds={"audio": "signal"},  # bands are channels in time
        units=content.units(FOLDERS),
        **content.identity("objectfolder", root, normalisation),
    )


def _instances(file: Path) -> list[tuple[int, str, int]]:
    """Read the split as (part, object, number), in the order of the file."""
    content = json_in(file, "give the folder that holds it", expected="expected an object with train, val and test")
    found: list[tuple[int, str, int]] = []
    home: dict[str, str] = {}
    for code, part in enumerate(PARTS):
        objects = content.get(part) if isinstance(content, dict) else None
        if not isinstance(objects, dict) or not objects:
            raise InputError(f"{file} has no objects in {part!r}, expected {{object: [numbers]}}")
        for name, numbers in objects.items():
            if not isinstance(numbers, list) or not numbers or any(type(i) is not int or i < 0 for i in numbers):
                raise InputError(f"{file} has {part}/{name} without a list of instance numbers, 0 and up")
            if Path(name).name != name or name in ("", ".", ".."):
                raise InputError(f"{file} names object {name!r}, expected the name of a folder")
            if name in home:
                raise InputError(f"{file} has object {name!r} in {home[name]} and in {part}; that leaks test data")
            if len(set(numbers)) < len(numbers):
                raise InputError(f"{file} lists an instance of {part}/{name} twice")
            home[name] = part
            found += [(code, name, i) for i in numbers]
    return found


def _pictures(files: list[Path], side: int, *, crop: int | None) -> Lazy:
    def read_rows(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        pictures = [_picture(files[row], side, crop) for row in rows]
        return np.stack(pictures) if pictures else np.empty((0, 3, side, side), np.uint8)

    return Lazy((len(files), 3, side, side), read_rows, np.dtype(np.uint8))


def _picture(file: Path, side: int, crop: int | None) -> NDArray[np.uint8]:
    from PIL import Image

    image = opened_picture(file, str(file), ("PNG",))[0]
    if crop is not None:
        width, height = image.size
        left, top = (width - crop) // 2, (height - crop) // 2
        if min(left, top) < 0:
            raise InputError(f"{file} has {width} x {height} pixels, expected at least {crop} x {crop}")
        image = image.crop((left, top, left + crop, top + crop))
    scaled = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(scaled, dtype=np.uint8).transpose(2, 0, 1))


def _sounds(files: list[Path], first: NDArray[Any]) -> Lazy:
    def read_rows(rows: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(rows), *first.shape), first.dtype)
        for i, row in enumerate(rows):
            sound = read_npy(files[row])
            if sound.shape != first.shape or sound.dtype != first.dtype:
                raise InputError(
                    f"{files[row]} has shape {sound.shape} and dtype {sound.dtype}, expected {first.shape} {first.dtype} "
                    f"as in {files[0]}"
                )
            out[i] = sound
        return out

    return Lazy((len(files), *first.shape), read_rows, first.dtype)


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    group, part = columns["group"], columns["split"]
    lines = [
        f"{name}: {len(np.unique(group[part == i]))} objects, {int((part == i).sum())} instances"
        for i, name in enumerate(PARTS)
    ]
    for name in FOLDERS:
        column = columns[f"input.{name}"]
        spanned(column, f"root {root} has {name} with NaN or infinite values; remove those instances")
        lines.append(f"{name}: {len(column)} files, rows of {column.shape[1:]}")
    objects = len(np.unique(group[part == 2]))
    return [*lines, f"chance mAP over the test objects is about {1 / objects:.4f}"]


READER = Reader(load, read, _report, __doc__)
