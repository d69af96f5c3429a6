"""Decomposition from samples of features without clusters: posteriors of cross-fitted models are the sources' states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.functional._given import column, numbers, states
from tuplet.information._codes import samples
from tuplet.information._draws import holm, intervals
from tuplet.information._posteriors import Model, Posterior, calibrated, cross_fitted
from tuplet.information.pid import PARTS, PID, TERMS, Units, nats_in, of_union
from tuplet.information.union import union_information
from tuplet.types import InputError, in_range

RESOLUTION = 0.05  # share of the target's entropy below which a part may be an error of the models
LOST = 0.05  # share of a term that merging may lose unmentioned
PER_CELL = 50  # samples per pair of an atom and a class that the default number of atoms leaves


def batch(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    model: Model = "mlp",
    folds: int = 5,
    group: ArrayLike | Tensor | None = None,
    bins: int = 4,
    atoms: int | None = None,
    bootstrap: int = 100,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    """Decompose what two modalities say about a target, from posteriors of models fitted on other samples.

    Classifiers of the target from ``x1``, from ``x2`` and from both are fitted on folds, read on the rows left out, and
    handed to `from_posteriors`.

    Args:
        x1, x2, y, bins: as in `clustered`.
        model: ``"mlp"``, which can see synergy, or ``"logistic"``, which sees only what adds up.
        folds: number of folds.
        group: ``(n,)`` ids of dependent samples; no group is in two folds, and groups are resampled as a whole.
        atoms, bootstrap, level, units: as in `from_posteriors`.
        seed: of folds, models and resamples.

    Returns:
        The `PID` of what the models see. It measures the models: terms are lower bounds of the information in the features,
        but for sampling error. The parts are not bounds: what one model misses of something shared looks unique to the other,
        and what both miss but the joint model sees looks like synergy. It keeps features that clusters lose; it costs ``3
        folds`` fits.

    Raises:
        InputError: if numbers of rows differ, a class has fewer rows than folds, or an option is out of range.

    Source:
        Liang et al. (2023), BATCH, whose networks, Sinkhorn projection and uncalibrated posteriors are replaced here by
        the exact union information of calibrated, cross-fitted posteriors. `neural_batch` is the published estimator.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shared = rng.integers(0, 2, 400)
        >>> x1, x2 = (shared[:, None] + 0.1 * rng.standard_normal((400, 3)) for _ in range(2))
        >>> round(batch(x1, x2, shared, model="logistic", bootstrap=10).redundancy, 1)
        1.0
    """
    a, b, target, kin = samples(x1, x2, y, bins=bins, group=group)
    p1, p2, p12 = (cross_fitted(x, target, model=model, folds=folds, group=kin, seed=seed) for x in (a, b, np.hstack([a, b])))
    return from_posteriors(
        p1, p2, p12, target, group=kin, atoms=atoms, bootstrap=bootstrap, level=level, seed=seed, units=units
    )


def from_posteriors(
    p1: ArrayLike | Tensor,
    p2: ArrayLike | Tensor,
    p12: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    group: ArrayLike | Tensor | None = None,
    atoms: int | None = None,
    bootstrap: int = 100,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    r"""Decompose from posteriors of the target on samples that they were not fitted on.

    Posteriors are calibrated on the labels, samples with near posteriors are merged into an atom, and the labels of each
    atom are counted,

    .. math::
        p(a_1, y) = \frac{\#\{i : a(x_{1,i}) = a_1, y_i = y\}}{n}, \qquad I^* = \min_{q(a_1, y), q(a_2, y)} I_q(A_1, A_2; Y),
        \qquad I_{12} = \max(I(A_{12}; Y), I^*),

    so that a model need not say what its posteriors are worth, only tell samples apart.

    Args:
        p1, p2, p12: ``(n, |Y|)`` posterior of the classes given the first modality, the second, and both.
        y: ``(n,)`` classes 0 .. ``|Y| - 1``.
        group: ``(n,)`` ids of dependent samples, or None.
        atoms: states per source at most; samples are merged by their posterior (k-means), and ``warnings`` say so if that
            costs more than 5 % of a term. None: as many as leave 50 samples per atom and class, from ``|Y|`` (and 4) to 64.
        bootstrap: resamples of the samples, with the models as they are, for the intervals; 0 for none, and no verdict.
        level: chance of calling any part significant where there is no information, about.
        seed: of k-means and resamples.
        units: ``"bits"`` or ``"nats"``.

    Returns:
        The `PID`. ``null[term]`` holds ``raw``, the mean log-likelihood gain of the labels, and its ``p``; ``null[part]``
        holds ``p`` and ``p_holm``.

    Raises:
        InputError: if shapes differ, rows are not distributions, or a class has no row.

    Notes:
        A part is ``significant`` if the gains it needs are above zero (one-sided z test over samples or groups, the largest
        p-value, Holm over four parts) and its interval stays above `RESOLUTION` of the target's entropy. Redundancy needs
        the gains of both sources; unique 1 that of the first, alone and on top of the second; synergy those of both
        sources on top of either. Posteriors are out of sample, so no labels need be permuted. Intervals hold the sampling
        error of the rows, not the error of the models. Labels are counted per atom because posteriors' own claims leave
        synergy that is not there (docs/information.md).

    Source:
        As `batch`. Gains of held-out log-likelihood as information: Xu et al. (2020), predictive V-information.

    Example:
        >>> y = np.array([0, 1] * 100)
        >>> sure = np.eye(2)[y] * 0.98 + 0.01
        >>> none = np.full((200, 2), 0.5)
        >>> print(from_posteriors(sure, none, sure, y, bootstrap=20).unique1 > 0.9)
        True
    """
    factor = nats_in(units)
    in_range("bootstrap", bootstrap, 0)
    in_range("level", level, 1e-6, 1)
    label = _labels(y)
    given = [_checked(name, p, label) for name, p in (("p1", p1), ("p2", p2), ("p12", p12))]
    n, classes_ = given[0].shape
    if atoms is None:
        atoms = min(64, max(4, classes_, n // (PER_CELL * classes_)))
    in_range("atoms", atoms, 1)
    post = [calibrated(p, label) for p in given]
    rng = np.random.default_rng(seed)
    kin = np.arange(n) if group is None else states("group", group, n)
    weights = np.full((1 + bootstrap, n), 1 / n)
    if bootstrap:
        groups = int(kin.max()) + 1
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=bootstrap)[:, kin]
        weights[1:] = times / times.sum(1, keepdims=True)
    merged = [_merged(p, atoms, seed) for p in post]
    lost = max(_lost(p, code) for p, code in zip(post, merged, strict=True))
    values, gap = _decomposed(merged, label, weights, factor)
    best: dict[str, Any] = {k: float(v[0]) for k, v in values.items()}
    null, p = _gains(post, label, kin, factor)
    interval = intervals(best, {k: v[1:] for k, v in values.items()}, level, biased=True) if bootstrap else {}
    frequency = np.bincount(label) / n
    least = RESOLUTION * float(-(frequency * np.log(frequency)).sum()) * factor
    said = (
        f"{lost:.1%} of the information in one term was lost by grouping {n} rows into {atoms} clusters of similar "
        "predictions; more rows lose less"
    )
    return PID(
        **best,
        gap=gap,
        units=units,
        estimator="batch",
        samples=n,
        null=null,
        interval=interval if bootstrap else None,
        significant={k: p[k] <= level and interval[k][0] > least for k in PARTS} if bootstrap else None,
        warnings=(said,) if lost > LOST else (),
    )


def _labels(y: ArrayLike | Tensor) -> NDArray[np.int64]:
    array = column("y", y)
    if not len(array) or array.dtype.kind not in "iubf" or (array < 0).any() or (array != np.floor(array)).any():
        raise InputError("y holds no classes 0 .. |Y| - 1; number the columns of p1 and give one number per sample")
    return array.astype(np.int64)


def _checked(name: str, values: ArrayLike | Tensor, y: NDArray[np.int64]) -> Posterior:
    p = numbers(name, values).detach().cpu().double().numpy()
    if p.ndim != 2 or len(p) != len(y) or p.shape[1] <= y.max(initial=0):
        raise InputError(f"{name} has shape {p.shape}, expected ({len(y)}, |Y|) with |Y| > {y.max(initial=0)} as in y")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4)):
        raise InputError(f"{name} has rows that are no distributions; give probabilities (softmax), not logits")
    if (missing := np.setdiff1d(np.arange(p.shape[1]), y)).size:
        raise InputError(f"y has no row of class {missing[0]}, which {name} has a column for; drop that column")
    return p


def _merged(posterior: Posterior, atoms: int, seed: int) -> NDArray[np.int64]:
    """The atom of each sample: its posterior, or the nearest of ``atoms`` of them (Hellinger distance)."""
    from sklearn.cluster import KMeans

    kinds, code = np.unique(posterior.round(9), axis=0, return_inverse=True)
    if len(kinds) <= atoms:
        return np.asarray(code, dtype=np.int64)
    found = KMeans(atoms, n_init=1, random_state=seed).fit_predict(np.sqrt(posterior))
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


def _lost(posterior: Posterior, atom: NDArray[np.int64]) -> float:
    """Share of the information that the posteriors claim which merging loses."""
    member = np.eye(atom.max() + 1)[:, atom] / len(atom)
    whole, kept = _information(posterior / len(atom)), _information(member @ posterior)
    return 1 - kept / whole if whole > 1e-6 else 0.0


def _decomposed(
    atom: list[NDArray[np.int64]], y: NDArray[np.int64], weights: NDArray[np.float64], factor: float
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Parts and terms of atoms against labels for each row of weights, and the gap."""
    wide = int(y.max()) + 1
    first, second, both = (
        np.stack([np.bincount(code * wide + y, w, (code.max() + 1) * wide).reshape(-1, wide) for w in weights]) for code in atom
    )
    one, two = torch.from_numpy(first), torch.from_numpy(second)
    bounds = [union_information(one[:1], two[:1], gap=1e-6)]
    if len(weights) > 1:  # intervals need no such care
        bounds.append(union_information(one[1:], two[1:], gap=3e-4))
    i1, i2, full = (np.array([_information(m) for m in masses]) for masses in (first, second, both))
    union = np.clip(torch.cat([b.upper for b in bounds]).numpy(), np.maximum(i1, i2), i1 + i2)
    together = np.maximum(full, union)
    gap = float(bounds[0].upper[0] - bounds[0].lower[0])
    return {k: v * factor for k, v in of_union(i1, i2, together, union).items()}, gap * factor


def _information(mass: NDArray[np.float64]) -> float:
    from scipy.special import xlogy

    return max(0.0, float(sum(s * xlogy(q, q).sum() for s, q in ((1, mass), (-1, mass.sum(0)), (-1, mass.sum(1))))))


def _gains(
    post: list[Posterior], y: NDArray[np.int64], kin: NDArray[np.int64], factor: float
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Mean gains of the labels' log-likelihood with their p-values, and Holm's p-value of each part."""
    from scipy.stats import norm

    prior = np.log(np.bincount(y) / len(y))
    g1, g2, g12 = (np.log(p[np.arange(len(y)), y]) - prior[y] for p in post)

    def above(gain: NDArray[np.float64]) -> float:
        total = np.bincount(kin, weights=gain)
        spread = math.sqrt(len(total)) * float(total.std(ddof=1)) if len(total) > 1 else 0.0
        return float(norm.sf(total.sum() / spread)) if spread > 1e-9 else float(total.sum() <= 1e-9)  # all gain alike

    null = {k: {"raw": float(g.mean()) * factor, "p": above(g)} for k, g in zip(TERMS, (g1, g2, g12), strict=True)}
    one, two = null["information1"]["p"], null["information2"]["p"]
    on_top1, on_top2 = above(g12 - g2), above(g12 - g1)
    needs = (max(one, two), max(one, on_top1), max(two, on_top2), max(on_top1, on_top2))
    adjusted = holm(dict(zip(PARTS, needs, strict=True)))
    return null | {k: {"p": p, "p_holm": adjusted[k]} for k, p in zip(PARTS, needs, strict=True)}, adjusted
