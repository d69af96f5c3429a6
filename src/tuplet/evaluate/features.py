"""Features of the rows of one part, held in memory: what predictors read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tuplet.data import Rows
from tuplet.model import AlignmentModel
from tuplet.model.embedding import embed
from tuplet.types import InputError, one_of


@dataclass(frozen=True, slots=True)
class Features:
    """Features of ``n`` rows.

    Attributes:
        x: modality -> float32 ``(n, H_m)``.
        present: modality -> bool ``(n,)``.
        index: int64 ``(n,)`` row numbers in the source.
        target: target name -> tensor with ``n`` rows.
    """

    x: dict[str, Tensor]
    present: dict[str, Tensor]
    index: Tensor
    target: dict[str, Tensor]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modality names in sorted order."""
        return tuple(sorted(self.x))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.index)


def encoded(model: AlignmentModel, rows: Rows, *, read: Literal["h", "z"] = "h", batch_size: int = 256) -> Features:
    """Encode all rows of a part with a trained model.

    Args:
        model: as in `embed`.
        rows: as in ``source.test``.
        read: ``"h"``, what the encoders give, or ``"z"``, what the projections make of it.
        batch_size: rows per forward pass.

    Returns:
        The features.

    Raises:
        InputError: if ``read`` is misspelt or values are not finite.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 3).numpy()
        >>> model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
        >>> encoded(model, from_arrays({"a": x, "b": x}).test).x["a"].shape
        torch.Size([4, 4])
    """
    one_of("read", read, ("h", "z"))
    emb = embed(model, rows, batch_size=batch_size)
    found = emb.h if read == "h" else emb.z
    return Features({k: v.flatten(1).float() for k, v in found.items()}, emb.present, emb.index, emb.target)


def pixels(rows: Rows, *, size: int = 16, batch_size: int = 256) -> Features:
    """Take the inputs themselves as features, pictures averaged down: the baseline without any encoder.

    Args:
        rows: as in ``source.test``.
        size: largest height and width of pictures ``(C, H, W)``; other inputs stay as they are.
        batch_size: rows read at once.

    Returns:
        The features, flattened.

    Raises:
        InputError: if there are no rows or an input is not one tensor.

    Notes:
        Tells how far a task can be solved from the background of a static scene, as in `tuplet.data.draw_pairs`.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 3, 64, 64).numpy()
        >>> pixels(from_arrays({"left": x, "right": x}).test, size=4).x["left"].shape
        torch.Size([4, 48])
    """
    if not len(rows) or size < 1:
        raise InputError(f"size is {size} for {len(rows)} rows, expected positive numbers")

    def small(name: str, value: Tensor) -> Tensor:
        if not isinstance(value, Tensor):
            raise InputError(f"inputs[{name!r}] is a {type(value).__name__}, expected one tensor")
        if value.ndim == 4 and max(value.shape[2:]) > size:
            value = F.adaptive_avg_pool2d(value, (min(value.shape[2], size), min(value.shape[3], size)))
        return value.flatten(1).float()

    parts = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        parts.append(Features({k: small(k, v) for k, v in batch.inputs.items()}, batch.present, batch.index, batch.target))

    def joined(name: Literal["x", "present", "target"]) -> dict[str, Tensor]:
        return {k: torch.cat([getattr(p, name)[k] for p in parts]) for k in getattr(parts[0], name)}

    return Features(joined("x"), joined("present"), torch.cat([p.index for p in parts]), joined("target"))
