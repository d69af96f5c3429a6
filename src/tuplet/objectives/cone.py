"""Cone: every modality against the best non-negative mixture of all the others (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional._frame import gram_of
from tuplet.functional.cone import between, conic
from tuplet.functional.contrast import contrast
from tuplet.functional.rows import even_product
from tuplet.objectives._checks import check_options
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import Objective, rows_with, weight_of, weighted_mean
from tuplet.objectives.gram import anchors_of, check_anchors, check_names
from tuplet.objectives.one_vs_all import minimality
from tuplet.objectives.temperature import Tau, at, temperature
from tuplet.types import Embeddings, Traits, in_range, one_of


class Cone(Objective):
    r"""InfoNCE on the cosine of every modality with the best non-negative mixture of the others, both directions.

    .. math::
        s(q, C) = \max_{a \ge 0,\, a \ne 0} \cos\Big(q, \sum_j a_j c_j\Big), \qquad
        L = \frac1M \sum_m \tfrac12 \big[ \mathrm{CE}(s_m / \tau) + \mathrm{CE}(s_m^\top / \tau) \big],
        \quad s_m(n, n') = s(z^m_n, \{z^i_{n'}\}_{i \ne m})

    Args:
        tau: temperature, > 0. A number, a `Temperature`, or, for ``anchors="all"``, a dict per anchor.
        beta: weight of OVA-IB's minimality (`OneVsAll`), >= 0; 0 by default.
        anchors: ``"all"``, the mean of the loss with every modality as the query; ``"one"``, only the modality ``anchor``.
        anchor: the query of ``anchors="one"``; the first name in sorted order when left out. A row that lacks it asks with
            its first modality.
        weights: per anchor, relative; only for ``anchors="all"``.
        include_positive: whether the matching pair is in the denominator, as in CLIP.
        label_smoothing: in [0, 1), 0 by default.
        positives: ``"own"`` or ``"group"``, as in `Pairwise`.
        block_size: queries per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Raises:
        InputError: for an unknown anchor or weight, or fewer than two modalities.

    Notes:
        When to use: where a modality matches several others together better than each of them alone. Its own score then can
        retrieve far more than a mean of cosines, as on views of digits, but not everywhere: docs/claims.md has a case where
        `Pairwise` is better. Compare them on your data with ``tuplet bench``.
        With M = 2 the loss is CLIP exactly. The score lies between the best single cosine and the length of the projection
        onto the span, and equals the latter where the span's coefficients are not negative. It sees signs, and no lengths.
        Where the query lies behind all members the score is the best single cosine, so it stays informative. It is
        continuous except where members cancel each other to within rounding. First derivatives are exact where the optimal
        mixture is unique and subgradients at ties; there are no second ones.
        Missing modalities: a row contributes the loss over the modalities it has (two or more), beside the rows that have
        them too. Cost: M (M - 1) products of B x D x B, and per product a few dozen passes over B x B numbers.

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
        anchors: Literal["all", "one"] = "all",
        anchor: str | None = None,
        weights: Mapping[str, float] | None = None,
        include_positive: bool = True,
        label_smoothing: float = 0.0,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__()
        check_options(block_size=block_size, label_smoothing=label_smoothing, weights=weights)
        check_anchors(anchors, anchor, weights, tau)
        in_range("beta", beta, 0)
        one_of("positives", positives, ("own", "group"))
        if anchors == "one" or weights or isinstance(tau, Mapping):
            self.traits = replace(self.traits, symmetric=False)
        if anchors == "one":
            self.traits = replace(self.traits, cost="M B^2 D")
        self.tau = temperature(tau)
        self.beta = beta
        self.anchors = anchors
        self.anchor = anchor
        self.weights = weights
        self.include_positive = include_positive
        self.label_smoothing = label_smoothing
        self.positives = positives
        self.block_size = block_size

    def check(self, emb: Embeddings) -> None:
        """Refuse an unknown anchor or weight."""
        check_names(self.anchor, self.weights, emb)

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrast, and minimality where it has a weight."""
        names = anchors_of(emb, self.anchors, self.anchor)
        shares = [weight_of(self.weights, name) for name in names]
        found = {"contrast": weighted_mean([self._anchored(emb, name) for name in names], shares)}
        if self.beta:
            found["minimality"] = self.beta * minimality(emb, names, shares)
        return found

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the best cosine between a mixture of the query's modalities and one of the candidate's, ``(Nq, Nc)``.

        With one modality on a side this is :math:`s`, exact. With several on both it is the largest cosine between two cones,
        found by solving for either side in turn from every query modality (`tuplet.functional.cone.between`): never below
        the best single cosine.
        """
        queries, others = self._sides(query, candidates)
        products = torch.stack([torch.stack([even_product(q, c) for c in others]) for q in queries])
        return between(products, gram_of(queries), gram_of(others))

    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        q, tau = emb.z[name], at(self.tau, name)
        members = [emb.z[k] for k in emb.modalities if k != name]
        gram = gram_of(members)
        scaled = q / tau

        def logits(queries: slice, candidates: slice) -> Tensor:
            products = [cut(scaled, queries) @ cut(c, candidates).mT for c in members]
            return conic(products, gram if candidates == everything else gram[:, :, candidates])

        everything = slice(0, len(emb))
        return contrast(
            logits,
            conic([(scaled * c).sum(dim=1)[None] for c in members], gram)[0],
            rows=emb.rows,
            valid=rows_with(emb, emb.modalities),
            group=emb.group,
            positives=self.positives,
            include_positive=self.include_positive,
            label_smoothing=self.label_smoothing,
            counted=emb.aux.get(COUNTED),
            block_size=self.block_size,
        )
