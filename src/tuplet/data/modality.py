"""What is known of one modality."""

from __future__ import annotations

from dataclasses import dataclass

from tuplet.types import Kind


@dataclass(frozen=True, slots=True)
class Modality:
    """One modality of a source.

    Attributes:
        shape: shape of one row, without the batch dimension.
        dtype: name of the dtype the rows are handed out in.
        unit: physical unit or meaning of the values before scaling; empty when unknown.
        kind: what a row is, for the choice of an encoder (`tuplet.nets.encoders`); None when the shape says it.
        rate: steps a second along the axis of time; None when unknown or without such an axis.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""
    kind: Kind | None = None
    rate: float | None = None
