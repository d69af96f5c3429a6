"""A space vector by vector: a place on a map, neighbours, how near the match is, and how often others find it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.diagnose.hubness import occurrences
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError

BLOCK = 2**24
"""Cosines of one block."""
DRAWN = 5000
"""Vectors that t-SNE still draws in half a minute."""


class Points(NamedTuple):
    """Of ``N`` vectors, modality by modality: item, modality, map, nearest vectors, and search of other modalities."""

    item: NDArray[np.int64]
    modality: NDArray[np.str_]
    place: NDArray[np.float64]
    """``(N, 2)``."""
    near: NDArray[np.int64]
    """``(N, k)`` nearest other vectors of any modality, nearest first."""
    cosine: NDArray[np.float64]
    """``(N, k)``, theirs."""
    match: NDArray[np.float64]
    """Mean cosine to the item's other modalities; NaN without one."""
    rank: NDArray[np.float64]
    """Mean place of the match among a modality's vectors, half of the ties before it; NaN without one."""
    found: NDArray[np.float64]
    """Queries of other modalities that have the vector among their first ``k``; ties at the last place share it."""


def points(emb: Embeddings, *, k: int = 10, how: Literal["auto", "tsne", "pca"] = "auto", seed: int = 0) -> Points:
    """Describe every vector of a space, by cosine."""
    rows = {m: emb.present[m].nonzero()[:, 0] for m in emb.modalities}
    z = torch.cat([unit(emb.z[m][rows[m]].detach().double()) for m in emb.modalities])
    item = torch.cat(list(rows.values()))
    kind = torch.cat([torch.full((len(r),), i) for i, r in enumerate(rows.values())])
    if len(z) < 3:
        raise InputError(f"{len(z)} vectors are present, expected 3 or more to draw a map")
    k = min(k, len(z) - 1)
    near, cosine, total, rank = ([] for _ in range(4))
    found = torch.zeros(len(z), dtype=torch.float64)
    size = max(1, BLOCK // len(z))
    for start in range(0, len(z), size):
        here = slice(start, min(start + size, len(z)))
        scores = z[here] @ z.mT  # (b, N)
        own = torch.arange(here.start, here.stop)
        best = scores.clone()
        best[own - here.start, own] = -torch.inf
        top = best.topk(k, dim=1)
        near.append(top.indices)
        cosine.append(top.values)
        cosines, ranks, count = (torch.zeros(here.stop - here.start, dtype=torch.float64) for _ in range(3))
        for i, m in enumerate(emb.modalities):
            part, asks = scores[:, kind == i], kind[here] != i  # (b, N_m), and the queries of other modalities
            if not part.shape[1]:
                continue
            found[kind == i] += occurrences(part[asks], min(k, part.shape[1]))
            mine = item[here, None] == rows[m][None]
            has = mine.any(dim=1) & asks
            value = part.gather(1, mine.int().argmax(dim=1, keepdim=True))[:, 0]
            above, ties = (part > value[:, None]).sum(dim=1), (part == value[:, None]).sum(dim=1) - 1
            cosines += torch.where(has, value, 0.0)
            ranks += torch.where(has, 1 + above + ties / 2, 0.0)
            count += has
        total.append(torch.where(count > 0, cosines / count, torch.nan))
        rank.append(torch.where(count > 0, ranks / count, torch.nan))
    names, place = np.array(emb.modalities)[kind.numpy()], placed(z, how=how, seed=seed)
    nearest, theirs, match, places = (torch.cat(x).numpy() for x in (near, cosine, total, rank))
    return Points(item.numpy(), names, place, nearest, theirs, match, places, found.numpy())


def placed(z: Tensor, *, how: Literal["auto", "tsne", "pca"], seed: int) -> NDArray[np.float64]:
    """Lay vectors out on a plane: t-SNE of their cosines, or their two widest directions."""
    _, _, directions = torch.linalg.svd(z - z.mean(dim=0), full_matrices=False)
    flat: NDArray[np.float64] = ((z - z.mean(dim=0)) @ directions[:2].mT).numpy()
    if flat.shape[1] < 2:
        flat = np.c_[flat, np.zeros(len(flat))]
    if how == "pca" or (how == "auto" and len(z) > DRAWN):
        return flat
    from sklearn.manifold import TSNE

    begin = 1e-4 * flat / max(float(flat[:, 0].std()), 1e-12)  # as scikit-learn scales its own start
    perplexity = min(30.0, (len(z) - 1) / 3)
    return np.asarray(TSNE(init=begin, perplexity=perplexity, random_state=seed).fit_transform(z.numpy()))
