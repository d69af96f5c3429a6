"""Ways to go through a source: in batches, with entries hidden, without groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tuplet.data.source import Rows, Source
from tuplet.types import Batch, InputError, in_range


def batches(rows: Rows, *, batch_size: int, seed: int, epoch: int, drop_last: bool = True, first: int = 0) -> Iterator[Batch]:
    """Go through the batches of one epoch in an order that seed and epoch alone decide, so that a resumed run sees the same.

    Args:
        rows: one part of a source.
        batch_size: rows per batch, at least 1.
        seed: of the run.
        epoch: number of the epoch, from 0.
        first: batches at the start that are left out unread, as a resumed run does.
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
        in_range(argument, value, least)
    if drop_last and len(rows) < batch_size:
        raise InputError(f"batch_size is {batch_size}, but there are only {len(rows)} rows; lower it, or set drop_last=False")
    order = order_of(len(rows), seed=seed, epoch=epoch)
    stop = len(rows) - len(rows) % batch_size if drop_last else len(rows)
    return (rows[order[start : start + batch_size]] for start in range(first * batch_size, stop, batch_size))


def hide(source: Source, rate: float, *, seed: int = 0, modalities: Sequence[str] | None = None) -> Source:
    """Hide each modality of each training and validation row with one probability, independently (completely at random).

    Args:
        source: any source; its test rows stay whole.
        rate: probability in [0, 1). At 0.5, three modalities are all hidden in one row of eight, which then teaches nothing.
        seed: of what is hidden. A modality loses the same rows whichever others are selected beside it.
        modalities: those that lose rows, such as one sensor that samples more slowly; all when left out.

    Returns:
        The source with fewer entries present; ``.whole`` is the one with nothing hidden.

    Raises:
        InputError: if ``rate`` is out of range or a modality is unknown.

    Example:
        >>> from tuplet.data import SOURCES
        >>> half = hide(SOURCES["digits"](), 0.5)
        >>> 0.45 < float(half.train[:].present["pixels"].float().mean()) < 0.55, bool(half.test[:].present["pixels"].all())
        (True, True)
    """
    return source.hide(rate, seed=seed, modalities=modalities)


def ungroup(rows: Rows) -> Rows:
    """Drop the group ids of a part's rows while training, so that objectives contrast every row with every other.

    Args:
        rows: as in ``source.train``.

    Returns:
        The same rows; their source keeps its groups, so that pairs and retrieval still know them.

    Notes:
        Group ids keep rows of one trajectory or subject from being each other's negatives. Without them an objective may tell
        neighbouring windows apart, which retrieval of the very window asks for, and which the papers do. Where a data set's
        groups only must not leak, such as windows of one person, its reader leaves them out of all batches: ``contrast`` in
        `from_columns`.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = [[float(i)] for i in range(20)]
        >>> source = from_arrays({"a": x, "b": x}, group=[i // 2 for i in range(20)])
        >>> source.train[:2].group is None, ungroup(source.train)[:2].group is None
        (False, True)
    """
    return rows.source.ungrouped().part(rows.part)


def order_of(n: int, *, seed: int, epoch: int) -> Tensor:
    """Shuffle row numbers as `batches` does."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
