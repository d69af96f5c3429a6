"""A folder of `tuplet embed --shards`: a Parquet file per shard, read as one file once all are there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from tuplet.io import read_state
from tuplet.store import _long
from tuplet.types import InputError


def part(number: int, shards: int) -> str:
    """Name the file of a shard."""
    return f"part-{number:05}-of-{shards:05}.parquet"


def parts(folder: Path) -> list[Path]:
    """List the files of a finished job in order, none in a folder of another kind; refuse an unfinished job."""
    found = sorted(folder.glob(part(0, 0).replace("0", "?")))
    shards = int(found[0].stem[-5:]) if found and found[0].stem[-5:].isdigit() else 0
    if [p.name for p in found] != [part(k, shards) for k in range(shards)] or (not found and _begun(folder)):
        raise InputError(
            f"{folder} is not finished: {len(found)} of {shards or 'its'} shards are there; run its `tuplet embed --shards` "
            f"command again, which computes the others"
        )
    return found


def _begun(folder: Path) -> bool:
    """Tell whether a job has marked a folder."""
    with suppress(InputError):
        return bool(read_state(folder / "suite.json", {"suite": str, ...: object})["suite"] == "embed")
    return False


def opened(files: list[Path]) -> _long.Parts:
    """Read shards as one table; they must be of one model."""
    each = [_long.opened(file, True) for file in files]
    kinds = [(about, {k: v.shape[1] for k, v in vectors.items()}, set(columns)) for _, _, vectors, columns, about in each]
    if other := [file for file, kind in zip(files, kinds, strict=True) if kind != kinds[0]]:
        raise InputError(f"{other[0]} is of another job than {files[0]}; remove it, and run `tuplet embed --shards` again")
    present, vectors, columns = ({k: np.concatenate([e[i][k] for e in each]) for k in each[0][i]} for i in (1, 2, 3))
    return np.concatenate([e[0] for e in each]), present, vectors, columns, each[0][4]
