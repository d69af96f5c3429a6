"""Decomposition from samples of features: each source becomes a cluster code, and codes are counted on other rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.information._codes import clusters_of, features, samples
from tuplet.information.counts import counted
from tuplet.information.pid import PID, Units
from tuplet.types import InputError, in_range

PER_CELL = 2.0  # samples per cell of the table that the default number of clusters aims at
MOST = 20  # largest default number of clusters, that of Liang et al


def clustered(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    fit: tuple[ArrayLike | Tensor, ArrayLike | Tensor] | None = None,
    held_out: float = 0.5,
    group: ArrayLike | Tensor | None = None,
    clusters: int | None = None,
    components: int = 10,
    bins: int = 4,
    permutations: int = 200,
    bootstrap: int = 200,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    """Decompose what two modalities say about a target, from samples of their features.

    Each modality is scaled, reduced to principal components and cut into k-means clusters on one part of the samples;
    the codes of the other part are counted and decomposed by `counted`, corrected for chance, with nulls and intervals.

    Args:
        x1: ``(n, ...)`` features of the first modality, raw or embedded; images and sequences are flattened.
        x2: ``(n, ...)`` features of the second.
        y: ``(n,)`` target: classes, or real numbers, which are cut into ``bins``.
        fit: ``(x1, x2)`` of the samples that clusters are found on, such as the training part: then all of ``x1, x2, y``
            is counted. None: ``x1, x2, y`` are split at random.
        held_out: share of the samples to count where ``fit`` is None.
        group: ``(n,)`` ids of dependent samples (subject, file ...). A group is split, permuted and resampled as a whole.
        clusters: clusters per modality. None: as many as leave two counted samples per cell, from ``|Y|`` (and 4) to 20.
        components: principal components per modality, at most.
        bins: classes of equal frequency that a real target is cut into.
        permutations, bootstrap, level, units: as in `counted`.
        seed: of the split, k-means, permutations and resamples.

    Returns:
        The corrected `PID` of the codes.

    Raises:
        InputError: for unequal rows, values that are not finite, an empty part of the split, or a bad option.

    Notes:
        This decomposes the *codes*: the information terms are lower bounds of those of the features (before sampling error),
        the parts are not bounds, and a significant part is one of the codes. What both share shows as less redundancy, and as
        unique information and synergy where the codes lose different samples: believe such a part if `batch` finds it too,
        as `tuplet.audit` asks. No label enters the codes, so permuting labels is an exact null.

    Source:
        Liang et al. (2023), Quantifying and modeling feature interactions, section 3.1 (CVX), for clusters and counts.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shared = rng.integers(0, 2, 600)
        >>> x1, x2 = (shared[:, None] + 0.1 * rng.standard_normal((600, 3)) for _ in range(2))
        >>> found = clustered(x1, x2, shared, permutations=100, bootstrap=50)
        >>> [part for part, is_there in found.significant.items() if is_there]
        ['redundancy']
    """
    a, b, target, kin = samples(x1, x2, y, bins=bins, group=group)
    if fit is None:
        in_range("held_out", held_out, 1e-9, 1)
        count = held_out_rows(len(target), held_out, kin, seed)
        fit_a, fit_b = a[~count], b[~count]
        a, b, target, kin = a[count], b[count], target[count], None if kin is None else kin[count]
    else:
        fit_a, fit_b = features("fit[0]", fit[0]), features("fit[1]", fit[1])
    k = clusters_for(len(target), len(np.unique(target))) if clusters is None else clusters
    return counted(
        clusters_of(a, fit_a, clusters=k, components=components, seed=seed),
        clusters_of(b, fit_b, clusters=k, components=components, seed=seed),
        target,
        group=kin,
        permutations=permutations,
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        units=units,
        estimator="clustered",
    )


def clusters_for(n: int, classes_: int) -> int:
    """Choose how many clusters leave `PER_CELL` counted samples per cell."""
    fitting = round(math.sqrt(n / (PER_CELL * classes_)))
    return min(MOST, max(4, classes_, fitting))


def held_out_rows(n: int, share: float, group: NDArray[np.generic] | None, seed: int) -> NDArray[np.bool_]:
    """Rows to count: whole groups in random order until they hold the share."""
    code = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1]
    size = np.bincount(code)
    order = np.random.default_rng(seed).permutation(len(size))
    before = np.cumsum(size[order]) - size[order] / 2
    taken = np.zeros(len(size), dtype=bool)
    taken[order[before <= share * n]] = True
    count = np.asarray(taken[code])
    if count.all() or not count.any():
        raise InputError(
            f"held_out is {share} of {n} rows in {len(size)} groups, which leaves a part empty; "
            "change it, or give the rows to cluster as fit=(x1, x2)"
        )
    return count
