"""Let rows of one group be each other's negatives, as the papers' training loops do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from tuplet.data.source import Rows, Source
from tuplet.types import Batch


@dataclass(frozen=True)
class UngroupedRows:
    """The rows of one part, whose batches carry no group ids; made by `ungroup`."""

    rows: Rows

    @property
    def source(self) -> Source:
        """Return the source these rows belong to."""
        return self.rows.source

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the part, without group ids."""
        return replace(self.rows[rows], group=None)


def ungroup(rows: Rows) -> UngroupedRows:
    """Drop the group ids of a part's rows while training, so that objectives contrast every row with every other.

    Args:
        rows: as in ``source.train``.

    Returns:
        The same rows; the source keeps its groups, so that pairs and retrieval still know them.

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
    return UngroupedRows(rows)
