"""Cleaned affect files as one converted file, and as a source scaled by the words of its training rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Provenance, Source, Split, from_columns
from tuplet.data._lazy import Lazy
from tuplet.data._scaling import Column, fit_scale
from tuplet.datasets._reader import Content, Needed, Reader, converted
from tuplet.datasets.multibench import MODALITIES, VARIANTS, Affect, Nan, find, read
from tuplet.types import InputError, one_of

Scaling = Literal["train", "train-padded", "none"]
UNITS = {"audio": "COVAREP features", "text": "GloVe vectors", "vision": "facial features"}


def opened(root: Path, names: tuple[str, ...], *, nan: Nan = "error") -> Affect:
    """Open a pickle or a converted file."""
    file = find(root, names)
    if file.suffix != ".safetensors":
        return read(file, names, nan=nan)
    scalars: Needed = {"used": ("i", ()), "target.value": ("f", ()), "split": ("i", ())}
    table = converted(file, "affect", scalars)
    variant = next((v for v in VARIANTS if v.name in names and v.name == table.about.get("variant")), None)
    if variant is None:
        raise InputError(f"root {file} was not converted from one of {list(names)}; give such a file")
    widths = dict(zip(("vision", "audio", "text"), variant.features, strict=True))
    converted(file, "affect", {f"input.{m}": ("f", (None, widths[m])) for m in MODALITIES})
    columns: dict[str, Column] = {m: table.columns[f"input.{m}"] for m in MODALITIES}
    used, labels, part = (table.columns[k] for k in scalars)
    try:
        ids = np.array([str(i) for i in json.loads(table.about["ids"])], dtype=str)
    except (LookupError, ValueError, TypeError, RecursionError):
        ids = np.empty(0, dtype=str)
    if ids.shape != labels.shape or not np.isfinite(labels).all():
        raise InputError(f"root {file} has ids or labels that do not fit its rows; convert it again")
    return Affect(file, variant, columns, used, labels, ids, part, (f"converted from {variant.name}",))


def reader(
    names: tuple[str, ...], load: Callable[..., Source], report: Callable[[Affect], str], about: str | None
) -> Reader:
    """Make the reader of some variants; ``report`` gives the last line of `Reader.verify`."""

    def content(root: Path, *, nan: Nan = "error") -> Content:
        affect = read(find(root, names), names, nan=nan)
        columns: dict[str, Any] = {f"input.{m}": affect.columns[m] for m in MODALITIES}
        columns |= {"target.value": affect.labels, "used": affect.used, "split": affect.part}
        lists = {"ids": json.dumps(affect.ids.tolist()), "seen": json.dumps(affect.seen)}
        return Content(columns, {"name": "affect", "variant": affect.variant.name, **lists})

    def found(root: Path) -> list[str]:
        affect = read(find(root, names), names, nan="zero")
        return [*affect.seen, report(affect)]

    return Reader(load, content, found, about)


def made(
    affect: Affect,
    *,
    targets: Mapping[str, NDArray[Any]],
    classes: Mapping[str, Sequence[str]],
    target_kind: Mapping[str, str] | None = None,
    keep: NDArray[np.int64] | None = None,
    group: NDArray[np.str_] | None = None,
    contrast: Literal["groups", "rows"] = "groups",
    split: Split | None = None,
    scaling: Scaling = "train",
    about: tuple[str, str, str] = ("", "", ""),
) -> Source:
    """Make a source of cleaned rows."""
    one_of("scaling", scaling, get_args(Scaling))
    rows = np.arange(len(affect.labels)) if keep is None else keep
    if split is None:
        split = Split.of(np.asarray(affect.part)[rows])
    used = np.asarray(affect.used)[rows]
    with affect.file.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha256").hexdigest()
    return from_columns(
        {m: _scaled(m, _taken(affect.columns[m], rows), used, split.train, scaling) for m in MODALITIES},
        checksum=f"{checksum} {scaling}",
        targets=targets,
        target_kind=target_kind,
        classes=classes,
        group=group,
        contrast=contrast,
        split=split,
        scaling="none",
        units=UNITS,
        name=affect.variant.name,
        provenance=Provenance(*about, origin=str(affect.file), sha256=checksum),
    )


def _taken(column: Column, rows: NDArray[np.int64]) -> Lazy:
    return Lazy((len(rows), *column.shape[1:]), lambda at: np.asarray(column[rows[at]]))


def _scaled(name: str, column: Lazy, used: NDArray[np.int64], train: NDArray[np.int64], scaling: Scaling) -> Lazy:
    """Scale every feature and leave padding at zero."""
    if scaling == "none":
        return column
    steps = np.arange(column.shape[1])

    def words(at: NDArray[np.int64]) -> NDArray[Any]:
        return column[at][steps < used[at, None]]

    seen = column if scaling == "train-padded" else Lazy(column.shape, words)
    scale = fit_scale(name, seen, np.sort(train), scaling="channels")
    return Lazy(
        column.shape, lambda at: np.where((steps < used[at, None])[..., None], scale(column[at]), np.float32(0))
    )
