"""An index folder: the store as columns that are mapped into memory, a note, and the graphs of a search in two stages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuplet.io import AnyOf, Between, read_state
from tuplet.objectives import Objective, Pairwise, build
from tuplet.store._near import Near
from tuplet.store.tables import open_store, save
from tuplet.types import InputError

NOTE, STORE = "index.json", "store.safetensors"
_SCHEMA = {"schema": Between(int, 1, 1), "backend": {"exact", "faiss"}, "objective": AnyOf(str, None)}


def read_note(folder: Path) -> dict[str, Any]:
    """Read what an index folder was made for."""
    note: dict[str, Any] = read_state(
        folder / NOTE, _SCHEMA, fix="give a folder that `tuplet index` wrote, or a file of embeddings"
    )
    return note


def named(name: str | None, modalities: Sequence[str], width: int) -> Objective:
    """Build the objective that a command names, for its score; the mean cosine where it names none."""
    if name is None:
        return Pairwise()
    objective = build(name, tuple(modalities), width)
    learned = [k for k, _ in objective.named_parameters() if "tau" not in k]
    if objective.score is None or learned:
        why = (
            "is learned with the model; search from Python, tuplet.store.index(..., objective=)"
            if learned
            else "does not exist"
        )
        raise InputError(f"objective is {name!r}, whose score {why}")
    return objective.eval()


def write_index(
    path: Path, out: Path, *, backend: str, objective: str | None, sides: Sequence[tuple[str, ...]], force: bool
) -> list[str]:
    """Write an index folder, which is either complete or absent; return the names of its files."""
    stored = open_store(path)
    ranking = named(objective, tuple(stored.present), stored.width)
    if out.exists() and not (force and (out / NOTE).is_file()):
        fix = "replace it with --force" if (out / NOTE).is_file() else "it is no index: choose another --out"
        raise InputError(f"out {out} exists; {fix}")
    near = Near(stored, ranking, 1, None) if backend == "faiss" else None
    scratch = out.with_name(f".{out.name}.{os.getpid()}.part")
    scratch.mkdir(parents=True)
    try:
        save(stored, scratch / STORE)
        for into in sides if near is not None else ():
            rows = np.flatnonzero(np.all([stored.present[m] for m in into], axis=0))
            if near is not None and len(rows):
                near.write(scratch, into, rows)
        note = {"schema": 1, "backend": backend, "objective": objective}
        (scratch / NOTE).write_text(json.dumps(note))
        if out.exists():
            shutil.rmtree(out)
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(p.name for p in out.iterdir())
