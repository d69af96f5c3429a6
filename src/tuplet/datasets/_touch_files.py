"""What readers of tactile data sets share on the side of the files: rows as they list them, and pictures read on demand."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data._lazy import Lazy
from tuplet.data._media import opened_picture
from tuplet.data.splits import PARTS
from tuplet.datasets._files import contents
from tuplet.datasets._reader import Content
from tuplet.types import InputError, in_range

SENSORS = ("GelSight", "DIGIT", "GelSlim", "GelSight Mini", "DuraGel", "Taxim")
"""Names of the sensor ids 0 to 5, as AnyTouch and TLV-CoRe number them; -1 is unknown."""
LONGEST = 2000
"""Characters that a text may have."""
CONTEXT = 77
"""Token ids per text in the files of AnyTouch."""
Pixels = NDArray[np.uint8]
Prepare = Callable[[Any, Path], Any]
"""What crops or turns an opened picture, told which file it comes from."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the files list it; what is left out is absent."""

    group: str
    pictures: Mapping[str, Path | Pixels]
    sensor: int = -1
    text: Mapping[str, str] = field(default_factory=dict)
    ids: Path | None = None  # a file of token ids, instead of text
    target: Mapping[str, int] = field(default_factory=dict)
    part: Mapping[str, int] = field(default_factory=dict)  # published split -> 0 train, 1 val, 2 test


def content(
    rows: Sequence[Row],
    about: Mapping[str, str],
    classes: Mapping[str, Sequence[str]],
    *,
    side: int,
    prepare: Mapping[str, Prepare] | None = None,
    sensors: Sequence[str] = SENSORS,
    **options: object,
) -> Content:
    """Turn rows into columns; every file must be there, and is opened when its row is asked for."""
    in_range("side", side, 8, 2049)
    if not rows:
        raise InputError(f"{about['name']} has no row; give the folder that `tuplet data info {about['name']}` describes")
    digest = hashlib.sha256(f"{about['name']} {side} {dict(classes)} {tuple(sensors)} {options}".encode(errors="replace"))
    columns: dict[str, Any] = {}
    for name in sorted({m for row in rows for m in row.pictures}):
        files = [row.pictures.get(name) for row in rows]
        _mark(files, name, digest)
        columns[f"input.{name}"] = _pictures(files, side, (prepare or {}).get(name))
        columns[f"present.{name}"] = np.array([f is not None for f in files])
    for name in sorted({m for row in rows for m in row.text}):
        columns[f"text.{name}"] = text_rows([row.text.get(name, "") for row in rows], f"{about['name']} has {name}")
    if any(row.ids for row in rows):
        if any(row.text.get("text") for row in rows):
            raise InputError(f"{about['name']} has captions in some rows and token ids in others; remove one kind")
        columns["ids.text"] = _ids([row.ids for row in rows])
    for name in classes:
        columns[f"target.{name}"] = np.array([row.target.get(name, -1) for row in rows])
    for name in sorted({k for row in rows for k in row.part}):
        columns[f"split.{name}"] = np.array([row.part.get(name, -1) for row in rows], dtype=np.int8)
    columns["target.sensor"] = np.array([row.sensor for row in rows])
    columns["group"] = np.unique([row.group for row in rows], return_inverse=True)[1].astype(np.int64)
    for name in sorted(columns):
        if isinstance(columns[name], np.ndarray):
            digest.update(f"{name} {columns[name].dtype} {columns[name].shape}".encode() + columns[name].tobytes())
    named = {f"classes.{k}": json.dumps(list(v)) for k, v in {**classes, "sensor": sensors}.items()}
    said = {f"option.{k}": stated(v) for k, v in options.items()}  # a converted file has them once and for all
    return Content(columns, {**about, **named, **said}, digest.hexdigest())


def stated(option: object) -> str:
    """Write down an option of the reading; False, 0 and 0.0 are the same."""
    return str(float(option)) if isinstance(option, int | float) else str(option)


def same_options(root: Path, about: Mapping[str, str], options: Mapping[str, object]) -> None:
    """Refuse a file that was converted with other options than are asked for now."""
    for option, value in options.items():
        if (other := about.get(f"option.{option}")) != stated(value):
            raise InputError(
                f"root {root} was converted with {option} {ascii(other)[:40]}, not {stated(value)!a}; convert it again"
            )


def inside(root: Path, name: str, source: Path) -> Path:
    """Return a path that a file names, which must not leave the folder."""
    path = PurePosixPath(name)
    odd = not name.isprintable() or "\\" in name or len(name) > 1000 or any(len(p.encode()) > 250 for p in path.parts)
    if odd or not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f"{source} names {name[:80]!a}, expected a path within {root}, without '..'")
    return root / path


def table(file: Path, width: int, fix: str) -> list[list[str]]:
    """Read a CSV file whose rows have so many cells or more; empty lines are left out."""
    try:
        text = contents(file, fix).decode("utf-8-sig")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no readable CSV ({type(error).__name__}); copy it again") from None
    for number, row in enumerate(rows, 1):
        if len(row) < width:
            raise InputError(f"{file} has {len(row)} cells in row {number}, expected {width}; copy it again")
    return rows


