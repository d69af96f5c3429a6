"""The ``tuplet explore`` command: a table of a space for Embedding Atlas, a point per vector, and the program opened on it."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from tuplet.errors import InputError, in_range

if TYPE_CHECKING:
    from tuplet.evaluate._points import Points


@dataclass(frozen=True)
class Explore:
    """Look at a space in a browser: a point per vector, its neighbours, how near its match is, and what is found too often."""

    emb: Positional[Path]
    """What `tuplet inspect` takes: a file of `tuplet embed`, or vectors of any other model."""
    modalities: tuple[str, ...] = ()
    """Names of those to show [default: all]."""
    part: str | None = None
    """Of a file of `tuplet embed`: train, val, test, or all [default: test where the file has it]."""
    items: int = 5000
    """To show, at most; that many are drawn at random."""
    seed: int = 0
    """Of the draw and of the map."""
    map: Literal["auto", "tsne", "pca"] = "auto"
    """How places are found; auto: tsne up to 5,000 vectors, else pca."""
    out: Path = Path("explore.parquet")
    """The table to write."""
    port: int = 5055
    """Of the page, which only this machine can open."""
    table_only: bool = False
    """Write the table and do not start Embedding Atlas."""


def explore(command: Explore) -> None:
    """Write the table, say what stands out, and start the program."""
    from tuplet.cli.inspect import embeddings, part_of
    from tuplet.evaluate._points import points
    from tuplet.store import open_store

    in_range("items", command.items, 2)
    if command.out.suffix.lower() != ".parquet":
        raise InputError(f"out is {command.out}, expected a file that ends with .parquet")
    program = shutil.which("embedding-atlas")
    if program is None and not command.table_only:
        raise InputError("embedding-atlas is not installed: pip install 'tuplet[explore]', or give --table-only")
    stored = open_store(command.emb, command.modalities or None)
    part, rows = part_of(stored, command.part)
    about = f" of part {part}" if "part" in stored.columns else ""
    rows = rows[np.sort(np.random.default_rng(command.seed).permutation(len(rows))[: command.items])]
    found = points(embeddings(stored, rows), how=command.map, seed=command.seed)
    columns = {k: v[rows] for k, v in stored.columns.items() if v.ndim == 1}
    text = _write(command.out, found, stored.ids[rows], columns)
    for line in _said(found, stored.ids[rows], about, command.out):
        print(line)
    if program is not None and not command.table_only:
        columns_of = {"x": "x", "y": "y", "neighbors": "neighbors", "text": text}
        where = {"host": "127.0.0.1", "port": command.port, "duckdb": "server"}  # the one in the browser needs the network
        options = {**columns_of, **where}
        subprocess.run([program, str(command.out), *(w for k, v in options.items() for w in (f"--{k}", str(v)))], check=False)


def _said(found: Points, ids: NDArray[Any], part: str, out: Path) -> list[str]:
    """Say what stands out."""
    lines = [f"{len(found.item):,} vectors of {len(ids):,} items{part} -> {out}"]
    if np.isfinite(found.rank).any():
        worst = int(np.nanargmax(found.rank))
        hub = int(found.found.argmax())
        lines += [
            f"match: median cosine {np.nanmedian(found.match):.3f}, median place {np.nanmedian(found.rank):g}; "
            f"farthest: {ids[found.item[worst]]} ({found.modality[worst]}), place {found.rank[worst]:g}",
            f"largest hub: {ids[found.item[hub]]} ({found.modality[hub]}), found {found.found[hub]:g} times",
        ]
    return lines


def _write(out: Path, found: Points, ids: NDArray[Any], columns: dict[str, NDArray[Any]]) -> str:
    """Write the table; return the column that a person reads."""
    from tuplet.data._arrow import arrow
    from tuplet.io import write_atomic

    pa = arrow()
    from pyarrow import parquet

    near = [{"ids": i, "distances": d} for i, d in zip(found.near.tolist(), (1 - found.cosine).tolist(), strict=True)]
    table: dict[str, Any] = {"id": ids[found.item], "modality": found.modality, "x": found.place[:, 0], "y": found.place[:, 1]}
    table |= {"match": found.match, "place": found.rank, "found": found.found}
    table |= {f"{k}." if k in table else k: v[found.item] for k, v in columns.items()}
    text = next((k for k, v in table.items() if k not in ("id", "modality", "part", "group") and v.dtype.kind == "U"), "id")
    content = io.BytesIO()
    parquet.write_table(pa.table({k: pa.array(v) for k, v in table.items()} | {"neighbors": pa.array(near)}), content)
    write_atomic(out, content.getvalue())
    return text
