"""Files that a column or a list names by their paths, or holds as bytes; and pictures of them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import is_missing
from tuplet.data._sound import SOUNDS, is_sound
from tuplet.io.memory import check_memory
from tuplet.types import InputError, importing

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of files that are pictures."""
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""First bytes of files of pictures."""
PIXELS = 50_000_000
"""A picture has at most so many."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What files of pictures are read as. For some others, such as EPS, Pillow starts programs of the system."""
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
"""Modes of pictures that become RGB without a loss."""


def picture_paths(values: Iterable[Any], folder: Path | None = None) -> list[Path | bytes | None] | None:
    """Return the paths of texts that all name pictures, or their bytes; None for other texts, and where no file exists."""
    return _paths("pictures", PICTURES, lambda start: start.startswith(MAGIC) and not is_sound(start), values, folder)


def sound_paths(values: Iterable[Any], folder: Path | None = None) -> list[Path | bytes | None] | None:
    """Return the paths of texts that all name sounds, or their bytes; None for other texts, and where no file exists."""
    return _paths("sounds", SOUNDS, is_sound, values, folder)


def seem_files(values: Iterable[Any]) -> int:
    """Count what looks like a picture or a sound, by its ending or its first bytes."""
    starts, endings = [v[:12] for v in values if isinstance(v, bytes)], (*PICTURES, *SOUNDS)
    named = sum(isinstance(v, str | Path) and str(v).lower().endswith(endings) for v in values)
    return named + sum(start.startswith(MAGIC) or is_sound(start) for start in starts)


def _paths(
    what: str, endings: tuple[str, ...], known: Callable[[bytes], bool], values: Iterable[Any], folder: Path | None
) -> list[Path | bytes | None] | None:
    """Return paths or bytes of files of one kind."""
    found: list[Path | bytes | None] = []
    for value in values:
        if isinstance(value, bytes) and known(value[:12]):
            found.append(value)
            continue
        absent = is_missing(value) or (isinstance(value, str | bytes) and not value)
        if not absent and not (isinstance(value, str | Path) and str(value).lower().endswith(endings)):
            return None
        found.append(None if absent else (folder or Path()) / value)
    try:
        here = [not isinstance(p, Path) or p.is_file() for p in found]
    except (OSError, ValueError):
        return None
    named = sum(p is not None for p in found)
    there = named - here.count(False)
    if not named:
        return None
    if there < named:
        gone = found[here.index(False)]
        raise InputError(
            f"{named - there} of {named} {what} do not exist, such as {str(gone)[:200]!a}; write the paths as "
            f"seen from {'here' if folder is None else folder}, None where one is absent, or give the column the kind text"
        )
    return found


def opened_picture(source: Path | bytes, name: str, formats: tuple[str, ...] = FORMATS) -> tuple[Any, str]:
    """Open a picture as RGB, and return its mode, too; or say what is wrong with it."""
    with importing(f"{name} is a picture, which needs Pillow; run pip install 'tuplet[media]'"):
        from PIL import Image
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as picture:
            size, mode = picture.size, picture.mode
            colours = picture.convert("RGB") if math.prod(size) <= PIXELS and mode in MODES else None
    except Exception as error:  # Pillow raises what its decoders raise
        why = f"{type(error).__name__}; expected {' or '.join(formats)}"
        raise InputError(f"{name[:200]} is no readable picture ({why}); copy it again") from None
    if math.prod(size) > PIXELS:
        raise InputError(f"{name} has {size[0]} x {size[1]} pixels; give a smaller one")
    if colours is None:
        raise InputError(f"{name} is a picture of mode {mode}, expected {', '.join(MODES)}; save it as RGB")
    return colours, mode


def read_pictures(argument: str, given: Sequence[Path | bytes | None]) -> NDArray[np.uint8]:
    """Read pictures of one size as bytes ``(n, C, H, W)``; absent ones are black."""
    out: NDArray[np.uint8] | None = None
    first = ""
    modes = set()
    for i, entry in enumerate(given):
        if entry is None:
            continue
        name = str(entry) if isinstance(entry, Path) else f"row {i}"
        picture, mode = opened_picture(entry, f"{argument}: {name}")
        modes.add("L" if mode in ("1", "L") else "RGB")
        pixels = np.asarray(picture, dtype=np.uint8)
        if out is None:
            first = name
            shape = (len(given), 3, *pixels.shape[:2])
            check_memory(argument, math.prod(shape), "give smaller pictures, or fewer")
            out = np.zeros(shape, np.uint8)
        if pixels.shape[:2] != out.shape[2:]:
            raise InputError(
                f"{argument} has pictures of different sizes: {first} has {out.shape[3]} x {out.shape[2]} pixels and {name} "
                f"{pixels.shape[1]} x {pixels.shape[0]}; resize them to one size"
            )
        out[i] = np.moveaxis(pixels, -1, 0)
    if out is None:
        raise InputError(f"{argument} has no picture in any row; leave it out")
    return out[:, :1].copy() if modes == {"L"} else out
