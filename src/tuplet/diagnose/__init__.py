"""Diagnostics of an embedding space."""

from tuplet.diagnose.conflicts import Conflict, conflict
from tuplet.diagnose.correlation import Dependence, dependence
from tuplet.diagnose.hubness import Hubs, hubs
from tuplet.diagnose.layers import LayerMap, layer_cka
from tuplet.diagnose.measures import (
    alignment,
    centroid_gap,
    effective_rank,
    modality_auc,
    paired_distance,
    positive_cosine,
    positive_quantile,
    relative_gap,
    uniformity,
)
from tuplet.diagnose.mixtures import Mixture, mixture
from tuplet.diagnose.panels import forces, panel
from tuplet.diagnose.similarity import Moments, Score, Similarity, cka, cknna, cycle_knn, lcs_knn, mutual_knn, svcca

__all__ = [
    "Conflict",
    "Dependence",
    "Hubs",
    "LayerMap",
    "Mixture",
    "Moments",
    "Score",
    "Similarity",
    "alignment",
    "centroid_gap",
    "cka",
    "cknna",
    "conflict",
    "cycle_knn",
    "dependence",
    "effective_rank",
    "forces",
    "hubs",
    "layer_cka",
    "lcs_knn",
    "mixture",
    "modality_auc",
    "mutual_knn",
    "paired_distance",
    "panel",
    "positive_cosine",
    "positive_quantile",
    "relative_gap",
    "svcca",
    "uniformity",
]
