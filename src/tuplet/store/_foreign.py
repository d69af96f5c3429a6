"""Vectors of other programs: arrays by modality, a wide table, or a folder with a file per modality, joined by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Table
from tuplet.data._inputs import open_data, raw_arrays
from tuplet.data._join import join
from tuplet.data._npz import members
from tuplet.data._omics import is_annotated
from tuplet.io.npy import parse_npy
from tuplet.types import InputError

Columns = dict[str, NDArray[Any]]
Parts = tuple[NDArray[Any], dict[str, NDArray[np.bool_]], Columns, Columns]
"""Ids, presence, vectors, and columns, a row per item."""


def foreign(path: Path, modalities: Sequence[str] | None = None) -> Parts:
    """Read vectors that no store holds: every two-dimensional array of numbers is a modality."""
    arrays = _arrays(path)
    vectors = {k: v for k, v in arrays.items() if v.ndim == 2 and v.dtype.kind == "f"}
    if unknown := sorted(set(modalities or ()) - set(vectors)):
        raise InputError(f"modalities names {unknown}, but {path} has vectors of {sorted(vectors)}")
    vectors = {k: vectors[k] for k in modalities or vectors}
    widths = {k: v.shape[1] for k, v in vectors.items()}
    if not vectors:
        seen = ", ".join(f"{k} {v.dtype} {v.shape}" for k, v in arrays.items())[:160]
        raise InputError(
            f"{path} holds {seen or 'nothing'}, but no embeddings; expected floats (n, D) by modality, or the columns id, "
            f"modality and vector"
        )
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{k} {w}" for k, w in widths.items())
        raise InputError(f"{path} has vectors of different widths ({said}); embed raw rows, or name those with --modalities")
    named = {k: [n for n in (f"{k}.id", f"{k}_id", f"{k}.ids", f"{k}_ids") if n in arrays] for k in vectors}
    own = {k: arrays[names[0]] for k, names in named.items() if names}
    sizes = {k: len(v) for k, v in vectors.items()}
    if not own and len(set(sizes.values())) > 1:
        raise InputError(
            f"{path} has different numbers of vectors ({', '.join(f'{k} {n}' for k, n in sizes.items())}) and no ids to join "
            f"them by; add an array {next(iter(sizes))}.id (n,) for each of them, or a column id"
        )
    joined = join(vectors, own)
    n = len(next(iter(joined.arrays.values())))
    ids = np.array(joined.ids) if own else arrays.get("id", np.arange(n))
    here = {k: joined.present.get(k, np.ones(n, np.bool_)) & ~np.isnan(v).all(axis=1) for k, v in joined.arrays.items()}
    found = {k: v if here[k].all() else np.where(here[k][:, None], v, v.dtype.type(0)) for k, v in joined.arrays.items()}
    known = {k: v for k, v in arrays.items() if v.shape == (n,) and v.dtype.kind in "biufU" and k != "id" and not own}
    return ids, dict(sorted(here.items())), dict(sorted(found.items())), known


def _arrays(path: Path) -> Columns:
    """Read the arrays of a file or a folder."""
    if path.is_dir() and (files := sorted(path.glob("*.npy"))):
        return {p.stem: parse_npy(p.read_bytes(), name=str(p)) for p in files}
    if path.suffix.lower() == ".npz":
        return members(path)[0]
    if path.suffix.lower() == ".safetensors":
        return dict(Table.open(path).columns)
    x, _ = open_data(path)
    if is_annotated(x):  # what other programs computed of cells; absent rows are NaN
        spaces = {k.removeprefix("X_"): np.asarray(v) for k, v in x.obsm.items()}
        return spaces | {"id": x.obs_names.to_numpy("U")} | {k: _words(v) for k, v in x.obs.items()}
    fields = {f.name: f.type for t in (x.values() if isinstance(x, Mapping) else [x]) for f in getattr(t, "schema", ())}
    lists = {k for k, kind in fields.items() if "list" in str(kind)}
    beside = {k for k, kind in fields.items() if k != "id" and ("string" in str(kind) if not lists else k not in lists)}
    found: Mapping[str, Any] = raw_arrays(x, {}, None, beside)  # captions, and paths of pictures that nobody asks to read
    return {k: np.asarray(v) for k, v in found.items() if isinstance(v, np.ndarray)}


def _words(column: Any) -> NDArray[Any]:
    """Return a column of a frame as numbers or texts."""
    values = np.asarray(column)
    return values if values.dtype.kind in "biuf" else values.astype("U")
