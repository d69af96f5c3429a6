"""Probes: what a simple predictor reads from frozen representations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tuplet.evaluate.predictor import check_targets, fit_best, width_of
from tuplet.functional._measures import scaling
from tuplet.nets import MLP
from tuplet.types import InputError

PENALTY = 0.01
HIDDEN, BATCH, LR = 128, 128, 2e-3
UNEQUAL = 1.5
"""Test rows of the largest class over those of the smallest from which accuracy alone misleads."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe reached on test rows.

    Attributes:
        metric: ``"accuracy"`` (higher is better) or ``"mse"`` (mean squared error, lower is better).
        value: its value.
        chance: the same metric of a predictor that sees no input: the most frequent training class, or the training mean.
        items: float64 ``(n_test,)``: 1 or 0 per row for accuracy, squared error for mse. Their mean is ``value``.
        beside: where the largest class has more than 1.5 times as many test rows as the smallest: ``balanced`` (mean accuracy
            of the classes) and ``auroc`` (area under the ROC curve of each class against the rest, averaged; chance 0.5).
    """

    metric: str
    value: float
    chance: float
    items: NDArray[np.float64]
    beside: dict[str, float] = field(default_factory=dict)


def linear_probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Probe:
    """Fit a linear predictor on frozen training representations and test it.

    Multinomial logistic regression for classes (fitted until no entry of the gradient exceeds 1e-3), ridge regression for
    real targets, on features standardised with training statistics. Half the squared norm of the coefficients counts 0.01
    beside the mean loss per row; nothing is tuned.

    Args:
        train: features ``(n, d)`` and target: int64 ``(n,)`` classes or floating ``(n, k)``.
        test: likewise.

    Returns:
        The test `Probe`.

    Raises:
        InputError: if the training labels hold one class, or test rows a class that training rows do not.

    Example:
        >>> x = torch.arange(8.0)[:, None]
        >>> linear_probe((x, (x[:, 0] > 3).long()), (x, (x[:, 0] > 3).long())).value
        1.0
    """
    x, y, x_test, y_test = _standardised(train, test)
    if y.is_floating_point():
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=PENALTY * len(x)).fit(x, y)
        return _regressed(np.asarray(fitted.predict(x_test), dtype=np.float64).reshape(len(y_test), -1), y, y_test)
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1 / (PENALTY * len(x)), max_iter=5000, tol=1e-3).fit(x, y.numpy())
    scores = np.zeros((len(x_test), width_of(y)))
    scores[:, fitted.classes_] = fitted.predict_proba(x_test)
    return _classified(np.asarray(fitted.predict(x_test)), scores, y, y_test)


def mlp_probe(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, epochs: int = 25, seed: int = 0
) -> Probe:
    """Fit OVA-IB's four-layer MLP on frozen representations; the epoch with the best validation loss is tested.

    Args:
        train: features ``(n, d)`` and target: int64 ``(n,)`` classes or floating ``(n, k)``.
        val: likewise; chooses the epoch.
        test: likewise; used once.
        epochs: passes over the training rows.
        seed: of the initial weights and of the order of rows; torch's global random state is left alone.

    Returns:
        The test `Probe`.

    Raises:
        InputError: as in `linear_probe`.

    Notes:
        The paper gives depth, loss and Adam; width (128), epochs, learning rate (2e-3) and rows per step (128) are ours.

    Source:
        OVA-IB (Li et al., 2026), section 4.1: "a 4-layer MLP predictor".

    Example:
        >>> x = torch.linspace(-1, 1, 60)[:, None]
        >>> pair = (x, (x[:, 0] > 0).long())
        >>> mlp_probe(pair, pair, pair).value > 0.9
        True
    """
    x, y, x_test, y_test = _standardised(train, test)
    x_val = _standardised(train, val)[2]
    y_val = val[1]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = MLP(x.shape[1], width_of(y), hidden=HIDDEN, layers=4, norm="none")
    generator = torch.Generator().manual_seed(seed)

    def loss(features: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(net(features), target) if y.is_floating_point() else F.cross_entropy(net(features), target)

    fit_best(
        net,
        lambda: torch.split(torch.randperm(len(x), generator=generator), BATCH),
        lambda rows: loss(x[rows], y[rows]),
        lambda: float(loss(x_val, y_val)),
        lr=LR,
        epochs=epochs,
    )
    with torch.no_grad():
        predicted = net(x_test)
    if y.is_floating_point():
        return _regressed(predicted.double().numpy(), y, y_test)
    return _classified(predicted.argmax(dim=1).numpy(), predicted.softmax(dim=1).double().numpy(), y, y_test)


def few_shot_probe(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, shots: int = 3, draws: int = 10, seed: int = 0
) -> Probe:
    """Fit a linear probe on a few labelled training rows, over several draws of them.

    Args:
        train: features ``(n, d)`` and target.
        test: likewise.
        shots: training rows per class; for real targets, ``10 * shots`` rows in all.
        draws: how many times rows are drawn; the result is the mean over draws, row by row.
        seed: of the draws.

    Returns:
        The test `Probe`, ``items`` averaged over draws.

    Raises:
        InputError: if a class has fewer than ``shots`` training rows.

    Example:
        >>> x = torch.linspace(-1, 1, 60)[:, None]
        >>> pair = (x, (x[:, 0] > 0).long())
        >>> few_shot_probe(pair, pair).value > 0.7
        True
    """
    x, y = train
    generator = torch.Generator().manual_seed(seed)
    probes = []
    for _ in range(draws):
        order = torch.randperm(len(x), generator=generator)
        if y.is_floating_point():
            chosen = order[: 10 * shots]
        else:
            per_class = [order[y[order] == c][:shots] for c in sorted(set(y.tolist()))]
            if min(len(rows) for rows in per_class) < shots:
                raise InputError(f"shots is {shots}, but a class has fewer training rows; lower it")
            chosen = torch.cat(per_class)
        probes.append(linear_probe((x[chosen], y[chosen]), test))
    items = np.mean([p.items for p in probes], axis=0)
    return Probe(probes[0].metric, float(items.mean()), float(np.mean([p.chance for p in probes])), items)


def _standardised(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (x, y), (x_test, y_test) = train, test
    check_targets(y, y_test, "test", reader="probe")
    mean, deviation = scaling(x)
    return (x - mean) / deviation, y, (x_test - mean) / deviation, y_test


def _classified(predicted: NDArray[np.int64], scores: NDArray[np.float64], y: Tensor, y_test: Tensor) -> Probe:
    hits = (predicted == y_test.numpy()).astype(np.float64)
    counts = y.bincount()
    common = (counts == counts.max()).nonzero()[:, 0]  # of equally frequent classes, one drawn at random
    chance = float((y_test[:, None] == common).double().mean())
    return Probe("accuracy", float(hits.mean()), chance, hits, _beside(predicted, scores, y_test.numpy()))


def _beside(predicted: NDArray[np.int64], scores: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, float]:
    """Measure what a large class cannot flatter, from classes and scores ``(n, classes)``; nothing where they are even."""
    from scipy.stats import rankdata

    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2 or counts.max() <= UNEQUAL * counts.min():
        return {}
    of = y[:, None] == classes
    above = (rankdata(scores[:, classes], axis=0) * of).sum(axis=0) - counts * (counts + 1) / 2
    found = (of & (predicted == y)[:, None]).sum(axis=0) / counts
    return {"balanced": float(found.mean()), "auroc": float((above / (counts * (len(y) - counts))).mean())}


def _regressed(predicted: NDArray[np.float64], y: Tensor, y_test: Tensor) -> Probe:
    errors = ((predicted - y_test.numpy()) ** 2).mean(axis=1).astype(np.float64)
    chance = float((y_test - y.mean(dim=0)).square().mean())
    return Probe("mse", float(errors.mean()), chance, errors)
