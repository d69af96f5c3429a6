"""SITR: the same contacts through many simulated gels, whose lights and shapes differ.

``root/sensor_{k}/samples/{i}.png``; the same i is the same contact through every sensor. The neutral layout for contacts of
your own, seen through several sensors.

From published code: folders and indices. The sensors are not those of the other sets: their ids count the folders from 0.
Not read: ``calibration``, ``dmaps`` and ``norms``. No split is published: parts are drawn by contact. Licence: see the
release.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tuplet.data import Source
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, names_in
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError

ABOUT = {
    "name": "sitr",
    "title": "SITR, contacts through many sensors",
    "citation": "H. Gupta et al., Sensor-Invariant Tactile Representation, ICLR 2025",
    "licence": "see the release of SITR",
}


def read(root: Path, *, side: int = 224) -> Content:
    """Find the pictures of every sensor."""
    sensors = [name for name in names_in(root) if re.fullmatch(r"sensor_[0-9]+", name)]
    found = {name: [f for f in names_in(root / name / "samples") if re.fullmatch(r"[0-9]{1,9}\.png", f)] for name in sensors}
    if empty := [name for name, files in found.items() if not files]:
        raise InputError(f"{root / empty[0]} has no samples, expected samples/0000.png and so on; copy them, or remove it")
    contacts = sorted({str(int(f[:-4])) for files in found.values() for f in files}, key=int)
    code = {name: i for i, name in enumerate(contacts)}
    rows = [
        Row(n := str(int(f[:-4])), {"touch": root / name / "samples" / f}, sensor, target={"object": code[n]})
        for sensor, name in enumerate(sensors)
        for f in found[name]
    ]
    return content(rows, ABOUT, {"object": contacts}, side=side, sensors=sensors)


def load(
    root: str | Path, *, side: int = 224, normalisation: Normalisation = "clip", tokenise: Tokenise | None = None, seed: int = 0
) -> Source:
    """Load touch through every sensor; vision and text are absent.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``object`` (the contact) and ``sensor``, both also in ``aux``;
        group = contact.

    Raises:
        InputError: for a missing folder or a sensor without samples.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere cannot be read (No such file or directory); give the folder that holds it
    """
    return assemble(root, ABOUT, partial(read, side=side), How(side, normalisation, tokenise, seed))


READER = Reader(load, read, partial(described, read=read), __doc__)
