"""Embeddings of a whole split."""

from __future__ import annotations

from dataclasses import replace

import torch

from tuplet.data import Rows
from tuplet.model.alignment import AlignmentModel
from tuplet.types import Embeddings, InputError, evaluating


@torch.no_grad()
def embed(model: AlignmentModel, rows: Rows, *, batch_size: int = 1024) -> Embeddings:
    """Embed all rows of a split, in order, on the CPU.

    Args:
        model: put into evaluation mode meanwhile; rows are moved to its device.
        rows: as in ``source.test``.
        batch_size: rows per forward pass.

    Returns:
        The embeddings of all rows.

    Raises:
        InputError: if the model gives values that are not finite.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 3).numpy()
        >>> len(embed(AlignmentModel.mlp({"a": (3,), "b": (3,)}), from_arrays({"a": x, "b": x}).test))
        4
    """
    device = next(iter(model.parameters()), torch.empty(0)).device
    batches = (rows[i : i + batch_size] for i in range(0, len(rows), batch_size))
    with evaluating(model):
        parts = [model(batch.map(lambda value: value.to(device))) for batch in batches]
    for part in parts:
        for name in part.modalities:
            if not bool(torch.isfinite(part.h[name]).all() & torch.isfinite(part.z[name]).all()):
                raise InputError(f"model gives NaN or infinite values for {name!r}; train it again with a lower lr")

    def joined(name: str) -> dict[str, torch.Tensor]:
        return {k: torch.cat([getattr(p, name)[k] for p in parts]).cpu() for k in getattr(parts[0], name)}

    group = None if parts[0].group is None else torch.cat([p.group for p in parts if p.group is not None]).cpu()
    out: Embeddings = replace(
        parts[0],
        **{name: joined(name) for name in ("z", "h", "present", "target", "aux")},
        index=torch.cat([p.index for p in parts]).cpu(),
        group=group,
        rows=slice(0, len(rows)),
    )
    return out
