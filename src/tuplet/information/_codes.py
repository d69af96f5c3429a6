"""Continuous features and targets as codes: principal components and k-means, or bins of equal frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.functional._given import column, numbers, states, vectors
from tuplet.information._draws import Codes
from tuplet.types import InputError, in_range

Features = NDArray[np.float64]


def samples(
    x1: ArrayLike | Tensor, x2: ArrayLike | Tensor, y: ArrayLike | Tensor, *, bins: int, group: ArrayLike | Tensor | None
) -> tuple[Features, Features, Codes, Codes | None]:
    """Read both sources, the target as classes 0, 1 .., and groups as codes; row i of each is one sample."""
    a, b, raw = features("x1", x1), features("x2", x2), classes(y, bins=bins)
    kin = None if group is None else states("group", group, len(raw))
    for name, rows in (("x1", a), ("x2", b)):
        if len(rows) != len(raw):
            raise InputError(f"{name} has {len(rows)} rows, expected {len(raw)} to match y; row i of each is one sample")
    return a, b, np.unique(raw, return_inverse=True)[1].astype(np.int64), kin


def features(name: str, x: ArrayLike | Tensor) -> Features:
    """Read a source as one vector per sample: images and sequences are flattened."""
    given = numbers(name, x).detach().cpu()
    if given.ndim < 1 or not given.numel():
        raise InputError(f"{name} has shape {tuple(given.shape)}, expected (n, ...) with samples and features")
    return np.asarray(vectors(name, given.reshape(len(given), -1).double()))


def clusters_of(x: Features, fit: Features, *, clusters: int, components: int, seed: int = 0) -> Codes:
    """Codes of the nearest of ``clusters`` centres, found by k-means on principal components of other rows."""
    from sklearn.cluster import KMeans

    in_range("clusters", clusters, 1)
    in_range("components", components, 1)
    if x.shape[1] != fit.shape[1]:
        raise InputError(f"fit has {fit.shape[1]} features, expected {x.shape[1]} as in the counted rows")
    centre, spread = fit.mean(0), fit.std(0)
    held = spread > 1e-12 * np.maximum(1.0, np.abs(centre))
    if not held.any():
        return np.zeros(len(x), dtype=np.int64)
    x, fit = ((v[:, held] - centre[held]) / spread[held] for v in (x, fit))
    axes = axes_of(fit, components)
    x, fit = x @ axes, fit @ axes
    found = KMeans(min(clusters, len(np.unique(fit.round(9), axis=0))), n_init=4, random_state=seed).fit(fit)
    return np.asarray(found.predict(x), dtype=np.int64)


def classes(y: ArrayLike | Tensor, *, bins: int = 4) -> NDArray[Any]:
    """Read a target as one class per sample."""
    in_range("bins", bins, 2)
    array = column("y", y)
    if not len(array):
        raise InputError("y has no rows, expected one value per sample")
    if array.dtype.kind != "f" or len(np.unique(array)) <= bins:
        return array
    edges = np.quantile(array, np.arange(1, bins) / bins)
    return np.asarray(np.searchsorted(edges, array, side="right"), dtype=np.int64)


def axes_of(fit: Features, components: int) -> Features:
    """Leading principal axes: of the covariance, or of the products of rows if those are fewer."""
    m, d = fit.shape
    keep = min(components, m, d)
    if d <= m:
        return np.asarray(np.linalg.eigh(fit.T @ fit)[1][:, ::-1][:, :keep])
    size, vectors = np.linalg.eigh(fit @ fit.T)
    size, vectors = size[::-1][:keep], vectors[:, ::-1][:, :keep]
    return np.asarray(fit.T @ vectors / np.sqrt(np.maximum(size, max(1e-12 * size[0], 1e-300))))
