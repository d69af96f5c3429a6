"""CMC as today's comparisons run it: NT-Xent over pairs of modalities."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut, pair_mask
from tuplet.functional.contrast import contrast
from tuplet.objectives._pairs import Pairs
from tuplet.objectives.compose import Weights
from tuplet.objectives.pairwise import Pairwise
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings


class CMC(Pairwise):
    r"""NT-Xent over pairs of modalities: a row's negatives are the other rows of both modalities.

    .. math::
        L = \mathrm{mean}_{(a, b)}\; \frac{1}{2B} \sum_{u \in Z_a \cup Z_b}
            \Big[ \log \sum_{v \in Z_a \cup Z_b,\, v \ne u} e^{u \cdot v / \tau} - u \cdot u^+ / \tau \Big]

    Args:
        tau: temperature, as in `Pairwise`; 0.1, fixed in the program that UniOMA and CoMM compare with.
        positives: as in `Pairwise`; with ``"group"`` the other rows of the group are positives in both modalities.
        pairs, anchor, weights, reduction, block_size: as in `Pairwise`.

    Notes:
        When to use: to compare with papers that report NT-Xent under the name CMC.
        Not the loss of the CMC paper, which contrasts with a memory bank and between modalities only; papers that report
        "CMC" may mean either, or `Pairwise`. Negatives within a modality spread it out, too. Missing modalities as in
        `Pairwise`. Cost: four times the products of `Pairwise`. With M = 2 and two augmentations for modalities it is SimCLR.

    Source:
        Tian et al. (2020), Contrastive multiview coding, in the form of Dufumier et al. (2025), CoMM, after Chen et al. (2020),
        SimCLR.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(CMC(tau=0.5)(emb).total), 4)  # log(e^2 + 6) - 2
        0.5944
    """

    def __init__(
        self,
        *,
        pairs: Pairs = "all",
        anchor: str | None = None,
        tau: Tau = 0.1,
        weights: Weights | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            pairs=pairs,
            anchor=anchor,
            tau=tau,
            weights=weights,
            reduction=reduction,
            positives=positives,
            block_size=block_size,
        )
        self.traits = replace(self.traits, cost=self.traits.cost.replace("M^2/2", "2 M^2"))

    def _pair(self, emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
        return nt_xent(
            emb.z[a],
            emb.z[b],
            tau=at(self.tau, a, b),
            rows=emb.rows,
            valid=valid,
            group=emb.group,
            positives=self.positives,
            block_size=self.block_size,
        )


def nt_xent(
    x: Float[Tensor, "N D"],
    y: Float[Tensor, "N D"],
    *,
    tau: float | Tensor,
    rows: slice,
    valid: Bool[Tensor, " N"] | None = None,
    group: Int[Tensor, " N"] | None = None,
    positives: Positives = "own",
    block_size: BlockSize = "auto",
) -> Float[Tensor, ""]:
    r"""Normalised-temperature cross-entropy of two sets of unit rows, each row against all others of both."""
    n = x.shape[0]
    both = torch.stack([x, y], dim=1).flatten(0, 1) / tau  # x_0, y_0, x_1, ..: a process's own rows lie together
    swapped = torch.stack([y, x], dim=1).flatten(0, 1)  # candidate i matches query i, and i ^ 1 is the query itself
    twice = [None if t is None else t.repeat_interleave(2) for t in (valid, group)]
    member = torch.arange(2 * n, device=x.device)
    allowed = pair_mask(twice[0], twice[1] if positives == "own" else None)

    def keep(queries: slice, candidates: slice) -> Tensor:
        apart = member[queries, None] != (member ^ 1)[None, candidates]
        return apart if allowed is None else apart & allowed(queries, candidates)

    return contrast(
        lambda q, c: cut(both, q) @ cut(swapped, c).mT,
        (both * swapped).sum(dim=1),
        rows=slice(2 * rows.start, 2 * rows.stop),
        valid=twice[0],
        group=twice[1],
        positives=positives,
        keep=keep,
        both=False,
        block_size=block_size,
    )
