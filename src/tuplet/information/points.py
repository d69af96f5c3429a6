"""Experimental: parts per sample from densities and posteriors. Not the BROJA decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.information._codes import Features, axes_of, samples
from tuplet.information._posteriors import Model, calibrated, cross_fitted

COMPONENTS = 5  # whitened principal components per modality, at most
GAUSSIANS = 5  # gaussians of each density, as in LSMI


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """Parts of every sample, in nats; they may be negative. Their means are no BROJA decomposition.

    Attributes:
        redundancy: ``(n,)``.
        unique1: ``(n,)``; redundancy + unique1 is the pointwise information of the first source.
        unique2: ``(n,)``.
        synergy: ``(n,)``; the four sum to the pointwise information of both sources.
        definition: which redundancy is meant.
    """

    redundancy: NDArray[np.float64]
    unique1: NDArray[np.float64]
    unique2: NDArray[np.float64]
    synergy: NDArray[np.float64]
    definition: str = "minimum of pointwise entropies (LSMI), experimental"


def pointwise(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    model: Model = "mlp",
    folds: int = 5,
    group: ArrayLike | Tensor | None = None,
    bins: int = 4,
    seed: int = 0,
) -> Pointwise:
    r"""Experimental: which samples are redundant, unique or synergistic, by minima of pointwise entropies.

    .. math::
        r_i = \min(h(x_{1,i}), h(x_{2,i})) - \min(h(x_{1,i} | y_i), h(x_{2,i} | y_i)), \qquad
        h(x | y) = h(x) - \log \frac{p(y | x)}{p(y)}

    with :math:`u_1 = i_1 - r`, :math:`u_2 = i_2 - r` and :math:`s = i_{12} - i_1 - i_2 + r`.

    Args:
        x1, x2, y, model, folds, group, bins, seed: as in `batch`.

    Returns:
        The `Pointwise` parts, nats.

    Notes:
        **It turns uniqueness of both sources into redundancy plus synergy**: with ``y = (a, b)``, ``x1`` showing only
        ``a`` and ``x2`` only ``b``, means are R = S = 0.69 nats and U1 = U2 = 0, where BROJA has R = S = 0. Never put
        its numbers beside those of `clustered` or `batch`. Differential entropies depend on units: inputs are whitened and
        of equal width (five components) here, which makes them comparable. Use it to rank samples, and look at them.

    Source:
        The estimator behind LSMI (GeWu-Lab), from its formula; posteriors are cross-fitted and calibrated, no offset is added
        to make means positive, and the label entropy is that of the labels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 200)
        >>> x = y[:, None] + 0.1 * rng.standard_normal((200, 2))
        >>> round(float(pointwise(x, x, y, model="logistic").redundancy.mean()), 1)
        0.7
    """
    from sklearn.mixture import GaussianMixture

    a, b, label, kin = samples(x1, x2, y, bins=bins, group=group)
    prior = np.log(np.bincount(label) / len(label))
    gain = []
    for x in (a, b, np.hstack([a, b])):
        post = calibrated(cross_fitted(x, label, model=model, folds=folds, group=kin, seed=seed), label)
        gain.append(np.log(np.maximum(post[np.arange(len(label)), label], 1e-12)) - prior[label])
    i1, i2, i12 = gain
    width = min(COMPONENTS, a.shape[1], b.shape[1])  # as many for both, at most
    h1, h2 = (
        -GaussianMixture(min(GAUSSIANS, len(np.unique(w.round(9), axis=0))), reg_covar=1e-3, random_state=seed)
        .fit(w)
        .score_samples(w)
        for w in (_whitened(a, width), _whitened(b, width))
    )
    shared = np.minimum(h1, h2) - np.minimum(h1 - i1, h2 - i2)
    return Pointwise(shared, i1 - shared, i2 - shared, i12 - i1 - i2 + shared)


def _whitened(x: Features, width: int) -> Features:
    spread = x.std(0)
    scaled = (x - x.mean(0)) / np.where(spread > 1e-12, spread, 1.0)
    seen = scaled @ axes_of(scaled, width)
    return np.asarray(seen / np.maximum(seen.std(0), 1e-9))
