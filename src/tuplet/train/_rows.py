"""A bounded number of rows of a part, and the groups that they belong to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tuplet.data import Rows, Source
from tuplet.data.batch import order_of
from tuplet.types import Batch

ROWS = 4096
"""At most this many rows to train on, and as many to judge by."""


def some(rows: Rows) -> Batch:
    """Read the rows of a part, or `ROWS` of them drawn at random.

    Args:
        rows: of a part.

    Returns:
        A batch, in the order of the part.

    Example:
        >>> from tuplet.data.sources import blocks
        >>> len(some(blocks.load(rows=100).val))
        20
    """
    n = len(rows)
    return rows[slice(0, n)] if n <= ROWS else rows[order_of(n, seed=0, epoch=0)[:ROWS].sort().values]


def groups(source: Source, batch: Batch) -> Tensor | None:
    """Return what a source gathers rows by.

    Args:
        source: whose split keeps groups whole, or not.
        batch: some of its rows; batches of a source whose groups may be contrasted carry none.

    Returns:
        ``(n,)`` ids, or None.

    Example:
        >>> from tuplet.data.sources import blocks
        >>> groups(blocks.load(rows=100), blocks.load(rows=100).val[:5]) is None
        True
    """
    known = getattr(source, "group", None)
    return batch.group if known is None else torch.as_tensor(np.asarray(known))[batch.index]
