"""A source in memory; made by `tuplet.data.from_arrays`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tuplet.data._columns import positions_in
from tuplet.data._described import described, rows_described
from tuplet.data._scaling import Scale
from tuplet.data.modality import Modality
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Provenance, Target, check_selection
from tuplet.data.splits import Split
from tuplet.types import Batch


@dataclass(frozen=True)
class ArrayRows:
    """The rows of one split of an `Arrays`."""

    arrays: Arrays
    positions: Tensor

    def __repr__(self) -> str:
        return rows_described(self.arrays, len(self))

    @property
    def source(self) -> Arrays:
        """Return the source these rows belong to."""
        return self.arrays

    @property
    def fingerprint(self) -> str:
        """Return the checksum of the source these rows belong to."""
        return self.arrays.fingerprint

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the split."""
        where = self.positions[rows if isinstance(rows, slice) else positions_in(rows, len(self))]
        a = self.arrays
        return Batch(
            inputs={k: a.read(k, where) for k in a.inputs},
            present={k: v[where] for k, v in a.present.items()},
            index=where,
            group=None if a.group is None else a.group[where],
            target={k: v[where] for k, v in a.values.items()},
        )


@dataclass(frozen=True)
class Arrays:
    """A `tuplet.data.Source` that lies in memory; made by `tuplet.data.from_arrays`.

    Attributes:
        name: what to call it.
        inputs: modality -> float32 ``(n, *shape)``, scaled, zero where missing; pictures of bytes stay bytes until a batch
            asks for them.
        present: modality -> bool ``(n,)``.
        values: target -> int64 ``(n,)`` class codes or float32 ``(n, dims)``.
        group: int64 ``(n,)`` or None.
        modalities: shapes and units.
        targets: kinds and sizes.
        split: row numbers of the parts.
        provenance: where the data come from.
        preprocessing: modality -> how raw rows became these.
        checksums: modality -> checksum of its values as given, before scaling, whose last bits depend on the processor.
        fingerprint: checksum of everything above that computation depends on.
    """

    name: str
    inputs: dict[str, Tensor]
    present: dict[str, Tensor]
    values: dict[str, Tensor]
    group: Tensor | None
    modalities: dict[str, Modality]
    targets: dict[str, Target]
    split: Split
    provenance: Provenance
    preprocessing: dict[str, Preprocessing]
    checksums: dict[str, str]
    fingerprint: str = ""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.split.sha256.encode())
        for name in sorted(self.inputs):
            digest.update(f"{name} {self.checksums[name]}".encode())
        columns = {f"present {k}": v for k, v in self.present.items()}
        columns |= {f"target {k}": v for k, v in self.values.items()}
        if self.group is not None:
            columns["group"] = self.group
        for name in sorted(columns):
            digest.update(f"{name} {tuple(columns[name].shape)} {columns[name].dtype}".encode())
            digest.update(columns[name].numpy().tobytes())
        object.__setattr__(self, "fingerprint", digest.hexdigest())

    def __repr__(self) -> str:
        return described(self, present=self.present, group=self.group)

    @property
    def train(self) -> ArrayRows:
        """Return the training rows."""
        return self._rows("train")

    @property
    def val(self) -> ArrayRows:
        """Return the validation rows."""
        return self._rows("val")

    @property
    def test(self) -> ArrayRows:
        """Return the test rows."""
        return self._rows("test")

    def select(self, modalities: Sequence[str]) -> Arrays:
        """Return the same rows with fewer modalities."""
        names = check_selection(modalities, self.modalities)
        return replace(
            self,
            inputs={k: self.inputs[k] for k in names},
            present={k: self.present[k] for k in names},
            preprocessing={k: self.preprocessing[k] for k in names},
            modalities={k: self.modalities[k] for k in names},
        )

    @property
    def scales(self) -> dict[str, Scale]:
        """Return how the values of each modality were shifted and divided."""
        return {k: p.scale for k, p in self.preprocessing.items()}

    def read(self, name: str, rows: Tensor) -> Tensor:
        """Return the scaled rows of one modality at some positions; zero where it is missing."""
        values = self.inputs[name][rows]
        if values.dtype != torch.uint8:
            return values
        here = self.present[name][rows].numpy()
        return torch.from_numpy(self.preprocessing[name].block(values.numpy(), here))

    def _rows(self, part: str) -> ArrayRows:
        return ArrayRows(self, torch.from_numpy(getattr(self.split, part)))
