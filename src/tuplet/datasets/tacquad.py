"""TacQuad: the same items touched by a GelSight Mini, a DIGIT and a DuraGel, filmed each time, with a caption.

``root/contact_{indoor,outdoor}.csv`` without header, rows ``item``, first and last frame (both count) of gelsight, digit and
duragel, and a caption; ``root/data_{indoor,outdoor}/{item}/{gelsight,digit,duragel}/{t}.png`` and ``img_{sensor}/{t}.png``.
The photograph of touch frame t is number ``floor(t / touch frames * photographs)``.

From published code: files, frames, sensor ids (3, 1, 4), text files ``text/tacquad_{indoor,outdoor}_{row}.pt``, which are
read where a row has no caption. Guessed, from a third party's code: that the caption is the eighth column. Tac3D is not
read. No split is published: parts are drawn by item, in which rows of all sensors
stay together. Licence: MIT, as its card says.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tuplet.data import Source
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, inside, names_in, table, whole
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError

FOLDERS = {"gelsight": 3, "digit": 1, "duragel": 4}
"""Folder -> sensor id; the folder `gelsight` is a GelSight Mini."""
PLACES = ("indoor", "outdoor")
ABOUT = {
    "name": "tacquad",
    "title": "TacQuad",
    "citation": (
        "R. Feng et al., AnyTouch: Learning Unified Static-Dynamic Representation across Multiple Visuo-tactile Sensors, "
        "ICLR 2025"
    ),
    "licence": "MIT (as its card says)",
}


def read(root: Path, *, side: int = 224) -> Content:
    """Read the frames of every contact through every sensor."""
    rows: list[Row] = []
    for place in PLACES:
        file = root / f"contact_{place}.csv"
        if file.exists():
            for number, line in enumerate(table(file, 7, "copy it again")):
                rows += _contact(root, file, place, number, line)
    names = sorted({row.group for row in rows})
    code = {name: i for i, name in enumerate(names)}
    rows = [Row(r.group, r.pictures, r.sensor, r.text, r.ids, {"object": code[r.group]}) for r in rows]
    return content(rows, ABOUT, {"object": names}, side=side)


def load(
    root: str | Path, *, side: int = 224, normalisation: Normalisation = "clip", tokenise: Tokenise | None = None, seed: int = 0
) -> Source:
    """Load touch, vision and captions of TacQuad.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``object`` (the item) and ``sensor``, both also in ``aux``, as
        AnyTouch's matching needs them; group = item.

    Raises:
        InputError: for a missing frame, a damaged list, or captions beside token ids.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: tacquad has no row; give the folder that `tuplet data info tacquad` describes
    """
    return assemble(root, ABOUT, partial(read, side=side), How(side, normalisation, tokenise, seed))


def _contact(root: Path, file: Path, place: str, number: int, line: list[str]) -> list[Row]:
    """Read one line: the frames of each sensor that touched the item."""
    rows = []
    item = inside(root / f"data_{place}", line[0], file)
    ids = root / "text" / f"tacquad_{place}_{number}.pt"
    words = ",".join(line[7:])
    for at, (folder, sensor) in enumerate(FOLDERS.items()):
        first, last = (f"{file}, row {number + 1}: {folder} {end}" for end in ("start", "end"))
        if not line[1 + 2 * at] and not line[2 + 2 * at]:
            continue  # this sensor did not touch it
        start, end = whole(line[1 + 2 * at], 0, 10**6, first), whole(line[2 + 2 * at], 0, 10**6, last)
        touches, views = (len(names_in(item / f)) for f in (folder, f"img_{folder}"))
        if not start <= end < touches:
            raise InputError(f"{last} is {end}, expected {start} to {touches - 1}: {item / folder} has {touches} frames")
        for t in range(start, end + 1):
            pictures = {"touch": item / folder / f"{t}.png", "vision": item / f"img_{folder}" / f"{t * views // touches}.png"}
            name = f"{place}/{line[0]}"
            rows.append(Row(name, pictures, sensor, {"text": words}, None if words or not ids.exists() else ids))
    return rows


READER = Reader(load, read, partial(described, read=read), __doc__)
