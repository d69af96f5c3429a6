"""What a data set is to the library: modalities, targets, a split, where it comes from, and rows on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from tuplet.data.modality import Modality
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.splits import Split
from tuplet.types import Batch, InputError

__all__ = ["Modality", "Provenance", "Rows", "Source", "Target", "check_selection"]


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a source.

    Attributes:
        kind: ``"class"`` (int64 codes) or ``"real"`` (float32).
        size: number of classes, or number of dimensions.
        unit: physical unit of a real target; empty when unknown.
        names: names of the classes, in the order of their codes.
    """

    kind: Literal["class", "real"]
    size: int
    unit: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a data set comes from.

    Attributes:
        title: what it is called.
        citation: how its authors ask to be cited.
        licence: under what it may be used.
        origin: where it was taken from.
        sha256: checksum of the shipped or loaded file; empty for arrays in memory.
        notes: what was taken as what where the file did not say so.
    """

    title: str
    citation: str = ""
    licence: str = ""
    origin: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class Rows(Protocol):
    """The rows of one split; indexing with positions gives a whole `Batch`."""

    @property
    def source(self) -> Source:
        """Return the source that these rows belong to."""
        ...

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the split."""
        ...


@runtime_checkable
class Source(Protocol):
    """A paired data set: everything that training, evaluation and the bench need to know of it."""

    @property
    def name(self) -> str:
        """Return what the source is called."""
        ...

    @property
    def modalities(self) -> Mapping[str, Modality]:
        """Return shapes, dtypes and units."""
        ...

    @property
    def targets(self) -> Mapping[str, Target]:
        """Return kinds and sizes."""
        ...

    @property
    def split(self) -> Split:
        """Return the row numbers of the three parts."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Return where the data come from."""
        ...

    @property
    def fingerprint(self) -> str:
        """Return a checksum of data, split and preprocessing: it changes when any of them does."""
        ...

    @property
    def preprocessing(self) -> Mapping[str, Preprocessing]:
        """Return how raw rows of each modality become the rows of a batch."""
        ...

    @property
    def train(self) -> Rows:
        """Return the training rows."""
        ...

    @property
    def val(self) -> Rows:
        """Return the validation rows."""
        ...

    @property
    def test(self) -> Rows:
        """Return the test rows."""
        ...

    def select(self, modalities: Sequence[str]) -> Source:
        """Return the same rows with fewer modalities."""
        ...


def check_selection(modalities: Sequence[str], known: Mapping[str, Modality]) -> list[str]:
    """Check which modalities a user asks for."""
    if unknown := sorted(set(modalities) - set(known)):
        raise InputError(f"modalities names {unknown}, expected some of {sorted(known)}")
    if len(set(modalities)) < 2:
        raise InputError(f"modalities is {list(modalities)}, expected two or more different names")
    return sorted(set(modalities))
