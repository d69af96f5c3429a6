"""Vision & Touch: a robot arm feels for a hole with a peg; pictures, force, pose, depth and flow.

``root/*.h5``, one file per trajectory, published as ``triangle_real_data/*_{0..19}_1000.h5``; 50 steps each. Row ``(file,
t)`` pairs the sensors of step ``t`` with what happens at ``t + 1``. Steps 0 to 47 are used: public code replaces index 48 by a
random one without a word, in evaluation too. That the orientation to regress is ``proprio[t + 1, :4]``, that
trajectory pairs are "same file or not", and which files are siblings is guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_columns, split_rows
from tuplet.data._columns import fits_float32
from tuplet.data._lazy import Lazy
from tuplet.data._scaling import Scaling
from tuplet.datasets._files import by_recording, refuse_copy
from tuplet.datasets._reader import Content, Reader, Shape, opened, spanned
from tuplet.io.hdf5 import array_at, file_marks, open_hdf5
from tuplet.types import InputError, one_of

STEPS, ROWS, KEPT = 50, 48, 32
"""Steps in a file, rows that they give, and the last of the 50 force substeps of a step that are used."""
ARRAYS: dict[str, tuple[str, Shape]] = {
    "image": ("image", (STEPS, 128, 128, 3)),
    "depth": ("depth_data", (STEPS, 128, 128, 1)),
    "flow": ("optical_flow", (STEPS, 128, 128, 2)),
    "force": ("ee_forces_continuous", (STEPS, 50, 6)),
}
"""Modality -> name and shape of the array in a file."""
SMALL: dict[str, Shape] = {"proprio": (STEPS, 8), "contact": (STEPS, 50), "ee_pos": (STEPS, 3), "ee_ori": (STEPS, 4)}
Task = Literal["VFD", "VFP", "VFPD", "VFPDO"]
LETTERS = {"V": "image", "F": "force", "P": "pose", "D": "depth", "O": "flow"}
CONVERTED: dict[str, tuple[str, Shape]] = {
    "input.image": ("uf", (3, 128, 128)),
    "input.depth": ("uif", (1, 128, 128)),
    "input.flow": ("uif", (2, 128, 128)),
    "input.force": ("f", (KEPT, 6)),
    "input.pose": ("f", (7,)),
    "input.proprio": ("f", (8,)),
    "target.contact": ("i", ()),
    "target.ee_yaw_next": ("f", (4,)),
    "target.ee_ori": ("f", (4,)),
    "group": ("i", ()),
    "run": ("i", ()),
}
SCALING: dict[str, Scaling] = {"force": "none", "depth": "none", "flow": "none"}
ABOUT = {
    "name": "vision_touch",
    "title": "Vision & Touch (peg insertion, real robot)",
    "citation": (
        "M. A. Lee et al., Making Sense of Vision and Touch: Learning Multimodal Representations for Contact-Rich Tasks, "
        "IEEE Transactions on Robotics 36(3):582-596, 2020"
    ),
    "licence": "not stated for the data",
    "unit.force": "tanh of N and N m",
    "unit.pose": "m and unit quaternion",
    "unit.image": "brightness, 0 to 1",
    "unit.depth": "as stored",
    "unit.flow": "as stored",
}


def run_of(file: str) -> str:
    """Return which recordings belong together: the name without the number of the recording and what follows."""
    return re.sub(r"(_\d+_\d+)?\.h5$", "", file)


def read(root: Path) -> Content:
    """Open every file, check its arrays, and read the small ones: a row per file and step."""
    files = sorted(root.glob("*.h5"))
    if not files:
        raise InputError(f"root {root} has no .h5 files; give the folder triangle_real_data")
    small: dict[str, list[NDArray[Any]]] = {k: [] for k in SMALL}
    dtypes: dict[str, np.dtype[Any]] = {}
    seen: dict[str, object] = {}
    for file in files:
        with open_hdf5(file) as content:
            for name, (key, shape) in ARRAYS.items():
                dtype = array_at(file, content, key, shape, rows=slice(0)).dtype
                if dtypes.setdefault(name, dtype) != dtype:
                    raise InputError(f"{file} has {key!r} of dtype {dtype}, expected {dtypes[name]} as in {files[0]}")
            here = {k: array_at(file, content, k, shape) for k, shape in SMALL.items()}
        for key, values in here.items():
            if not fits_float32(values):
                raise InputError(f"{file} has NaN, infinite or huge values in {key!r}; remove the file")
            small[key].append(values)
        refuse_copy(seen, file, here.values())
    now, after = slice(0, ROWS), slice(1, ROWS + 1)
    proprio, contact, place, turn = (np.stack(small[k]) for k in SMALL)
    runs = sorted({run_of(f.name) for f in files})
    columns: dict[str, Any] = {f"input.{k}": _column(k, files, dtypes[k]) for k in ARRAYS}
    columns |= {
        "input.pose": _rows(np.concatenate([place, turn], axis=2)[:, now]),
        "input.proprio": _rows(proprio[:, now]),
        "target.contact": (contact[:, after] != 0).any(axis=2).astype(np.int64).reshape(-1),
        "target.ee_yaw_next": _rows(proprio[:, after, :4]),
        "target.ee_ori": _rows(turn[:, after]),
        "group": np.repeat(np.arange(len(files)), ROWS),
        "run": np.repeat([runs.index(run_of(f.name)) for f in files], ROWS),
    }
    return Content(columns, ABOUT, file_marks(files))


def load(
    root: str | Path,
    *,
    task: Task = "VFPDO",
    orientation: Literal["ee_yaw_next", "ee_ori"] = "ee_yaw_next",
    proprio: Literal["pose", "stored"] = "pose",
    siblings: Literal["run", "file"] = "run",
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> Source:
    """Load the modalities of one task; pictures, depth, flow and force are read on demand.

    Args:
        root: folder of the ``.h5`` files, or a file that `Reader.convert` wrote.
        task: which modalities, by letter: vision, force, pose, depth, optical flow.
        orientation: guessed: what the regression target ``orientation`` is, both at the next step: ``"ee_yaw_next"``, the
            first four numbers of ``proprio`` as in public code, or ``"ee_ori"``, the quaternion.
        proprio: guessed: the published size is 7, the stored one 8. ``"pose"`` is position and quaternion (7),
            ``"stored"`` is all of ``proprio`` (8).
        siblings: ``"run"`` keeps recordings together whose names differ in their last two numbers only, guessed to be one
            run; ``"file"`` splits by trajectory.
        fractions: shares of train, val and test. Published: 80 % and 20 %, no test part, drawn with replacement.
        seed: of the split, over sorted file names.

    Returns:
        Modalities ``image`` (3, 128, 128), ``force`` (32, 6), ``pose`` (7), ``depth`` (1, 128, 128), ``flow`` (2, 128, 128) as
        the task says; targets ``contact`` (any at the next step) and ``orientation`` (4); group = trajectory, for pairs
        "same trajectory or not".

    Raises:
        InputError: as `read`, for an unknown option, or if a part would be empty.

    Notes:
        A row opens its file once per modality: for training in shuffled order, convert it first. The fingerprint covers the
        targets whole, but only names, sizes and both ends of the files. The background of a trajectory is static, so that
        same-trajectory pairs can be told by it alone: compare with a baseline on pixels.

    Source:
        Lee et al. (2020); tasks as OVA-IB (Li et al., 2026); contact, orientation and force as MultiBench (Liang et al.,
        2021).

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no .h5 files; give the folder triangle_real_data
    """
    root = Path(root)
    one_of("task", task, get_args(Task))
    one_of("orientation", orientation, ("ee_yaw_next", "ee_ori"))
    one_of("proprio", proprio, ("pose", "stored"))
    one_of("siblings", siblings, ("run", "file"))
    content = opened(root, ABOUT, CONVERTED, read)
    columns = content.columns
    names = [LETTERS[letter] for letter in task]
    inputs = {k: columns[f"input.{'proprio' if (k, proprio) == ('pose', 'stored') else k}"] for k in names}
    contact = np.asarray(columns["target.contact"])
    together = columns["run" if siblings == "run" else "group"]
    return from_columns(
        inputs,
        targets={"contact": contact, "orientation": columns[f"target.{orientation}"]},
        classes={"contact": ("free", "contact")},
        group=columns["group"],
        split=split_rows(len(contact), labels=contact, group=together, fractions=fractions, seed=seed),
        scaling={k: SCALING.get(k, "standard") for k in names},
        units=content.units(names),
        **content.identity(f"vision_touch {task}", root, proprio),
    )


def _column(name: str, files: list[Path], dtype: np.dtype[Any]) -> Lazy:
    """Rows on demand: row ``r`` is step ``r % ROWS`` of file ``r // ROWS``."""
    key, shape = ARRAYS[name]
    inner = (KEPT, 6) if name == "force" else (shape[3] or 0, 128, 128)
    out = np.dtype(np.float32) if name == "force" else dtype

    def steps(number: int, span: slice) -> NDArray[Any]:
        with open_hdf5(files[number]) as content:
            values = array_at(files[number], content, key, shape, rows=span)
        return np.tanh(values[:, -KEPT:].astype(np.float64)) if name == "force" else np.moveaxis(values, 3, 1)

    def read_rows(rows: NDArray[np.int64]) -> NDArray[Any]:
        return by_recording(rows // ROWS, rows % ROWS, steps, inner, out)

    return Lazy((len(files) * ROWS, *inner), read_rows, out)


def _rows(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.reshape(-1, values.shape[2]).astype(np.float32)


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    group, run, contact = (columns[k] for k in ("group", "run", "target.contact"))
    lines = [
        f"{group[-1] + 1} trajectories in {run.max() + 1} runs, {len(group)} rows; published: about 3,000 trajectories",
        f"contact at the next step in {100 * contact.mean():.1f} % of rows",
    ]
    for name, (key, _) in ARRAYS.items():
        column = columns[f"input.{name}"]
        fault = f"root {root} has NaN or infinite values in {key!r}; run it on half of the files to find it"
        lines.append(f"{name}: {key} of dtype {column.dtype}, values {spanned(column, fault)}")
    return lines


READER = Reader(load, read, _report, __doc__)
