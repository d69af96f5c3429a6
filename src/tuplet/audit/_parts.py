"""What two modalities say about a target, in parts that two estimators with different losses agree on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.information import PID, batch, clustered
from tuplet.information._codes import Features, axes_of, features
from tuplet.information.pid import PARTS
from tuplet.types import InputError

AXES = 64
"""Principal components that wider modalities are reduced to, so that models take seconds."""


def decompose(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    group: ArrayLike | Tensor | None = None,
    permutations: int = 100,
    bootstrap: int = 60,
) -> PID:
    """Decompose by models and by clusters; a part is there if both find it."""
    codes = clustered(x1, x2, y, group=group, permutations=permutations, bootstrap=bootstrap)
    try:
        models = batch(_narrow("x1", x1), _narrow("x2", x2), y, group=group, folds=3, bootstrap=bootstrap)
    except InputError:
        said = (
            "a class has too few rows for models, so these are parts of cluster codes and may not be of the modalities"
        )
        return replace(codes, warnings=(*codes.warnings, said))
    by_codes, by_models = codes.significant or {}, models.significant or {}
    return replace(
        models,
        significant={k: bool(by_codes[k] and by_models[k]) for k in PARTS} if by_codes and by_models else None,
        warnings=(*models.warnings, *(w for w in codes.warnings if "permutations" in w)),
    )


def _narrow(name: str, x: ArrayLike | Tensor) -> Features:
    flat = features(name, x)
    if flat.shape[1] <= AXES:
        return flat
    spread = flat.std(0)
    scaled = (flat - flat.mean(0)) / np.where(spread > 1e-12, spread, 1.0)
    return np.asarray(scaled @ axes_of(scaled, AXES))
