"""The gap between modalities: do matching embeddings point the same way, and do modalities occupy one region?"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from tuplet.functional.scores import unit
from tuplet.types import Embeddings, InputError


def positive_cosine(emb: Embeddings) -> Tensor:
    """List the cosines of matching embeddings over all pairs of modalities.

    Args:
        emb: the embeddings.

    Returns:
        ``(number of pairs of present embeddings,)``. Their mean is the one number that volume and projection scores
        cannot see: those are as good at -1 as at 1.

    Raises:
        InputError: if no row has two modalities.

    Source:
        Elementary.

    Example:
        >>> positive_cosine(Embeddings.of({"a": torch.eye(2), "b": -torch.eye(2)}))
        tensor([-1., -1.])
    """
    found = []
    for a, b in combinations(emb.modalities, 2):
        both = emb.present[a] & emb.present[b]
        found.append((unit(emb.z[a][both]) * unit(emb.z[b][both])).sum(dim=1))
    cosines = torch.cat(found) if found else torch.empty(0)
    if len(cosines) == 0:
        raise InputError("no row has two modalities present; there is no positive pair to measure")
    return cosines


def centroid_gap(emb: Embeddings) -> float:
    """Measure the mean distance between the modalities' centroids.

    Args:
        emb: the embeddings.

    Returns:
        Mean over pairs of modalities of the distance of their mean unit vectors, in [0, 2]. Small is not aligned: an
        untrained uniform space has a small gap too.

    Source:
        Liang et al. (2022), Mind the gap.

    Example:
        >>> centroid_gap(Embeddings.of({"a": torch.eye(2), "b": torch.eye(2)}))
        0.0
    """
    centroids = [unit(emb.z[k][emb.present[k]]).mean(dim=0) for k in emb.modalities]
    gaps = [torch.linalg.vector_norm(a - b) for a, b in combinations(centroids, 2)]
    return float(torch.stack(gaps).mean())
