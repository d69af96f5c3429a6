"""Hide modalities of training rows, to see what an objective makes of what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tuplet.data._described import described, rows_described
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Modality, Provenance, Rows, Source, Target
from tuplet.data.splits import Split
from tuplet.types import Batch, InputError, in_range


def hide(source: Source, rate: float, *, seed: int = 0, modalities: Sequence[str] | None = None) -> Masked:
    """Hide each modality of each training and validation row with one probability, independently (completely at random).

    Args:
        source: any source; its test rows stay whole.
        rate: probability in [0, 1). At 0.5, three modalities are all hidden in one row of eight, which then teaches nothing.
        seed: of what is hidden. A modality loses the same rows whichever others are selected beside it.
        modalities: those that lose rows, such as one sensor that samples more slowly; all when left out.

    Returns:
        The source with fewer entries present.

    Raises:
        InputError: if ``rate`` is out of range or a modality is unknown.

    Example:
        >>> from tuplet.data import SOURCES
        >>> half = hide(SOURCES["digits"](), 0.5)
        >>> 0.45 < float(half.train[:].present["pixels"].float().mean()) < 0.55, bool(half.test[:].present["pixels"].all())
        (True, True)
    """
    in_range("rate", rate, 0, 1)
    if unknown := sorted(set(modalities or ()) - set(source.modalities)):
        raise InputError(f"modalities names {unknown}, expected some of {sorted(source.modalities)}")
    return Masked(source, float(rate), int(seed), None if modalities is None else tuple(sorted(set(modalities))))


@dataclass(frozen=True)
class Masked:
    """A source some of whose entries are hidden; made by `hide`."""

    source: Source
    rate: float
    seed: int
    thinned: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        shown = getattr(self.source, "present", {}), getattr(self.source, "group", None)
        return described(self, present=shown[0], group=shown[1], hidden=", those to test whole")

    @property
    def whole(self) -> Source:
        """Return the source with nothing hidden."""
        return self.source

    @property
    def name(self) -> str:
        """Return the source's name and the rate."""
        of = "" if self.thinned is None else f" of {', '.join(self.thinned)}"
        return f"{self.source.name}, {100 * self.rate:.0f} %{of} missing"

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
    def preprocessing(self) -> Mapping[str, Preprocessing]:
        """Return how raw rows become those of a batch."""
        return self.source.preprocessing

    @property
    def fingerprint(self) -> str:
        """Return a checksum of the source and of what is hidden."""
        of = "" if self.thinned is None else f" {' '.join(self.thinned)}"
        return hashlib.sha256(f"{self.source.fingerprint} {self.rate} {self.seed}{of}".encode()).hexdigest()

    @property
    def train(self) -> Rows:
        """Return the training rows, with entries hidden."""
        return MaskedRows(self.source.train, self, "train")

    @property
    def val(self) -> Rows:
        """Return the validation rows, with entries hidden."""
        return MaskedRows(self.source.val, self, "val")

    @property
    def test(self) -> Rows:
        """Return the test rows, whole."""
        return self.source.test

    def select(self, modalities: Sequence[str]) -> Masked:
        """Return the same rows with fewer modalities."""
        return replace(self, source=self.source.select(modalities))


@dataclass(frozen=True)
class MaskedRows:
    """The rows of one part of a `Masked` source."""

    rows: Rows
    masked: Masked
    part: str

    def __repr__(self) -> str:
        return rows_described(self.masked, len(self), self.part)

    @property
    def source(self) -> Masked:
        """Return the source these rows belong to."""
        return self.masked

    @property
    def fingerprint(self) -> str:
        """Return the checksum of the source these rows belong to."""
        return self.masked.fingerprint

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions; hidden entries are zero and marked as missing."""
        batch = self.rows[rows]
        where = torch.arange(len(self))[rows if isinstance(rows, slice) else torch.as_tensor(rows)]
        present = {k: v & self._kept(k)[where] for k, v in batch.present.items()}

        def blank(name: str) -> Batch:
            only = Batch({name: batch.inputs[name]}, {}, batch.index)
            mask = present[name]
            return only.map(lambda x: x * mask.view(-1, *[1] * (x.ndim - 1)).to(x.dtype) if len(x) == len(mask) else x)

        inputs = {k: blank(k).inputs[k] for k in batch.inputs}
        return replace(batch, inputs=inputs, present=present)

    def _kept(self, name: str) -> Tensor:
        """Draw which rows keep a modality; the same in every process."""
        if self.masked.thinned is not None and name not in self.masked.thinned:
            return torch.ones(len(self), dtype=torch.bool)
        text = f"{self.masked.seed} {self.part} {name}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        return torch.rand(len(self), generator=torch.Generator().manual_seed(number)) >= self.masked.rate
