"""Pairwise InfoNCE with an information-bottleneck regulariser (Almudevar et al., 2025)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives
from tuplet.objectives._pairs import Pairs, over_pairs, pairs_of
from tuplet.objectives.compose import Weights, row_mean
from tuplet.objectives.pairwise import Pairwise
from tuplet.objectives.temperature import Tau
from tuplet.types import Embeddings, in_range


class Bottleneck(Pairwise):
    r"""Pairwise InfoNCE plus ``beta`` times the distance of matching embeddings.

    .. math::
        L = \mathrm{mean}_{(a, b)} \big[ \mathrm{CLIP}(z_a, z_b)
            + \beta\, \mathrm{mean}_i (1 - \cos(z_{a,i}, z_{b,i})) \big]

    Args:
        beta: weight of the regulariser, >= 0; 1 as in OVA-IB's comparison.
        tau: temperature, as in `Pairwise`; 0.07 as in the authors' program.
        weights: as in `Pairwise`, of both terms.
        pairs, anchor, reduction, direction, label_smoothing, positives, block_size: as in `Pairwise`.

    Notes:
        When to use: as `Pairwise`, where matches should lie closer together than contrast alone brings them.
        Departures from the authors' two-modality program: both directions are averaged (theirs contrasts one, as
        ``direction="forward"`` does), and the constant ``-log B`` is left out. The paper's regulariser
        ``|mu_a - mu_b|^2`` is twice theirs on unit rows. More than two modalities are nowhere defined; the mean over
        pairs is our reading. Missing modalities: as in `Pairwise`. Cost: as in `Pairwise`.

    Source:
        Almudevar et al. (2025), Aligning multimodal representations through an information bottleneck.

    Example:
        >>> import torch
        >>> emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3).flip(0)})
        >>> round(float(Bottleneck(beta=3.0)(emb).terms["bottleneck"]), 4)  # two of three pairs are orthogonal
        2.0
    """

    def __init__(
        self,
        *,
        beta: float = 1.0,
        pairs: Pairs = "all",
        anchor: str | None = None,
        tau: Tau = 0.07,
        weights: Weights | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        direction: Literal["both", "forward"] = "both",
        label_smoothing: float = 0.0,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            pairs=pairs,
            anchor=anchor,
            tau=tau,
            weights=weights,
            reduction=reduction,
            direction=direction,
            label_smoothing=label_smoothing,
            positives=positives,
            block_size=block_size,
        )
        in_range("beta", beta, 0)
        self.beta = beta

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term and the weighted bottleneck term."""

        def distance(emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
            return row_mean((emb.z[a] - emb.z[b]).square().sum(dim=1) / 2, valid, emb.rows)

        pairs = pairs_of(emb, self.pairs, self.anchor)
        apart = over_pairs(emb, pairs, distance, self.reduction, self.weights)
        return super().terms(emb) | {"bottleneck": self.beta * apart}
