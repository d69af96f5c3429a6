"""Probes: what a simple predictor reads from frozen representations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.types import InputError


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe reached on test rows.

    Attributes:
        metric: ``"accuracy"`` (higher is better) or ``"mse"`` (mean squared error, lower is better).
        value: its value.
        chance: the same metric of a predictor that sees no input: the most frequent training class, or the training mean.
        items: float64 ``(n_test,)``: 1 or 0 per row for accuracy, squared error for mse. Their mean is ``value``.
    """

    metric: str
    value: float
    chance: float
    items: NDArray[np.float64]


def linear_probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, penalty: float = 0.01) -> Probe:
    """Fit a linear predictor on frozen training representations and test it.

    Multinomial logistic regression for classes (fitted until no entry of the gradient exceeds 1e-3), ridge regression for
    real targets, on features standardised with training statistics.

    Args:
        train: features ``(n, d)`` and target: int64 ``(n,)`` classes or floating ``(n, k)``.
        test: likewise.
        penalty: weight of half the squared norm of the coefficients beside the mean loss per row. Nothing is tuned.

    Returns:
        The test `Probe`.

    Raises:
        InputError: if the training labels hold one class, or test rows a class that training rows do not.

    Example:
        >>> x = torch.arange(8.0)[:, None]
        >>> linear_probe((x, (x[:, 0] > 3).long()), (x, (x[:, 0] > 3).long())).value
        1.0
    """
    if penalty <= 0:
        raise InputError(f"penalty is {penalty}, expected a number > 0")
    x, y, x_test, y_test = _standardised(train, test)
    if y.is_floating_point():
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=penalty * len(x)).fit(x, y)
        return _regressed(np.asarray(fitted.predict(x_test), dtype=np.float64).reshape(len(y_test), -1), y, y_test)
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1 / (penalty * len(x)), max_iter=5000, tol=1e-3).fit(x, y.numpy())
    return _classified(np.asarray(fitted.predict(x_test)), y, y_test)


def mlp_probe(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    hidden: int = 128,
    epochs: int = 25,
    batch_size: int = 128,
    lr: float = 2e-3,
    seed: int = 0,
) -> Probe:
    """Fit OVA-IB's four-layer MLP on frozen representations; the epoch with the best validation loss is tested.

    Args:
        train: features ``(n, d)`` and target: int64 ``(n,)`` classes or floating ``(n, k)``.
        val: likewise; chooses the epoch.
        test: likewise; used once.
        hidden: width of the three hidden layers.
        epochs: passes over the training rows.
        batch_size: rows per step.
        lr: learning rate of Adam.
        seed: of the initial weights and of the order of rows; torch's global random state is left alone.

    Returns:
        The test `Probe`.

    Raises:
        InputError: as in `linear_probe`.

    Notes:
        The paper gives depth, loss and Adam; width, epochs and learning rate are ours.

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
    out = y.shape[1] if y.is_floating_point() else int(y.max()) + 1
    random = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    widths = [x.shape[1], hidden, hidden, hidden, out]
    steps: list[nn.Module] = []
    for i in range(4):
        steps += [nn.Linear(widths[i], widths[i + 1]), nn.GELU()]
    net = nn.Sequential(*steps[:-1])
    torch.set_rng_state(random)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)

    def loss(features: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(net(features), target) if y.is_floating_point() else F.cross_entropy(net(features), target)

    best, weights = math.inf, {k: v.clone() for k, v in net.state_dict().items()}
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            optimizer.zero_grad()
            loss(x[rows], y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            now = float(loss(x_val, y_val))
        if now < best:
            best, weights = now, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(weights)
    with torch.no_grad():
        predicted = net(x_test)
    if y.is_floating_point():
        return _regressed(predicted.double().numpy(), y, y_test)
    return _classified(predicted.argmax(dim=1).numpy(), y, y_test)


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
    if not y.is_floating_point():
        if len(set(y.tolist())) < 2:
            raise InputError("the training labels hold one class only; a probe needs two or more")
        if unseen := sorted(set(y_test.tolist()) - set(y.tolist())):
            raise InputError(f"class {unseen[0]} is in the test labels and not in the training labels; split by class")
    mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
    deviation = torch.where(deviation > 1e-8, deviation, 1.0)
    return (x - mean) / deviation, y, (x_test - mean) / deviation, y_test


def _classified(predicted: NDArray[np.int64], y: Tensor, y_test: Tensor) -> Probe:
    hits = (predicted == y_test.numpy()).astype(np.float64)
    counts = y.bincount()
    common = (counts == counts.max()).nonzero()[:, 0]  # of equally frequent classes, one drawn at random
    chance = float((y_test[:, None] == common).double().mean())
    return Probe("accuracy", float(hits.mean()), chance, hits)


def _regressed(predicted: NDArray[np.float64], y: Tensor, y_test: Tensor) -> Probe:
    errors = ((predicted - y_test.numpy()) ** 2).mean(axis=1).astype(np.float64)
    chance = float((y_test - y.mean(dim=0)).square().mean())
    return Probe("mse", float(errors.mean()), chance, errors)
