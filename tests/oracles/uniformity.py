"""UniAlign and the Hoelder divergence, as NumPy loops written from the paper."""

import numpy as np

from tests.oracles.objectives import unit
from tests.oracles.objectives import volume as gram_volume


def squared(x, y, geometry="euclidean"):
    return np.sum((x - y) ** 2) if geometry == "euclidean" else np.arccos(np.clip(x @ y, -1, 1)) ** 2


def uniformity(z, *, tau, geometry="euclidean", reduction="row"):
    means = []
    for i, x in enumerate(z):
        kernels = [np.exp(-squared(x, y, geometry) / (2 * tau**2)) for j, y in enumerate(z) if j != i]
        means.append(np.mean(kernels))
    return np.mean(np.log(means)) if reduction == "row" else np.log(np.mean(means))


def alignment(z, *, geometry="euclidean"):
    """Per modality other than the first: the mean squared distance to it."""
    return [np.mean([squared(a, b, geometry) for a, b in zip(z[0], other, strict=True)]) for other in z[1:]]


def uni_align(
    z,
    *,
    tau=0.07,
    tau_ctr=None,
    weighting="holder",
    geometry="euclidean",
    reduction="row",
    centroid=0.0,
    volume=0.0,
    eps=1e-4,
):
    m = len(z)
    spread = sum(uniformity(v, tau=tau, geometry=geometry, reduction=reduction) for v in z)
    apart = alignment(z, geometry=geometry)
    uniform, align = ((m - 1) / m, 1 / (2 * tau**2)) if weighting == "holder" else (1, 1 / (m - 1))
    loss = uniform * spread + align * np.sum(apart)
    centroids = unit(np.sum(z, axis=0))
    loss += centroid * uniformity(centroids, tau=tau_ctr or tau, geometry=geometry, reduction=reduction)
    volumes = np.array([gram_volume(rows) for rows in zip(*z, strict=True)])
    return loss + volume * np.mean(np.sqrt(volumes**2 + eps**2) - eps)


def holder(sets, *, tau, mode="plugin", anchors=(0,)):
    m, n = len(sets), len(sets[0])

    def density(x, i, other):
        kernels = [np.exp(-np.sum((x - y) ** 2) / (2 * tau**2)) for k, y in enumerate(other) if mode == "plugin" or k != i]
        return np.mean(kernels)

    spread = np.mean([np.log(np.mean([density(z[i], i, z) ** (m - 1) for i in range(n)])) for z in sets])
    joint = np.mean([np.prod([density(sets[a][i], i, sets[k]) for k in range(m) if k != a]) for a in anchors for i in range(n)])
    return spread - np.log(joint)
