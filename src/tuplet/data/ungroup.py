"""Let rows of one group be each other's negatives, as the papers' training loops do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from tuplet.data.source import Modality, Provenance, Rows, Source, Target
from tuplet.data.splits import Split
from tuplet.types import Batch


@dataclass(frozen=True)
class Ungrouped:
    """A source whose batches carry no group ids; made by `ungroup`. Its split is still by group.

    Attributes:
        source: the source with groups.
    """

    source: Source

    @property
    def name(self) -> str:
        """Return the source's name."""
        return self.source.name

    @property
    def modalities(self) -> Mapping[str, Modality]:
        """Return shapes, dtypes and units."""
        return self.source.modalities

    @property
    def targets(self) -> Mapping[str, Target]:
        """Return kinds and sizes."""
        return self.source.targets

    @property
    def split(self) -> Split:
        """Return the row numbers of the three parts."""
        return self.source.split

    @property
    def provenance(self) -> Provenance:
        """Return where the data come from."""
        return self.source.provenance

    @property
    def fingerprint(self) -> str:
        """Return the source's checksum, marked."""
        return f"{self.source.fingerprint}-ungrouped"

    @property
    def train(self) -> UngroupedRows:
        """Return the training rows."""
        return UngroupedRows(self.source.train)

    @property
    def val(self) -> UngroupedRows:
        """Return the validation rows."""
        return UngroupedRows(self.source.val)

    @property
    def test(self) -> UngroupedRows:
        """Return the test rows."""
        return UngroupedRows(self.source.test)

    def select(self, modalities: Sequence[str]) -> Ungrouped:
        """Return the same rows with fewer modalities."""
        return Ungrouped(self.source.select(modalities))


@dataclass(frozen=True)
class UngroupedRows:
    """The rows of one split of an `Ungrouped`.

    Attributes:
        rows: with groups.
    """

    rows: Rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the split, without group ids."""
        return replace(self.rows[rows], group=None)


def ungroup(source: Source) -> Ungrouped:
    """Drop the group ids of all rows, so that objectives contrast every row with every other.

    Args:
        source: any source.

    Returns:
        The same rows in the same parts.

    Notes:
        Group ids keep rows of one trajectory or subject from being each other's negatives. Without them an objective may tell
        neighbouring windows apart, which retrieval of the very window asks for, and which the papers do.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = [[float(i)] for i in range(20)]
        >>> source = from_arrays({"a": x, "b": x}, group=[i // 2 for i in range(20)])
        >>> source.train[:2].group is None, ungroup(source).train[:2].group is None
        (False, True)
    """
    return Ungrouped(source)