def whole(text: object, low: int, high: int, where: str) -> int:
    """Read a whole number in ``low`` .. ``high``."""
    plain = str(text) if isinstance(text, str) or type(text) is int else ""
    if not re.fullmatch(r"-?[0-9]{1,15}", plain) or not low <= int(plain) <= high:
        raise InputError(f"{where} is {ascii(text)[:40]}, expected a whole number from {low} to {high}")
    return int(plain)


def strings(value: object, where: str) -> list[str]:
    """Check a JSON list of strings."""
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{where} is no list of names; copy the file again")
    return value


def homes(parts: Iterable[tuple[Path, int, Iterable[str]]], what: str) -> dict[str, int]:
    """Return the part of every object or folder, each of which may be in one only."""
    found: dict[str, int] = {}
    for file, part, names in parts:
        for name in names:
            if found.setdefault(name, part) != part:
                both = f"{PARTS[found[name]]} and in {PARTS[part]}"
                raise InputError(f"{file} has {what} {name[:80]!a} in {both}; that leaks test data, remove it from one")
    return found


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted."""
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); give the folder that holds it") from None


def _pictures(files: Sequence[Path | Pixels | None], side: int, prepare: Prepare | None) -> Lazy:
    def read_rows(rows: NDArray[np.int64]) -> Pixels:
        out = np.zeros((len(rows), 3, side, side), np.uint8)
        for i, row in enumerate(rows):
            if (source := files[row]) is not None:
                out[i] = fitted(source, side, prepare)
        return out

    return Lazy((len(files), 3, side, side), read_rows, np.dtype(np.uint8))


def fitted(source: Path | Pixels, side: int, prepare: Prepare | None) -> Pixels:
    """Open a picture, scale its shorter side and keep the middle, as CLIP does."""
    from PIL import Image, ImageOps

    if isinstance(source, Path):
        image, _ = opened_picture(source, str(source), ("PNG", "JPEG"))
    else:
        image = Image.fromarray(source)
    if max(image.size) > 10 * min(image.size):  # before it is padded to a square
        raise InputError(f"{source} has {image.width} x {image.height} pixels, expected a picture; copy it again")
    image = image if prepare is None or isinstance(source, np.ndarray) else prepare(image, source)
    fitted = ImageOps.fit(image, (side, side), method=Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8).transpose(2, 0, 1)


def _mark(files: Sequence[Path | Pixels | None], name: str, digest: Any) -> None:
    """Find files and add their names and sizes, or the pixels themselves, to the checksum; refuse if some are not there."""
    absent: list[Path] = []
    for file in files:
        if isinstance(file, np.ndarray):
            digest.update(file.tobytes())
        elif file is not None:
            try:
                info = file.stat()
            except (OSError, ValueError):
                absent.append(file)
                continue
            digest.update(f"{'/'.join(file.parts[-4:])} {info.st_size}".encode(errors="replace"))
            if not stat.S_ISREG(info.st_mode):
                absent.append(file)
    if absent:
        more = f", nor do {len(absent) - 1} other files of {name}" * (len(absent) > 1)
        raise InputError(f"{absent[0]} does not exist{more}; copy the pictures, or take their rows out of the lists")


def text_rows(texts: Sequence[str], name: str) -> Pixels:
    """Keep texts as UTF-8, a row each, zeros behind."""
    plain = [" ".join(t.replace("\0", " ").split()) for t in texts]
    if (long := max(map(len, plain))) > LONGEST:
        row = next(i for i, t in enumerate(plain) if len(t) == long)
        raise InputError(
            f"{name} of {long} characters in row {row}, expected at most {LONGEST}; shorten it: {plain[row][:40]!a}"
        )
    raw = [t.encode(errors="replace") for t in plain]
    width = max(1, max(map(len, raw)))
    return np.frombuffer(b"".join(t.ljust(width, b"\0") for t in raw), np.uint8).reshape(len(raw), width)


def _ids(files: Sequence[Path | None]) -> NDArray[np.int32]:
    """Read token ids, each file once; rows without are zero."""
    known = {file: _tokens(file) for file in set(files) if file is not None}
    return np.stack([np.zeros(CONTEXT, np.int32) if f is None else known[f] for f in files])


def _tokens(file: Path) -> NDArray[np.int32]:
    """Read one file of AnyTouch: a tuple of ids and their mask; what the mask hides is 0."""
    raw = io.BytesIO(contents(file, "copy the texts, or rename their folder to do without"))
    try:
        given = torch.load(raw, weights_only=True, map_location="cpu")
        ids, mask = (t.reshape(-1).to(torch.int64) for t in given)
        fits = len(ids) == len(mask) == CONTEXT and int(ids.min()) >= 0 and int(ids.max()) < 2**20
    except Exception as error:  # of a damaged file torch raises errors of many kinds
        raise InputError(f"{file} holds no token ids that load without code ({type(error).__name__}); copy it again") from None
    if not fits:
        raise InputError(f"{file} holds {len(ids)} ids and {len(mask)} marks, expected {CONTEXT} each; copy it again")
    return np.asarray((ids * (mask != 0)).numpy(), dtype=np.int32)
