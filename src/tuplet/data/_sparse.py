"""Sparse matrices: rows that become dense when they are read; counts are normalised by their row's total."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.types import InputError

LIBRARY = 10_000.0
"""Total of a row of counts after normalisation, before the logarithm."""


def is_sparse(values: object) -> bool:
    """Tell whether this is a SciPy sparse matrix or array."""
    return hasattr(values, "nnz") and hasattr(values, "tocsr")


@dataclass(frozen=True, eq=False)
class Sparse:
    """Rows of a sparse matrix as a column that is read on demand."""

    matrix: Any
    """``(n, d)``, compressed by rows."""
    library: float = 0.0
    """What the counts of a row are scaled to before log1p; 0 leaves the values as they are."""
    checksum: str = ""

    @classmethod
    def of(cls, argument: str, values: Any) -> Sparse:
        """Check a sparse matrix, and tell whether it holds counts."""
        if len(values.shape) != 2 or 0 in values.shape or np.dtype(values.dtype).kind not in "biuf":
            raise InputError(f"{argument} is sparse of shape {values.shape} and {values.dtype}, expected numbers (n, d), n > 0")
        matrix = values.tocsr()
        if not np.isfinite(matrix.data).all():
            raise InputError(f"{argument} is sparse and has NaN or infinite values; remove them, or leave a whole row out")
        counts = matrix.nnz and (matrix.data >= 0).all() and (matrix.data == np.floor(matrix.data)).all()
        return cls(matrix, LIBRARY if counts and matrix.data.max() > 1 else 0.0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return rows and columns."""
        return tuple(self.matrix.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the rows."""
        return np.dtype(np.float32 if self.library else np.float64)

    @cached_property
    def _totals(self) -> NDArray[np.float64]:
        return np.asarray(self.matrix.sum(axis=1, dtype=np.float64)).reshape(-1)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        dense = np.asarray(self.matrix[rows].toarray(), dtype=np.float64)
        if not self.library:
            return dense
        total = self._totals[rows][:, None]
        # (b, d): each row sums to the library size, then log(1 + x); an empty row stays 0
        return np.asarray(np.log1p(dense * (self.library / np.where(total > 0, total, 1.0))).astype(np.float32))

    def take(self, rows: ArrayLike) -> Sparse:
        """Return some rows, still sparse."""
        return replace(self, matrix=self.matrix[np.asarray(rows)])

    def marked(self, word: str) -> Sparse:
        """Return the column with the checksum of its values and of how they are scaled."""
        plain = self.matrix.copy()
        plain.sum_duplicates()
        plain.eliminate_zeros()
        digest = hashlib.sha256(f"sparse {word} {self.library} {self.shape}".encode())
        for part, dtype in ((plain.data, np.float64), (plain.indices, np.int64), (plain.indptr, np.int64)):
            digest.update(np.ascontiguousarray(part, dtype=dtype).tobytes())
        return replace(self, checksum=digest.hexdigest())

    def note(self, name: str) -> str:
        """Say how the values are treated."""
        undo = f"scaling={{{name!r}: 'none'}} (--scaling {name}=none) leaves them as they are"
        if self.library:
            return f"{name} is sparse and holds counts: each row is normalised to a total of {LIBRARY:,.0f}, then log1p; {undo}"
        return (
            f"{name} is sparse and holds no counts (0/1, negative or fractional values): library-size normalisation and log1p "
            f"were left out"
        )
