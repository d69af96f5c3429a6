"""Encoders that read raw rows: texts, pictures, sound or numbers in, one vector per row out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.types import InputError, evaluating

Takes = Literal["text", "pictures", "sound", "numbers"]


class Pretrained(nn.Module):
    """A pretrained encoder of raw rows; `tuplet.nets.pretrained` makes one.

    Attributes:
        takes: what a raw row is: ``"text"``, ``"pictures"`` ``(C, H, W)``, ``"sound"`` ``(T,)`` or ``"numbers"`` of any shape.
        width: numbers of a vector; 0 where they are not known before the first row.
        rate: samples a second that sound must have; None for other rows.
        path: file or folder of its weights; None for a module of your own.
        sha256: checksum of that file or folder; empty for a module of your own.
        part: ``"text"`` or ``"vision"`` of a model that has both; empty for others.

    Notes:
        As an encoder of `tuplet.AlignmentModel`, it reads ``tower.rows(raw)``. While it is frozen, `tuplet.fit` leaves it in
        evaluation mode: no gradient, no Dropout, no moving statistics. Frozen features are computed once by `tuplet.features`.
    """

    takes: ClassVar[Takes] = "numbers"

    def __init__(self, width: int = 0, *, rate: int | None = None) -> None:
        super().__init__()
        self.width, self.rate = width, rate
        self.path: Path | None = None
        self.sha256, self.part = "", ""

    @property
    def frozen(self) -> bool:
        """Whether no parameter takes a gradient."""
        return not any(p.requires_grad for p in self.parameters())

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Turn raw rows into what `forward` reads, such as the ids of tokens; numbers stay as they are, bytes become 0 .. 1."""
        array = np.asarray(raw)
        if array.dtype.kind not in "biuf":
            raise InputError(f"{self} reads {self.takes}, but rows have dtype {array.dtype}; give numbers")
        scale = 255.0 if array.dtype == np.uint8 else 1.0
        return (array / scale).astype(np.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors ``(B, width)`` of rows as `rows` gives them."""
        raise NotImplementedError

    def encode(self, raw: Any, *, batch_size: int = 32, tell: Callable[[int, int], None] | None = None) -> NDArray[np.float32]:
        """Return the vectors of raw rows, in evaluation mode and without a gradient.

        Args:
            raw: a list of texts, or an array ``(n, ...)``. A row that is None, an empty text or NaN throughout is absent.
            batch_size: rows per forward pass.
            tell: called with the rows that are done and their number, after each pass.

        Returns:
            float32 ``(n, width)``; NaN where a row is absent.

        Raises:
            InputError: for rows of another kind or shape, or vectors that are not finite.
        """
        here = rows_here(raw)
        order = np.flatnonzero(here)
        if self.takes == "sound":  # some models mix a row with the padding that a longer one beside it brings
            batch_size = 1
        if self.takes == "text":  # texts of a similar length need little padding
            order = np.array(sorted(order, key=lambda i: len(raw[i])), dtype=np.int64)
        if not len(order):
            raise InputError(f"{self} has no row to read; leave the modality out")
        home, out = next(self.parameters(), torch.empty(0)).device, np.empty((0, 0), np.float32)
        with evaluating(self), torch.no_grad():
            for start in range(0, len(order), batch_size):
                some = order[start : start + batch_size]
                picked = [raw[i] for i in some] if isinstance(raw, list | tuple) else np.asarray(raw[some])
                z = self._vectors(self(torch.from_numpy(self.rows(picked)).to(home)), len(some))
                if not start:
                    out = np.full((len(here), z.shape[1]), np.nan, np.float32)
                out[some] = z
                if tell is not None:
                    tell(start + len(some), len(order))
        self.width = out.shape[1]
        return out

    def _vectors(self, out: Any, n: int) -> NDArray[np.float32]:
        """Check what a forward pass gave."""
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != n:
            seen = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise InputError(f"{self} gives {seen} for {n} rows, expected a tensor ({n}, width); pool what it gives")
        if not bool(torch.isfinite(out).all()):
            raise InputError(f"{self} gives NaN or infinite values; check the scale of its rows")
        return np.asarray(out.float().cpu().numpy())

    def __repr__(self) -> str:
        where = "" if self.path is None else f" {str(self.path)!r}"
        return f"{type(self).__name__}{where}{f' ({self.part})' if self.part else ''}"


class Module(Pretrained):
    """Any module that gives one vector per row."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Call the module."""
        return cast(Tensor, self.module(x))


def rows_here(raw: Any) -> NDArray[np.bool_]:
    """Tell which raw rows are there."""
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "biuf":
        if raw.dtype.kind != "f":
            return np.ones(len(raw), dtype=bool)
        return np.array([not bool(np.isnan(row).all()) for row in raw])
    return np.array([(isinstance(v, str) and bool(v.strip())) or not (v is None or isinstance(v, str | float)) for v in raw])
