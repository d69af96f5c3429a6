"""LeRobotDataset: episodes of a robot: state, action, force, touch, cameras and the task in words.

``root/meta/info.json`` (``features``, ``fps``, ``total_frames``, ``chunks_size``) and, a row per frame,
``root/data/chunk-000/*.parquet``, in the layouts that the documentation of LeRobot calls v2.0, v2.1 and v3.0. v2:
``meta/tasks.jsonl``, ``data/chunk-000/episode_000000.parquet``, ``videos/chunk-000/{feature}/episode_000000.mp4``. v3:
``meta/tasks.parquet``, ``data/chunk-000/file-000.parquet``, ``videos/{feature}/chunk-000/file-000.mp4``, several episodes in
one file, and ``meta/episodes/chunk-000/*.parquet``, which tells where each begins.

From its documentation: files, columns, features and their types. Guessed: that the text column of ``tasks.parquet`` is the
task, whatever it is called; that ``next.*`` are outcomes, hence targets; that a frame is the first one not earlier than half a
step before its time. Not read: ``stats``, ``splits``, other paths than the usual ones. Modalities have the names of features
without ``observation.``, with ``_`` for dots. No reader has been run on a published set here: `verify` first. Parquet needs the
extra ``tables``, cameras stored as video the extra ``video``; without it they are left out. Licence: see the set's card.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_columns
from tuplet.data._arrow import joined, read_table
from tuplet.data._cells import column_values
from tuplet.data._columns import fits_float32
from tuplet.data._hints import noted
from tuplet.data._lazy import Lazy, taken, window_starts, windowed
from tuplet.data._scaling import Column, Scaling
from tuplet.datasets._files import contents, json_in
from tuplet.datasets._lerobot_cameras import film, stored
from tuplet.datasets._reader import Content, Reader, opened, spanned
from tuplet.datasets._touch_files import text_rows
from tuplet.datasets._touch_source import Tokenise, class_targets, text_column
from tuplet.io.hdf5 import file_marks
from tuplet.types import InputError, in_range

OWN = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that every set has."""
FIX = "give the folder that holds meta and data, or copy it again"
ABOUT = {
    "name": "lerobot",
    "title": "LeRobotDataset",
    "citation": "R. Cadene et al., LeRobot: State-of-the-art Machine Learning for Real-World Robotics in Pytorch, 2024",
    "licence": "see the card of the data set",
}


def read(root: Path, *, side: int = 224) -> Content:
    """Read all but the pictures: a row per frame, episode after episode."""
    in_range("side", side, 8, 2049)
    file = root / "meta/info.json"
    info = json_in(file, FIX)
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict) or not all(isinstance(f, dict) for f in features.values()):
        raise InputError(f"{file} has no features, expected {{name: {{dtype, shape}}}}; {FIX}")
    files = sorted((root / "data").glob("chunk-*/*.parquet"))
    if not files:
        raise InputError(f"{root / 'data'} has no chunk-000/*.parquet; {FIX}")
    table = joined(str(root / "data"), {f: read_table(f) for f in files})
    if lacking := [k for k in (*OWN[:3], "task_index") if k not in table.column_names]:
        raise InputError(f"{files[0]} has no column {lacking[0]!r}; {FIX}")
    episode, step, task = (_whole(table, k, root) for k in ("episode_index", "frame_index", "task_index"))
    order = np.lexsort([step, episode])
    table, episode, step, task = table.take(order), episode[order], step[order], task[order]
    begins = np.flatnonzero(np.r_[True, np.diff(episode) != 0])
    if (step != np.arange(len(step)) - np.repeat(begins, np.diff(np.r_[begins, len(step)]))).any():
        raise InputError(f"root {root} has an episode whose frames are not 0, 1, 2, ...; copy all files of data again")
    if info.get("total_frames", len(step)) != len(step):
        raise InputError(
            f"{file} tells of {info['total_frames']} frames, but data has {len(step)}; copy all files of data again"
        )
    time = column_values("timestamp", table["timestamp"]).astype(np.float64)
    columns: dict[str, Any] = {"group": episode}
    films: list[str] = []
    for name, about in features.items():
        dtype = str(about.get("dtype"))
        place = f"{'value' if name.startswith('next.') else 'input'}.{named(name)}"
        if place in columns or (dtype != "video" and name not in table.column_names):
            what = "another feature of that name" if place in columns else "no such column in data"
            raise InputError(f"{file} tells of {name!a}, and there is {what}; copy it again")
        if dtype == "video" and find_spec("av") is None:
            films.append(name)
        elif dtype == "video":
            columns[place] = film(root, name, info, episode, time, side)
        elif dtype == "image":
            columns[place] = stored(name, column_values(name, table[name]), side)
        elif name not in OWN and dtype != "string":
            values = _numbers(root, name, column_values(name, table[name]))
            columns[place] = values > 0 if dtype == "bool" and place.startswith("value.") else values
    words, codes = _tasks(root, task)
    if len(words) > 1:
        columns |= {"target.task": codes, "text.task": text_rows([words[i] for i in codes], "lerobot has task")}
    left = (
        f"{', '.join(films)}: left out, as cameras stored as video need PyAV; run pip install 'tuplet[video]'" if films else ""
    )
    rate = info.get("fps", 0)
    if not isinstance(rate, int | float) or not 0 <= rate < 1e9:
        raise InputError(f"{file} has fps {str(rate)[:40]!a}, expected frames per second; copy it again")
    said = {"classes.task": json.dumps(words), "note": left, "rate": str(rate or "")}
    return Content(columns, ABOUT | said | {"option.side": str(side)}, file_marks([file, *files]))


