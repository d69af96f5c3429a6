"""What readers of tactile data sets share on the side of the source: text, sensor ids, parts, and what `verify` says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tuplet.data import Source, Split, Target, from_columns, split_rows
from tuplet.data._hints import noted
from tuplet.data._lazy import Lazy
from tuplet.data._text import FEATURES, hashed
from tuplet.data.splits import PARTS
from tuplet.datasets._reader import Content, opened
from tuplet.datasets._touch_files import same_options
from tuplet.types import InputError, in_range, one_of

Normalisation = Literal["clip", "imagenet", "none"]
Tokenise = Callable[[list[str]], ArrayLike]
Codes = NDArray[np.int64]
COLOURS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of red, green and blue, for pictures from 0 to 1."""
VALIDATION = 0.1
"""Share of the training rows that validates where the published split has no such part."""


class How(NamedTuple):
    """The options that all tactile readers share."""

    side: int
    normalisation: Normalisation
    tokenise: Tokenise | None
    seed: int


def assemble(
    root: str | Path,
    about: Mapping[str, str],
    read: partial[Content],
    how: How,
    *,
    published: str | None = None,
    label: str | None = None,
    pictures: tuple[str, ...] = ("touch", "vision"),
    texts: tuple[str, ...] = ("text",),
) -> Source:
    """Make the source: what the files lack is absent in every row, so that every set fits every model."""
    one_of("normalisation", how.normalisation, ("clip", "imagenet", "none"))
    in_range("side", how.side, 8, 2049)
    in_range("seed", how.seed, 0)
    root = Path(root)
    found = opened(root, about, {"group": ("i", ()), "target.sensor": ("i", ())}, read)
    same_options(root, found.about, {k: v for k, v in read.keywords.items() if k != "side"})
    values, targets = class_targets(found, root)
    n, digest = len(found.columns["group"]), hashlib.sha256(f"{found.checksum} {how.normalisation}".encode())
    inputs: dict[str, Any] = {}
    present: dict[str, NDArray[np.bool_]] = {}
    for name in pictures:
        inputs[name], present[name] = _picture_column(found, name, n, how, root)
    for name in texts:
        inputs[name], present[name] = text_column(found, name, n, how.tokenise, digest, root)
    group = np.unique(np.asarray(found.columns["group"]), return_inverse=True)[1].astype(np.int64)
    split, leaks = parts_of(found, group, published, values.get(label or ""), how.seed, root)
    source = from_columns(
        inputs,
        checksum=digest.hexdigest(),
        split=split,
        scaling="none",  # of pictures of bytes: they are divided by 255 all the same
        units=dict.fromkeys(pictures, "brightness"),
        name=about["name"],
        provenance=found.provenance(root),
    )
    return replace(
        noted(source, [f"split {published}: {leaks} groups are in more than one part"] * (leaks > 0)),
        present={k: torch.from_numpy(v) for k, v in present.items()},
        values={k: torch.from_numpy(v) for k, v in values.items()},
        targets=targets,
        group=torch.from_numpy(group),
        aux=("object", "sensor") if "object" in targets else ("sensor",),
    )


def in_ids(load: Callable[..., Source], tokenise: Tokenise) -> Source:
    """Load a set as text towers read it: with the token ids that it stores, or with those of its sentences."""
    source = load()
    hashed = "text" in source.modalities and source.modalities["text"].shape == (FEATURES,)
    return load(tokenise=tokenise) if hashed else source


