"""Batches in an order that is a pure function of seed and epoch, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tuplet.data.source import Rows
from tuplet.types import Batch, InputError


def batches(rows: Rows, *, batch_size: int, seed: int, epoch: int, drop_last: bool = True) -> Iterator[Batch]:
    """Go through the batches of one epoch in shuffled order.

    Args:
        rows: one part of a source.
        batch_size: rows per batch, at least 1.
        seed: of the run.
        epoch: number of the epoch, from 0.
        drop_last: leave out an incomplete last batch, so that every step contrasts equally many rows.

    Returns:
        The batches, read as they are asked for.

    Raises:
        InputError: at the call, if a number is out of range or the rows do not fill one batch.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 2).numpy()
        >>> train = from_arrays({"a": x, "b": x}).train
        >>> [len(b) for b in batches(train, batch_size=5, seed=0, epoch=0)]
        [5, 5]
    """
    for argument, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("epoch", epoch, 0)):
        if value < least:
            raise InputError(f"{argument} is {value}, expected at least {least}")
    if drop_last and len(rows) < batch_size:
        raise InputError(
            f"batch_size is {batch_size}, but there are only {len(rows)} rows; lower it, or set drop_last=False"
        )
    order = order_of(len(rows), seed=seed, epoch=epoch)
    stop = len(rows) - len(rows) % batch_size if drop_last else len(rows)
    return (rows[order[start : start + batch_size]] for start in range(0, stop, batch_size))


def order_of(n: int, *, seed: int, epoch: int) -> Tensor:
    """Shuffle row numbers as `batches` does."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
