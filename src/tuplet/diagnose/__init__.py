"""Diagnostics of an embedding space."""

from tuplet.diagnose.conflict import Conflict, conflict
from tuplet.diagnose.forces import forces
from tuplet.diagnose.gap import (
    centroid_gap,
    modality_auc,
    paired_distance,
    positive_cosine,
    positive_quantile,
    relative_gap,
)
from tuplet.diagnose.geometry import alignment, effective_rank, uniformity
from tuplet.diagnose.panel import panel

__all__ = [
    "Conflict",
    "alignment",
    "centroid_gap",
    "conflict",
    "effective_rank",
    "forces",
    "modality_auc",
    "paired_distance",
    "panel",
    "positive_cosine",
    "positive_quantile",
    "relative_gap",
    "uniformity",
]
