"""MV-InfoNCE and MV-DHEL: one contrast per tuple instead of one per pair of modalities (Koromilas et al., 2025)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut, size_of_block
from tuplet.functional.contrast import contrast
from tuplet.objectives._contrastive import Contrastive
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import row_mean, rows_with
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, InputError, Traits


class _MultiView(Contrastive):
    """What both forms share: one temperature, the pull of a tuple's own pairs, and the mean cosine as score."""

    inner = True

    def __init__(self, *, tau: Tau, positives: Positives, block_size: BlockSize) -> None:
        if isinstance(tau, Mapping):
            raise InputError(f"tau is a dict, but {type(self).__name__} pools all pairs at one temperature; give a number")
        super().__init__(tau=tau, positives=positives, block_size=block_size)

    def _pull(self, emb: Embeddings, tau: float | Tensor) -> Tensor:
        """Return ``log sum_{l < m} exp(z_il . z_im / tau)`` of every tuple, ``(B,)``."""
        pairs = [(emb.z[a] * emb.z[b]).sum(dim=1) for a, b in combinations(emb.modalities, 2)]
        return (torch.stack(pairs) / tau).logsumexp(dim=0)

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        return self._mean_cosine(query, candidates)


class MVInfoNCE(_MultiView):
    r"""InfoNCE between whole tuples, whose logit is pooled over all pairs of their modalities.

    .. math::
        L = -\mathrm{mean}_i \log \frac{2 \sum_{l < m} e^{z_{il} \cdot z_{im} / \tau}}
            {\sum_l \sum_{(j, m) \ne (i, l)} e^{z_{il} \cdot z_{jm} / \tau}}

    Args:
        tau: temperature, > 0, or a learnable `Temperature`; 0.1 in the authors' ImageNet program.
        positives: as in `Pairwise`.
        block_size: tuples per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B and M.

    Raises:
        InputError: for a temperature per modality.

    Notes:
        When to use: many views of one kind. A tuple is content once one of its pairs is near, because pairs are pooled before
        the logarithm; `Pairwise` asks for every pair.
        Missing modalities: a row is contrasted over the modalities that it has. Cost: M^2 products of B x D x B. Retrieval
        score: the mean cosine, which is ours; the authors train encoders for probes and do not retrieve. With M = 2 it is not
        CLIP: rows of the same modality are negatives, too, and both directions share one logarithm.

    Source:
        Koromilas et al. (2025), A principled framework for multi-view contrastive learning. The sums are those of the
        authors' program, which has no licence; only its formula is used.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(MVInfoNCE(tau=0.5)(emb).total), 4)  # log(2 e^2 + 12) - log(2 e^2)
        0.5944
    """

    traits = Traits(missing="patterns", cost="M^2 B^2 D")

    def __init__(self, *, tau: Tau = 0.1, positives: Positives = "own", block_size: BlockSize = "auto") -> None:
        super().__init__(tau=tau, positives=positives, block_size=block_size)

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        tau, z = at(self.tau, *emb.modalities), torch.stack([emb.z[k] for k in emb.modalities], dim=1)
        n, m, _ = z.shape

        def pooled(queries: slice, candidates: slice) -> Tensor:
            rows, others = cut(z, queries), cut(z, candidates)
            products = (rows / tau).flatten(0, 1) @ others.flatten(0, 1).mT  # (b M, n M), a block of M x M per pair of tuples
            return products.view(len(rows), m, len(others), m).permute(0, 2, 1, 3).flatten(2).logsumexp(dim=2)

        # the diagonal is replaced: a modality is no candidate of itself, so a tuple's own logit has M (M - 1) terms
        positive = self._pull(emb, tau) + math.log(2)
        loss = contrast(
            pooled,
            positive,
            rows=emb.rows,
            valid=rows_with(emb, emb.modalities),
            counted=emb.aux.get(COUNTED),
            group=emb.group,
            positives=self.positives,
            both=False,
            block_size=size_of_block(self.block_size, n * m * m, gpu=z.is_cuda),
        )
        return {"contrast": loss}


class MVDHEL(_MultiView):
    r"""Alignment of a whole tuple, and the energy of each modality apart from it.

    .. math::
        L = \mathrm{mean}_i \Big[ \sum_l \log \sum_{j \ne i} e^{z_{il} \cdot z_{jl} / \tau}
            - \log \sum_{l < m} e^{z_{il} \cdot z_{im} / \tau} \Big]

    Args:
        tau: temperature, > 0, or a learnable `Temperature`; 0.2 by default in the authors' program.
        block_size: rows per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Raises:
        InputError: for a temperature per modality.

    Notes:
        When to use: where modalities shall stay spread out, each on its own. No row repels another modality's, so nothing but
        the pull brings modalities together; begin with encoders that do not start far apart.
        Missing modalities: a row counts over the modalities that it has. Cost: M products of B x D x B. Retrieval score: the
        mean cosine, which is ours. Energies are summed over modalities as the authors do, so more modalities weigh spread
        more against the one pull.

    Source:
        Koromilas et al. (2025), A principled framework for multi-view contrastive learning; with M = 2, DHEL of Koromilas et
        al. (2024). The sums are those of the authors' program, which has no licence; only its formula is used.

    Example:
        >>> emb = Embeddings.of({"audio": torch.eye(4), "video": torch.eye(4)})
        >>> round(float(MVDHEL(tau=0.5)(emb).total), 4)  # 2 log 3 - 2
        0.1972
    """

    traits = Traits(missing="patterns", cost="M B^2 D")

    def __init__(self, *, tau: Tau = 0.2, block_size: BlockSize = "auto") -> None:
        super().__init__(tau=tau, positives="own", block_size=block_size)

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the energy and the alignment."""
        tau, valid, counted = at(self.tau, *emb.modalities), rows_with(emb, emb.modalities), emb.aux.get(COUNTED)
        energies = []
        for name in emb.modalities:
            z = emb.z[name]
            energies.append(
                contrast(
                    partial(_inner, z / tau, z),
                    z.new_zeros(len(z)),  # the loss is then the log-sum-exp over the other rows
                    rows=emb.rows,
                    valid=valid,
                    counted=counted,
                    group=emb.group,
                    both=False,
                    include_positive=False,
                    block_size=self.block_size,
                )
            )
        pull = row_mean(self._pull(emb, tau), valid, emb.rows, counted)
        return {"energy": torch.stack(energies).sum(), "alignment": -pull}


def _inner(x: Tensor, y: Tensor, queries: slice, candidates: slice) -> Tensor:
    return cut(x, queries) @ cut(y, candidates).mT