def load(
    root: str | Path, *, window: int = 1, stride: int = 1, side: int = 224, tokenise: Tokenise | None = None, seed: int = 0
) -> Source:
    """Load frames, or windows of frames, of all episodes.

    Args:
        root: folder of a LeRobotDataset, or a file that `Reader.convert` wrote.
        window: frames in a row; 1 is a frame. Pictures, words and targets are those of its last frame.
        stride: frames from one row to the next.
        side: pixels of one side of pictures: the shorter side is scaled, the middle kept. A converted file has one side.
        tokenise: what turns tasks into numbers ``(n, length)``, such as `tuplet.nets.tokeniser`; hashed n-grams when left out.
        seed: of the split, 60 / 20 / 20, no episode in two parts.

    Returns:
        A modality per feature, ``(d,)`` or, of windows, ``(window, d)``; cameras ``(3, side, side)``. Of a set of several
        tasks, the modality and target ``task``. Targets ``next_reward`` (real), ``next_success`` (class) and so on, where they
        vary. Group = episode.

    Raises:
        InputError: without the extra ``tables``, for a missing or damaged file, or frames that are not all there.

    Source:
        The documentation of LeRobotDataset, v2 and v3.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/meta/info.json cannot be read (No such file or directory); give the folder that holds \
meta and data, or copy it again
    """
    root = Path(root)
    found = opened(root, ABOUT, {"group": ("i", ())}, partial(read, side=side))
    if found.about.get("option.side") != str(side):
        raise InputError(f"root {root} was converted with side {found.about.get('option.side')}, not {side}; convert it again")
    columns, group = found.columns, np.asarray(found.columns["group"])
    rate = found.about.get("rate", "")
    wrong = [k for k, v in columns.items() if k.startswith("value.") and v.ndim != 2]
    if wrong or ("text.task" in columns) != ("target.task" in columns) or not re.fullmatch(r"([0-9]{1,9}(\.[0-9]+)?)?", rate):
        raise InputError(f"root {root} has damaged columns or a damaged rate; convert it again")
    starts = window_starts(group, window=window, stride=stride)
    last = starts + window - 1
    inputs: dict[str, Column] = {}
    for name in sorted(k.removeprefix("input.") for k in columns if k.startswith("input.")):
        column = columns[f"input.{name}"]
        flat = window == 1 or column.dtype == np.uint8
        inputs[name] = taken(column, last) if flat else windowed(column, starts, window=window)
    targets = {k.removeprefix("value."): np.asarray(v)[last, 0] for k, v in columns.items() if k.startswith("value.")}
    targets = {k: v for k, v in targets.items() if (v != v[0]).any()}
    classes: dict[str, tuple[str, ...]] = {}
    present: dict[str, NDArray[np.bool_]] = {}
    digest = hashlib.sha256(f"{found.checksum} {window} {stride}".encode())
    if "text.task" in columns:
        text, there = text_column(found, "task", len(group), tokenise, digest, root)
        inputs["task"], present["task"] = taken(text, last), there[last]
        codes, known = class_targets(found, root)
        targets["task"], classes["task"] = codes["task"][last], known["task"].names
    series = [k for k, v in inputs.items() if len(v.shape) == 3]
    scaling: dict[str, Scaling] = {k: "channels" if k in series else "none" for k in (*series, *present)}
    source = from_columns(
        inputs,
        checksum=digest.hexdigest(),
        targets=targets,
        target_kind={k: "real" for k, v in targets.items() if v.dtype.kind == "f"},
        classes=classes,
        group=group[starts],
        present=present,
        seed=seed,
        scaling=scaling,
        kinds=dict.fromkeys(series, "sequence"),
        rates=dict.fromkeys(series, float(rate)) if rate else None,
        name="lerobot",
        provenance=found.provenance(root),
    )
    return noted(source, filter(None, [found.about.get("note")]))


