"""Sigmoid contrast for any number of modalities (SigLIP; Zhai et al., ICCV 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional.sigmoid import sigmoid_contrast
from tuplet.objectives.compose import Weights
from tuplet.objectives.pairwise import Pairs, Pairwise
from tuplet.objectives.temperature import Tau, Temperature, at
from tuplet.types import Embeddings


class SigmoidPairwise(Pairwise):
    r"""Binary cross-entropy over all pairs of rows, for pairs of modalities.

    .. math::
        L = \mathrm{mean}_{(a, b)}\; \frac1B \sum_i \sum_j \log \big( 1 + e^{-y_{ij} (z^a_i \cdot z^b_j / \tau + c)} \big),
        \qquad y_{ij} = 1 \text{ if } i = j \text{ else } -1

    Args:
        pairs: ``"all"`` pairs, ``"hub"`` for every modality with ``anchor`` only, or a list of pairs of names.
        anchor: the hub's name; the first name in sorted order when left out. Only with ``pairs="hub"``.
        tau: temperature, > 0, a `Temperature` or a dict of these, as in `Pairwise`. The authors learn it from 0.1; so does
            this when left out.
        bias: initial :math:`c`, which is learned. -10 in the paper, so that the many negatives start without weight.
        weights: as in `Pairwise`.
        reduction: ``"mean"`` or ``"sum"`` over pairs.
        positives: ``"own"`` leaves other rows of a row's group out; ``"group"`` makes them positives.
        block_size: queries per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Raises:
        InputError: for an unknown hub, pair or weight, or fewer than two modalities.

    Notes:
        When to use: where a batch must be cut into parts that do not share a softmax.
        No partition function: every pair of rows counts for itself, so a batch may be cut anywhere. The sum over candidates is
        divided by B, as in the paper, so it grows with B. Missing modalities: a pair uses the rows where both are present.
        Cost: M (M - 1) / 2 products of B x D x B. Retrieval score: the mean cosine, as in `Pairwise`. The paper has two
        modalities; the mean over pairs is our reading.

    Source:
        Zhai et al. (2023), Sigmoid loss for language image pre-training, equation 1 and algorithm 1.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(SigmoidPairwise(tau=0.1, bias=-5.0)(emb).terms["contrast"]), 4)  # log(1 + e^-5) times 4
        0.0269
    """

    def __init__(
        self,
        *,
        pairs: Pairs = "all",
        anchor: str | None = None,
        tau: Tau | None = None,
        bias: float = -10.0,
        weights: Weights | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            pairs=pairs,
            anchor=anchor,
            tau=Temperature(0.1) if tau is None else tau,
            weights=weights,
            reduction=reduction,
            positives=positives,
            block_size=block_size,
        )
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def _pair(self, emb: Embeddings, a: str, b: str, valid: Tensor | None) -> Tensor:
        x, y, bias = emb.z[a] / at(self.tau, a, b), emb.z[b], self.bias.to(emb.z[b].dtype)
        return sigmoid_contrast(
            lambda queries, candidates: torch.addmm(bias, cut(x, queries), cut(y, candidates).mT),
            (x * y).sum(dim=1) + bias,
            rows=emb.rows,
            valid=valid,
            group=emb.group,
            positives=self.positives,
            block_size=self.block_size,
        )
