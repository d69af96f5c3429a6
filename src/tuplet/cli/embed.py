"""The ``tuplet embed`` command: rows of any data through a trained model, to a table of vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from tuplet.cli.source import Reading, Table, is_file, pairs
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.model import AlignmentModel

PARTS = ("train", "val", "test")
Block = tuple[dict[str, NDArray[np.bool_]], Table, Table]
"""Of some rows: which are present, their vectors, and what is known of them."""
BLOCK = 4096
"""Rows that are embedded at a time."""


@dataclass(frozen=True)
class Embed(Reading):
    """Embed data with a trained model: one row per item and modality it has, with its vector and what is known of the item."""

    run: Positional[Path]
    """Folder of a model: `tuplet train` and tuplet.fit write one."""
    data: Positional[str]
    """What to embed: a file (my.npz, my.csv ...) or folder with rows as they were before training, or the source that the
    model was trained on."""
    out: Path = Path("emb.npz")
    """File to write: .npz, .parquet (needs tuplet[tables]), .safetensors for search at any size, or .h5ad, which other programs
    read: .obsm["X_<modality>"] beside .obs (needs tuplet[omics]). Columns: id, modality,
    vector, part (train, val or test of the model's own training; empty for other rows), the targets, and row, the place of the
    item; absent.id and absent.modality say what has no row."""
    keep: tuple[str, ...] = ()
    """Of a file: other arrays of numbers or texts, one per item, to write beside the targets, such as captions or paths."""
    batch_size: int = 256
    """Rows per forward pass."""
    force: bool = False
    """Replace --out if it exists."""


def embed(command: Embed) -> None:
    """Embed data and write the table."""
    from tuplet.model import load
    from tuplet.store.tables import SUFFIXES, Stored, model_note, save

    if command.out.suffix not in SUFFIXES:
        raise InputError(f"out is {command.out}, expected a file that ends with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if command.out.exists() and not (command.force and command.out.is_file()):
        raise InputError(f"out {command.out} exists; choose another name, or replace the file with --force")
    if command.batch_size < 1:
        raise InputError(f"batch_size is {command.batch_size}, expected a positive number")
    model = load(command.run, towers=pairs("tower", command.tower))
    parts = list(_file(command, model) if is_file(command.data.partition("?")[0]) else _source(command, model))
    joined = [{k: np.concatenate([part[i][k] for part in parts]) for k in parts[0][i]} for i in range(3) if parts]
    present, vectors, columns = joined or ({}, {}, {})
    if not any(here.any() for here in present.values()):
        raise InputError(f"{command.data} has no row that is present in any modality of the model; nothing was written")
    ids = columns.pop("id")
    save(Stored(ids, present, lambda: vectors, columns, model_note(command.run)), command.out)
    counted = ", ".join(f"{k} {int(here.sum())}" for k, here in present.items() if here.any())
    found, gone = (sum(int((here == there).sum()) for here in present.values()) for there in (True, False))
    width = next(iter(vectors.values())).shape[1]
    print(f"{found} vectors of {width} numbers ({counted}{f', {gone} absent' if gone else ''}) -> {command.out}")
    cells = [".obs_names", *(f'.obsm["X_{k}"]' for k in vectors), *(f'.obs["{k}"]' for k in columns)]
    print(f"columns: {', '.join(cells if command.out.suffix == '.h5ad' else ('id', 'modality', 'vector', *columns))}")


def _parts(command: Embed, n: int) -> NDArray[Any]:
    """Say of each row in which part of the model's own training it was; nothing where the model was trained on other data."""
    from tuplet.cli.runs import NOTE, read_note, source_of

    parts = np.full(n, "", dtype="<U5")
    if not (command.run / NOTE).exists():
        return parts
    note = read_note(command.run)
    name, mark, options = command.data.partition("?")
    if note["data"] != (str(Path(name).absolute()) if is_file(name) else name) + mark + options:
        return parts
    try:
        source = source_of(note)
    except InputError:  # the file is no longer what was trained on
        return parts
    if source.fingerprint == note["fingerprint"]:
        for part in PARTS:
            parts[getattr(source.split, part)] = part
    return parts


def _noted_target(run: Path) -> str | None:
    """Return the target that the model's own training was told to take from its file."""
    from tuplet.cli.runs import NOTE, read_note

    target: str | None = read_note(run)["target"] if (run / NOTE).exists() else None
    return target


def _file(command: Embed, model: AlignmentModel) -> Iterator[Block]:
    """Embed raw rows of a file, which may hold any of the model's modalities."""
    from tuplet.data._inputs import arrays_of
    from tuplet.data._join import row_ids
    from tuplet.store.tables import column_name

    for option in ("kind", "scaling", "root"):
        if getattr(command, option):
            raise InputError(f"{option} is {getattr(command, option)!r}, but the model says how rows are read; leave it out")
    file = Path(command.data.partition("?")[0])
    noted = _noted_target(command.run)
    named = {*model.encoders, *command.modalities, *command.keep, command.id, command.target, command.group, noted, "sensor"}
    columns = {k: how.columns or (k,) for k, how in model.preprocessing.items()}
    rates = {k: how.modality.rate for k, how in model.preprocessing.items()}
    arrays = arrays_of(file, named, columns, command.id, rates)
    wanted = command.modalities or tuple(k for k in model.encoders if k in arrays)
    if missing := [k for k in wanted if k not in arrays or k not in model.encoders]:
        raise InputError(
            f"modalities names {missing}, which {command.data} ({', '.join(sorted(arrays))}) and the model "
            f"({', '.join(model.encoders)}) do not both have"
        )
    if not wanted:
        raise InputError(f"{command.data} has {sorted(arrays)}, the model {sorted(model.encoders)}; expected some of these")
    n = arrays[wanted[0]].shape[0] if arrays[wanted[0]].ndim else 0
    if uneven := [k for k in wanted if arrays[k].ndim < 1 or arrays[k].shape[0] != n]:
        raise InputError(
            f"{uneven[0]!r} in {command.data} has another number of rows than {wanted[0]!r}, which has {n}; expected arrays "
            f"(n, ...) of the same n items, a single item as row[None]"
        )
    asked = (command.target, command.group, *command.keep)
    kept = [("keep", name) for name in command.keep]
    for option, name in (("id", command.id), ("target", command.target), ("group", command.group), *kept):
        if name is not None and (name not in arrays or arrays[name].shape[:1] != (n,)):
            raise InputError(f"{option} is {name!r}, expected an array of {n} rows in {command.data}")
    id = command.id or ("id" if "id" in arrays and "id" not in (*wanted, *asked) else None)
    if id is not None:
        row_ids(f"{file}: id {id!r}", arrays[id], n)
    ids = np.arange(n) if id is None else arrays[id]
    labels = {k for k in arrays if k in ("label", "target", "group", noted, *asked) or k.startswith("target.")}
    known = {k: arrays[k] for k in sorted(labels - set(wanted)) if arrays[k].shape == (n,)}
    known = {column_name(k) if k != "group" else k: v for k, v in known.items()}
    if command.group is not None:
        known["group"] = known.pop(command.group, arrays[command.group])
    known = {"part": _parts(command, n)} | known
    beside = _sensors(command, arrays, n) if any(map(model.takes_aux, wanted)) else {}
    for start in range(0, n, BLOCK):
        some = slice(start, min(start + BLOCK, n))
        try:
            aux = {k: v[some] for k, v in beside.items()}
            vectors = model.encode({k: arrays[k][some] for k in wanted}, aux=aux, batch_size=command.batch_size)
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        present = {k: model.rows(k, arrays[k][some], argument=k)[1] for k in sorted(vectors)}
        yield present, vectors, {"id": ids[some], **{k: v[some] for k, v in known.items()}}


def _sensors(command: Embed, arrays: Table, n: int) -> dict[str, NDArray[np.int64]]:
    """Number the sensors of a file as the model's own training did; nothing where the file does not tell."""
    from tuplet.io import read_state

    column = arrays.get("sensor", arrays.get("target.sensor"))
    if column is None or column.shape != (n,):
        return {}
    target = {"targets": {"sensor": {"names": [str], ...: object}, ...: object}, ...: object}
    names = read_state(command.run / "config.json", {"data": target, ...: object})["data"]["targets"]["sensor"]["names"]
    values = [str(int(v)) if column.dtype.kind in "iuf" and np.isfinite(v) else str(v) for v in column.tolist()]
    known = {k: i for i, k in enumerate(names)} | dict.fromkeys(("-1", "nan", ""), -1)
    if unknown := sorted(set(values) - set(known)):
        raise InputError(f"{command.data} has the sensors {unknown[:9]}, but the model knows {names}; write -1 for unknown")
    return {"sensor": np.array([known[v] for v in values])}


def _source(command: Embed, model: AlignmentModel) -> Iterator[Block]:
    """Embed all rows of the source that the model was trained on, or of one that is scaled alike."""
    import torch

    from tuplet.cli.runs import NOTE, read_note, source_of
    from tuplet.cli.source import opened
    from tuplet.store.tables import column_name

    note = read_note(command.run) if (command.run / NOTE).exists() else {"method": None}
    by_method = note["method"] is not None and not command.given()
    source = source_of(note | {"data": command.data}) if by_method else opened(command.data, command)
    names = [k for k in model.encoders if k in source.modalities]
    if not names:
        raise InputError(f"{command.data} has {sorted(source.modalities)}, the model {sorted(model.encoders)}")
    if other := [k for k in names if source.preprocessing.get(k) != model.preprocessing.get(k)]:
        raise InputError(
            f"{command.data} is scaled otherwise than the data that the model was trained on ({other[0]!r}); give the raw rows "
            f"as a file"
        )
    places = [getattr(source.split, part) for part in PARTS]
    parts = _parts(command, 1 + max(int(rows.max(initial=0)) for rows in places))
    for rows in (source.train, source.val, source.test):
        for start in range(0, len(rows), command.batch_size):
            batch = rows[slice(start, min(start + command.batch_size, len(rows)))]
            known = {k: v.numpy() for k, v in batch.target.items() if v.ndim == 1}
            for k, about in source.targets.items():
                if about.kind == "class" and about.names and k in known:
                    words = np.array([*about.names, ""])
                    known[k] = words[known[k]]
            ids = batch.index.numpy()
            with torch.no_grad():
                z = {k: model.embed_one(k, batch.inputs[k], batch.present[k], batch.aux).float().numpy() for k in names}
            present = {k: batch.present[k].numpy() for k in names}
            yield present, z, {"id": ids, "part": parts[ids], **{column_name(k): v for k, v in known.items()}}
