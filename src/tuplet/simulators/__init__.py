"""Physics and signal generators behind the generated sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tuplet.simulators.arm import Arm
from tuplet.simulators.episodes import Scene, episode_table
from tuplet.simulators.peg import Peg
from tuplet.simulators.push import Push
from tuplet.simulators.tap import Tap
from tuplet.types import InputError, in_range, one_of

SCENES: dict[str, Callable[..., Scene]] = {"arm": Arm, "peg": Peg, "push": Push, "tap": Tap}
"""Short name -> the scene; its fields are the settings."""


def simulate(
    name: str, *, episodes: int, seed: int = 0, size: int | None = None, out: Path | None = None, workers: int | None = None
) -> Path:
    """Simulate a scene by its short name and keep the rows in one file.

    Args:
        name: one of `SCENES`.
        episodes: how many, at least 1.
        seed: episode ``i`` is drawn from ``[seed, i]``, so that more episodes begin with the same ones.
        size: pixels of one side of the pictures; the scene's own default when left out.
        out: the file to write; one in the cache, made only if it is not there, when left out.
        workers: processes to start; none but this one when left out. They change the time only.

    Returns:
        The file, for `tuplet.data.from_table`.

    Raises:
        InputError: for an unknown name, a number out of range, a size for a scene without pictures, or MuJoCo missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     simulate("push", episodes=1, size=8, out=Path(folder, "small.safetensors")).name
        'small.safetensors'
    """
    one_of("name", name, tuple(SCENES))
    settings: dict[str, Any] = {}
    if size is not None:
        in_range("size", size, 1)
        if "size" not in {f.name for f in fields(SCENES[name])}:  # type: ignore[arg-type]
            raise InputError(f"size is {size}, but {name} has no pictures; leave it out")
        settings["size"] = size
    return episode_table(SCENES[name](**settings), episodes=episodes, seed=seed, workers=workers, out=out)
