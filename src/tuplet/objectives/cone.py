"""Cone: every modality against the best non-negative mixture of all the others (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional._frame import even_product, gram_of
from tuplet.functional._rough import Rough
from tuplet.functional.cone import between, conic
from tuplet.objectives._contrastive import Anchored, Anchors
from tuplet.objectives.compose import rows_with
from tuplet.objectives.one_vs_all import minimality
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, Traits, in_range


class Cone(Anchored):
    r"""InfoNCE on the cosine of every modality with the best non-negative mixture of the others, both directions.

    .. math::
        s(q, C) = \max_{a \ge 0,\, a \ne 0} \cos\Big(q, \sum_j a_j c_j\Big), \qquad
        L = \frac1M \sum_m \tfrac12 \big[ \mathrm{CE}(s_m / \tau) + \mathrm{CE}(s_m^\top / \tau) \big],
        \quad s_m(n, n') = s(z^m_n, \{z^i_{n'}\}_{i \ne m})

    Args:
        tau: temperature, > 0. A number, a `Temperature`, or, for ``anchors="all"``, a dict per anchor.
        beta: weight of OVA-IB's minimality (`OneVsAll`), >= 0.
        anchors: ``"all"``, the mean of the loss with every modality as the query; ``"one"``, only the modality ``anchor``.
        anchor: the query of ``anchors="one"``; the first name in sorted order when left out.
        weights: as in `Gram`.
        include_positive, label_smoothing, positives, block_size: as in `Pairwise`.

    Notes:
        When to use: where a modality matches several others together better than each of them alone. Its own score then can
        retrieve far more than a mean of cosines, but not everywhere: docs/claims.md has a case where `Pairwise` is better.
        Compare them on your data with ``tuplet bench``. With M = 2 the loss is CLIP exactly. The score lies between the best
        single cosine and the length of the projection onto the span, and sees signs. First derivatives are exact where the
        optimal mixture is unique and subgradients at ties; there are no second ones. Missing modalities: a row contributes
        the loss over the modalities it has (two or more), beside the rows that have them too. Cost: M (M - 1) products of B x
        D x B, and per product a few dozen passes over B x B numbers.

    Source:
        Ours. The score is a non-negative least-squares fit (Lawson and Hanson, 1974) of the query by the other modalities.

    Example:
        >>> e = torch.eye(4)
        >>> loss = Cone(tau=0.5)(Embeddings.of({"force": e, "touch": e, "video": e}))
        >>> round(float(loss.total), 4)  # coincident members: CLIP's value
        0.3408
    """

    traits = Traits(missing="patterns", cost="M^2 B^2 D")

    def __init__(
        self,
        *,
        tau: Tau = 0.1,
        beta: float = 0.0,
        anchors: Anchors = "all",
        anchor: str | None = None,
        weights: Mapping[str, float] | None = None,
        include_positive: bool = True,
        label_smoothing: float = 0.0,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            anchors=anchors,
            anchor=anchor,
            tau=tau,
            weights=weights,
            include_positive=include_positive,
            label_smoothing=label_smoothing,
            positives=positives,
            block_size=block_size,
        )
        in_range("beta", beta, 0)
        self.beta = beta
        self.traits = replace(self.traits, symmetric=anchors == "all" and self.even)
        if anchors == "one":
            self.traits = replace(self.traits, cost="M B^2 D")

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrast, and minimality where it has a weight."""
        found, names = super().terms(emb), self._names(emb)
        return found | ({"minimality": self.beta * minimality(emb, names, self._shares(names))} if self.beta else {})

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the best cosine between a mixture of the query's modalities and one of the candidate's, ``(Nq, Nc)``.

        With one modality on a side this is :math:`s`, exact. With several on both it is the largest cosine between two cones,
        found by solving for either side in turn from every query modality (`tuplet.functional.cone.between`): never below
        the best single cosine.
        """
        queries, others = self._sides(query, candidates)
        products = torch.stack([torch.stack([even_product(q, c) for c in others]) for q in queries])
        return between(products, gram_of(queries), gram_of(others))

    def bounds(self, rough: Rough) -> Tensor:
        """Return the largest cosines that are possible, ``(B, N)``."""
        return rough.conic()

    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        scaled, everything = emb.z[name] / at(self.tau, name), slice(0, len(emb))
        members = [emb.z[k] for k in emb.modalities if k != name]
        gram = gram_of(members)

        def logits(queries: slice, candidates: slice) -> Tensor:
            products = [cut(scaled, queries) @ cut(c, candidates).mT for c in members]
            return conic(products, gram if candidates == everything else gram[:, :, candidates])

        positive = conic([(scaled * c).sum(dim=1)[None] for c in members], gram)[0]
        return self._info_nce(emb, logits, positive, rows_with(emb, emb.modalities))
