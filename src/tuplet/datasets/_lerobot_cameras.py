"""Cameras of a LeRobotDataset: pictures in its tables, and frames of its videos, decoded when their rows are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._arrow import joined, read_table
from tuplet.data._film import decoded
from tuplet.data._lazy import Lazy
from tuplet.data._media import read_pictures
from tuplet.datasets._touch_files import fitted, inside
from tuplet.types import InputError

Times = NDArray[np.float64]


def stored(name: str, values: Any, side: int) -> Lazy:
    """Show pictures that lie in the table as files."""

    def read_rows(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        found = [np.moveaxis(read_pictures(f"{name}, frame {row}", [values[row]])[0], 0, -1) for row in rows]
        return _fitted([np.repeat(p, 4 - p.shape[2], axis=2)[..., :3] for p in found], side)

    return Lazy((len(values), 3, side, side), read_rows, np.dtype(np.uint8))


def _fitted(pictures: list[NDArray[np.uint8]], side: int) -> NDArray[np.uint8]:
    """Scale pictures ``(H, W, 3)`` to one size, channels first."""
    return np.stack([fitted(np.ascontiguousarray(p), side, None) for p in pictures])


def film(root: Path, name: str, info: Mapping[str, Any], episode: NDArray[np.int64], time: Times, side: int) -> Lazy:
    """Show the frames of a camera, which lie in videos."""
    fps = info.get("fps") or 30
    places = _places(root, name, info, np.unique(episode).tolist())
    if absent := [file for file, _ in places.values() if not file.is_file()]:
        raise InputError(f"{absent[0]} does not exist; copy the videos, or take {name!a} out of the features")

    def read_rows(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        out = np.zeros((len(rows), 3, side, side), np.uint8)
        asked: dict[Path, list[tuple[float, int]]] = {}
        for i, row in enumerate(rows):
            file, begin = places[int(episode[row])]
            asked.setdefault(file, []).append((begin + float(time[row]), i))
        for file, wanted in asked.items():
            wanted.sort()
            out[[i for _, i in wanted]] = _fitted(decoded(file, [t for t, _ in wanted], 0.5 / fps), side)
        return out

    return Lazy((len(episode), 3, side, side), read_rows, np.dtype(np.uint8))


def _places(root: Path, name: str, info: Mapping[str, Any], episodes: list[int]) -> dict[int, tuple[Path, float]]:
    """Return episode -> the video of a camera, and the second where the episode begins in it."""
    tables = sorted((root / "meta/episodes").glob("chunk-*/*.parquet"))
    where = root / "meta/info.json"
    if not tables:
        size = info.get("chunks_size", 1000)
        if type(size) is not int or size < 1:
            raise InputError(f"{where} has chunks_size {size!a}, expected a whole number above 0; copy it again")
        paths = {e: f"videos/chunk-{e // size:03d}/{name}/episode_{e:06d}.mp4" for e in episodes}
        return {e: (inside(root, path, where), 0.0) for e, path in paths.items()}
    table = joined(str(root / "meta/episodes"), {f: read_table(f) for f in tables})
    needed = ["episode_index", *(f"videos/{name}/{k}" for k in ("chunk_index", "file_index", "from_timestamp"))]
    if lacking := [k for k in needed if k not in table.column_names]:
        raise InputError(f"{tables[0]} has no column {lacking[0]!a}; copy it again")
    rows = zip(*(table[k].to_pylist() for k in needed), strict=True)
    found = {e: (inside(root, f"videos/{name}/chunk-{c:03d}/file-{f:03d}.mp4", where), float(t)) for e, c, f, t in rows}
    if absent := [e for e in episodes if e not in found]:
        raise InputError(f"{tables[0].parent} has no episode {absent[0]}, which data has; copy it again")
    return found
