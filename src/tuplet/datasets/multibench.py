"""The affect files of MultiBench: one pickle with vision, audio, text, labels and ids of three parts, cleaned as it is read.

MOSEI, MOSI, MUStARD and UR-FUNNY come in this layout. The files are padded with zeros at the front, hold infinite values
in audio and NaN elsewhere; `read` undoes all of that, row by row. Sources are scaled by the words of their training rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Provenance, Source, Split, from_columns
from tuplet.data._lazy import Lazy, taken
from tuplet.data._scaling import Column, fit_scale
from tuplet.datasets._reader import Content, Needed, Reader, converted
from tuplet.io.unpickle import read_pickle
from tuplet.types import InputError, one_of

PARTS = ("train", "valid", "test")
MODALITIES = ("audio", "text", "vision")
Nan = Literal["error", "zero"]
"""NaN are counted and stop the reading, or become 0; infinite values, which audio is known to hold, become 0 either way."""
BLOCK = 256  # rows cleaned at a time
Scaling = Literal["train", "train-padded", "none"]
UNITS = {"audio": "COVAREP features", "text": "GloVe vectors", "vision": "facial features"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One published file."""

    name: str
    features: tuple[int, int, int]
    rows: tuple[int, int, int] | None = None


VARIANTS = (
    Variant("mosei_senti_data", (35, 74, 300), (16265, 1869, 4643)),
    Variant("mosei_raw", (713, 74, 300)),
    Variant("mosi_raw", (35, 74, 300)),
    Variant("mosi_data", (20, 5, 300)),
    Variant("sarcasm", (371, 81, 300), (414, 138, 138)),
    Variant("humor", (371, 81, 300)),
)


@dataclass(frozen=True)
class Affect:
    """A cleaned file."""

    file: Path
    variant: Variant
    columns: Mapping[str, Column]
    used: NDArray[np.int64]
    labels: NDArray[np.float64]
    ids: NDArray[np.str_]
    part: NDArray[np.int8]
    seen: tuple[str, ...]


def find(root: Path, names: tuple[str, ...]) -> Path:
    """Return the one file with a known name."""
    if root.is_file():
        return root
    found = [f for name in names if (f := root / f"{name}.pkl").is_file()]
    if len(found) != 1:
        listed = ", ".join(f"{n}.pkl" for n in names)
        what = f"{len(found)} of {listed}; give the file itself" if found else f"none of {listed}; give the folder, or the"
        raise InputError(f"root {root} holds {what}" + ("" if found else " file itself"))
    return found[0]


def read(file: Path, names: tuple[str, ...], *, nan: Nan = "error") -> Affect:
    """Open a file, tell which variant it is, and clean it: rows without words dropped, words moved to the front."""
    one_of("nan", nan, ("error", "zero"))
    content = read_pickle(file)
    parts = [_part(file, content, name) for name in PARTS]
    variant = _variant(file, parts, names)
    starts = [_first_words(p["text"]) for p in parts]
    steps = parts[0]["text"].shape[1]
    kept = [np.flatnonzero(s < steps) for s in starts]
    where = np.concatenate([np.stack([np.full(len(k), i), k], axis=1) for i, k in enumerate(kept)])
    start = np.concatenate([s[k] for s, k in zip(starts, kept, strict=True)])
    raw = {m: [p[m] for p in parts] for m in MODALITIES}
    counts = {m: _count(raw[m], where, start) for m in MODALITIES}
    if nan == "error" and (bad := {m: c[1] for m, c in counts.items() if c[1]}):
        listed = ", ".join(f"{n} in {m}" for m, n in bad.items())
        raise InputError(f"{file} has NaN ({listed} values); pass nan='zero' to replace them, or another file")
    dropped = [len(s) - len(k) for s, k in zip(starts, kept, strict=True)]
    seen = (
        f"variant {variant.name}: vision {variant.features[0]}, audio {variant.features[1]}, text {variant.features[2]} "
        f"numbers in {steps} steps",
        *(_rows_line(variant, [len(s) for s in starts])),
        f"rows without words, dropped: {sum(dropped)} (train {dropped[0]}, valid {dropped[1]}, test {dropped[2]})",
        *(f"{m}: {c[0]} infinite and {c[1]} NaN values become 0" for m, c in counts.items() if sum(c)),
    )
    return Affect(
        file,
        variant,
        {m: _column(raw[m], where, start) for m in MODALITIES},
        steps - start,
        np.concatenate([p["labels"][k] for p, k in zip(parts, kept, strict=True)]),
        np.concatenate([p["ids"][k] for p, k in zip(parts, kept, strict=True)]),
        where[:, 0].astype(np.int8),
        seen,
    )


