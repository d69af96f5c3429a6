"""The ``tuplet embed`` command: rows of any data through a trained model, to a table of vectors, or to one per shard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from tuplet.cli.source import Reading, Table, is_file, opened, pairs, placed
from tuplet.errors import InputError, in_range

if TYPE_CHECKING:
    from tuplet.model import AlignmentModel
    from tuplet.store import Stored

PARTS = ("train", "val", "test")
Block = tuple[dict[str, NDArray[np.bool_]], Table, Table]
"""Of some rows: which are present, their vectors, and what is known of them."""
BLOCK = 16
"""Batches of a file that are read at a time; a shard ends with such a block, so that a tower sees the same rows together."""


@dataclass(frozen=True)
class Blocks:
    """Data that are ready to be embedded: the number of blocks, what embeds some of them, and the data's checksum."""

    number: int
    some: Callable[[slice], Iterator[Block]]
    checksum: Callable[[], str]


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
    shards: int | None = None
    """Write a folder of this many .parquet files, which is used like one file. Each is a task of one core; the same command
    continues a job that was stopped."""
    workers: int | None = None
    """Of --shards: processes [default: the number of cores]; with --executor ray, shards given to it at once."""
    executor: Literal["ray"] | None = None
    """Of --shards: run on a cluster of Ray, whose machines all see run, data and --out (needs tuplet[ray])."""
    force: bool = False
    """Replace --out if it exists."""


