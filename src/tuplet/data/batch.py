"""Batches in an order that is a pure function of seed and epoch, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tuplet.data.source import Rows
from tuplet.types import Batch


def batches(rows: Rows, *, batch_size: int, seed: int, epoch: int, drop_last: bool = True) -> Iterator[Batch]:
    """Yield the batches of one epoch in shuffled order.

    Args:
        rows: one part of a source.
        batch_size: rows per batch, at least 1.
        seed: of the run.
        epoch: number of the epoch, from 0.
        drop_last: leave out an incomplete last batch, so that every step contrasts equally many rows.

    Yields:
        Batches.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 2).numpy()
        >>> train = from_arrays({"a": x, "b": x}).train
        >>> [len(b) for b in batches(train, batch_size=5, seed=0, epoch=0)]
        [5, 5]
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
    stop = len(rows) - len(rows) % batch_size if drop_last else len(rows)
    for start in range(0, stop, batch_size):
        yield rows[order[start : start + batch_size]]
