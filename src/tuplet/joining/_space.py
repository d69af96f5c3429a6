"""A space that exists beside rows of a new modality: ready vectors or a model, joined with the data by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data import Source, Table
from tuplet.data._columns import as_array, is_frame, is_series
from tuplet.data._grouping import says
from tuplet.data._inputs import Inputs, gathered, open_data
from tuplet.data._npz import members
from tuplet.data._raw import Raw
from tuplet.model import CONFIG, AlignmentModel, load
from tuplet.model.frozen import Given, Passed, named
from tuplet.store import open_store
from tuplet.types import InputError

Ids = Sequence[Any]


@dataclass(frozen=True)
class Space:
    """Vectors of items by modality, NaN where absent, with their ids where they have some; or a model that makes them."""

    vectors: dict[str, NDArray[Any]]
    ids: Ids | None = None
    model: AlignmentModel | None = None


def open_space(space: Any) -> Space:
    """Open a space in any of its forms."""
    if isinstance(space, AlignmentModel):
        return Space({}, model=deepcopy(space))
    if isinstance(space, str | Path):
        if (Path(space) / CONFIG).is_file():
            return Space({}, model=load(space))
        stored = open_store(space)
        vectors = {k: np.array(v, dtype=np.float32) for k, v in stored.vectors().items()}
        for k, here in stored.present.items():
            vectors[k][~here] = np.nan
        return Space(vectors, stored.ids.tolist())
    if not isinstance(space, Mapping) or not space:
        raise InputError(
            f"space is a {type(space).__name__}, expected modality -> vectors (n, D), a file of vectors, or a model folder"
        )
    ids: Ids | None = None if "id" not in space else as_array("space['id']", space["id"]).tolist()
    found = {}
    for name, given in space.items():
        if name != "id":
            ids = list(given.index) if is_frame(given) and ids is None else ids
            found[name] = array = as_array(f"space[{name!r}]", given)
            if array.ndim != 2 or array.dtype.kind != "f":
                raise InputError(f"space[{name!r}] is {array.dtype} of shape {array.shape}, expected vectors: floats (n, D)")
    shapes = {k: v.shape for k, v in found.items()}
    if len(set(shapes.values())) != 1 or (ids is not None and len(ids) != len(next(iter(found.values())))):
        raise InputError(f"space has vectors of shapes {shapes}, expected one row per item and one width D")
    return Space({k: v.astype(np.float32) for k, v in found.items()}, ids)


def joined_source(
    space: Space, data: Any, asked: dict[str, Any], wanted: Sequence[str] | None, towers: Mapping[str, Given] | None = None
) -> tuple[Source, tuple[str, ...]]:
    """Read data with the modalities of a space beside them; return the source and the names of the latter."""
    found, where = _inputs(data, asked)
    apart = {v for v in (asked["target"], asked["group"], asked["id"]) if isinstance(v, str)}
    held = [k for k in found.arrays if not says(k, apart) and not k.startswith("columns of ")]
    if unknown := [k for k in wanted or () if k not in held]:
        raise InputError(f"modality is {unknown[0]!r}, expected one of {held}")
    old = tuple(space.vectors)
    encode: dict[str, Any] = {}
    if space.model is not None:
        old = tuple(k for k in space.model.encoders if k in held and k not in (wanted or ()))
        if not old:
            raise InputError(
                f"{where} has {held}, but none that the model of the space reads ({', '.join(space.model.encoders)}); add "
                f"the raw rows of one of them: they say where an item lies"
            )
        encode = {k: _reader(space.model, k) for k in old}
    names = [k for k in wanted or held if k not in old]
    if not names:
        raise InputError(f"{where} has {held}, which the space has, too; add the modality that is to join it")
    ids = _ids(found, names, asked["id"])
    for k, v in space.vectors.items():
        found.arrays[k] = _beside(v, space.ids, ids, next(len(as_array(n, found.arrays[n])) for n in names))
        for known in (found.kinds, found.present, found.columns):
            known.pop(k, None)  # the vectors stand in for what the data call so
        if found.ids or any(is_frame(found.arrays[n]) or is_series(found.arrays[n]) for n in names):
            found.ids[k] = list(ids or ())
    scaling = asked["scaling"] if isinstance(asked["scaling"], Mapping) else dict.fromkeys(names, asked["scaling"] or "")
    words = {k: v for k, v in scaling.items() if v} | dict.fromkeys(old, "none")
    passed = {k: Passed(k, v, True) for k, v in (towers or {}).items()}
    source = found.source({**asked, "modalities": [*names, *old], "scaling": words, "encode": encode | passed})
    return named(_as_trained(source, space.model, old) if space.model else source, passed), old


def _inputs(data: Any, asked: dict[str, Any]) -> tuple[Inputs, str]:
    """Bring data in any form to named arrays."""
    columns = {**asked, "modalities": asked["modalities"] if isinstance(asked["modalities"], Mapping) else None}
    if not isinstance(data, str | Path):
        return gathered(data, columns), "data"
    path = Path(data)
    if path.suffix.lower() in (".npz", ".safetensors"):
        arrays = members(path)[0] if path.suffix.lower() == ".npz" else dict(Table.open(path).columns)
        return gathered({k.removeprefix("input."): v for k, v in arrays.items()}, columns), str(path)
    return gathered(open_data(path)[0], columns, where=str(path), folder=path if path.is_dir() else path.parent), str(path)


def _ids(found: Inputs, names: Iterable[str], id: Any) -> Ids | None:
    """Return the ids of the rows of the new modalities, in the order of the first; None where rows have none."""
    every: dict[Any, None] = {}
    for name in names:
        values = found.arrays[name]
        if isinstance(id, Mapping) and name in id:
            own = as_array("id", id[name]).tolist()
        elif name in found.ids:
            own = list(found.ids[name])
        elif is_frame(values) or is_series(values):
            own = list(
                values.set_index(id).index if isinstance(id, str) and id in getattr(values, "columns", ()) else values.index
            )
        elif isinstance(id, str) or "id" in found.arrays:
            key = id if isinstance(id, str) else "id"
            if key not in found.arrays:
                raise InputError(f"id is {key!r}, expected one of {sorted(found.arrays)}")
            own = as_array(key, found.arrays[key]).tolist()
        else:
            own = [] if id is None else as_array("id", id).tolist()
        every |= dict.fromkeys(own)
    return list(every) or None


def _beside(vectors: NDArray[Any], ids: Ids | None, wanted: Ids | None, n: int) -> NDArray[Any]:
    """Bring vectors to the rows of the data, NaN where the space lacks an item."""
    if ids is None and wanted is not None and len(vectors) != len(wanted):
        raise InputError(
            f"space has {len(vectors)} vectors without ids, the data {len(wanted)} rows; give the space an 'id', too"
        )
    if ids is None:
        if len(vectors) != n:
            raise InputError(f"space has {len(vectors)} vectors and the data {n} rows; give both ids, or one row per item")
        return vectors
    wanted = range(n) if wanted is None else wanted  # rows without ids are named by their place, as `tuplet embed` does
    place = {row: i for i, row in enumerate(ids)}
    at = np.array([place.get(row, -1) for row in wanted], dtype=np.int64)
    if (at < 0).all():
        raise InputError(
            f"space and data have no id in common, such as {ids[0]!r} and {wanted[0]!r}; give an item the same id in both"
        )
    out = np.full((len(at), vectors.shape[1]), np.nan, np.float32)
    out[at >= 0] = vectors[at[at >= 0]]
    return out


def _reader(model: AlignmentModel, name: str) -> Any:
    """Treat raw rows as the model of the space does, flat; NaN where absent."""

    def read(raw: NDArray[Any], rate: float | None) -> NDArray[np.float32]:
        rows, here = model.rows(name, raw, argument=f"modalities[{name!r}]")
        flat = rows.reshape(len(rows), -1).copy()
        flat[~here] = np.nan
        return flat

    return read


def _as_trained(source: Source, model: AlignmentModel, old: Sequence[str]) -> Source:
    """Give rows of a model the shape and the treatment that they have in it."""
    columns, prepared = dict(source.columns), dict(source.preprocessing)
    for name in old:
        how, present = model.preprocessing[name], source.present[name].numpy()
        flat = source.read(name, torch.arange(len(present))).numpy()
        rows = flat.reshape(len(flat), *how.modality.shape)
        columns[name] = Raw(rows, how.modality.kind).column(name, present, replace(how, scale=prepared[name].scale), "none")
        prepared[name] = how
    return replace(source, columns=columns, preprocessing=prepared)
