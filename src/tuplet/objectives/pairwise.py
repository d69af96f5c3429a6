"""Pairwise InfoNCE: CLIP for any number of modalities (Radford et al., 2021; Tian et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional.contrast import contrast
from tuplet.objectives._checks import check_options
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import Objective, Weights, check_weights, rows_with, weight_of
from tuplet.objectives.temperature import Tau, at, temperature
from tuplet.types import Embeddings, InputError, Traits, one_of

Pairs = Literal["all", "hub"] | Sequence[tuple[str, str]]


class Pairwise(Objective):
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
        reduction: ``"mean"`` over pairs (default: the weight against other terms does not grow with M) or ``"sum"``
            (OVA-IB's equation 3 and Symile's baseline).
        direction: ``"both"`` contrasts either modality of a pair with the other and averages; ``"forward"`` only the
            first of the pair (in sorted or listed order) with the second.
        include_positive: whether the matching pair is in the denominator. True in every released program; OVA-IB's
            equation 1 prints it without, which False restores.
        label_smoothing: in [0, 1), 0 by default.
        positives: ``"own"`` contrasts a row with its own match only and leaves other rows of its group out; ``"group"`` takes
            the matches of its whole group for positives, averaged.
        block_size: queries per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Raises:
        InputError: for an unknown hub, pair or weight, or fewer than two modalities.

    Notes:
        When to use: the first one to try: its score is the cosine, and any set of present pairs will do.
        Missing modalities: a pair uses the rows where both are present; pairs without such rows do not enter the mean.
        Cost: M (M - 1) / 2 products of B x D x B, or M - 1 with a hub. With M = 2 this is CLIP. Retrieval score: the
        mean cosine over the pairs of a query and a candidate modality.

    Source:
        Radford et al. (2021), CLIP; Tian et al. (2020), CMC; OVA-IB equations 1 to 3.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(Pairwise(tau=0.5)(emb).total), 4)
        0.3408
    """

    traits = Traits(missing="pairs", cost="M^2/2 B^2 D")

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
        super().__init__()
        check_options(block_size=block_size, label_smoothing=label_smoothing, weights=weights)
        if anchor is not None and pairs != "hub":
            raise InputError(f"anchor is {anchor!r}, which only pairs='hub' uses; leave it out or set pairs='hub'")
        if isinstance(pairs, str):
            one_of("pairs", pairs, ("all", "hub"))
        one_of("reduction", reduction, ("mean", "sum"))
        one_of("direction", direction, ("both", "forward"))
        one_of("positives", positives, ("own", "group"))
        if pairs != "all" or direction == "forward" or weights or isinstance(tau, Mapping):
            self.traits = replace(self.traits, symmetric=False, cost="pairs B^2 D")
        self.pairs = pairs
        self.anchor = anchor
        self.tau = temperature(tau)
        self.weights = weights
        self.reduction = reduction
        self.direction = direction
        self.include_positive = include_positive
        self.label_smoothing = label_smoothing
        self.positives = positives
        self.block_size = block_size

    def check(self, emb: Embeddings) -> None:
        """Refuse weights of modalities that are not there."""
        check_weights(self.weights, emb, of="pairs")

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        pairs = pairs_of(emb, self.pairs, self.anchor)
        return {"contrast": over_pairs(emb, pairs, self._pair, self.reduction, self.weights)}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        return self._mean_cosine(query, candidates)

    def _pair(self, emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
        return pair_contrast(
            emb,
            a,
            b,
            valid,
            tau=at(self.tau, a, b),
            direction=self.direction,
            include_positive=self.include_positive,
            label_smoothing=self.label_smoothing,
            positives=self.positives,
            block_size=self.block_size,
        )


def pair_contrast(
    emb: Embeddings,
    a: str,
    b: str,
    valid: Tensor | None,
    *,
    tau: float | Tensor,
    direction: Literal["both", "forward"] = "both",
    include_positive: bool = True,
    label_smoothing: float = 0.0,
    positives: Positives = "own",
    block_size: BlockSize = "auto",
) -> Tensor:
    """Symmetric InfoNCE between two modalities."""
    x, y = emb.z[a] / tau, emb.z[b]  # tau on (B, D), not on (B, B)
    return contrast(
        lambda queries, candidates: cut(x, queries) @ cut(y, candidates).mT,
        (x * y).sum(dim=1),
        rows=emb.rows,
        valid=valid,
        counted=emb.aux.get(COUNTED),
        group=emb.group,
        positives=positives,
        both=direction == "both",
        include_positive=include_positive,
        label_smoothing=label_smoothing,
        block_size=block_size,
    )


def pairs_of(emb: Embeddings, pairs: Pairs, anchor: str | None) -> list[tuple[str, str]]:
    """List the pairs of modalities that an objective compares."""
    names = emb.modalities
    if pairs == "all":
        return list(combinations(names, 2))
    if pairs == "hub":
        hub = names[0] if anchor is None else anchor
        if hub not in names:
            raise InputError(f"anchor is {hub!r}, expected one of {list(names)}")
        return [(hub, other) for other in names if other != hub]
    listed = [(a, b) for a, b in pairs]
    for a, b in listed:
        if a not in names or b not in names or a == b:
            raise InputError(f"pairs holds ({a!r}, {b!r}), expected two different names of {list(names)}")
    if not listed:
        raise InputError("pairs is empty; list at least one pair of modalities")
    return listed


def over_pairs(
    emb: Embeddings,
    pairs: list[tuple[str, str]],
    pair_loss: Callable[[Embeddings, str, str, Tensor | None], Tensor],
    reduction: Literal["mean", "sum"],
    weights: Weights | None = None,
) -> Tensor:
    """Reduce a loss over pairs of modalities, leaving out pairs that no row has both of."""
    valid = [rows_with(emb, pair) for pair in pairs]
    shares = [weight_of(weights, a, b) for a, b in pairs]
    losses = torch.stack([w * pair_loss(emb, a, b, v) for w, (a, b), v in zip(shares, pairs, valid, strict=True)])
    if reduction == "sum":
        return losses.sum()
    empty = [~v.any() * w for v, w in zip(valid, shares, strict=True) if v is not None]
    left = sum(shares) - sum(empty, losses.new_zeros(()))
    return losses.sum() / torch.where(left > 0, left, 1.0)