def _part(file: Path, content: Any, name: str) -> dict[str, NDArray[Any]]:
    if not isinstance(content, dict) or not isinstance(content.get(name), dict):
        keys = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{file} holds {str(keys)[:80]}, expected a dict with the parts {list(PARTS)}")
    part, made = content[name], {}
    for key in (*MODALITIES, "labels"):
        value = part.get(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or 0 in value.shape:
            what = "missing" if value is None else "no array of numbers"
            raise InputError(f"{file} has {name}[{key!r}] {what}, expected numbers with one row per utterance")
        made[key] = value
    shape = made["text"].shape
    for key in MODALITIES:
        if made[key].ndim != 3 or made[key].shape[:2] != shape[:2]:
            raise InputError(f"{file} has {name}[{key!r}] of shape {made[key].shape}, expected {shape[:2]} + (features,)")
    if made["labels"].size != shape[0] or not np.isfinite(made["labels"]).all():
        raise InputError(f"{file} has {name}['labels'] of shape {made['labels'].shape}, expected {shape[0]} finite numbers")
    made["labels"] = made["labels"].reshape(-1).astype(np.float64)
    made["ids"] = _ids(file, part.get("id"), name, shape[0])
    return made


def _ids(file: Path, value: Any, name: str, n: int) -> NDArray[np.str_]:
    """Bring ids to text: plain, as bytes, or a row of columns of which the first names the video."""
    if value is None:
        return np.full(n, "")
    flat = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not flat or len(value) != n:
        raise InputError(f"{file} has {name}['id'] without one entry per row, expected {n} ids")
    rows = [list(v) if isinstance(v, (list, tuple)) or (isinstance(v, np.ndarray) and v.ndim) else [v] for v in value]
    entries = [r[0] if r else None for r in rows]
    if not all(isinstance(e, (str, bytes, int, float, np.generic)) for e in entries):
        raise InputError(f"{file} has {name}['id'] that is no text or number, expected {n} ids")
    return np.array([e.decode("latin-1") if isinstance(e, bytes) else str(e) for e in entries], dtype=str)


def _variant(file: Path, parts: list[dict[str, NDArray[Any]]], names: tuple[str, ...]) -> Variant:
    features = {tuple(p[m].shape[2] for m in ("vision", "audio", "text")) for p in parts}
    steps = {p["text"].shape[1] for p in parts}
    known = [v for v in VARIANTS if v.name in names]
    fits = [v for v in known if features == {v.features}]
    if len(steps) > 1 or not fits:
        listed = "; ".join(f"{v.name} {v.features}" for v in known)
        raise InputError(
            f"{file} has {sorted(features)} vision, audio and text numbers in {sorted(steps)} steps, expected one of {listed}"
        )
    rows = tuple(len(p["labels"]) for p in parts)
    exact = [v for v in fits if v.rows == rows]
    named = [v for v in fits if v.name == file.stem]
    if len(fits) > 1 and not exact and not named:
        listed = " or ".join(f"{v.name}.pkl" for v in fits)
        raise InputError(f"{file} could be {listed} by its sizes; give it the name it was published with")
    return (exact or named or fits)[0]


def _rows_line(variant: Variant, rows: list[int]) -> list[str]:
    found = f"rows: train {rows[0]}, valid {rows[1]}, test {rows[2]}"
    if variant.rows is None:
        return [f"{found} (no published count to compare with)"]
    same = tuple(rows) == variant.rows
    return [f"{found}, as published" if same else f"{found}, published were {' / '.join(map(str, variant.rows))}"]


def _first_words(text: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first step with a non-zero word vector, or the number of steps where there is none."""
    found = []
    for at in range(0, len(text), BLOCK):
        filled = (text[at : at + BLOCK] != 0).any(axis=2)
        found.append(np.where(filled.any(axis=1), filled.argmax(axis=1), text.shape[1]))
    return np.concatenate(found)


def _rows(raw: list[NDArray[Any]], where: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.float32]:
    """Gather rows from the three parts, words first, zeros behind; bad values stay."""
    out = np.zeros((len(where), *raw[0].shape[1:]), dtype=np.float32)
    steps = out.shape[1]
    with np.errstate(over="ignore"):
        for i, ((part, row), first) in enumerate(zip(where, start, strict=True)):
            out[i, : steps - first] = raw[part][row, first:]
    return out


def _column(raw: list[NDArray[Any]], where: NDArray[np.int64], start: NDArray[np.int64]) -> Lazy:
    def rows(at: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.nan_to_num(_rows(raw, where[at], start[at]), copy=False, nan=0.0, posinf=0.0, neginf=0.0)

    return Lazy((len(where), *raw[0].shape[1:]), rows)


def _count(raw: list[NDArray[Any]], where: NDArray[np.int64], start: NDArray[np.int64]) -> tuple[int, int]:
    infinite = nan = 0
    for at in range(0, len(where), BLOCK):
        values = _rows(raw, where[at : at + BLOCK], start[at : at + BLOCK])
        infinite += int(np.isinf(values).sum())
        nan += int(np.isnan(values).sum())
    return infinite, nan


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


def reader(names: tuple[str, ...], load: Callable[..., Source], report: Callable[[Affect], str], about: str | None) -> Reader:
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
        {m: _scaled(m, taken(affect.columns[m], rows), used, split.train, scaling) for m in MODALITIES},
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


def _scaled(name: str, column: Lazy, used: NDArray[np.int64], train: NDArray[np.int64], scaling: Scaling) -> Lazy:
    """Scale every feature and leave padding at zero."""
    if scaling == "none":
        return column
    steps = np.arange(column.shape[1])

    def words(at: NDArray[np.int64]) -> NDArray[Any]:
        return column[at][steps < used[at, None]]

    seen = column if scaling == "train-padded" else Lazy(column.shape, words)
    scale = fit_scale(name, seen, np.sort(train), scaling="channels")
    return Lazy(column.shape, lambda at: np.where((steps < used[at, None])[..., None], scale(column[at]), np.float32(0)))
