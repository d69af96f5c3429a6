"""An index folder: the store as columns that are mapped into memory, a note, and the codes of a search in two stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from tuplet.io import AnyOf, Between, fresh, locked, read_state, write_atomic
from tuplet.objectives import Objective, Pairwise, build
from tuplet.store._exact import Pool
from tuplet.store._near import Near
from tuplet.store.tables import open_store, save
from tuplet.types import InputError

NOTE, STORE = "index.json", "store.safetensors"
_SCHEMA = {"schema": Between(int, 1, 1), "backend": {"exact", "faiss"}, "objective": AnyOf(str, None)}


def read_note(folder: Path) -> dict[str, Any]:
    """Read what an index folder was made for."""
    fix = "give a folder that `tuplet index` wrote, or a file of embeddings"
    return cast(dict[str, Any], read_state(folder / NOTE, _SCHEMA, fix=fix))


def named(name: str | None, modalities: Sequence[str], width: int) -> Objective:
    """Build the objective that a command names, for its score; the mean cosine where it names none."""
    if name is None:
        return Pairwise()
    objective = build(name, tuple(modalities), width)
    if objective.score is None or learned(objective):
        why = "does not exist" if objective.score is None else "is learned with the model; give it to tuplet.store.index"
        raise InputError(f"objective is {name!r}, whose score {why}")
    return objective.eval()


def learned(objective: Objective) -> bool:
    """Tell whether a score has weights, beside a temperature: it then knows its modalities by their names."""
    scoring = getattr(objective.score, "__self__", objective)  # of a sum, the part that scores
    return any("tau" not in k for k, _ in scoring.named_parameters())


def write_index(
    path: Path, out: Path, *, backend: str, objective: str | None, sides: Sequence[tuple[str, ...]], force: bool
) -> list[str]:
    """Write an index folder, its note last; return the names of its files."""
    stored = open_store(path)
    ranking = named(objective, tuple(stored.present), stored.width)
    near = Near(1, None) if backend == "faiss" else None
    if force:
        fresh(out)
    elif out.exists():
        raise InputError(f"out {out} exists; choose another name, or replace an index with --force")
    with locked(out):
        save(stored, out / STORE)
        for into in sides:
            rows = np.flatnonzero(np.all([stored.present[m] for m in into], axis=0))
            if near is not None and len(rows):
                near.write(out, Pool(stored, ranking, into, rows))
        write_atomic(out / NOTE, json.dumps({"schema": 1, "backend": backend, "objective": objective}).encode())
    return sorted(p.name for p in out.iterdir() if p.name != ".lock")
