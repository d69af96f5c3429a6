"""Decomposition from samples of features without clusters: posteriors of cross-fitted models are the sources' states."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.information.codes import classes, features
from tuplet.information.draws import holm
from tuplet.information.pid import PARTS, PID, TERMS, Units
from tuplet.information.posteriors import Model, Posterior, balanced, calibrated, cross_fitted
from tuplet.information.union import union_information
from tuplet.types import InputError, in_range, one_of

RESOLUTION = 0.05
"""Share of the target's entropy below which a part may be an error of the models."""


def batch(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    model: Model = "mlp",
    folds: int = 5,
    group: ArrayLike | Tensor | None = None,
    bins: int = 4,
    atoms: int = 64,
    bootstrap: int = 100,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    """Decompose what two modalities say about a target, from posteriors of models fitted on other samples.

    Classifiers of the target from ``x1``, from ``x2`` and from both are fitted on folds, read on the rows left out,
    calibrated, and handed to `from_posteriors`.

    Args:
        x1: ``(n, ...)`` features of the first modality; images and sequences are flattened.
        x2: ``(n, ...)`` features of the second.
        y: ``(n,)`` target: classes, or real numbers, which are cut into ``bins`` of equal frequency.
        model: ``"mlp"``, which can see synergy, or ``"logistic"``, which sees only what adds up.
        folds: number of folds.
        group: ``(n,)`` ids of dependent samples; no group is in two folds, and groups are resampled as a whole.
        bins: classes of a real target.
        atoms: as in `from_posteriors`.
        bootstrap: as in `from_posteriors`.
        level: as in `from_posteriors`.
        seed: of folds, models and resamples.
        units: ``"bits"`` or ``"nats"``.

    Returns:
        The `PID` of what the models see.

    Raises:
        InputError: if numbers of rows differ, a class has fewer rows than folds, or an option is out of range.

    Notes:
        It measures the models: terms are near lower bounds of the information in the features, and what a model misses
        lowers the parts it belongs to. Against `clustered` it keeps features that clusters lose (an exclusive-or of
        directions that carry little variance) and has no table to fill; it costs ``3 folds`` fits.

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
    a, b, raw = features("x1", x1), features("x2", x2), classes(y, bins=bins)
    kin = None if group is None else np.unique(np.asarray(group), return_inverse=True)[1].astype(np.int64)
    for name, rows in (("x1", a), ("x2", b), ("group", raw if kin is None else kin)):
        if len(rows) != len(raw):
            raise InputError(
                f"{name} has {len(rows)} rows, expected {len(raw)} to match y; row i of each is one sample"
            )
    target = np.unique(raw, return_inverse=True)[1].astype(np.int64)
    p1, p2, p12 = (
        cross_fitted(x, target, model=model, folds=folds, group=kin, seed=seed) for x in (a, b, np.hstack([a, b]))
    )
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
    atoms: int = 64,
    bootstrap: int = 100,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    r"""Decompose from posteriors of the target on samples that they were not fitted on.

    Every sample is a state of each source, :math:`p(x_{1,i}, y) = p(y | x_{1,i}) / n`. Posteriors are calibrated on the
    labels, scaled so that every class has its frequency in all of them, and the union information of the two marginals
    is solved exactly; :math:`I_{12}` comes from the joint posterior (no less than the union information).

    Args:
        p1: ``(n, |Y|)`` posterior of the classes given the first modality.
        p2: likewise given the second.
        p12: likewise given both.
        y: ``(n,)`` classes 0 .. ``|Y| - 1``.
        group: ``(n,)`` ids of dependent samples, or None.
        atoms: states per source at most: more samples are merged by their posterior (k-means), which changes nothing
            where posteriors are equal; ``warnings`` say so if it costs more than 2 % of a term. Memory is
            ``atoms**2 |Y|`` numbers per problem, time grows with ``(atoms |Y|)**3``.
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
        sources on top of either.
        Posteriors are out of sample, so a gain is above zero by chance only: no labels need be permuted. Intervals hold the
        sampling error of the rows, not the error of the models, which makes sources look more alike than they are (two
        independent bits of a four-class target, n = 2,000: 0.04 bits of redundancy, 0.10 of synergy, neither there).

    Source:
        As `batch`. Gains of held-out log-likelihood as information: Xu et al. (2020), predictive V-information.

    Example:
        >>> y = np.array([0, 1] * 100)
        >>> sure = np.eye(2)[y] * 0.98 + 0.01
        >>> none = np.full((200, 2), 0.5)
        >>> print(from_posteriors(sure, none, sure, y, bootstrap=20).unique1 > 0.9)
        True
    """
    one_of("units", units, ("bits", "nats"))
    for name, low in (("atoms", atoms), ("bootstrap", bootstrap + 1)):
        in_range(name, low, 1)
    in_range("level", level, 1e-6, 1)
    label = np.asarray(y, dtype=np.int64)
    given = [_checked(name, p, label) for name, p in (("p1", p1), ("p2", p2), ("p12", p12))]
    post = [calibrated(p, label) for p in given]
    n, rng = len(label), np.random.default_rng(seed)
    kin = np.arange(n) if group is None else np.unique(np.asarray(group), return_inverse=True)[1]
    weights = np.full((1 + bootstrap, n), 1 / n)
    if bootstrap:
        groups = int(kin.max()) + 1
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=bootstrap)[:, kin]
        weights[1:] = times / times.sum(1, keepdims=True)
    factor = 1 / math.log(2) if units == "bits" else 1.0
    merged = [_merged(p, atoms, seed) for p in post[:2]]
    values, lost, gap = _decomposed(post, merged, label, weights, factor)
    best = {k: float(v[0]) for k, v in values.items()}
    null, p = _gains(post, label, kin, factor)
    ends = (level / 2, 1 - level / 2)
    drawn = {k: v[1:] for k, v in values.items()} if bootstrap else {}
    interval = {k: (float(np.quantile(v, ends[0])), float(np.quantile(v, ends[1]))) for k, v in drawn.items()}
    frequency = np.bincount(label) / n
    least = RESOLUTION * float(-(frequency * np.log(frequency)).sum()) * factor
    said = f"merging {n} samples into {atoms} atoms lost {lost:.1%} of a term; give more atoms"
    return PID(
        redundancy=best["redundancy"],
        unique1=best["unique1"],
        unique2=best["unique2"],
        synergy=best["synergy"],
        information1=best["information1"],
        information2=best["information2"],
        information12=best["information12"],
        gap=gap,
        units=units,
        estimator="batch",
        samples=n,
        null=null,
        interval=interval if bootstrap else None,
        significant={k: p[k] <= level and interval[k][0] > least for k in PARTS} if bootstrap else None,
        warnings=(said,) if lost > 0.02 else (),
    )


def _checked(name: str, values: ArrayLike | Tensor, y: NDArray[np.int64]) -> Posterior:
    p = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
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


def _decomposed(
    post: list[Posterior],
    atom: list[NDArray[np.int64]],
    y: NDArray[np.int64],
    weights: NDArray[np.float64],
    factor: float,
) -> tuple[dict[str, NDArray[np.float64]], float, float]:
    """Parts and terms for each row of weights, the largest share of a term that merging loses, and the gap."""
    label = np.eye(post[0].shape[1])[y]
    joint: list[list[NDArray[np.float64]]] = [[], []]
    whole = []
    for w in weights:
        prior = np.maximum(w @ label, 1e-9)
        masses = [balanced(p, prior / prior.sum(), w) for p in post]
        whole.append([_information(m) for m in masses])
        for side in (0, 1):
            joint[side].append(np.eye(atom[side].max() + 1)[:, atom[side]] @ masses[side])
    first, second = (torch.from_numpy(np.stack(j)) for j in joint)
    bounds = [union_information(first[:1], second[:1], gap=1e-6)]
    if len(weights) > 1:  # intervals need no such care
        bounds.append(union_information(first[1:], second[1:], gap=1e-4))
    i1, i2 = (np.array([_information(m) for m in j]) for j in joint)
    full = np.array(whole)
    union = np.clip(torch.cat([b.upper for b in bounds]).numpy(), np.maximum(i1, i2), i1 + i2)
    together = np.maximum(full[:, 2], union)
    parts = (i1 + i2 - union, union - i2, union - i1, together - union, i1, i2, together)
    lost = max(1 - m[0] / f if f > 1e-6 else 0.0 for m, f in ((i1, full[0, 0]), (i2, full[0, 1])))
    gap = float(bounds[0].upper[0] - bounds[0].lower[0])
    return {k: v * factor for k, v in zip((*PARTS, *TERMS), parts, strict=True)}, lost, gap * factor


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
        return float(norm.sf(total.sum() / spread)) if spread > 1e-9 else 1.0

    null = {k: {"raw": float(g.mean()) * factor, "p": above(g)} for k, g in zip(TERMS, (g1, g2, g12), strict=True)}
    one, two = null["information1"]["p"], null["information2"]["p"]
    on_top1, on_top2 = above(g12 - g2), above(g12 - g1)
    needs = (max(one, two), max(one, on_top1), max(two, on_top2), max(on_top1, on_top2))
    adjusted = holm(dict(zip(PARTS, needs, strict=True)))
    return null | {k: {"p": p, "p_holm": adjusted[k]} for k, p in zip(PARTS, needs, strict=True)}, adjusted
