"""One look at an embedding space: a dozen numbers, cheap enough to log while training with any objective."""

from __future__ import annotations

from dataclasses import replace

import torch

from tuplet.diagnose.conflicts import conflict
from tuplet.diagnose.gap import centroid_gap, positive_cosine, positive_quantile
from tuplet.diagnose.geometry import effective_rank, uniformity
from tuplet.functional.rows import unit
from tuplet.types import Embeddings

MOST = 512
"""Rows that are looked at."""


@torch.no_grad()
def panel(emb: Embeddings, *, tau: float = 0.07) -> dict[str, float]:
    """Measure an embedding space.

    Args:
        emb: the embeddings; the first 512 rows are looked at.
        tau: temperature of the conflict's softmax, as in `conflict`.

    Returns:
        ``positive_cosine`` and its 5 % quantile ``positive_cosine_low``, ``centroid_gap``, ``alignment`` (mean squared distance
        of matches), ``uniformity`` (``t = 2``) and ``effective_rank`` (means over modalities), and the conflict's ``zeta``,
        ``zeta_negatives``, ``residual``, ``chi`` and ``chi_bound``. Empty if fewer than two rows have two modalities; the
        conflict's are left out if no row has the first modality and another.

    Notes:
        Cost ``M B^2 D`` for at most 512 rows.

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
    full = {k: emb.z[k][emb.present[k]] for k in emb.modalities if int(emb.present[k].sum()) > 1}
    there = replace(emb, z=full, present={k: emb.present[k][emb.present[k]] for k in full})
    found = {
        "positive_cosine": float(cosines.mean()),
        "positive_cosine_low": positive_quantile(emb),
        "alignment": float((2 - 2 * cosines).mean()),
        "uniformity": sum(float(uniformity(z)) for z in full.values()) / len(full),
        "effective_rank": sum(effective_rank(z) for z in full.values()) / len(full),
    }
    if len(full) > 1:
        found["centroid_gap"] = centroid_gap(there)
    if bool((present[0] & present[1:].any(dim=0)).any()):
        summary = conflict(emb, tau=tau).summary()
        found |= {k: v for k, v in summary.items() if k != "mu"}
    return found
