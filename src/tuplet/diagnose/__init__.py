"""Diagnostics of an embedding space."""

from tuplet.diagnose.conflict import Conflict, conflict
from tuplet.diagnose.gap import (
    centroid_gap,
    modality_auc,
    paired_distance,
    positive_cosine,
    positive_quantile,
    relative_gap,
)
from tuplet.diagnose.geometry import alignment, effective_rank, uniformity

__all__ = [
    "Conflict",
    "alignment",
    "centroid_gap",
    "conflict",
    "effective_rank",
    "modality_auc",
    "paired_distance",
    "positive_cosine",
    "positive_quantile",
    "relative_gap",
    "uniformity",
]
