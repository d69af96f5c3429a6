"""MuJoCo Push: a simulated arm pushes a cylinder; pictures, force and position of the gripper over time.

``root/gentle_push_{1000,10,300}.hdf5`` hold the trajectories of train, val and test, as groups ``trajectory{i}`` with one entry
per step. The files set the parts. Public code reads windows of 16 steps and predicts the position at every step; a published
table with 32 steps and the next position has no public code, so window, stride, horizon, target and frame are options.
Its constants of normalisation are replaced by statistics of the training part, and targets keep their unit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns
from tuplet.data._columns import fits_float32
from tuplet.data._lazy import Lazy, window_starts, windowed
from tuplet.data._scaling import Scaling
from tuplet.datasets._files import by_recording, refuse_copy
from tuplet.datasets._reader import Content, Reader, Shape, opened, spanned
from tuplet.io.hdf5 import array_at, file_marks, open_hdf5
from tuplet.types import InputError, one_of

FILES = ("gentle_push_1000.hdf5", "gentle_push_10.hdf5", "gentle_push_300.hdf5")
"""Train, val and test."""
OBJECT = "Cylinder0_pos"
SMALL: dict[str, Shape] = {OBJECT: (None, 3), "eef_pos": (None, 3), "force": (None, 6)}
IMAGE: Shape = (None, 32, 32)
CONVERTED: dict[str, tuple[str, Shape]] = {
    "input.image": ("uif", (32, 32)),
    "input.position": ("f", (3,)),
    "input.sensors": ("f", (7,)),
    "input.control": ("f", (7,)),
    "object": ("f", (3,)),
    "group": ("i", ()),
    "split": ("i", ()),
}
SCALING: dict[str, Scaling] = {"position": "channels", "sensors": "channels", "control": "channels"}
ABOUT = {
    "name": "mujoco_push",
    "title": "MuJoCo Push (gentle push)",
    "citation": (
        "M. A. Lee, B. Yi, R. Martin-Martin, S. Savarese, J. Bohg, Multimodal Sensor Fusion with Differentiable Filters, "
        "IROS 2020"
    ),
    "licence": "not stated for the data",
    "unit.position": "m",
    "unit.sensors": "N, N m, contact 0 or 1",
    "unit.control": "previous position in m, change in m, contact 0 or 1",
    "unit.image": "brightness as stored",
}


def read(root: Path) -> Content:
    """Read all but the pictures: a row per step, trajectory after trajectory, each of them checked."""
    parts: dict[str, list[NDArray[Any]]] = {k: [] for k in ("object", "position", "sensors", "control", "group", "split")}
    places: list[tuple[Path, str, int]] = []  # of every trajectory: file, name, first row
    seen: dict[str, object] = {}
    dtypes: set[np.dtype[Any]] = set()
    rows = 0
    for part, path in enumerate(root / name for name in FILES):
        with open_hdf5(path) as content:
            names = sorted((k for k in content if re.fullmatch(r"trajectory\d+", k)), key=lambda k: int(k[10:]))
            if not names:
                raise InputError(f"{path} has no group trajectory0, trajectory1, ...; it has {sorted(content)[:20]}")
            for name in names:
                group, where = content[name], f"{path}/{name}"
                if not hasattr(group, "keys"):
                    raise InputError(f"{where} is an array, expected a group of arrays")
                values = {k: array_at(path, group, k, shape).astype(np.float64) for k, shape in SMALL.items()}
                wide = len(getattr(group.get("contact"), "shape", ())) == 2
                contact = array_at(path, group, "contact", (None, 1) if wide else (None,)).reshape(-1)
                image = array_at(path, group, "image", IMAGE, rows=slice(0)).dtype
                steps = {k: len(v) for k, v in values.items()} | {"contact": len(contact), "image": len(group["image"])}
                if len(set(steps.values())) != 1 or len(contact) == 0:
                    raise InputError(f"{where} has arrays of lengths {steps}, expected one length above 0")
                dtypes.add(image)
                if len(dtypes) > 1:
                    raise InputError(f"{where} has 'image' of dtype {image}, unlike the trajectories before it")
                for key, array in (checked := values | {"contact": contact}).items():
                    if not fits_float32(array):
                        raise InputError(f"{where} has NaN, infinite or huge values in {key!r}; remove the trajectory")
                refuse_copy(seen, where, [checked[k] for k in sorted(checked)])
                place, touch = values["eef_pos"], contact[:, None].astype(np.float64)
                before = np.concatenate([place[:1], place[:-1]])  # the first step has none and takes its own: guessed
                parts["object"].append(values[OBJECT])
                parts["position"].append(place)
                parts["sensors"].append(np.concatenate([values["force"], touch], axis=1))
                parts["control"].append(np.concatenate([before, place - before, touch], axis=1))
                parts["group"].append(np.full(len(place), len(places)))
                parts["split"].append(np.full(len(place), part, dtype=np.int8))
                places.append((path, name, rows))
                rows += len(place)
    joined = {k: np.concatenate(v) for k, v in parts.items()}
    columns: dict[str, Any] = {f"input.{k}": joined[k].astype(np.float32) for k in ("position", "sensors", "control")}
    columns |= {"object": joined["object"], "group": joined["group"], "split": joined["split"]}
    columns["input.image"] = _images(places, rows, dtypes.pop())
    return Content(columns, ABOUT, file_marks([root / name for name in FILES]))


def load(
    root: str | Path,
    *,
    window: int = 16,
    stride: int = 8,
    horizon: int = 0,
    target: Literal["every", "last"] = "every",
    frame: Literal["world", "start", "gripper"] = "world",
) -> Source:
    """Load windows of the trajectories; pictures are read on demand.

    Args:
        root: folder of the three files, or a file that `Reader.convert` wrote.
        window: steps in a window; 16 as in public code. The published table with 32 steps is, guessed, ``window=32,
            horizon=1, target="last"``.
        stride: steps from one window to the next; 8 as in public code.
        horizon: steps from a step to the position to predict for it; 0 is the same step.
        target: ``"every"`` predicts the object's (x, y) for every step of the window, ``(2 window,)`` numbers, as in public
            code; ``"last"`` for the last step only.
        frame: where (x, y) counts from: ``"world"``; ``"start"``, the object at the first step of the window;
            ``"gripper"``, the gripper at the last step of the window.

    Returns:
        Modalities ``image`` (window, 32, 32), ``position`` (window, 3), ``sensors`` (window, 7), ``control`` (window, 7);
        target ``object`` in metres; group = trajectory.

    Raises:
        InputError: as `read`, or for an option out of range.

    Notes:
        ``control`` holds the position's change and the contact of the same step, so that it shares numbers with
        ``position`` and ``sensors``.

    Source:
        Lee et al. (2020); windows as MultiBench (Liang et al., 2021).

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/gentle_push_1000.hdf5 does not exist; give the folder that holds the HDF5 files
    """
    root = Path(root)
    one_of("target", target, ("every", "last"))
    one_of("frame", frame, ("world", "start", "gripper"))
    content = opened(root, ABOUT, CONVERTED, read)
    columns = content.columns
    starts = window_starts(columns["group"], window=window, stride=stride, horizon=horizon)
    steps = starts[:, None] + (np.arange(window) if target == "every" else np.array([window - 1]))
    xy = np.asarray(columns["object"])[:, :2]
    aim = xy[steps + horizon]
    if frame == "start":
        aim = aim - xy[starts][:, None]
    elif frame == "gripper":
        aim = aim - np.asarray(columns["input.position"])[starts + window - 1, None, :2]
    names = ("image", "position", "sensors", "control")
    return from_columns(
        {k: windowed(columns[f"input.{k}"], starts, window=window) for k in names},
        targets={"object": aim.reshape(len(starts), -1)},
        group=np.asarray(columns["group"])[starts],
        split=Split.of(np.asarray(columns["split"])[starts]),
        scaling=SCALING,
        units=content.units(names) | {"object": "m"},
        **content.identity("mujoco_push", root, window, stride, horizon),
    )


def _images(places: list[tuple[Path, str, int]], rows: int, dtype: np.dtype[Any]) -> Lazy:
    firsts = np.array([first for _, _, first in places])

    def images(number: int, span: slice) -> NDArray[Any]:
        path, name, _ = places[number]
        with open_hdf5(path) as content:
            return array_at(path, content[name], "image", IMAGE, rows=span)

    def read_rows(asked: NDArray[np.int64]) -> NDArray[Any]:
        owner = np.searchsorted(firsts, asked, side="right") - 1
        return by_recording(owner, asked - firsts[owner], images, (32, 32), dtype)

    return Lazy((rows, 32, 32), read_rows, dtype)


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    fault = f"root {root} has pictures with NaN or infinite values; remove those trajectories"
    span, lines = spanned(columns["input.image"], fault), []
    for part, (name, published) in enumerate(zip(FILES, (1000, 10, 300), strict=True)):
        here = columns["split"] == part
        count = len(np.unique(columns["group"][here]))
        lines.append(f"{name}: {count} trajectories, {int(here.sum())} steps; published: {published} trajectories")
    lines.append(f"contact in {100 * columns['input.sensors'][:, 6].mean():.1f} % of steps")
    return [*lines, f"image: dtype {columns['input.image'].dtype}, values {span}"]


READER = Reader(load, read, _report, __doc__)
