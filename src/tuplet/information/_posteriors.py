"""Posteriors of the target that were not fitted on the rows they are read on, and their calibration."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tuplet.information._codes import Features
from tuplet.types import InputError, in_range, one_of

Model = Literal["mlp", "logistic"]
Posterior = NDArray[np.float64]
STEPS, PATIENCE = 300, 40  # steps of a network at most, and steps without a better one after which it stops


def cross_fitted(
    x: Features,
    y: NDArray[np.int64],
    *,
    model: Model = "mlp",
    folds: int = 5,
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Posterior:
    """Posterior of every row by a model that was fitted on the rows of other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    one_of("model", model, ("mlp", "logistic"))
    in_range("folds", folds, 2)
    size = np.bincount(y)
    if size.min() < folds:
        raise InputError(
            f"class {int(size.argmin())} has {size.min()} rows, expected {folds} or more; merge rare classes or lower folds"
        )
    if len(size) == 1:
        return np.ones((len(y), 1))  # one class is certain
    if group is not None and (held := len(np.unique(group))) < folds:
        raise InputError(f"group has {held} groups, expected at least {folds}, one per fold; take fewer folds, or leave it out")
    cut = (StratifiedKFold if group is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    parts = list(cut.split(x, y, group))
    if any(len(np.unique(y[train])) < len(size) for train, _ in parts):
        raise InputError("group leaves a fold's models without a class; take fewer folds or coarser classes")
    scaled = [_standardised(x, train) for train, _ in parts]
    out = np.empty((len(y), len(size)))
    if model == "mlp":
        for (_, test), read in zip(parts, _mlps(scaled, y, parts, seed), strict=True):
            out[test] = read
    else:
        for rows, (train, test) in zip(scaled, parts, strict=True):
            out[test] = LogisticRegression(max_iter=5000).fit(rows[train], y[train]).predict_proba(rows[test])
    return out


def _standardised(x: Features, train: NDArray[np.int64]) -> Features:
    centre, spread = x[train].mean(0), x[train].std(0)
    return np.asarray((x - centre) / np.where(spread > 1e-12, spread, 1.0))


def calibrated(posterior: Posterior, y: NDArray[np.int64]) -> Posterior:
    r"""Temper posteriors around the class frequencies so that they predict the labels best."""
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


def _mlps(
    x: list[Features], y: NDArray[np.int64], parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]], seed: int
) -> list[Posterior]:
    """Posteriors of each fold's other rows by a small network, at its best mean log-likelihood on a tenth of its rows."""
    generator, label, wide = torch.Generator().manual_seed(seed), torch.from_numpy(y), int(y.max()) + 1
    inputs = torch.from_numpy(np.stack(x)).float()
    order = [train[np.random.default_rng(seed).permutation(len(train))] for train, _ in parts]
    fit, fit_share = _padded([rows[max(1, len(rows) // 10) :] for rows in order])
    watched, watched_share = _padded([rows[: max(1, len(rows) // 10)] for rows in order])
    new, _ = _padded([test for _, test in parts])
    going = torch.arange(len(parts))  # folds that have not stopped
    weights = [torch.randn(s, generator=generator) * math.sqrt(2 / s[1]) for s in ((64, inputs.shape[2]), (wide, 64))]
    # every fold begins with the same weights
    w1, w2 = (w.repeat(len(parts), 1, 1).requires_grad_() for w in weights)
    b1, b2 = (torch.zeros(len(parts), len(w), 1, requires_grad=True) for w in weights)

    def logits(rows: Tensor) -> Tensor:  # (folds, width, rows) -> (folds, classes, rows), as the loss reads them
        return torch.baddbmm(b2, w2, F.relu(torch.baddbmm(b1, w1, rows)))

    def losses(rows: Tensor, told: Tensor, share: Tensor) -> Tensor:
        return (F.cross_entropy(logits(rows), told, reduction="none") * share).sum(1)

    optimiser = torch.optim.AdamW([w1, b1, w2, b2], lr=3e-3, weight_decay=1e-2, fused=True)
    shown, seen, unseen = (inputs[going[:, None], rows].mT.contiguous() for rows in (fit, watched, new))
    here = [shown, label[fit], fit_share, seen, label[watched], watched_share]
    best, age = torch.full((len(parts),), math.inf), torch.zeros(len(parts))
    kept = [p.detach().clone() for p in (w1, b1, w2, b2)]
    for _ in range(STEPS):
        descend(optimiser, losses(*here[:3]).sum())
        with torch.no_grad():
            loss = losses(*here[3:])
            better = loss < best
            best, age = torch.where(better, loss, best), torch.where(better, 0, age + 1)
            for now, then in zip((w1, b1, w2, b2), kept, strict=True):
                then[going[better]] = now[better]
            on = age <= PATIENCE
            if not on.any():
                break
            if not on.all():  # the others go on alone
                going, best, age, *here = (v[on] for v in (going, best, age, *here))
                for p in (w1, b1, w2, b2):
                    p.data, p.grad = p.data[on], None
                    optimiser.state[p] |= {k: v[on] for k, v in optimiser.state[p].items() if k != "step"}
    with torch.no_grad():
        for p, then in zip((w1, b1, w2, b2), kept, strict=True):
            p.data = then
        read = logits(unseen).mT.double().softmax(2).numpy()
    return [read[k, : len(test)] for k, (_, test) in enumerate(parts)]


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down a loss."""
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


def _padded(rows: list[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Stack lists of rows, and the weight of each in the mean of its list: 0 where a shorter list is filled up."""
    index = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    share = torch.zeros(index.shape)
    for k, here in enumerate(rows):
        index[k, : len(here)], share[k, : len(here)] = torch.from_numpy(here), 1 / len(here)
    return index, share
