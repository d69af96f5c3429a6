"""Hints on a user's data, each one line with the fix: what would make every later number mislead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data.source import Source
from tuplet.types import kind_of

ROWS, VALUES = 2_000, 1_000_000
"""How many rows, and numbers of a modality, are looked at."""
NEAR = 0.05
"""Neighbouring rows are nearly equal if the median of their squared distances is below this share of that of any two rows."""


def with_hints(source: Source) -> Source:
    """Look at the first rows of a source for what a user may not have meant, and add what was found to its notes."""
    return noted(source, _found(source))


def noted(source: Source, notes: Iterable[str]) -> Source:
    """Add notes to those of a source."""
    return replace(source, provenance=replace(source.provenance, notes=(*source.provenance.notes, *notes)))


def _found(source: Source) -> Iterator[str]:
    present = np.stack([source.present[k].numpy() for k in sorted(source.modalities)])
    complete: NDArray[np.bool_] = np.asarray(present.all(axis=0))
    if (few := int(complete.sum())) < 50:
        pool = int(complete[source.split.test].sum())
        yield (
            f"only {few} rows have every modality: retrieval among the test rows has a pool of {pool}, and figures will be "
            f"coarse; give more rows, or leave out the modality that lacks most with --modalities"
        )
    yield from _gaps(source, present)
    n = len(complete)
    widest = max(math.prod(m.shape) for m in source.modalities.values())
    rows = np.arange(min(n, ROWS, max(VALUES // widest, 2)))
    rows = rows[complete[: len(rows)]]
    if len(rows) < 10:
        return
    part = np.full(n, -1)
    for code, where in enumerate((source.split.train, source.split.val, source.split.test)):
        part[where] = code
    looked = {k: source.read(k, torch.from_numpy(rows)).numpy() for k in source.modalities}
    copies = len(rows) - len({b"".join(v[i].tobytes() for v in looked.values()) for i in range(len(rows))})
    if copies:
        of = "" if len(rows) == n else f" of the first {len(rows)}"
        yield (
            f"{copies} rows{of} are exact copies of others in every modality: copies in training and test rows flatter every "
            f"figure; drop them, or give the copies of a row one group"
        )
        return
    crossing = source.group is None and bool((np.diff(part[rows]) != 0).any())
    if crossing and all(_overlap(source, k, v) for k, v in looked.items()):
        yield (
            "neighbouring rows are nearly equal and lie in different parts of the split (windows that overlap?): the test rows "
            "were as good as seen in training; give a group with --group (group=), such as the recording of each row"
        )


def _gaps(source: Source, present: NDArray[np.bool_]) -> Iterator[str]:
    """Tell whether the class can be read from which modalities are absent."""
    pattern = np.unique(present, axis=1, return_inverse=True)[1].reshape(-1)
    patterns = int(pattern.max()) + 1
    for name, about in source.targets.items():
        codes = source.values[name].numpy()
        if about.kind != "class" or patterns < 2:
            continue
        there = codes >= 0
        counts = np.zeros((patterns, about.size), dtype=np.int64)
        np.add.at(counts, (pattern[there], codes[there]), 1)
        total = counts.sum()
        right, most = counts.max(axis=1).sum() / total, counts.sum(axis=0).max() / total
        if right > most + 0.1 + 2 * math.sqrt(patterns / total):
            yield (
                f"which modalities are absent tells {name} in {100 * right:.0f} % of rows ({100 * most:.0f} % by the largest "
                f"class alone): a model may learn the gaps; compare on rows that have every modality"
            )


def _overlap(source: Source, name: str, values: NDArray[np.float32]) -> bool:
    """Tell whether each row is nearly the one before it, or the same steps a little later."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    other = np.random.default_rng(0).permutation(len(flat))
    near = np.median(((flat[1:] - flat[:-1]) ** 2).mean(axis=1))
    any_two = np.median(((flat - flat[other]) ** 2).mean(axis=1))
    if near < NEAR * any_two:
        return True
    kind = source.modalities[name].kind or kind_of(source.modalities[name].shape)
    if kind not in ("sequence", "signal"):
        return False
    steps = values if kind == "sequence" else np.swapaxes(values, 1, 2)
    pairs = list(pairwise(steps[:101]))
    return sum(_continues(a, b) for a, b in pairs) > 0.8 * len(pairs)


def _continues(row: NDArray[np.float32], following: NDArray[np.float32]) -> bool:
    """Tell whether a row begins inside the one before it."""
    starts = np.flatnonzero((row == following[0]).all(axis=1))
    return any(0 < s < len(row) - 1 and np.array_equal(row[s:], following[: len(row) - s]) for s in starts[:5])
