"""A check-up of data for `tuplet data info`: what is missing, how classes and groups fall, and what looks wrong."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data.splits import PARTS

if TYPE_CHECKING:
    from tuplet.data import Source

MOST = 20_000
"""Rows that are compared with each other, at most."""
VALUES = 20_000_000
"""Numbers of a modality that are looked at, at most."""
FEW = 5
"""A class with fewer rows in a part, or a part with fewer groups, gives coarse figures."""


def checkup(source: Source) -> list[str]:
    """Check a source; each finding is a line that ends with the fix."""
    return [*_together(source), *_classes(source), *_groups(source), *_rows(source)]


def _together(source: Source) -> Iterator[str]:
    """Say which modalities are absent, and in how many rows all are there."""
    here = {k: source.present[k].numpy() for k in source.modalities}
    every = np.all(list(here.values()), axis=0)
    n = len(every)
    if every.all():
        yield f"missing: nothing, each of {n} rows has every modality"
        return
    gone = sorted(((int((~v).sum()), k) for k, v in here.items() if not v.all()), reverse=True)
    said = ", ".join(f"{k} in {count}" for count, k in gone)
    without = int(np.all([v for k, v in here.items() if k != gone[0][1]], axis=0).sum())
    names = shlex.join(["--modalities", *(k for k in here if k != gone[0][1])])
    fix = f"; {names} would leave {without} complete rows" if len(here) > 2 and without > every.sum() else ""
    yield f"missing: {said} of {n} rows; {int(every.sum())} have every modality{fix}"
    yield from vanished(source)


def vanished(source: Source) -> Iterator[str]:
    """Name the modalities that no row of a part has."""
    for name, here in source.present.items():
        if lost := [part for part in PARTS if not here.numpy()[_of(source, part)].any()]:
            fix = f"leave it out, or give a split in which every part has {name}"
            yield f"missing: no {' and no '.join(lost)} row has {name}, so nothing of it is measured there; {fix}"


def _classes(source: Source) -> Iterator[str]:
    """Count the rows of each class, and name classes that a part hardly has."""
    for name, about in source.targets.items():
        if about.kind != "class":
            continue
        codes = source.values[name].numpy()
        counts = np.zeros((len(PARTS), about.size), dtype=np.int64)
        for i, part in enumerate(PARTS):
            here = codes[_of(source, part)]
            np.add.at(counts[i], here[here >= 0], 1)
        total = counts.sum(axis=0)
        order = np.argsort(-total, kind="stable")
        some = ", ".join(f"{about.names[i]} {total[i]}" for i in order[:8])
        yield f"classes of {name}: {some}{f' and {about.size - 8} more' * (about.size > 8)}"
        rare = [about.names[i] for i in order if counts[:, i].min() < FEW]
        if rare:
            yield (
                f"check: {len(rare)} of {about.size} classes of {name} have fewer than {FEW} rows in a part of the split, such "
                f"as {rare[-1]!r}: their figures are coarse; merge rare classes, or give more rows"
            )


def _groups(source: Source) -> Iterator[str]:
    """Count the groups of each part, and say if they tell the class."""
    if source.group is None:
        return
    group = source.group.numpy()
    counts = {part: len(np.unique(group[_of(source, part)])) for part in PARTS}
    yield "groups: " + ", ".join(f"{part} {n}" for part, n in counts.items())
    if min(counts.values()) < FEW:
        few = min(counts, key=lambda part: counts[part])
        yield (
            f"check: {few} has {counts[few]} group{'s' * (counts[few] > 1)}: intervals over groups are wide; give data of more "
            f"groups, or a finer --group"
        )
    for name, about in source.targets.items():
        codes = source.values[name].numpy()
        if about.kind != "class" or (codes < 0).all():
            continue
        there = codes >= 0
        pure = [len(np.unique(codes[there & (group == g)])) == 1 for g in np.unique(group[there])]
        if len(pure) < there.sum() / 2 and np.mean(pure) > 0.9:
            yield (
                f"check: {sum(pure)} of {len(pure)} groups hold one class of {name}: what tells groups apart tells the class; "
                f"give groups that hold several classes, or many more groups"
            )


def _rows(source: Source) -> Iterator[str]:
    """Compare rows: copies across parts, few different rows, and columns that count the rows."""
    n = len(next(iter(source.present.values())))
    widest = max(math.prod(m.shape) for m in source.modalities.values())
    rows = np.arange(min(n, MOST, max(VALUES // widest, 2)))
    marks: dict[str, list[bytes]] = {}
    for k in sorted(source.modalities):
        marks[k], numbers = [], []
        for some in np.array_split(rows, max(1, len(rows) // 256)):
            block = source.read(k, torch.from_numpy(some)).numpy()
            marks[k] += [hashlib.sha256(row.tobytes()).digest() for row in block]
            numbers += [block] * (block.ndim == 2 and source.modalities[k].kind != "text")
        here = source.present[k].numpy()[rows]
        different = len({m for m, there in zip(marks[k], here, strict=True) if there})
        if 10 * different < here.sum():
            yield (
                f"check: {k} has {different} different values in {int(here.sum())} rows: equal rows are negatives of each "
                f"other; if it is a class, use {shlex.join(['--target', k])}, if it says who, {shlex.join(['--group', k])}"
            )
        if numbers:
            yield from _counters(source, k, np.concatenate(numbers)[here], n)
    whole = list(zip(*marks.values(), strict=True))
    parts = {part: {whole[i] for i in _of(source, part) if i < len(rows)} for part in PARTS}
    copied = sum(whole[i] in parts["train"] for i in source.split.test if i < len(rows))
    if copied:
        yield (
            f"check: of the test rows, {copied} {'is an exact copy' if copied == 1 else 'are exact copies'} of training rows, "
            f"which flatters every figure; drop the copies, or give copies one --group"
        )


def _counters(source: Source, name: str, values: NDArray[np.float32], n: int) -> Iterator[str]:
    """Name columns that grow or fall with every row, as an index and a time stamp do."""
    if len(values) < 20:
        return
    steps = np.diff(values.astype(np.float64), axis=0)
    columns = source.preprocessing[name].columns
    for i in np.flatnonzero((steps > 0).all(axis=0) | (steps < 0).all(axis=0))[:3]:
        what = f"column {columns[i]!r} of {name}" if columns else f"column {i} of {name}"
        what = name if values.shape[1] == 1 else what
        fix = (
            f"if it names the rows, use {shlex.join(['--id', name])}; otherwise leave it out"
            if what == name
            else "leave it out"
        )
        yield f"check: {what} changes in one direction from row to row ({n} rows), as an id or a time does: {fix}"


def _of(source: Source, part: str) -> NDArray[np.int64]:
    return np.asarray(getattr(source.split, part))