def described(root: Path, read: Callable[[Path], Content]) -> list[str]:
    """Open every picture and say what was found."""
    found = read(root)
    columns, group = found.columns, found.columns["group"]
    lines = [f"{len(group)} rows in {len(np.unique(group))} groups"]
    for name in sorted(k for k in columns if k.startswith("split.")):
        part = columns[name]
        counts = ", ".join(f"{int((part == i).sum())} {p}" for i, p in enumerate(PARTS))
        shared = straddling(part, group)
        leak = f"{shared} groups are in two parts, so that test rows may have near copies in training"
        lines.append(
            f"published split {name.removeprefix('split.')}: {counts}; {leak if shared else 'no group is in two parts'}"
        )
    for name in sorted(k for k in columns if k.startswith("target.")):
        names = json.loads(found.about[f"classes.{name.removeprefix('target.')}"])
        codes, rows = np.unique(columns[name], return_counts=True)
        said = [f"{names[c] if c >= 0 else 'none'} {k}" for c, k in zip(codes, rows, strict=True)]
        lines.append(f"{name.removeprefix('target.')}: {', '.join(said[:24])}{', ...' * (len(said) > 24)}")
    for name in sorted(k for k in columns if k.startswith(("text.", "ids."))):
        here = np.asarray(columns[name]).any(axis=1)
        lines.append(
            f"{name.partition('.')[2]}: {int(here.sum())} rows, {len(np.unique(columns[name][here], axis=0))} different"
        )
    for name in sorted(k for k in columns if k.startswith("input.")):
        here = columns[name.replace("input.", "present.")]
        total = sum((block.mean(axis=(2, 3)).sum(axis=0) for block in columns[name]), start=np.zeros(3))
        colour = " ".join(f"{c / 255 / max(1, here.sum()):.2f}" for c in total)
        lines.append(f"{name.removeprefix('input.')}: {int(here.sum())} pictures, mean colour {colour}")
    return lines


