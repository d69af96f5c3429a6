"""TRIANGLE: contrast by the area of the triangle that three embeddings form (Cicchetti et al., 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from tuplet.functional._blocks import BlockSize, Positives, cut
from tuplet.functional._rough import Rough
from tuplet.functional.scores import paired_area, triangle_area
from tuplet.objectives._contrastive import Anchored, Anchors
from tuplet.objectives.compose import rows_with
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, Traits


class Triangle(Anchored):
    r"""InfoNCE on minus the area of the triangle with corners at an anchor and the two other modalities.

    .. math:: A_{ij} = \tfrac12 \big( |u|^2 |v|^2 - (u \cdot v)^2 \big), \quad u = z^a_i - z^1_j,\; v = z^a_i - z^2_j

    Args:
        tau: temperature, as in `Gram`; 0.07, the authors' initial value.
        label_smoothing: in [0, 1); 0.1 as in the authors' program.
        squared: True for the expression above (twice the squared area: what the authors' program trains with), False
            for the true area.
        anchors, anchor, weights: as in `Gram`.
        positives, block_size: as in `Pairwise`.

    Raises:
        InputError: for an unknown anchor or weight, or anything but three modalities (the area is defined for no other
            number).

    Notes:
        When to use: with exactly three modalities, to compare with TRIANGLE. Zero area is not agreement: it is 0 whenever the
        corners lie on one line, for instance when the two other modalities coincide and the anchor is anywhere. Missing
        modalities: a row with two of the three contributes their CLIP loss, minus half the squared length of the segment
        being the cosine less 1. Cost: two products of B x D x B per anchor.

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
        anchors: Anchors = "one",
        anchor: str | None = None,
        tau: Tau = 0.07,
        weights: Mapping[str, float] | None = None,
        label_smoothing: float = 0.1,
        squared: bool = True,
        positives: Positives = "own",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(
            anchors=anchors,
            anchor=anchor,
            tau=tau,
            weights=weights,
            label_smoothing=label_smoothing,
            positives=positives,
            block_size=block_size,
        )
        self.squared = squared
        if anchors == "all":
            self.traits = replace(self.traits, symmetric=self.even, cost="6 B^2 D")

    def _anchored(self, emb: Embeddings, name: str) -> Tensor:
        others, valid = [k for k in emb.modalities if k != name], rows_with(emb, emb.modalities)
        if len(others) == 1:
            return self._pair(emb, name, others[0], valid)
        q, (a, b), tau = emb.z[name], [emb.z[k] for k in others], at(self.tau, name)

        def logits(queries: slice, candidates: slice) -> Tensor:
            corners = [cut(a, candidates), cut(b, candidates)]
            return -triangle_area(cut(q, queries), corners, squared=self.squared) / tau

        return self._info_nce(emb, logits, -paired_area([q, a, b], squared=self.squared) / tau, valid)

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return minus the area of every query with every candidate, ``(Nq, Nc)``; three modalities in all."""
        queries, others = self._sides(query, candidates)
        if len(queries) == 1:
            return -triangle_area(queries[0], others, squared=self.squared)
        return -triangle_area(others[0], queries, squared=self.squared).mT

    def bounds(self, rough: Rough) -> Tensor | None:
        """Return minus the smallest areas that are possible, ``(B, N)``."""
        if len(rough.products) != 2:
            return None
        least = rough.triangular()
        return -least / 2 if self.squared else -least.sqrt() / 2
