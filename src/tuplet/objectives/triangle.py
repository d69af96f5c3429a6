"""TRIANGLE: contrast by the area of the triangle that three embeddings form (Cicchetti et al., 2025)."""

from __future__ import annotations

from torch import Tensor

from tuplet.functional.contrast import contrast, cut, pair_mask
from tuplet.functional.scores import paired_area, triangle_area
from tuplet.objectives.compose import Objective, rows_with
from tuplet.objectives.gram import anchor_and_rest
from tuplet.objectives.temperature import Temperature, temperature
from tuplet.types import Embeddings, Traits


class Triangle(Objective):
    r"""InfoNCE on minus the area of the triangle with corners at an anchor and the two other modalities.

    .. math:: A_{ij} = \tfrac12 \big( |u|^2 |v|^2 - (u \cdot v)^2 \big), \quad u = z^a_i - z^1_j,\; v = z^a_i - z^2_j

    Args:
        anchor: the modality that is contrasted with the other two; the first name in sorted order when left out.
        tau: temperature; 0.07, the authors' initial value.
        label_smoothing: in [0, 1); 0.1 as in the authors' program.
        squared: True for the expression above (twice the squared area: what the authors' program trains with), False
            for the true area.
        block_size: queries per block, to bound memory at large B; None keeps one block.

    Raises:
        InputError: for an unknown anchor or anything but three modalities (the area is defined for no other number).

    Notes:
        Zero area is not agreement: it is 0 whenever the corners lie on one line, for instance when the two other
        modalities coincide and the anchor is anywhere. Missing modalities: complete rows only. Cost: two products of
        B x D x B.

    Source:
        Cicchetti et al. (2025), A TRIANGLE enables multimodal alignment beyond cosine similarity.

    Example:
        >>> import torch
        >>> e = torch.eye(4)
        >>> round(float(Triangle()(Embeddings.of({"a": e, "b": e, "c": e})).total), 4)
        1.3863
    """

    traits = Traits(modalities=(3, 3), symmetric=False, cost="2 B^2 D")

    def __init__(
        self,
        *,
        anchor: str | None = None,
        tau: float | Temperature = 0.07,
        label_smoothing: float = 0.1,
        squared: bool = True,
        block_size: int | None = None,
    ) -> None:
        super().__init__()
        self.anchor = anchor
        self.tau = temperature(tau)
        self.label_smoothing = label_smoothing
        self.squared = squared
        self.block_size = block_size

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        q, (a, b) = anchor_and_rest(emb, self.anchor)
        tau, valid = self.tau(), rows_with(emb, emb.modalities)
        loss = contrast(
            lambda queries, candidates: (
                -triangle_area(cut(q, queries), [cut(a, candidates), cut(b, candidates)], squared=self.squared) / tau
            ),
            -paired_area([q, a, b], squared=self.squared) / tau,
            rows=emb.rows,
            keep=pair_mask(valid, emb.group),
            valid=valid,
            label_smoothing=self.label_smoothing,
            block_size=self.block_size,
        )
        return {"contrast": loss}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return minus the area of every query with every candidate, ``(Nq, Nc)``; three modalities in all."""
        queries, others = self._sides(query, candidates)
        if len(queries) == 1:
            return -triangle_area(queries[0], others, squared=self.squared)
        return -triangle_area(others[0], queries, squared=self.squared).mT