def embed(command: Embed) -> None:
    """Embed data and write the table, or the tables of all shards."""
    if command.shards is not None:
        _job(command)
        return
    from tuplet.store.tables import SUFFIXES, save

    if command.workers is not None or command.executor is not None:
        raise InputError("--workers and --executor are for a job of several files; give --shards too")
    if command.out.suffix not in SUFFIXES:
        raise InputError(f"out is {command.out}, expected a file that ends with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if command.out.exists() and not (command.force and command.out.is_file()):
        raise InputError(f"out {command.out} exists; choose another name, or replace the file with --force")
    stored = _table(command, _opened(command), slice(None))
    present, vectors, columns = stored.present, stored.vectors(), stored.columns
    if not any(here.any() for here in present.values()):
        raise InputError(f"{command.data} has no row that is present in any modality of the model; nothing was written")
    save(stored, command.out)
    counted = ", ".join(f"{k} {int(here.sum())}" for k, here in present.items() if here.any())
    found, gone = (sum(int((here == there).sum()) for here in present.values()) for there in (True, False))
    width = next(iter(vectors.values())).shape[1]
    print(f"{found} vectors of {width} numbers ({counted}{f', {gone} absent' if gone else ''}) -> {command.out}")
    cells = [".obs_names", *(f'.obsm["X_{k}"]' for k in vectors), *(f'.obs["{k}"]' for k in columns)]
    print(f"columns: {', '.join(cells if command.out.suffix == '.h5ad' else ('id', 'modality', 'vector', *columns))}")


def _job(command: Embed) -> None:
    """Embed shard by shard, each to a file of its own."""
    from tuplet.cli.shards import Job, finish
    from tuplet.data._arrow import arrow, checksum
    from tuplet.model.folder import CONFIG, WEIGHTS
    from tuplet.processes import check_executor
    from tuplet.store._shards import parts
    from tuplet.store.tables import SUFFIXES

    check_executor(command.executor)
    arrow()  # which writes Parquet
    if command.out.suffix in SUFFIXES:
        raise InputError(f"out is {command.out}, but shards are written to a folder; give --out {command.out.stem}")
    command = replace(
        command,
        run=command.run.absolute(),
        data=placed(command.data),
        out=command.out.absolute(),
        root=command.root and command.root.absolute(),
        tower=tuple(command.note()["tower"]),
    )
    blocks, shards = _opened(command), command.shards or 0
    if not 1 <= shards <= blocks.number:
        raise InputError(f"shards is {shards}, expected 1 to {blocks.number}: of a file a shard has {BLOCK} batches or more")
    about = {k: v for k, v in command.note().items() if k not in ("root", "tower")} | {
        "options": command.data.partition("?")[2]
    }
    about |= {"keep": command.keep, "batch_size": command.batch_size, "shards": shards, "data": blocks.checksum()}
    about["model"] = checksum([command.run / name for name in (CONFIG, WEIGHTS)])
    del blocks  # tasks open their own
    job = Job(command.out, shards, f"embed?{json.dumps(about, sort_keys=True)}", partial(_shard, command))
    finish(job, workers=command.workers, executor=command.executor, force=command.force)
    from pyarrow import parquet

    files = parts(command.out)
    rows = sum(parquet.read_metadata(file).num_rows for file in files)
    print(f"{rows} vectors in {len(files)} shards -> {command.out}")


def _shard(command: Embed, about: str, number: int, file: Path) -> None:
    """Embed one shard."""
    from tuplet.store.tables import save

    blocks, shards = _kept(command, about), command.shards or 1
    some = slice(*(k * blocks.number // shards for k in (number, number + 1)))
    save(_table(command, blocks, some), file, part=True)


def _opened(command: Embed) -> Blocks:
    """Open model and data."""
    from tuplet.model import load

    in_range("batch_size", command.batch_size, 1)
    model = load(command.run, towers=pairs("tower", command.tower))
    blocks = (_file if is_file(command.data.partition("?")[0]) else _source)(command, model)
    if not blocks.number:
        raise InputError(f"{command.data} has no row; nothing was written")
    return blocks


@lru_cache(maxsize=1)
def _kept(command: Embed, about: str) -> Blocks:
    """Open model and data once per process; a job with other contents has another text about it."""
    return _opened(command)


def _table(command: Embed, blocks: Blocks, some: slice) -> Stored:
    """Embed some blocks."""
    from tuplet.store.tables import Stored, model_note

    found = list(blocks.some(some))
    present, vectors, columns = ({k: np.concatenate([b[i][k] for b in found]) for k in found[0][i]} for i in range(3))
    return Stored(columns.pop("id"), present, lambda: vectors, columns, model_note(command.run))


def _parts(command: Embed, n: int) -> NDArray[Any]:
    """Say of each row in which part of the model's own training it was; nothing where the model was trained on other data."""
    from tuplet.cli.runs import source_of

    parts, note = np.full(n, "", dtype="<U5"), _note(command.run)
    if note is None or note["data"] != placed(command.data):
        return parts
    try:
        source = source_of(note)
    except InputError:  # the file is no longer what was trained on
        return parts
    if source.fingerprint == note["fingerprint"]:
        for part in PARTS:
            parts[getattr(source.split, part)] = part
    return parts


def _note(run: Path) -> dict[str, Any] | None:
    """Return what the model's own training was given, if `tuplet train` trained it."""
    from tuplet.cli.runs import NOTE, read_note

    return read_note(run) if (run / NOTE).exists() else None


def _file(command: Embed, model: AlignmentModel) -> Blocks:
    """Embed raw rows of a file, which may hold any of the model's modalities."""
    from tuplet.data._arrow import checksum
    from tuplet.data._join import row_ids
    from tuplet.model._file_rows import file_rows
    from tuplet.store.tables import column_name

    for option in ("kind", "scaling", "root"):
        if getattr(command, option):
            raise InputError(f"{option} is {getattr(command, option)!r}, but the model says how rows are read; leave it out")
    file = Path(command.data.partition("?")[0])
    noted = (_note(command.run) or {"target": None})["target"]
    named = (*command.keep, command.target, command.group, noted)
    read = file_rows(model, command.run, file, beside=named, id=command.id, modalities=command.modalities)
    arrays, wanted, n = read.arrays, read.modalities, read.number
    if both := sorted(set(command.keep) & set(wanted)):
        raise InputError(
            f"keep names {both}, which the model embeds; keep a column beside the modalities, such as a copy of it"
        )
    asked = (command.target, command.group, *command.keep)
    kept = [("keep", name) for name in command.keep]
    for option, name in (("id", command.id), ("target", command.target), ("group", command.group), *kept):
        if name is not None and (name not in arrays or arrays[name].shape[:1] != (n,)):
            raise InputError(f"{option} is {name!r}, expected one with {n} rows of {command.data}: {', '.join(sorted(arrays))}")
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
    starts = range(0, n, BLOCK * command.batch_size)

    def blocks(some: slice) -> Iterator[Block]:
        for start in starts[some]:
            rows = slice(start, min(start + starts.step, n))
            vectors = read.encode(rows, command.batch_size)
            present = {k: model.rows(k, arrays[k][rows], argument=k)[1] for k in sorted(vectors)}
            yield present, vectors, {"id": ids[rows], **{k: v[rows] for k, v in known.items()}}

    files = sorted(p for p in file.rglob("*") if p.is_file()) if file.is_dir() else [file]
    return Blocks(len(starts), blocks, partial(checksum, files))


def _source(command: Embed, model: AlignmentModel) -> Blocks:
    """Embed all rows of the source that the model was trained on, or of one that is scaled alike."""
    import torch

    from tuplet.cli.runs import source_of
    from tuplet.store.tables import column_name

    note = _note(command.run) or {"method": None}
    by_method = note["method"] is not None and not command.given()
    source = source_of(note | {"data": command.data}) if by_method else opened(command.data, command)
    names = [k for k in model.encoders if k in source.modalities]
    if not names:
        raise InputError(f"{command.data} has {sorted(source.modalities)}, the model {sorted(model.encoders)}")
    if other := [k for k in names if source.preprocessing.get(k) != model.preprocessing.get(k)]:
        raise InputError(
            f"{command.data} is scaled otherwise than the data that the model was trained on ({other[0]!r}); give raw rows"
        )
    places = [getattr(source.split, part) for part in PARTS]
    parts = _parts(command, 1 + max(int(rows.max(initial=0)) for rows in places))
    size = command.batch_size
    starts = [(rows, start) for rows in (source.train, source.val, source.test) for start in range(0, len(rows), size)]

    def blocks(some: slice) -> Iterator[Block]:
        for rows, start in starts[some]:
            batch = rows[start : start + size]
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

    return Blocks(len(starts), blocks, lambda: source.fingerprint)
