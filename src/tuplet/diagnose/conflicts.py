"""Whether the forces of InfoNCE on an anchor fight each other (UniAlign, section 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.functional._blocks import EMPTY
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError, in_range, one_of


@dataclass(frozen=True, slots=True)
class Conflict:
    r"""Conflicts on the anchor of every measured row: pull :math:`V` against push :math:`\Phi` of InfoNCE.

    Attributes:
        zeta: ``(rows,)`` in [-1, 1], :math:`\cos(V, \Phi)`. The push includes the matching rows themselves, so this is near 1
            where training has succeeded; read it beside ``residual``.
        zeta_negatives: ``(rows,)``, the same with the push of the negatives alone.
        residual: ``(rows,)``, :math:`|V - \Phi| / |V|`, the share of the pull that is left as gradient.
        chi: ``(rows,)`` in [0, 1], the share of the pull lost because the matching rows do not point one way.
        mu: mean cosine between the matching rows of modalities other than the anchor; NaN if no row has two.
        chi_bound: what equation 7 says that the mean ``chi`` cannot be below, :math:`1 - \sqrt{(1 + (M-2)\mu)/(M-1)}`.
    """

    zeta: Tensor
    zeta_negatives: Tensor
    residual: Tensor
    chi: Tensor
    mu: float
    chi_bound: float

    def summary(self) -> dict[str, float]:
        """Return the means over rows, with ``mu`` and ``chi_bound``, ready for a log."""
        names = ("zeta", "zeta_negatives", "residual", "chi")
        means = {name: float(getattr(self, name).mean()) for name in names}
        return means | {"mu": self.mu, "chi_bound": self.chi_bound}


@torch.no_grad()
def conflict(
    emb: Embeddings, *, anchor: str | None = None, tau: float = 0.07, weights: Mapping[str, float] | None = None
) -> Conflict:
    r"""Measure the conflicts that InfoNCE would meet at the anchor of every row, whatever objective made the space.

    .. math::
        V_i = \sum_{n \ne a} w_n z^n_i, \qquad \Phi_i = \sum_{n \ne a} w_n \sum_k p^{an}_{ik} z^n_k, \qquad
        p^{an}_{ik} = \mathrm{softmax}_k(z^a_i \cdot z^n_k / \tau)

    :math:`\zeta = \cos(V, \Phi)`, :math:`\chi = 1 - |V| / \sum_n w_n`; ``-V + Phi`` over ``tau`` is the gradient of the
    anchor-to-others InfoNCE terms of row ``i``.

    Args:
        emb: the embeddings.
        anchor: a modality; the first name in sorted order when left out.
        tau: softmax temperature, > 0; CLIP's 0.07.
        weights: :math:`w_n` > 0 of the pair of the anchor and each other modality; 1 when left out.

    Returns:
        The `Conflict` of every row that has the anchor and another modality. Cost ``M B^2 D``, without graph. Absent members
        neither pull nor push. Rows of one group are no negatives of each other. Where pull or push is 0, ``zeta`` is 0;
        without a pull the residual is 1. With two modalities ``chi`` is 0.

    Raises:
        InputError: for an unknown anchor, or no such row.

    Source:
        UniAlign, equations 3, 4 and 6 to 8. The mean over pairs in equation 7 must leave the anchor out, as its proof
        does; with it, per row, the bound is met with equality. With weights ``mu`` is the mean of
        cosines weighted by ``w_m w_n``.

    Example:
        >>> e = torch.eye(4)
        >>> found = conflict(Embeddings.of({"a": e, "b": e, "c": -e}))
        >>> found.chi.tolist(), found.chi_bound  # the other two cancel
        ([1.0, 1.0, 1.0, 1.0], 1.0)
    """
    in_range("tau", tau, 1e-6)
    names = emb.modalities
    first = names[0] if anchor is None else anchor
    one_of("anchor", first, names)
    others = [k for k in names if k != first]
    share = dict.fromkeys(others, 1.0) if weights is None else dict(weights)
    if set(share) != set(others):
        raise InputError(f"weights names {sorted(share)}, expected {others}: every modality but the anchor {first!r}")
    for name, value in share.items():
        in_range(f"weights of {name!r}", value, 1e-12)
    if not others:
        raise InputError(f"z has only {first!r}; a conflict needs a modality beside the anchor")
    present = torch.stack([emb.present[k] for k in others])
    here = emb.present[first] & present.any(dim=0)
    if not bool(here.any()):
        raise InputError(f"no row has {first!r} and another modality; choose another anchor")
    rows = here.nonzero()[:, 0]
    present = present[:, rows]
    z = {k: unit(v.double()) for k, v in emb.z.items()}
    q = z[first][rows]
    pull, push, pushes, logs = torch.zeros_like(q), torch.zeros_like(q), [], []
    for name, mask in zip(others, present, strict=True):
        logits = (q @ z[name].mT / tau).masked_fill(~emb.present[name], EMPTY)
        mine = torch.arange(len(rows), device=rows.device)
        own = logits[mine, rows]
        if emb.group is not None:
            logits = logits.masked_fill(emb.group[rows, None] == emb.group, EMPTY)
        logits[mine, rows] = EMPTY
        negatives = logits.logsumexp(dim=1)
        partition = torch.logaddexp(own, negatives)
        direction = logits.softmax(dim=1) @ z[name]
        pull += share[name] * z[name][rows] * mask[:, None]
        towards = ((own - partition).exp()[:, None] * z[name][rows], (negatives - partition).exp()[:, None] * direction)
        push += share[name] * (towards[0] + towards[1]) * mask[:, None]
        pushes.append(direction)
        logs.append((negatives - partition + math.log(share[name])).masked_fill(~mask, EMPTY))
    # The negatives' push may be far below 1; a common factor does not change its direction.
    scaled = torch.stack(logs)
    scaled = (scaled - scaled.amax(dim=0)).exp() * (scaled > EMPTY / 2)
    negative = torch.einsum("kb,kbd->bd", scaled, torch.stack(pushes))
    each = q.new_tensor([share[k] for k in others])[:, None] * present  # (M - 1, rows)
    count, squares = each.sum(dim=0), each.square().sum(dim=0)
    length = torch.linalg.vector_norm(pull, dim=1)
    some = length > 1e-12
    residual = torch.linalg.vector_norm(pull - push, dim=1) / torch.where(some, length, 1.0)
    kept = (length / count).square()
    pairs = present.sum(dim=0) > 1
    return Conflict(
        zeta=_cosine(pull, push),
        zeta_negatives=_cosine(pull, negative),
        residual=torch.where(some, residual, 1.0),
        chi=(1 - kept.sqrt()).clamp_min(0),
        # |V|^2 is the sum of w_n^2 and of w_m w_n times each cosine
        mu=float(((count.square() * kept - squares) / (count.square() - squares))[pairs].mean()),
        chi_bound=max(float(1 - kept.mean().sqrt()), 0.0),
    )


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine of rows; 0 where one of them is 0."""
    lengths = torch.linalg.vector_norm(x, dim=1) * torch.linalg.vector_norm(y, dim=1)
    some = lengths > 1e-12
    return torch.where(some, (x * y).sum(dim=1) / torch.where(some, lengths, 1.0), 0.0).clamp(-1, 1)
