"""A bounded number of rows of a part, and the groups that they belong to."""

from __future__ import annotations

from torch import Tensor

from tuplet.data import Rows, Source
from tuplet.data.views import order_of
from tuplet.types import Batch

ROWS = 4096
"""At most this many rows to train on, and as many to judge by."""


def sample(rows: Rows) -> Rows:
    """Choose the rows of a part, or `ROWS` of them drawn at random."""
    n = len(rows)
    return rows if n <= ROWS else rows.take(order_of(n, seed=0, epoch=0)[:ROWS].sort().values)


def some(rows: Rows) -> Batch:
    """Read what `sample` chooses."""
    return sample(rows)[:]


def groups(source: Source, batch: Batch) -> Tensor | None:
    """Return what a source gathers rows by."""
    return None if source.group is None else source.group[batch.index]