def straddling(part: NDArray[Any], group: NDArray[Any]) -> int:
    """Count the groups that have rows in more than one part."""
    pairs = np.unique(np.stack([np.asarray(group), np.asarray(part)])[:, np.asarray(part) >= 0], axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def class_targets(found: Content, root: Path) -> tuple[dict[str, Codes], dict[str, Target]]:
    """Check class codes, -1 where a row has none, and the names of their classes."""
    values, targets = {}, {}
    for column in sorted(k for k in found.columns if k.startswith("target.")):
        name = column.removeprefix("target.")
        try:
            names = json.loads(found.about.get(f"classes.{name}", ""))
        except (ValueError, RecursionError):
            names = None
        codes = np.asarray(found.columns[column])
        good = isinstance(names, list) and all(isinstance(v, str) and v.isprintable() for v in names)
        if not good or codes.ndim != 1 or codes.dtype.kind != "i" or codes.min() < -1 or codes.max() >= len(names):
            raise InputError(f"root {root} has classes or codes of {name} that are damaged; convert it again")
        values[name] = codes.astype(np.int64)
        targets[name] = Target("class", len(names), names=tuple(names))
    return values, targets


def parts_of(
    found: Content, group: Codes, published: str | None, label: Codes | None, seed: int, root: Path
) -> tuple[Split, int]:
    """Take the published parts, or draw them group by group; also count the groups that the published parts cut."""
    if published is None:
        alone = len(np.unique(group)) == len(group)
        return split_rows(len(group), labels=label, group=None if alone else group, seed=seed), 0
    column = found.columns.get(f"split.{published}")
    part = None if column is None else np.array(column)
    if part is None or part.ndim != 1 or part.dtype.kind != "i" or part.min() < -1 or part.max() > 2:
        raise InputError(f"root {root} has no published split {published}; take the other split, or copy its files")
    if not (part == 1).any():
        part[_held_out(part, group, seed)] = 1
    if empty := [p for i, p in enumerate(PARTS) if not (part == i).any()]:
        raise InputError(f"root {root} has no {empty[0]} rows in the published split {published}; take the other split")
    return replace(Split.of(part), seed=seed), straddling(part, group)


def _held_out(part: NDArray[Any], group: Codes, seed: int) -> NDArray[np.bool_]:
    """Choose training groups, whole, for validation: up to a tenth of the rows, or the smallest one."""
    names, counts = np.unique(group[part == 0], return_counts=True)
    room, chosen = VALIDATION * counts.sum(), []
    for i in np.random.default_rng(seed).permutation(len(names)):
        if counts[i] <= room:
            room -= counts[i]
            chosen.append(names[i])
    smallest = names[counts.argsort(kind="stable")[: len(names) > 1]]  # where no group is small enough
    return np.asarray(np.isin(group, chosen or smallest) & (part == 0))


def _picture_column(found: Content, name: str, n: int, how: How, root: Path) -> tuple[Any, NDArray[np.bool_]]:
    """Return pictures on demand, and where they are there: nowhere if the set has none."""
    shape, column = (n, 3, how.side, how.side), found.columns.get(f"input.{name}")
    if column is None:
        return Lazy(shape, lambda rows: np.zeros((len(rows), *shape[1:]), np.uint8), np.dtype(np.uint8)), np.zeros(n, bool)
    here = found.columns.get(f"present.{name}")
    if column.shape != shape or column.dtype != np.uint8 or here is None or here.shape != (n,) or here.dtype != np.bool_:
        raise InputError(
            f"root {root} has {name} of shape {column.shape}, expected {shape}; convert it again, or give its side"
        )
    if how.normalisation != "none":
        column = coloured(column, how.normalisation)
    return column, np.asarray(here).view(np.uint8) != 0


def coloured(pictures: Any, colours: str) -> Lazy:
    """Bring pictures of bytes to 0 .. 1, subtract a mean colour and divide by its deviation."""
    mean, deviation = (np.array(v, np.float32).reshape(3, 1, 1) for v in COLOURS[colours])

    def read_rows(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        values = np.asarray(pictures[rows]).astype(np.float32) / np.float32(255)
        return np.asarray((values - mean) / deviation, dtype=np.float32)

    return Lazy(pictures.shape, read_rows)


def text_column(
    found: Content, name: str, n: int, tokenise: Tokenise | None, digest: Any, root: Path
) -> tuple[Any, NDArray[np.bool_]]:
    """Return token ids, or hashed words, of the texts; each different one is treated once."""
    ids, raw = (found.columns.get(f"{k}.{name}") for k in ("ids", "text"))
    if ids is not None:
        if tokenise is not None:
            raise InputError(f"tokenise is given, but {name} lies in {root} as ids of CLIP's tokens; leave it out")
        if ids.ndim != 2 or ids.dtype.kind != "i" or ids.min() < 0 or ids.max() >= 2**20:
            raise InputError(f"root {root} has damaged ids of {name}; convert it again")
        digest.update(np.ascontiguousarray(ids).tobytes())
        return np.asarray(ids), np.asarray(np.asarray(ids).any(axis=1))
    raw = np.zeros((n, 1), np.uint8) if raw is None else np.asarray(raw)
    if raw.ndim != 2 or raw.dtype != np.uint8 or 0 in raw.shape:
        raise InputError(f"root {root} has damaged text in {name}; convert it again")
    unique, at = np.unique(raw, axis=0, return_inverse=True)
    try:
        words = [row.tobytes().rstrip(b"\0").decode() for row in unique]
    except UnicodeDecodeError:
        raise InputError(f"root {root} has {name} that is not UTF-8; convert it again") from None
    numbers = hashed(name, words)[0] if tokenise is None else np.asarray(tokenise(words))
    if numbers.ndim != 2 or len(numbers) != len(words) or numbers.dtype.kind not in "iuf":
        raise InputError(f"tokenise gives {numbers.dtype} of shape {numbers.shape}, expected numbers ({len(words)}, length)")
    digest.update(f"{numbers.shape} {numbers.dtype}".encode() + np.ascontiguousarray(numbers).tobytes())
    there, back = np.array([bool(w) for w in words]), at.reshape(-1)
    texts = None if tokenise is not None else lambda: np.array(words)[back]
    return Lazy((n, *numbers.shape[1:]), lambda rows: numbers[back[rows]], numbers.dtype, texts), there[back]
