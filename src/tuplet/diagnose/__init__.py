"""Diagnostics of an embedding space."""

from tuplet.diagnose.gap import centroid_gap, positive_cosine
from tuplet.diagnose.geometry import alignment, effective_rank, uniformity

__all__ = ["alignment", "centroid_gap", "effective_rank", "positive_cosine", "uniformity"]
