"""What a bench run leaves on disk: one file per cell, one validated JSON line per metric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tuplet.io import AnyOf, Between, parse_state, write_atomic
from tuplet.types import InputError

SCHEMA = 1
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Record:
    """One number of one cell, with all that is needed to trust or repeat it.

    Attributes:
        suite: name of the suite.
        task: name of the task.
        entry: name of the entry, such as ``one_vs_all``.
        variant: ``"default"``, ``"tuned"`` or ``"trial-k"``.
        seed: of initial weights and of the order of batches.
        settings: what the objective was built with.
        metric: as in `tuplet.evaluate.Result`.
        value: its value.
        detail: subset or direction, ``mean``, or empty.
        higher: whether higher is better.
        chance: value without information, or None.
        pool: candidates or test rows.
        items: one value per test row or group of rows, for paired statistics; for ``training/...`` one value per epoch.
        budget: encoder parameters, batch size, steps and trials that the cell was allowed, the learning rate, and
            ``started``: 1 if the encoders began as the linear closed form, 0 if at random.
        data: fingerprint of the source.
        environment: package versions, git state, machine.
        seconds: wall time of the cell.
        memory: peak resident memory of the process so far, in MiB.
        schema: version of this record.
    """

    suite: str
    task: str
    entry: str
    variant: str
    seed: int
    settings: dict[str, Any]
    metric: str
    value: float
    detail: str = ""
    higher: bool = True
    chance: float | None = None
    pool: int = 0
    items: tuple[float, ...] = ()
    budget: dict[str, float] = field(default_factory=dict)
    data: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    memory: float = 0.0
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim beside what a run says about it."""

    claim: str
    word: str
    summary: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return all of it as one sentence."""
        return f"{self.claim}: {self.word}. {': '.join(k for k in (self.summary, '; '.join(self.details)) if k)}."


def write_cell(path: Path, records: Sequence[Record]) -> None:
    """Write the records of a finished cell, all or nothing."""
    for r in records:
        if not math.isfinite(r.value):
            raise InputError(f"{r.metric} of {r.entry} is {r.value}, expected a finite number")
    write_atomic(path, "".join(json.dumps(asdict(r)) + "\n" for r in records).encode())


def read_cell(path: Path) -> list[Record]:
    """Read and validate a cell's records."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it and run again") from None
    if not text.endswith("\n"):
        raise InputError(f"{path} is truncated; remove it and run again, the other cells are kept")
    fix = "remove the file and run again, the other cells are kept"
    lines = enumerate(text.splitlines(), 1)
    found = (parse_state(line, _SHAPE, where=f"{path} line {number}", fix=fix) for number, line in lines)
    return [Record(**{**one, "items": tuple(one["items"])}) for one in found]


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Collect the values of each key."""
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def averaged(pairs: Iterable[tuple[K, float]]) -> dict[K, float]:
    """Average the values of each key."""
    return {key: float(np.mean(values)) for key, values in grouped(pairs).items()}


_SHAPE = {
    "schema": Between(int, 1, SCHEMA),
    **dict.fromkeys(("suite", "task", "entry", "variant", "metric", "detail", "data"), str),
    **{"seed": int, "pool": int, "value": float, "higher": bool, "seconds": float, "memory": float},
    **{"chance": AnyOf(None, float), "items": [float], "settings": {...: object}},
    **{"budget": {...: float}, "environment": {...: str}},
}
