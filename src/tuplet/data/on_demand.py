"""A source whose rows stay on disk until they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.data._columns import positions_in
from tuplet.data._described import described, rows_described
from tuplet.data._scaling import Column, Scale
from tuplet.data.modality import Modality
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Provenance, Target, check_selection
from tuplet.data.splits import Split
from tuplet.types import Batch, InputError


@dataclass(frozen=True)
class StoredRows:
    """The rows of one split of a `Stored`."""

    stored: Stored
    positions: Tensor

    def __repr__(self) -> str:
        return rows_described(self.stored, len(self))

    @property
    def source(self) -> Stored:
        """Return the source these rows belong to."""
        return self.stored

    @property
    def fingerprint(self) -> str:
        """Return the checksum of the source these rows belong to."""
        return self.stored.fingerprint

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the split, read from disk now."""
        where = self.positions[rows if isinstance(rows, slice) else positions_in(rows, len(self))]
        s = self.stored
        ascending, back = np.unique(where.numpy(), return_inverse=True)
        return Batch(
            inputs={k: torch.from_numpy(s.read(k, ascending)[back]) for k in s.columns},
            present={k: v[where] for k, v in s.present.items()},
            index=where,
            group=None if s.group is None or s.contrast == "rows" else s.group[where],
            target={k: v[where] for k, v in s.values.items()},
        )


@dataclass(frozen=True)
class Stored:
    """A `tuplet.data.Source` that reads its inputs on demand; made by `from_columns` or `tuplet.data.from_table`.

    Attributes:
        name: what to call it.
        columns: modality -> rows on demand.
        preprocessing: modality -> how raw rows become those of a batch.
        present: modality -> bool ``(n,)``.
        values: target -> int64 ``(n,)`` class codes or float32 ``(n, dims)``.
        group: int64 ``(n,)`` or None.
        modalities: shapes and units.
        targets: kinds and sizes.
        split: row numbers of the parts.
        provenance: where the data come from.
        content: checksum of what the columns read, and of how they are scaled.
        contrast: whether batches carry the groups, so that rows of one group are not negatives of each other.
    """

    name: str
    columns: dict[str, Column]
    preprocessing: dict[str, Preprocessing]
    present: dict[str, Tensor]
    values: dict[str, Tensor]
    group: Tensor | None
    modalities: dict[str, Modality]
    targets: dict[str, Target]
    split: Split
    provenance: Provenance
    content: str
    contrast: Literal["groups", "rows"] = "groups"

    def __repr__(self) -> str:
        return described(self, present=self.present, group=self.group)

    @cached_property
    def fingerprint(self) -> str:
        """Return a checksum of content, names, targets, groups, presence and split."""
        digest = hashlib.sha256(f"{self.content} {self.split.sha256} {self.contrast}".encode())
        columns = {f"present {k}": v for k, v in self.present.items()}
        columns |= {f"target {k}": v for k, v in self.values.items()}
        if self.group is not None:
            columns["group"] = self.group
        for name in sorted(columns):
            digest.update(f"{name} {tuple(columns[name].shape)} {columns[name].dtype}".encode())
            digest.update(columns[name].numpy().tobytes())
        return digest.hexdigest()

    @property
    def train(self) -> StoredRows:
        """Return the training rows."""
        return self._rows("train")

    @property
    def val(self) -> StoredRows:
        """Return the validation rows."""
        return self._rows("val")

    @property
    def test(self) -> StoredRows:
        """Return the test rows."""
        return self._rows("test")

    def select(self, modalities: Sequence[str]) -> Stored:
        """Return the same rows with fewer modalities."""
        names = check_selection(modalities, self.modalities)
        return replace(
            self,
            columns={k: self.columns[k] for k in names},
            preprocessing={k: self.preprocessing[k] for k in names},
            present={k: self.present[k] for k in names},
            modalities={k: self.modalities[k] for k in names},
        )

    @property
    def scales(self) -> dict[str, Scale]:
        """Return how the values of each modality are shifted and divided."""
        return {k: p.scale for k, p in self.preprocessing.items()}

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scaled rows of one modality at strictly increasing positions; zero where it is missing."""
        raw = np.asarray(self.columns[name][rows]).reshape(len(rows), *self.modalities[name].shape)
        values = self.preprocessing[name].block(raw, self.present[name].numpy()[rows])
        if not np.isfinite(values).all():
            row = rows[~np.isfinite(values.reshape(len(rows), -1)).all(axis=1)][0]
            raise InputError(
                f"modalities[{name!r}] has NaN, infinite or too large values in row {row}; repair it, or mark it as missing"
            )
        return values

    def _rows(self, part: str) -> StoredRows:
        return StoredRows(self, torch.from_numpy(getattr(self.split, part)))
