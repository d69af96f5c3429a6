"""Sigmoid contrast for any number of modalities (SigLIP; Zhai et al., ICCV 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional.sigmoid import sigmoid_contrast
from tuplet.objectives._pairs import Pairs
from tuplet.objectives.compose import Weights
from tuplet.objectives.pairwise import Pairwise
from tuplet.objectives.temperature import Tau, Temperature, at
from tuplet.types import Embeddings


class SigmoidPairwise(Pairwise):
    r"""Binary cross-entropy over all pairs of rows, for pairs of modalities.

    .. math::
        L = \mathrm{mean}_{(a, b)}\; \frac1B \sum_i \sum_j \log \big( 1 + e^{-y_{ij} (z^a_i \cdot z^b_j / \tau + c)} \big),
        \qquad y_{ij} = 1 \text{ if } i = j \text{ else } -1

    Args:
        tau: temperature, > 0, a `Temperature` or a dict of these, as in `Pairwise`. The authors learn it from 0.1; so does
            this when left out.
        bias: initial :math:`c`, which is learned. -10 in the paper, so that the many negatives start without weight.
        positives: ``"own"`` leaves other rows of a row's group out; ``"group"`` makes them positives.
        pairs, anchor, weights, reduction, block_size: as in `Pairwise`.

    Notes:
        When to use: where a batch must be cut into parts that do not share a softmax.
        The sum over candidates is divided by B, as in the paper, so it grows with B. Missing modalities: as in `Pairwise`.
        Cost: as in `Pairwise`. The paper has two modalities; the mean over pairs is our reading.

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
            lambda q, c: torch.addmm(bias, cut(x, q), cut(y, c).mT),
            (x * y).sum(dim=1) + bias,
            rows=emb.rows,
            valid=valid,
            group=emb.group,
            positives=self.positives,
            block_size=self.block_size,
        )
