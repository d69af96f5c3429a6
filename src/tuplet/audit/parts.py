"""What two modalities say about a target, in parts that two estimators with different losses agree on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.information import PID, batch, clustered
from tuplet.information.codes import Features, axes_of, features
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
    """Decompose by models and by clusters; a part is there if both find it.

    Args:
        x1: ``(n, ...)`` features of the first modality.
        x2: ``(n, ...)`` features of the second.
        y: ``(n,)`` target.
        group: ``(n,)`` ids of dependent samples.
        permutations: of `clustered`.
        bootstrap: resamples of either.

    Returns:
        The numbers, nulls and intervals of `batch`, whose models lose less, with the verdicts of both. Those of `clustered`
        alone, and a warning, where a class has too few rows for models.

    Raises:
        InputError: as `clustered`.

    Notes:
        Each estimator measures what *its* codes or models keep of a modality. What both modalities share, but one of them
        loses, looks unique to the other and, where both lose different samples, visible only jointly; no null of the codes
        shows that. Models and clusters lose different things. What both lose from one side still shows as unique
        information of the other.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shared = rng.integers(0, 2, 400)
        >>> x1, x2 = (shared[:, None] + 0.1 * rng.standard_normal((400, 3)) for _ in range(2))
        >>> [part for part, there in (decompose(x1, x2, shared).significant or {}).items() if there]
        ['redundancy']
    """
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
