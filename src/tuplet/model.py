"""One encoder and one projection per modality: `Batch` in, `Embeddings` out."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional.scores import unit
from tuplet.nets import MLP, Named, Projection, encoders
from tuplet.nets.encoders import WIDTHS, Paired
from tuplet.types import Batch, Embeddings, InputError, Kind


class AlignmentModel(nn.Module):
    """Encoders and projection heads, one of each per modality.

    Args:
        encoders: modality -> module from that modality's input to ``(B, H_m)``.
        projections: modality -> module from ``(B, H_m)`` to ``(B, D)``; the same ``D`` for all.

    Raises:
        InputError: if names disagree or there are fewer than two modalities.

    Notes:
        Rows of ``z`` have unit length. Rows of missing modalities are exactly zero in ``z`` and ``h`` and receive no
        gradient. Modules may be anything, shared towers included.

    Example:
        >>> model = AlignmentModel.mlp({"force": (6,), "sound": (2, 10)}, dim=8)
        >>> sorted(model.encoders)
        ['force', 'sound']
    """

    def __init__(self, encoders: Mapping[str, nn.Module], projections: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if set(encoders) != set(projections):
            raise InputError(
                f"encoders has {sorted(encoders)} and projections {sorted(projections)}; give one of each per modality"
            )
        if len(encoders) < 2:
            raise InputError(f"encoders has {len(encoders)} modality, expected two or more to align")
        self.encoders = Named({k: encoders[k] for k in sorted(encoders)})
        self.projections = Named({k: projections[k] for k in sorted(projections)})

    @classmethod
    def mlp(
        cls, shapes: Mapping[str, tuple[int, ...]], *, dim: int = 64, hidden: int = 128, layers: int = 2
    ) -> AlignmentModel:
        """Build an MLP encoder and a three-layer projection per modality.

        Args:
            shapes: modality -> shape of one row, as in ``{k: m.shape for k, m in source.modalities.items()}``.
            dim: width of representations and embeddings.
            hidden: hidden width of the encoders.
            layers: linear layers per encoder.

        Returns:
            The model.
        """
        return cls(
            {k: MLP(prod(shape), dim, hidden=hidden, layers=layers) for k, shape in shapes.items()},
            {k: Projection(dim, dim) for k in shapes},
        )

    @classmethod
    def for_source(
        cls,
        source: Paired,
        *,
        preset: Literal["small", "paper"] = "small",
        dim: int | None = None,
        kinds: Mapping[str, Kind] | None = None,
    ) -> AlignmentModel:
        """Build the encoders that suit a source, and a three-layer projection per modality of the same width.

        Args:
            source: has ``modalities`` with shapes, as any `tuplet.data.Source`.
            preset: as in `tuplet.nets.encoders`.
            dim: width of representations and embeddings; the preset's when left out.
            kinds: as in `tuplet.nets.encoders`.

        Returns:
            The model.
        """
        found = encoders(source, preset=preset, dim=dim, kinds=kinds)
        width = WIDTHS[preset] if dim is None else dim
        return cls(found, {k: Projection(width, width) for k in found})

    def forward(self, batch: Batch) -> Embeddings:
        """Return the embeddings of a batch that has exactly the model's modalities."""
        if set(batch.inputs) != set(self.encoders):
            raise InputError(
                f"inputs has {sorted(batch.inputs)}, but the model was built for {sorted(self.encoders)}; select the same "
                f"modalities"
            )
        h: dict[str, Tensor] = {}
        z: dict[str, Tensor] = {}
        for name, encoder in self.encoders.items():
            mask = batch.present[name][:, None]
            encoded = encoder(batch.inputs[name])
            projected = self.projections[name](encoded)
            if projected.dtype in (torch.bfloat16, torch.float16):  # under autocast: lengths need float32
                projected = projected.float()
            z[name] = torch.where(mask, unit(projected), 0.0)
            h[name] = torch.where(mask, encoded, 0.0)
        return Embeddings(
            z=z,
            h=h,
            present=batch.present,
            index=batch.index,
            group=batch.group,
            target=batch.target,
            aux={},
            rows=slice(0, len(batch)),
        )
