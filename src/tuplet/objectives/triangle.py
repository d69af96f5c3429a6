"""TRIANGLE: contrast by the area of the triangle that three embeddings form (Cicchetti et al., 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional.contrast import contrast
from tuplet.functional.scores import paired_area, triangle_area
from tuplet.objectives._checks import check_options
from tuplet.objectives._patterns import COUNTED
from tuplet.objectives.compose import Objective, rows_with, weight_of, weighted_mean
from tuplet.objectives.gram import anchors_of, check_anchors, check_names
from tuplet.objectives.pairwise import pair_contrast
from tuplet.objectives.temperature import Tau, at, temperature
from tuplet.types import Embeddings, Traits, one_of


class Triangle(Objective):
    r"""InfoNCE on minus the area of the triangle with corners at an anchor and the two other modalities.

    .. math:: A_{ij} = \tfrac12 \big( |u|^2 |v|^2 - (u \cdot v)^2 \big), \quad u = z^a_i - z^1_j,\; v = z^a_i - z^2_j

    Args:
        anchors: ``"one"``, the modality ``anchor`` contrasted with the other two (the authors' program); ``"all"``, the mean
            of the loss with every modality as the anchor.
        anchor: the anchor; the first name in sorted order when left out. Only with ``"one"``.
        tau: temperature; 0.07, the authors' initial value. A number, a `Temperature`, or, for ``anchors="all"``, a dict per
            anchor.
        weights: per anchor, relative; only for ``anchors="all"``.
        label_smoothing: in [0, 1); 0.1 as in the authors' program.
        squared: True for the expression above (twice the squared area: what the authors' program trains with), False
            for the true area.
        positives: ``"own"`` or ``"group"``, as in `Pairwise`.
        block_size: queries per block, recomputed in backward to bound memory; None for one block; ``"auto"`` decides by B.

    Raises:
        InputError: for an unknown anchor or weight, or anything but three modalities (the area is defined for no other
            number).

    Notes:
        When to use: with exactly three modalities, to compare with TRIANGLE.
        Zero area is not agreement: it is 0 whenever the corners lie on one line, for instance when the two other
        modalities coincide and the anchor is anywhere. Missing modalities: a row with two of the three contributes their
        CLIP loss, minus half the squared length of the segment being the cosine less 1. Cost: two products of B x D x B per
        anchor.

    Source:
        Cicchetti et al. (2025), A TRIANGLE enables multimodal alignment beyond cosine similarity.

    Example:
        >>> import torch
        >>> e = torch.eye(4)
        >>> round(float(Triangle()(Embeddings.of({"a": e, "b": e, "c": e})).total), 4)
        1.3863
    """

    traits = Traits(modalities=(3, 3), symmetric=False, missing="patterns", cost="2 B^2 D")

    def __init__(
        self,
        *,
        anchors: Literal["one", "all"] = "one",
        anchor: str | None = None,
        tau: Tau = 0.07,
        weights: Mapping[str, float] | None = None,
        label_smoothing: float = 0.1,
        squared: bool = True,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__()
        check_options(block_size=block_size, label_smoothing=label_smoothing, weights=weights)
        check_anchors(anchors, anchor, weights, tau)
        one_of("positives", positives, ("own", "group"))
        if anchors == "all":
            same = not weights and not isinstance(tau, Mapping)
            self.traits = replace(self.traits, symmetric=same, cost="6 B^2 D")
        self.anchors = anchors
        self.anchor = anchor
        self.tau = temperature(tau)
        self.weights = weights
        self.label_smoothing = label_smoothing
        self.squared = squared
        self.positives = positives
        self.block_size = block_size

    def check(self, emb: Embeddings) -> None:
        """Refuse an unknown anchor or weight."""
        check_names(self.anchor, self.weights, emb)

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        names = anchors_of(emb, self.anchors, self.anchor)
        losses = [self._anchored(emb, name) for name in names]
        return {"contrast": weighted_mean(losses, [weight_of(self.weights, name) for name in names])}

    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        others, valid = [k for k in emb.modalities if k != name], rows_with(emb, emb.modalities)
        if len(others) == 1:
            return pair_contrast(
                emb,
                name,
                others[0],
                valid,
                tau=at(self.tau, name, others[0]),
                label_smoothing=self.label_smoothing,
                positives=self.positives,
                block_size=self.block_size,
            )
        q, (a, b), tau = emb.z[name], [emb.z[k] for k in others], at(self.tau, name)
        return contrast(
            lambda queries, candidates: (
                -triangle_area(cut(q, queries), [cut(a, candidates), cut(b, candidates)], squared=self.squared) / tau
            ),
            -paired_area([q, a, b], squared=self.squared) / tau,
            rows=emb.rows,
            valid=valid,
            group=emb.group,
            positives=self.positives,
            label_smoothing=self.label_smoothing,
            counted=emb.aux.get(COUNTED),
            block_size=self.block_size,
        )

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return minus the area of every query with every candidate, ``(Nq, Nc)``; three modalities in all."""
        queries, others = self._sides(query, candidates)
        if len(queries) == 1:
            return -triangle_area(queries[0], others, squared=self.squared)
        return -triangle_area(others[0], queries, squared=self.squared).mT
