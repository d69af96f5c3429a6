"""Embeddings on disk: one file, as columns that are mapped into memory, or as a table with a row per item and modality."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data import Table, write_table
from tuplet.model import WEIGHTS
from tuplet.store import _cells, _long, _shards
from tuplet.store._foreign import foreign
from tuplet.types import Embeddings, InputError

Columns = dict[str, NDArray[Any]]
SUFFIXES = (".safetensors", ".parquet", ".h5ad", ".npz")
FIXED = ("id", "modality", "vector", "row", "part", "group")
"""Columns with a meaning of their own; a target of that name is called ``target.<name>``."""
TEXT = "text."
"""Columns of the mapped file that hold texts, as bytes, begin so."""


@dataclass(frozen=True)
class Stored:
    """Embeddings of ``n`` items as a file holds them; vectors are read when they are asked for.

    Attributes:
        ids: ``(n,)`` whole numbers or texts, each once.
        present: modality -> bool ``(n,)``, in sorted order.
        vectors: call it for modality -> ``(n, D)``, 0 where absent. Those of a ``.safetensors`` file are mapped into memory:
            drop them after use, and the memory is free again.
        columns: name -> ``(n, ...)``: ``part``, ``group`` and the targets, as numbers or texts.
        about: what the writer said: ``model`` (its folder) and ``model.sha256`` (of its weights), where known.
        path: the file; None before it is written.
    """

    ids: NDArray[Any]
    present: dict[str, NDArray[np.bool_]]
    vectors: Callable[[], Columns] = field(repr=False)
    columns: Columns
    about: dict[str, str]
    path: Path | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)

    @cached_property
    def width(self) -> int:
        """Return ``D``."""
        return int(next(iter(self.vectors().values())).shape[1])

    def check_model(self, folder: Path) -> None:
        """Refuse a model whose vectors these are not, as far as the file tells."""
        known = self.about.get("model.sha256")
        if known is not None and known != model_note(folder)["model.sha256"]:
            raise InputError(
                f"{self.path} holds vectors of another model ({self.about.get('model', 'unknown')}) than {folder}; give that "
                f"model, or run `tuplet embed {folder} DATA` again"
            )


def write(
    path: str | Path,
    emb: Embeddings,
    *,
    ids: Any = None,
    columns: Mapping[str, Any] | None = None,
    model: str | Path | None = None,
) -> Path:
    """Write embeddings to one file, which is either complete or absent however the process ends.

    Args:
        path: ``.safetensors`` (also without a suffix): columns that are mapped into memory, for search at any size;
            ``.parquet`` (needs tuplet[tables]) or ``.npz``: a table with a row per item and modality, for other programs.
        emb: embeddings; ``z``, ``present``, ``index``, ``group`` and ``target`` are kept, ``h`` and ``aux`` are not.
        ids: one whole number or text per item, each once; ``emb.index`` when left out.
        columns: name -> ``(N,)`` numbers or texts to keep beside the targets, such as ``path`` or ``caption``.
        model: folder of the model; a search with another one is then refused.

    Returns:
        The path.

    Raises:
        InputError: for another suffix, ids that are not unique, columns of another length, values that are not finite, or no
            vector at all.

    Notes:
        The table has the columns ``id``, ``modality``, ``vector``, those of the items, and ``row``, the place of the item. What
        is absent stands under ``absent.id``, ``absent.modality`` and ``absent.row``, in Parquet's metadata as JSON.

    Example:
        >>> import tempfile
        >>> emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)}, target={"label": torch.tensor([0, 1, 1])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     back = read(write(Path(folder, "emb.npz"), emb))
        >>> torch.equal(back.z["a"], emb.z["a"]), back.target["label"].tolist()
        (True, [0, 1, 1])
    """
    kept: Columns = {"group": emb.group.cpu().numpy()} if emb.group is not None else {}
    kept |= {column_name(k): v.detach().cpu().numpy() for k, v in emb.target.items()}
    for name, given in (columns or {}).items():
        kept[column_name(name)] = np.asarray(given)
    vectors = {k: _numbers(emb.z[k]) for k in emb.modalities}
    present = {k: emb.present[k].cpu().numpy() for k in emb.modalities}
    about = {} if model is None else model_note(Path(model))
    return save(Stored(np.asarray(emb.index.cpu() if ids is None else ids), present, lambda: vectors, kept, about), path)


def read(path: str | Path) -> Embeddings:
    """Read embeddings that `write`, `tuplet embed` or another program wrote.

    Args:
        path: the file or folder, as in `open_store`.

    Returns:
        The embeddings, bit for bit; ``h`` is ``z``. Ids that are texts become places 0, 1, ...; texts in other columns become
        their places in sorted order, the empty one -1. ``open_store(path)`` has the texts.

    Raises:
        InputError: if the file is missing, damaged, or no such file.

    Example:
        >>> read("nowhere.npz")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere.npz is not there; check the path
    """
    stored = open_store(path)
    z = {k: torch.from_numpy(np.array(v)) for k, v in stored.vectors().items()}
    columns = {k.removeprefix("target."): torch.from_numpy(codes(v)) for k, v in stored.columns.items() if k != "group"}
    group = stored.columns.get("group")
    whole = stored.ids.dtype.kind == "i"
    return Embeddings(
        z=z,
        h=dict(z),
        present={k: torch.from_numpy(v.copy()) for k, v in stored.present.items()},
        index=torch.from_numpy(stored.ids.astype(np.int64)) if whole else torch.arange(len(stored)),
        group=None if group is None else torch.from_numpy(codes(group)),
        target=columns,
        aux={},
        rows=slice(0, len(stored)),
    )


def save(stored: Stored, path: str | Path, *, part: bool = False) -> Path:
    """Write a store in the format that the suffix names; only a part of one may lack any vector."""
    file = Path(path)
    if file.suffix.lower() not in (*SUFFIXES, ""):
        raise InputError(f"out is {file}, expected a file that ends with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if file.is_dir():
        raise InputError(f"out is {file}, which is a folder; name a file in it")
    vectors = stored.vectors()
    _check(stored, vectors, part=part)
    if kind := {".parquet": _long, ".npz": _long, ".h5ad": _cells}.get(file.suffix.lower()):
        kind.save(file, stored.ids, stored.present, vectors, stored.columns, stored.about)
        return file
    table: Columns = {f"z.{k}": v for k, v in vectors.items()} | {f"present.{k}": v for k, v in stored.present.items()}
    for name, column in {"id": stored.ids, **{f"column.{k}": v for k, v in stored.columns.items()}}.items():
        if column.dtype.kind == "U":
            column = np.char.encode(column, "utf-8")
            table[TEXT + name] = (
                column.view(np.uint8).reshape(len(column), -1) if column.itemsize else np.zeros((len(column), 1), "u1")
            )
        else:
            table[name] = column
    return write_table(file, table, about=stored.about)


def open_store(path: str | Path, modalities: Sequence[str] | None = None) -> Stored:
    """Open embeddings, whoever wrote them; the first bytes of a file tell its format.

    Args:
        path: what `write` or `tuplet embed` wrote, a folder of `tuplet index`, or vectors of another program: a table with the
            columns ``id``, ``modality`` and ``vector``; a table, an ``.npz`` or a ``.safetensors`` file with floats ``(n, D)``
            per modality, paired by position, or by arrays ``NAME.id`` where modalities have their own; or a folder of
            ``NAME.npy`` files, or of ``NAME.parquet`` files, which are joined by a column ``id``.
        modalities: those to take; all when left out.

    Returns:
        The `Stored`; vectors of a ``.safetensors`` file that `write` wrote stay on disk until they are asked for.

    Raises:
        InputError: if the file is missing, damaged, or no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write(Path(folder, "emb.safetensors"), Embeddings.of({"a": torch.eye(2)}), ids=["x", "y"])
        ...     open_store(file).ids.tolist()
        ['x', 'y']
    """
    file = Path(path)
    if (file / "store.safetensors").is_file():
        file = file / "store.safetensors"
    if not file.exists():
        raise InputError(f"{file} is not there; check the path")
    shards = _shards.parts(file)
    kind = "shards" if shards else _long.kind_of(file)
    about: dict[str, str] = {}
    if kind == "mapped":
        ids, present, columns, about = _mapped(file)
        vectors: Callable[[], Columns] = partial(_views, file, tuple(present))
    else:
        if kind == "shards":
            ids, present, found, columns, about = _shards.opened(shards)
        elif kind == "foreign":
            ids, present, found, columns = foreign(file, modalities)
        else:
            ids, present, found, columns, about = _long.opened(file, kind == "parquet")
        vectors = partial(dict, found)
    if unknown := sorted(set(modalities or ()) - set(present)):
        raise InputError(f"modalities names {unknown}, but {file} has {', '.join(present)}")
    if modalities:
        present, every = {k: present[k] for k in sorted(set(modalities))}, vectors
        vectors = lambda: {k: v for k, v in every().items() if k in present}  # noqa: E731
    stored = Stored(ids, present, vectors, columns, about, file)
    _check(stored, vectors(), read=True)
    return stored


def _mapped(file: Path) -> tuple[NDArray[Any], dict[str, NDArray[np.bool_]], Columns, dict[str, str]]:
    """Read everything but the vectors of a mapped file."""
    table = Table.open(file)
    coded = {k: v for k, v in table.columns.items() if k.startswith(TEXT) and v.dtype == np.uint8 and v.ndim == 2 and v.size}
    try:
        texts = {
            k.removeprefix(TEXT): np.char.decode(np.array(v).view(f"S{v.shape[1]}")[:, 0], "utf-8") for k, v in coded.items()
        }
    except UnicodeDecodeError:
        raise InputError(f"{file} has texts that are no UTF-8; it was overwritten, write it again") from None
    found = {k: np.array(v) for k, v in table.columns.items() if not k.startswith(("z.", TEXT))} | texts
    names = [k.removeprefix("z.") for k in table.columns if k.startswith("z.")]
    if not names or "id" not in found or any(f"present.{k}" not in found for k in names):
        raise InputError(f"{file} holds {', '.join(table.columns)[:120]}, but no embeddings; give a file of `tuplet embed`")
    present = {k: found[f"present.{k}"] for k in sorted(names)}
    columns = {k.removeprefix("column."): v for k, v in found.items() if k.startswith("column.")}
    return found["id"], present, columns, table.about


def _views(file: Path, names: tuple[str, ...]) -> Columns:
    columns = Table.open(file).columns
    return {k: columns[f"z.{k}"] for k in names}


def model_note(folder: Path) -> dict[str, str]:
    """Name a model by its folder and its weights."""
    try:
        with (folder / WEIGHTS).open("rb") as file:
            return {"model": str(folder.absolute()), "model.sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError:
        raise InputError(f"model is {folder}, which holds no {WEIGHTS}; give the folder that `tuplet train` wrote to") from None


def column_name(target: str) -> str:
    """Name the column of a target."""
    return f"target.{target}" if target in FIXED or target.startswith("absent.") else target


def _numbers(z: torch.Tensor) -> NDArray[Any]:
    """Return vectors as NumPy has them; it lacks bfloat16, of which float32 holds every value."""
    return np.asarray((z.float() if z.dtype == torch.bfloat16 else z).detach().cpu().numpy())


def codes(column: NDArray[Any]) -> NDArray[Any]:
    """Number texts in sorted order, the empty one -1."""
    if column.dtype.kind != "U":
        return column.copy()
    words = np.unique(column)
    return np.asarray(np.searchsorted(words[words != ""], column) - (column == ""), dtype=np.int64)


def _check(stored: Stored, vectors: Columns, *, read: bool = False, part: bool = False) -> None:
    """Refuse what is no store; values only before they are written: reading all of them may take minutes."""
    where = f"{stored.path}: " if read else ""
    n = len(stored)
    if stored.ids.ndim != 1 or stored.ids.dtype.kind not in "iufU" or len(np.unique(stored.ids)) < n:
        raise InputError(
            f"{where}ids are {stored.ids.dtype} of shape {stored.ids.shape}, expected one number or text per item, each once"
        )
    if not part and not any(here.any() for here in stored.present.values()):
        raise InputError(
            f"{where}no item is present in any modality; nothing was written" if not read else f"{where}holds no vector"
        )
    shape = next(iter(vectors.values())).shape
    for name, z in vectors.items():
        if z.shape != shape or z.ndim != 2 or z.shape[0] != n or z.dtype.kind != "f":
            raise InputError(f"{where}vectors of {name!r} have shape {z.shape} and dtype {z.dtype}, expected floats {shape}")
        if stored.present[name].shape != (n,) or stored.present[name].dtype != np.bool_:
            raise InputError(f"{where}present[{name!r}] has shape {stored.present[name].shape}, expected bool ({n},)")
        if not read and not np.isfinite(z[stored.present[name]]).all():
            raise InputError(f"vectors of {name!r} have NaN or infinite values; mark those rows as absent")
    for name, column in stored.columns.items():
        if column.shape[:1] != (n,) or column.dtype.kind not in "biufU":
            raise InputError(
                f"{where}column {name!r} has shape {column.shape} and dtype {column.dtype}, expected {n} numbers or texts"
            )
