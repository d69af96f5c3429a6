"""How hard the terms of a loss pull, and whether they pull together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from tuplet.types import InputError


def forces(terms: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, float]]:
    r"""Measure the gradient of every term at the embeddings.

    .. math:: g_k = \partial L_k / \partial z, \qquad |g_k|, \qquad \cos(g_k, g_l)

    Args:
        terms: name -> scalar with a graph.
        leaves: modality -> ``(B, D)`` embeddings that the terms were computed from.

    Returns:
        Name -> norm of the term's gradient over all embeddings; ``"a|b"`` -> cosine between two terms' gradients, for those
        that are not 0. A term that is NaN gives NaN.

    Raises:
        InputError: for a term that is no scalar, or a leaf that needs no gradient.

    Notes:
        One backward pass through the loss (not through the model) per term.

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
