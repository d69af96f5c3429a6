"""The projection head between an encoder's representation and the shared space."""

from __future__ import annotations

from tuplet.nets.mlp import MLP


class Projection(MLP):
    """A three-layer head, as in OVA-IB.

    Args:
        in_features: width of the encoder's representation.
        out_features: dimension ``D`` of the shared space.
        hidden: width in between; ``out_features`` when left out.

    Source:
        OVA-IB (Li et al., 2026), appendix B.2: a three-layer MLP per modality.

    Example:
        >>> import torch
        >>> Projection(16, 8)(torch.zeros(3, 16)).shape
        torch.Size([3, 8])
    """

    def __init__(self, in_features: int, out_features: int, *, hidden: int | None = None) -> None:
        super().__init__(in_features, out_features, hidden=hidden or out_features, layers=3)
        self._arguments = {
            "in_features": in_features,
            "out_features": out_features,
            "hidden": hidden or out_features,
        }
