"""Shoulder exercises with a smartwatch: real accelerometer and gyroscope recordings of ten people.

140 recordings at 50 Hz: seven exercises, about 20 repetitions each, by ten people with either arm. They lie in the Python
package seglearn 1.2.5 (BSD) as a pickle inside a NumPy file, which is read here as data: nothing in it runs, and the package
need not be imported. Give its wheel, its folder, the file ``watch_dataset.npy``, or install it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns, split_rows
from tuplet.data._columns import fits_float32
from tuplet.data._lazy import window_starts, windowed
from tuplet.datasets._files import packaged
from tuplet.datasets._reader import Content, Needed, Reader, opened
from tuplet.io.npy import parse_npy
from tuplet.types import InputError, one_of

FILE = "watch_dataset.npy"
RATE = 50
"""Samples per second."""
LABELS = ["ax", "ay", "az", "wx", "wy", "wz"]
EXERCISES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
"""Pendulum, abduction, forward elevation, internal and external rotation, trapezius extension, upright row."""
SIDES = ("left", "right")
SENSORS = ("accelerometer", "gyroscope")
NEEDED: Needed = {
    **dict.fromkeys(("group", "recording", "target.exercise", "target.side"), ("i", ())),
    **{f"input.{k}": ("f", (3,)) for k in SENSORS},
}
ABOUT = {
    "name": "wearable",
    "title": "Smartwatch recordings of shoulder exercises",
    "citation": (
        "D. M. Burns, N. Leung, M. Hardisty, C. M. Whyne, P. Henry, S. McLachlin, Shoulder physiotherapy exercise "
        "recognition: machine learning the inertial signals from a smartwatch, Physiological Measurement 39(7), 2018"
    ),
    "licence": "BSD-3-Clause (package seglearn)",
    "unit.accelerometer": "g (guessed: at rest the length is about 1)",
    "unit.gyroscope": "rad/s (guessed)",
}


def read(root: Path | None = None) -> Content:
    """Read all samples, one row each, recording after recording."""
    file = root or "seglearn"
    content = parse_npy(packaged(root, "seglearn", "1.2.5", f"data/{FILE}"), name=f"{file}/{FILE}")
    data = content.item() if content.dtype == object and content.shape == () else None
    names = ("X", "y", "side", "subject", "X_labels", "y_labels")
    if not isinstance(data, dict) or (absent := [k for k in names if k not in data]):
        what = f"lacks {absent}" if isinstance(data, dict) else "is not a dict"
        raise InputError(f"{file} holds data that {what}, expected {FILE} of seglearn 1.2.5")
    if list(data["X_labels"]) != LABELS or list(data["y_labels"]) != list(EXERCISES):
        raise InputError(f"{file} has labels {data['X_labels']} and {data['y_labels']}, expected {LABELS}, {EXERCISES}")
    recordings = [np.asarray(x) for x in data["X"]]
    for i, x in enumerate(recordings):
        if x.ndim != 2 or x.shape[1] != 6 or x.dtype.kind != "f" or not fits_float32(x):
            raise InputError(f"{file} has recording {i} of shape {x.shape} and dtype {x.dtype}, expected finite (n, 6)")
    n = len(recordings)
    labels = {
        "target.exercise": _codes(file, "y", data["y"], n, range(7)),
        "target.side": _codes(file, "side", data["side"], n, range(2)),
        "group": _codes(file, "subject", data["subject"], n, None),
        "recording": np.arange(n),
    }
    samples = np.concatenate(recordings).astype(np.float32)
    lengths = [len(x) for x in recordings]
    columns = {k: np.repeat(v, lengths) for k, v in labels.items()}
    return Content(columns | {"input.accelerometer": samples[:, :3], "input.gyroscope": samples[:, 3:]}, ABOUT)


def load(
    root: str | Path | None = None,
    *,
    window: int = 100,
    stride: int = 100,
    side: Literal["both", "left", "right"] = "both",
    held_out: int | None = None,
    seed: int = 0,
) -> Source:
    """Load windows of two sensors, split by person.

    Args:
        root: as above, or a file that `Reader.convert` wrote.
        window: samples in a window, 50 per second; 100 is about one repetition. The default is this library's.
        stride: samples from one window to the next. Below ``window``, windows share samples; an objective then contrasts
            near copies.
        side: arm that wears the watch.
        held_out: person to test on, 1 .. 10; a fifth of the others validates. Without it the parts are drawn 60 / 20 / 20.
        seed: of the draw.

    Returns:
        Modalities ``accelerometer`` and ``gyroscope`` ``(window, 3)``, scaled per axis; targets ``exercise`` (7) and, for both
        arms, ``side`` (2); the person in ``.group``.

    Raises:
        InputError: as `read`, for an option out of range, or for an unknown person.

    Notes:
        Windows of one person are negatives of each other: batches carry no group, while the split keeps people whole.

    Source:
        D. M. Burns et al., 2018.

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no watch_dataset.npy; give its folder, or the wheel of seglearn 1.2.5
    """
    root = None if root is None else Path(root)
    one_of("side", side, ("both", *SIDES))
    content = read() if root is None else opened(root, ABOUT, NEEDED, read)
    columns, digest = content.columns, hashlib.sha256()
    for name in sorted(columns):
        digest.update(name.encode() + np.ascontiguousarray(columns[name]).tobytes())
    content = content._replace(about=ABOUT, checksum=digest.hexdigest())
    starts = window_starts(columns["recording"], window=window, stride=stride)
    sides = np.asarray(columns["target.side"])
    if side != "both":
        starts = starts[sides[starts] == SIDES.index(side)]
    people, exercise = (np.asarray(columns[k])[starts] for k in ("group", "target.exercise"))
    targets = {"exercise": exercise} | ({"side": sides[starts]} if side == "both" else {})
    return from_columns(
        {k: windowed(columns[f"input.{k}"], starts, window=window) for k in SENSORS},
        targets=targets,
        classes={"exercise": EXERCISES} | ({"side": SIDES} if side == "both" else {}),
        group=people,
        contrast="rows",
        split=_split(people, exercise, held_out, seed),
        scaling="channels",
        units=content.units(SENSORS),
        rates=dict.fromkeys(SENSORS, RATE),
        **content.identity("wearable", "package seglearn 1.2.5", window, stride, side),
    )


def _split(people: NDArray[np.int64], exercise: NDArray[np.int64], held_out: int | None, seed: int) -> Split:
    if held_out is None:
        return split_rows(len(people), labels=exercise, group=people, seed=seed)
    known = np.unique(people)
    if held_out not in known or len(known) < 3:
        raise InputError(f"held_out is {held_out}, expected one of three or more people, here {known.tolist()}")
    others = np.random.default_rng([seed]).permutation(known[known != held_out])
    val = others[: max(1, round(len(others) / 5))]
    part = np.select([people == held_out, np.isin(people, val)], [2, 1], 0)
    return replace(Split.of(part), seed=seed)


def _codes(file: object, name: str, values: Any, n: int, allowed: range | None) -> NDArray[np.int64]:
    codes = np.asarray(values)
    whole = codes.shape == (n,) and codes.dtype.kind in "iuf" and bool((codes == np.round(codes)).all())
    if not whole or (allowed is not None and not np.isin(codes, list(allowed)).all()):
        raise InputError(f"{file} has {name!r} of shape {codes.shape} and dtype {codes.dtype}, expected {n} codes")
    return codes.astype(np.int64)


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    first = np.unique(columns["recording"], return_index=True)[1]
    people, exercise = columns["group"][first], columns["target.exercise"][first]
    with np.errstate(over="ignore"):  # damaged values show in the line below
        length = np.linalg.norm(columns["input.accelerometer"], axis=1)
    return [
        f"{len(first)} recordings, {len(length)} samples, {len(length) / RATE / 60:.0f} minutes; published: 140 recordings",
        f"{len(np.unique(people))} people: {', '.join(map(str, np.unique(people)))}",
        *(f"{name}: {int((exercise == code).sum())} recordings" for code, name in enumerate(EXERCISES)),
        f"accelerometer: median length {np.median(length):.2f}; 1 means that the unit is g",
    ]


READER = Reader(load, read, _report, __doc__)
