"""Transport between the batches of modalities, for data of which only some rows are paired (after Zhu and Luo, 2024)."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tuplet.functional._sinkhorn import half_squared
from tuplet.functional.rows import unit
from tuplet.functional.transport import sinkhorn, wasserstein_barycenter
from tuplet.objectives.compose import Objective
from tuplet.types import Embeddings, InputError, Traits, in_range, one_of, positive


class TransportConsistency(Objective):
    r"""Entropic transport between modalities, with plans that should close loops and respect the known pairs.

    .. math::
        L = \mathrm{mean}_{(a, b)} W_\epsilon(z_a, z_b)
            + \gamma\, \mathrm{mean}_{(a, b, ..)} \Big[ 1 - \frac{\mathrm{tr}(P_{ab} P_{b .} \cdots P_{. a})}{\min N} \Big]
            - \beta\, \mathrm{mean}_{(a, b)}\, \mathrm{mean}_{i} \log \frac{T^{ab}_{ii}}{\min(p^a_i, p^b_i)}

    with :math:`P = \mathrm{diag}(p)^{-1} T` and costs 1 - cosine. A regulariser: add it to a contrastive objective.

    Args:
        form: ``"loop"`` compares all pairs of modalities; ``"barycenter"`` every modality with their Wasserstein barycentre.
        epsilon: entropy of the plans, > 0, in units of 1 - cosine.
        consistency: :math:`\gamma >= 0`, weight of the loops over two and over three modalities.
        pairing: :math:`\beta >= 0`, weight of the known pairs: the cross-entropy of the plan against them.
        steps: updates of the barycentre's points from the centroids of the rows; only for ``"barycenter"``.

    Raises:
        InputError: for an option that is misspelt or out of range, or fewer than two modalities or rows.

    Notes:
        Only the abstract of the paper is public. This is a reading of it, not a reproduction, and its numbers are not the
        paper's. Rows of which one modality is present enter the transports only; that is how unpaired rows train. Pairs of
        modalities of which one has no rows do not count. Transport and loops alone are at their best, or near it, when
        everything collapses into one point. The gradient is that of the exact plans. Every process computes the whole value.
        Cost: ``M^2 / 2`` plans in ``B^2 D`` and, in backward, ``B^3``; loops ``M^3 / 6`` products of ``B^3``; the barycentre
        ``M (steps + 1)`` plans.

    Source:
        After Zhu and Luo (2024), Enhancing multi-modal contrastive learning via optimal transport-based consistent
        modality alignment, abstract. Plans: Cuturi (2013).

    Example:
        >>> e = torch.eye(3)
        >>> loss = TransportConsistency()(Embeddings.of({"a": e, "b": e, "c": e}))
        >>> {k: round(abs(float(v)), 4) for k, v in loss.terms.items()}  # W = epsilon log 3 for exact matches
        {'transport': 0.0549, 'consistency': 0.0, 'pairing': 0.0}
    """

    traits = Traits(rowwise=False, missing="pairs", cost="M^2/2 (B^2 D + B^3)")
    inner = True

    def __init__(
        self,
        *,
        form: Literal["loop", "barycenter"] = "loop",
        epsilon: float = 0.05,
        consistency: float = 1.0,
        pairing: float = 1.0,
        steps: int = 1,
    ) -> None:
        super().__init__()
        one_of("form", form, ("loop", "barycenter"))
        positive("epsilon", epsilon)
        in_range("consistency", consistency, 0)
        in_range("pairing", pairing, 0)
        in_range("steps", steps, 0)
        self.form, self.epsilon, self.consistency, self.pairing, self.steps = form, epsilon, consistency, pairing, steps
        if form == "barycenter":
            self.traits = Traits(rowwise=False, missing="pairs", cost="M (B^2 D + B^3)")

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return transport, consistency (only for loops) and pairing."""
        if len(emb) < 2:
            raise InputError(f"z has {len(emb)} row, TransportConsistency needs at least 2 to match; raise batch_size")
        z = torch.stack([emb.z[k] for k in emb.modalities])
        present = torch.stack([emb.present[k] for k in emb.modalities])
        masses = present.to(z.dtype) / present.sum(dim=1, keepdim=True).clamp_min(1)
        return self._loop(z, present, masses) if self.form == "loop" else self._barycenter(z, present, masses)

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        return self._mean_cosine(query, candidates)

    def _loop(self, z: Tensor, present: Tensor, masses: Tensor) -> dict[str, Tensor]:
        pairs = list(combinations(range(len(z)), 2))
        left, right = (list(side) for side in zip(*pairs, strict=True))
        there = present.any(dim=1)
        counted = (there[left] & there[right]).to(z.dtype)
        found = self._plans(z[left], z[right], masses[left], masses[right])
        terms = {"transport": _mean(found[0], counted)}
        # rows of a plan over their masses: where to go from there
        step = {(a, b): found[2][k] / _safe(masses[a])[:, None] for k, (a, b) in enumerate(pairs)}
        step |= {(b, a): found[2][k].mT / _safe(masses[b])[:, None] for k, (a, b) in enumerate(pairs)}
        loops, closed, whole = [*pairs, *combinations(range(len(z)), 3)], [], []
        for loop in loops:
            *first, last = [step[a, b] for a, b in zip(loop, (*loop[1:], loop[0]), strict=True)]
            way = first[0] if len(first) == 1 else first[0] @ first[1]
            rows = present[list(loop)].sum(dim=1).min()
            closed.append(1 - (way * last.mT).sum() / rows.clamp_min(1))
            whole.append(rows > 0)
        terms["consistency"] = self.consistency * _mean(torch.stack(closed), torch.stack(whole).to(z.dtype))
        return terms | {"pairing": self._paired(found[1], masses[left], masses[right], present[left] & present[right])}

    def _barycenter(self, z: Tensor, present: Tensor, masses: Tensor) -> dict[str, Tensor]:
        anyone = present.any(dim=0)
        p = anyone.to(z.dtype) / anyone.sum().clamp_min(1)
        points = wasserstein_barycenter(
            z,
            unit((z * present[:, :, None]).sum(dim=0)),
            epsilon=self.epsilon,
            masses=masses,
            p=p,
            steps=self.steps,
            support="sphere",
        )
        there = present.any(dim=1)
        support = p * there[:, None]
        value, log_plan, _ = self._plans(z, points.expand_as(z), masses, support)
        several = present & (present.sum(dim=0) > 1)
        return {"transport": _mean(value, there.to(z.dtype)), "pairing": self._paired(log_plan, masses, support, several)}

    def _plans(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, logarithms of plans and plans; a side without rows empties the other too."""
        a, b = a * (b.sum(dim=1, keepdim=True) > 0), b * (a.sum(dim=1, keepdim=True) > 0)
        found = sinkhorn(half_squared(x, y), epsilon=self.epsilon, a=a, b=b)
        return found.value, found.log_plan, found.plan

    def _paired(self, log_plan: Tensor, a: Tensor, b: Tensor, known: Tensor) -> Tensor:
        """Return the weighted cross-entropy of plans against the known pairs on their diagonals."""
        kept = torch.where(known, log_plan.diagonal(dim1=1, dim2=2) - _safe(torch.minimum(a, b)).log(), 0.0)
        per_plan = -kept.sum(dim=1) / known.sum(dim=1).clamp_min(1)
        return self.pairing * _mean(per_plan, known.any(dim=1).to(a.dtype))


def _safe(masses: Tensor) -> Tensor:
    return torch.where(masses > 0, masses, 1.0)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Average what counts; 0 with a graph if nothing does."""
    return (values * counted).sum() / counted.sum().clamp_min(1)
