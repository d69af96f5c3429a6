"""Run the episodes of a scene, each from a seed of its own, and keep what was generated: one file per set of parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tuplet.data import write_table
from tuplet.data._cache import cached
from tuplet.processes import Workers
from tuplet.types import InputError, in_range

Columns = dict[str, NDArray[Any]]


@runtime_checkable
class Scene(Protocol):
    """What can be simulated: a frozen dataclass whose fields are the settings; with them the file in the cache is named."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever the same settings give other numbers."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def about(self) -> Mapping[str, str]:
        """Return what the file says of itself: title, origin, ``unit.<name>``, ``classes.<name>``."""
        ...

    def episode(self, rng: np.random.Generator) -> Columns:
        """Return the rows of one episode: ``input.<modality>``, ``target.<name>`` and others, equally many rows each."""
        ...


def episode_table(scene: Scene, *, episodes: int, seed: int = 0, workers: int | None = None, out: Path | None = None) -> Path:
    """Simulate a scene many times and keep the rows in one file."""
    in_range("episodes", episodes, 1)
    in_range("seed", seed, 0)
    in_range("workers", 1 if workers is None else workers, 1)
    parameters = {**asdict(scene), "version": scene.version, "episodes": episodes, "seed": seed}
    make = partial(episode_rows, scene, episodes=episodes, seed=seed, workers=workers)
    if out is None:
        return cached(scene.name, parameters, make, about=scene.about)
    return write_table(out, make(), about={"name": scene.name, **scene.about, "parameters": json.dumps(parameters)})


def episode_rows(scene: Scene, *, episodes: int, seed: int = 0, workers: int | None = None) -> Columns:
    """Simulate a scene many times."""
    one = partial(_episode, scene, seed)
    if workers is None or workers == 1:
        parts = [one(number) for number in range(episodes)]
    else:
        try:
            with Workers(min(workers, episodes)) as pool:
                futures = [pool.submit(one, number) for number in range(episodes)]
                parts = [future.result() for future in futures]
        except BrokenProcessPool:
            raise InputError(
                f"workers is {workers}, but a process ended early; guard it by if __name__ == '__main__', or set no workers"
            ) from None
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in sorted(parts[0])}


def _episode(scene: Scene, seed: int, number: int) -> Columns:
    columns = scene.episode(np.random.default_rng([seed, number]))
    for name, values in columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ArithmeticError(f"{scene.name} episode {number} of seed {seed}: {name} is not finite")
    rows = len(next(iter(columns.values())))
    return {"group": np.full(rows, number, dtype=np.int64)} | columns
