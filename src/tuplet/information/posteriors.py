"""Posteriors of the target that were not fitted on the rows they are read on, and their calibration."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tuplet.information.codes import Features
from tuplet.types import InputError, in_range, one_of

Model = Literal["mlp", "logistic"]
Posterior = NDArray[np.float64]


def cross_fitted(
    x: Features,
    y: NDArray[np.int64],
    *,
    model: Model = "mlp",
    folds: int = 5,
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Posterior:
    """Posterior of every row by a model that was fitted on the rows of other folds.

    Args:
        x: ``(n, d)`` features; standardised with the statistics of the fitted rows.
        y: ``(n,)`` classes, numbered from 0 without gaps.
        model: ``"mlp"`` (one hidden layer of 64, stopped where a tenth of its rows are predicted best; it can see an
            exclusive-or) or
            ``"logistic"`` (linear; for few rows or many features).
        folds: number of folds, 2 or more; stratified by class, never through a group.
        group: ``(n,)`` ids of dependent rows, or None.
        seed: of folds and models.

    Returns:
        ``(n, |Y|)`` posteriors; rows sum to 1.

    Raises:
        InputError: if an option is out of range or a class has fewer rows than there are folds.

    Example:
        >>> x = np.repeat([[0.0], [1.0]], 20, axis=0)
        >>> cross_fitted(x, (x[:, 0] > 0.5).astype(np.int64), model="logistic").argmax(1).sum()
        np.int64(20)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    one_of("model", model, ("mlp", "logistic"))
    in_range("folds", folds, 2)
    size = np.bincount(y)
    if size.min() < folds:
        raise InputError(
            f"class {int(size.argmin())} has {size.min()} rows, expected at least {folds}, one per fold; "
            "merge rare classes or take fewer folds"
        )
    if len(size) == 1:
        return np.ones((len(y), 1))  # one class is certain
    if group is not None and (held := len(np.unique(group))) < folds:
        raise InputError(
            f"group has {held} groups, expected at least {folds}, one per fold; take fewer folds, or leave it out"
        )
    cut = (StratifiedKFold if group is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    out = np.empty((len(y), len(size)))
    for train, test in cut.split(x, y, group):
        if len(np.unique(y[train])) < len(size):
            raise InputError("group leaves a fold's models without a class; take fewer folds or coarser classes")
        centre, spread = x[train].mean(0), x[train].std(0)
        scaled = (x - centre) / np.where(spread > 1e-12, spread, 1.0)
        if model == "logistic":
            out[test] = LogisticRegression(max_iter=5000).fit(scaled[train], y[train]).predict_proba(scaled[test])
        else:
            out[test] = _mlp(scaled[train], y[train], scaled[test], seed)
    return out


def calibrated(posterior: Posterior, y: NDArray[np.int64]) -> Posterior:
    r"""Temper posteriors around the class frequencies so that they predict the labels best.

    .. math:: p_\beta(y | x) \propto p(y) \, \big(p(y | x) / p(y)\big)^\beta, \qquad \beta \in [0, 32]

    Posteriors that predict worse than the class frequencies become those (:math:`\beta = 0`): no information. One number is
    fitted, so that rows need not be set aside for it.

    Args:
        posterior: ``(n, |Y|)``, cross-fitted.
        y: ``(n,)`` classes.

    Returns:
        ``(n, |Y|)`` posteriors; their mean log-likelihood of ``y`` is at least that of the class frequencies.

    Source:
        Guo et al. (2017), temperature scaling; around the prior, which is ours.

    Example:
        >>> y = np.array([0, 1, 0, 1])
        >>> calibrated(np.array([[0.1, 0.9], [0.9, 0.1]] * 2), y)[0]  # wrong each time
        array([0.5, 0.5])
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    prior = np.log(np.bincount(y, minlength=posterior.shape[1]) / len(y))
    ratio = np.log(np.clip(posterior, 1e-12, None)) - prior
    row = np.arange(len(y))

    def loss(beta: float) -> float:
        return float(-log_softmax(prior + beta * ratio, axis=1)[row, y].mean())

    found = minimize_scalar(lambda u: loss(math.exp(u)), bounds=(-7.0, math.log(32)), method="bounded")
    best = min((0.0, math.exp(float(found.x))), key=lambda b: (loss(b), b))
    return np.asarray(np.exp(log_softmax(prior + best * ratio, axis=1)))


def _mlp(
    x: Features, y: NDArray[np.int64], new: Features, seed: int, *, steps: int = 300, patience: int = 40
) -> Posterior:
    """Posteriors of new rows by a small network, full batches, at its best mean log-likelihood on a tenth of the rows."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    watched = np.zeros(len(y), dtype=bool)
    watched[rng.permutation(len(y))[: max(1, len(y) // 10)]] = True
    inputs, label, wide = torch.from_numpy(x).float(), torch.from_numpy(y), int(y.max()) + 1
    sizes = [(64, x.shape[1]), (wide, 64)]
    weights = [torch.randn(s, generator=generator) * math.sqrt(2 / s[1]) for s in sizes]
    parameters = [p.requires_grad_() for w in weights for p in (w, torch.zeros(len(w)))]

    def logits(rows: Tensor) -> Tensor:
        hidden = F.relu(F.linear(rows, parameters[0], parameters[1]))
        return F.linear(hidden, parameters[2], parameters[3])

    optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-2)
    fit, held = torch.from_numpy(~watched), torch.from_numpy(watched)
    shown, told = inputs[fit], label[fit]
    best, kept, age = math.inf, torch.zeros(len(new), wide), 0
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(F.cross_entropy(logits(shown), told))
        optimiser.step()
        with torch.no_grad():
            loss, age = float(F.cross_entropy(logits(inputs[held]), label[held])), age + 1
            if loss < best:
                best, age, kept = loss, 0, logits(torch.from_numpy(new).float())
        if age > patience:
            break
    return np.asarray(kept.double().softmax(1).numpy())