def named(feature: str) -> str:
    """Return the name of the modality or target of a feature."""
    return feature.removeprefix("observation.").replace(".", "_").replace("/", "_")


def _whole(table: Any, name: str, root: Path) -> NDArray[np.int64]:
    """Read a column of whole numbers."""
    values = column_values(name, table[name])
    if values is None or values.dtype.kind not in "iu" or values.ndim != 1:
        raise InputError(f"root {root} has {name} that are no whole numbers in every frame; copy data again")
    return np.asarray(values, dtype=np.int64)


def _numbers(root: Path, name: str, values: Any) -> NDArray[np.float32]:
    """Check the numbers of a feature; whatever their shape, a frame has a vector of them."""
    if values is None or values.dtype.kind not in "biuf":
        raise InputError(f"root {root} has {name!a} without one list of numbers of the same length in every frame")
    if not fits_float32(values := values.astype(np.float64)):
        raise InputError(f"root {root} has NaN, infinite or huge values in {name!a}; remove those episodes")
    return np.asarray(values.reshape(len(values), -1), dtype=np.float32)


def _tasks(root: Path, task: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the tasks that occur, in words, and which one every frame has."""
    file = root / "meta/tasks.parquet"
    if file.exists():
        table = read_table(file)
        texts = [k for k in table.column_names if k != "task_index"]
        if len(texts) != 1 or "task_index" not in table.column_names:
            raise InputError(f"{file} has columns {table.column_names}, expected task_index and the task; copy it again")
        known = dict(zip(table["task_index"].to_pylist(), map(str, table[texts[0]].to_pylist()), strict=True))
    else:
        file = root / "meta/tasks.jsonl"
        try:
            lines = [json.loads(line) for line in contents(file, FIX).decode().splitlines() if line.strip()]
            known = {line["task_index"]: str(line["task"]) for line in lines}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f'{file} is no list of {{"task_index": 0, "task": "..."}}; copy it again') from None
    if lacking := sorted(set(task.tolist()) - set(known)):
        raise InputError(f"{file} has no task {lacking[0]}, which data names; copy it again")
    there, codes = np.unique(task, return_inverse=True)
    return [" ".join(known[i].split()) for i in there.tolist()], codes.astype(np.int64)


def _report(root: Path) -> list[str]:
    """Read everything, and say what was found."""
    found = read(root)
    columns, group = found.columns, found.columns["group"]
    lines = [f"{len(group)} frames in {len(np.unique(group))} episodes, {found.about['rate'] or '?'} per second"]
    lines.append(f"tasks: {found.about['classes.task'][:300]}")
    for name in sorted(k for k in columns if k.startswith(("input.", "value."))):
        span = spanned(columns[name] if isinstance(columns[name], Lazy) else [columns[name]], f"{name} is not finite")
        lines.append(f"{name.partition('.')[2]}: {columns[name].shape[1:]}, values {span}")
    return [*lines, *([found.about["note"]] if found.about["note"] else [])]


READER = Reader(load, read, _report, __doc__)
