"""The ``tuplet inspect`` command: a space that anybody trained, measured and judged."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from tuplet.errors import InputError, in_range

if TYPE_CHECKING:
    from tuplet.store import Stored
    from tuplet.types import Embeddings


@dataclass(frozen=True)
class Inspect:
    """Say whether embeddings, of any model, are usable for search across their modalities, and what is wrong with them."""

    emb: Positional[Path]
    """A file of `tuplet embed`, a folder of `tuplet index`, a table with the columns id, modality and vector, a table or .npz
    file with vectors (n, D) by modality, or a folder with a NAME.npy or NAME.parquet file per modality."""
    modalities: tuple[str, ...] = ()
    """Names of those to take [default: all]."""
    pool: int = 5000
    """Items to search among, at most; that many are drawn at random."""
    seed: int = 0
    """Of the draw."""
    relevance: str = "instance"
    """What a match is: instance (the same item), group (the same group), or a column whose values agree."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: the mean cosine]."""
    part: str | None = None
    """Of a file of `tuplet embed`: train, val, test, or all [default: test where the file has it]."""
    json: Path | None = None
    """A file for the numbers, in the shape of a task result of mteb."""
    out: Path | None = None
    """A report.html to write."""


def inspect(command: Inspect) -> None:
    """Measure a space, print what was found, and write it."""
    from tuplet.cli.inspected import page, result, screen
    from tuplet.evaluate import inspect as measured
    from tuplet.evaluate import mean_cosine
    from tuplet.io import write_atomic
    from tuplet.store import open_store
    from tuplet.store._folder import named

    for name, file, ending in (("out", command.out, ".html"), ("json", command.json, ".json")):
        if file is not None and file.suffix.lower() != ending:
            raise InputError(f"{name} is {file}, expected a file that ends with {ending}")
    in_range("pool", command.pool, 2)
    start = time.monotonic()
    stored = open_store(command.emb, command.modalities or None)
    part, rows = part_of(stored, command.part)
    score = None if command.objective is None else named(command.objective, tuple(stored.present), stored.width).score
    how = {"relevance": command.relevance, "pool": command.pool, "seed": command.seed}
    found = measured(embeddings(stored, rows), score=score or mean_cosine, **how)  # type: ignore[arg-type]
    about = (
        f"Part {part}, {len(rows):,} of {len(stored):,} items (--part all: all of them). " if len(rows) < len(stored) else ""
    )
    print(screen(found, about))
    if command.json is not None:
        seconds = time.monotonic() - start
        numbers = result(found, name=command.emb.stem, part=part, seconds=seconds, revision=stored.about.get("model.sha256"))
        write_atomic(command.json, json.dumps(numbers, ensure_ascii=False, indent=2).encode())
        print(f"numbers: {command.json}")
    if command.out is not None:
        page(command.out, found, command.emb, about)
        print(f"page: {command.out}")


def part_of(stored: Stored, asked: str | None) -> tuple[str, NDArray[np.int64]]:
    """Choose the items of a part; those that a model was trained on would flatter it."""
    column = stored.columns.get("part")
    parts = [] if column is None else [str(v) for v in np.unique(column) if str(v)]
    if asked not in (None, "all", *parts):
        raise InputError(f"part is {asked!r}, expected one of {['all', *parts]}")
    name = asked or ("test" if "test" in parts else "all")
    if name == "all" or column is None:
        return "test" if asked is None else name, np.arange(len(stored))
    return name, np.flatnonzero(column == name)


def embeddings(stored: Stored, rows: NDArray[np.int64]) -> Embeddings:
    """Hand out the vectors where they lie, without reading all of a mapped file."""
    import torch

    from tuplet.store.tables import codes
    from tuplet.types import Embeddings

    some = slice(None) if len(rows) == len(stored) else rows
    columns = {k.removeprefix("target."): torch.from_numpy(codes(v)[some]) for k, v in stored.columns.items()}
    with warnings.catch_warnings():  # of a mapped file, which nobody may write to
        warnings.simplefilter("ignore", UserWarning)
        z = {k: torch.from_numpy(np.asarray(v)[some]) for k, v in stored.vectors().items()}
    here = {k: torch.from_numpy(v[some]) for k, v in stored.present.items()}
    group = columns.pop("group", None)
    return Embeddings(z, dict(z), here, torch.arange(len(rows)), group, columns, {}, slice(0, len(rows)))
