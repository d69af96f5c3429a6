"""A run folder says which suite it belongs to, and is refused to any other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tuplet.io import Between, read_state, write_atomic
from tuplet.types import InputError

SCHEMA: dict[str, Any] = {"suite": str, "factory": str, "asked?": [(Between(int, 1, 10**6), [str])]}


def claim(out: Path, name: str, factory: str) -> None:
    """Mark a folder as a suite's, or refuse another's."""
    if (out / "run.json").exists():
        raise InputError(f"out {out} holds a training run; choose another folder")
    try:
        found, made = read_marker(out)
    except InputError:  # a new folder, or one whose marker was damaged: what is in its cells stays
        write_atomic(out / "suite.json", json.dumps({"suite": name, "factory": factory}).encode())
        return
    if found != name:
        raise InputError(f"out {out} holds the suite {found!r}, not {name!r}; choose another folder")
    if made.partition("?")[2] != factory.partition("?")[2]:
        before, now = _settings(made), _settings(factory)
        other = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        was = ", ".join(f"{k} = {before.get(k)}" for k in other)
        this = ", ".join(f"{k} = {now.get(k)}" for k in other)
        raise InputError(
            f"out {out} was run with {was}; this run has {this}; choose another folder, or start this one anew with --fresh"
        )


def read_marker(out: Path) -> tuple[str, str]:
    """Read which suite a run folder belongs to."""
    try:
        found = read_state(out / "suite.json", SCHEMA)
        return found["suite"], found["factory"]
    except InputError:
        raise InputError(
            f"{out} is not the folder of a bench run (no readable suite.json); give the folder that `tuplet bench` "
            f"wrote to, or run that command again: what is finished is kept"
        ) from None


def note_asked(out: Path, seeds: int, only: Sequence[str]) -> None:
    """Note what a run was asked for, so that a report can tell whether all of it has run."""
    now = [seeds, sorted(only)]
    state = read_state(out / "suite.json", SCHEMA)
    if now not in (before := state.get("asked", [])):
        write_atomic(out / "suite.json", json.dumps({**state, "asked": [*before, now]}).encode())


def read_asked(out: Path) -> list[tuple[int, list[str]]]:
    """Read what `note_asked` wrote."""
    if not (out / "suite.json").exists():
        return []
    return [(seeds, only) for seeds, only in read_state(out / "suite.json", SCHEMA).get("asked", [])]


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
