"""What to log while training: a dozen numbers of the embedding space, and how hard the terms of the loss pull."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from tuplet.diagnose.conflicts import conflict
from tuplet.diagnose.measures import centroid_gap, effective_rank, positive_cosine, uniformity
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError

MOST = 512  # rows that are looked at


@torch.no_grad()
def panel(emb: Embeddings) -> dict[str, float]:
    """Measure an embedding space.

    Args:
        emb: the embeddings; the first 512 rows are looked at.

    Returns:
        ``positive_cosine`` and its 5 % quantile ``positive_cosine_low``, ``centroid_gap``, ``alignment`` (mean squared distance
        of matches), ``uniformity`` (``t = 2``) and ``effective_rank`` (means over modalities), and the conflict's ``zeta``,
        ``zeta_negatives``, ``residual``, ``chi`` and ``chi_bound``. Empty if fewer than two rows have two modalities; the
        conflict's are left out if no row has the first modality and another. Costs ``M B^2 D``.

    Example:
        >>> e = torch.eye(4)
        >>> found = panel(Embeddings.of({"a": e, "b": e}))
        >>> round(found["positive_cosine"], 4), round(found["effective_rank"], 4)
        (1.0, 4.0)
    """
    rows = slice(0, MOST)
    emb = replace(
        emb,
        z={k: unit(v[rows].detach().double()).float() for k, v in emb.z.items()},
        h={},
        present={k: v[rows] for k, v in emb.present.items()},
        index=emb.index[rows],
        group=None if emb.group is None else emb.group[rows],
        target={},
        aux={},
    )
    present = torch.stack([emb.present[k] for k in emb.modalities])
    if int((present.sum(dim=0) > 1).sum()) < 2:
        return {}
    cosines = positive_cosine(emb)
    low = cosines.double().sort().values  # as `positive_quantile` has it
    full = {k: emb.z[k][emb.present[k]] for k in emb.modalities if int(emb.present[k].sum()) > 1}
    there = replace(emb, z=full, present={k: emb.present[k][emb.present[k]] for k in full})
    found = {
        "positive_cosine": float(cosines.mean()),
        "positive_cosine_low": float(low[int(0.05 * (len(low) - 1))]),
        "alignment": float((2 - 2 * cosines).mean()),
        "uniformity": sum(float(uniformity(z)) for z in full.values()) / len(full),
        "effective_rank": sum(effective_rank(z) for z in full.values()) / len(full),
    }
    if len(full) > 1:
        found["centroid_gap"] = centroid_gap(there)
    if bool((present[0] & present[1:].any(dim=0)).any()):
        summary = conflict(emb).summary()
        found |= {k: v for k, v in summary.items() if k != "mu"}
    return found


def forces(terms: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, float]]:
    r"""Measure the gradient of every term at the embeddings.

    .. math:: g_k = \partial L_k / \partial z, \qquad |g_k|, \qquad \cos(g_k, g_l)

    Args:
        terms: name -> scalar with a graph.
        leaves: modality -> ``(B, D)`` embeddings that the terms were computed from.

    Returns:
        Name -> norm of the term's gradient over all embeddings; ``"a|b"`` -> cosine between two terms' gradients, for those
        that are not 0. A term that is NaN gives NaN. One backward pass through the loss per term.

    Raises:
        InputError: for a term that is no scalar, or a leaf that needs no gradient.

    Source:
        Yu et al. (2020), Gradient surgery for multi-task learning, for the cosine between losses.

    Example:
        >>> z = torch.ones(2, 3, requires_grad=True)
        >>> forces({"pull": z.sum(), "push": -2 * z.sum()}, {"a": z})[1]
        {'pull|push': -1.0}
    """
    if idle := [k for k, z in leaves.items() if not z.requires_grad]:
        raise InputError(f"leaves {idle} need no gradient; call requires_grad_() on them before computing the terms")
    found = {}
    for name, term in terms.items():
        if term.ndim:
            raise InputError(f"terms[{name!r}] has shape {tuple(term.shape)}, expected a scalar; sum it")
        if not term.requires_grad or not leaves:
            continue
        gradients = torch.autograd.grad(term, list(leaves.values()), retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(z) if g is None else g for z, g in zip(leaves.values(), gradients, strict=True)]
        found[name] = torch.cat([p.detach().double().flatten() for p in parts])
    norms = {name: float(g.norm()) for name, g in found.items()}
    cosines = {
        f"{a}|{b}": round(float(found[a] @ found[b]) / (norms[a] * norms[b]), 9)
        for a, b in combinations(found, 2)
        if norms[a] > 0 and norms[b] > 0
    }
    return norms, cosines
