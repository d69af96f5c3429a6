"""A run folder: which study it belongs to, which of its cells are finished, and which failed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tuplet.io import Between, read_state, write_atomic
from tuplet.study.record import Record, read_cell, write_cell
from tuplet.study.suite import Cell
from tuplet.types import InputError

MARKER = "suite.json"
SCHEMA: dict[str, Any] = {"suite": str, "factory": str, "asked?": [(Between(int, 1, 10**6), [str])]}


class Ledger:
    """The records of a run folder, by cell."""

    anew = "--fresh"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[str, list[Record]] = {}

    def claim(self, name: str, factory: str) -> bool:
        """Mark the folder as a study's and tell whether it is new; refuse the folder of another study or settings."""
        if (self.folder / "run.json").exists():
            raise InputError(f"out {self.folder} holds a training run; choose another folder")
        try:
            found, made = self.owner()
        except InputError:  # a new folder, or one whose marker was damaged: what is in its cells stays
            write_atomic(self.folder / MARKER, json.dumps({"suite": name, "factory": factory}).encode())
            return True
        if found != name:
            raise InputError(f"out {self.folder} holds the suite {found!r}, not {name!r}; choose another folder")
        if made.partition("?")[2] != factory.partition("?")[2]:
            before, now = _settings(made), _settings(factory)
            other = [k for k in {**before, **now} if before.get(k) != now.get(k)]
            was, this = (", ".join(f"{k} = {side.get(k)}" for k in other) for side in (before, now))
            raise InputError(
                f"out {self.folder} was run with {was}; this run has {this}; choose another folder, or start this one anew "
                f"with {self.anew}"
            )
        return False

    def owner(self) -> tuple[str, str]:
        """Read which study the folder belongs to: its name, and the factory with its settings."""
        try:
            found = read_state(self.folder / MARKER, SCHEMA)
        except InputError:
            raise InputError(
                f"{self.folder} is not the folder of a bench run (no readable suite.json); give the folder that `tuplet bench` "
                f"wrote to, or run that command again: what is finished is kept"
            ) from None
        return found["suite"], found["factory"]

    def note_asked(self, seeds: int, only: Sequence[str]) -> None:
        """Note what a run was asked for, so that a report can tell whether all of it has run."""
        now = [seeds, sorted(only)]
        state = read_state(self.folder / MARKER, SCHEMA)
        if now not in (before := state.get("asked", [])):
            write_atomic(self.folder / MARKER, json.dumps({**state, "asked": [*before, now]}).encode())

    def asked(self) -> list[tuple[int, list[str]]]:
        """Read what `note_asked` wrote."""
        file = self.folder / MARKER
        return [(seeds, only) for seeds, only in read_state(file, SCHEMA).get("asked", [])] if file.exists() else []

    def seeds(self, mark: str = "s") -> int:
        """Count the seeds of which a file is there, which ends with a mark and the seed: one more than the largest."""
        names = [re.search(rf"(?:^|\.){mark}(\d+)\.jsonl$", file.name) for file in self.folder.glob("cells/**/*.jsonl")]
        return max((1 + int(name[1]) for name in names if name), default=0)

    def has(self, cell: Cell) -> bool:
        """Tell whether a cell is finished."""
        return cell.file in self.kept or (self.folder / cell.file).exists()

    def get(self, cell: Cell) -> list[Record]:
        """Return the records of a finished cell."""
        if cell.file not in self.kept:
            self.kept[cell.file] = read_cell(self.folder / cell.file)
        return self.kept[cell.file]

    def put(self, cell: Cell, records: list[Record]) -> None:
        """Keep the records of a cell that has just finished."""
        write_cell(self.folder / cell.file, records)
        self._error(cell).unlink(missing_ok=True)
        self.kept[cell.file] = records

    def fail(self, cell: Cell, message: str, details: str) -> None:
        """Note why a cell failed; the next run tries it again."""
        write_atomic(self._error(cell), json.dumps({"error": message, "details": details}, indent=1).encode())

    def _error(self, cell: Cell) -> Path:
        return (self.folder / cell.file).with_suffix(".error.json")

    def errors(self) -> list[Path]:
        """List the notes on cells that failed."""
        return sorted(self.folder.glob("cells/**/*.error.json"))


def marked(name: str, plan: object) -> str:
    """Return the name of a study, or what makes it, with the plan that marks its folders."""
    return f"{name}?" + urlencode({"plan": json.dumps(plan)})


def plan_in(factory: str) -> str:
    """Return the JSON text of the plan that `marked` wrote."""
    return dict(parse_qsl(factory.partition("?")[2])).get("plan", "{}")


def _settings(factory: str) -> dict[str, str]:
    """Read the settings behind a factory's ``?``, JSON or a query, one level deep."""
    text = factory.partition("?")[2]
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        found = dict(parse_qsl(text, keep_blank_values=True))
    if set(found) == {"plan"}:
        found = json.loads(found["plan"])
    flat = {k: v for k, v in found.items() if not isinstance(v, dict)}
    for v in found.values():
        flat |= v if isinstance(v, dict) else {}
    return {k: text if len(text := str(v)) <= 60 else text[:16] for k, v in flat.items()}
