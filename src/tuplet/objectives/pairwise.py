"""Pairwise InfoNCE: CLIP for any number of modalities (Radford et al., 2021; Tian et al., 2020)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives
from tuplet.objectives._contrastive import Contrastive
from tuplet.objectives._pairs import Pairs, over_pairs, pairs_of
from tuplet.objectives.compose import Weights
from tuplet.objectives.temperature import Tau
from tuplet.types import Embeddings, InputError, Traits, one_of


class Pairwise(Contrastive):
    r"""Symmetric InfoNCE over pairs of modalities.

    .. math::
        L = \mathrm{mean}_{(a, b)}\; \tfrac12 \big[ \mathrm{CE}(z_a z_b^\top / \tau)
            + \mathrm{CE}(z_b z_a^\top / \tau) \big]

    Args:
        pairs: ``"all"`` pairs, ``"hub"`` for every modality with ``anchor`` only, or a list of pairs of names.
        anchor: the hub's name; the first name in sorted order when left out. Only with ``pairs="hub"``.
        tau: temperature, > 0, or a learnable `Temperature`; or a dict of these per modality or pair of modalities. 0.07 is
            CLIP's initial value.
        weights: of pairs ``{("a", "b"): 2.0}`` or of modalities ``{"a": 2.0}`` (a pair takes the product); 1 where none is
            listed. With ``reduction="mean"`` they are relative.
        reduction: ``"mean"`` over pairs, or ``"sum"`` (OVA-IB's equation 3 and Symile's baseline).
        direction: ``"both"`` directions, averaged; ``"forward"`` contrasts only the first of a pair with the second.
        include_positive: whether the matching pair is in the denominator. False restores OVA-IB's equation 1 as printed.
        label_smoothing: in [0, 1).
        positives: ``"own"``: only a row's own match is one, and other rows of its group are left out; ``"group"``: the
            matches of its whole group, averaged.
        block_size: queries per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Notes:
        When to use: the first one to try: its score is the cosine, and any set of present pairs will do.
        Missing modalities: a pair uses the rows where both are present; pairs without such rows do not enter the mean.
        Cost: M (M - 1) / 2 products of B x D x B, or M - 1 with a hub. With M = 2 this is CLIP. Retrieval score: the
        mean cosine over the pairs of a query and a candidate modality.

    Source:
        Radford et al. (2021), CLIP; Tian et al. (2020), CMC; OVA-IB equations 1 to 3.

    Example:
        >>> import torch
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(Pairwise(tau=0.5)(emb).total), 4)
        0.3408
    """

    traits = Traits(missing="pairs", cost="M^2/2 B^2 D")
    inner = True
    weighs = "pairs"

    def __init__(
        self,
        *,
        pairs: Pairs = "all",
        anchor: str | None = None,
        tau: Tau = 0.07,
        weights: Weights | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        direction: Literal["both", "forward"] = "both",
        include_positive: bool = True,
        label_smoothing: float = 0.0,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            tau=tau,
            weights=weights,
            include_positive=include_positive,
            label_smoothing=label_smoothing,
            positives=positives,
            block_size=block_size,
        )
        if anchor is not None and pairs != "hub":
            raise InputError(f"anchor is {anchor!r}, which only pairs='hub' uses; leave it out or set pairs='hub'")
        if isinstance(pairs, str):
            one_of("pairs", pairs, ("all", "hub"))
        one_of("reduction", reduction, ("mean", "sum"))
        one_of("direction", direction, ("both", "forward"))
        if pairs != "all" or direction == "forward" or not self.even:
            self.traits = replace(self.traits, symmetric=False, cost="pairs B^2 D")
        self.pairs, self.anchor = pairs, anchor
        self.reduction, self.both = reduction, direction == "both"

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        pairs = pairs_of(emb, self.pairs, self.anchor)
        return {"contrast": over_pairs(emb, pairs, self._pair, self.reduction, self.weights)}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        return self._mean_cosine(query, candidates)
