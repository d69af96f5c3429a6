"""The neural BATCH estimator of Liang et al., for comparison with `batch`, which replaces it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.information._codes import samples
from tuplet.information._posteriors import descend
from tuplet.information.pid import PID, Units, nats_in, of_union
from tuplet.types import in_range

WIDTH = 10  # numbers per class that a coupling network gives a sample


def neural_batch(
    x1: ArrayLike | Tensor,
    x2: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    epochs: int = 40,
    coupling_epochs: int = 10,
    batch_size: int = 256,
    seed: int = 0,
    units: Units = "bits",
) -> PID:
    r"""Decompose with a coupling that two networks parametrise, as published.

    .. math::
        q(x_{1,i}, x_{2,j}, y) = \text{Sinkhorn}_y\big(e^{\langle f_y(x_{1,i}), g_y(x_{2,j}) \rangle / \sqrt{10}}\big)

    Three discriminators (four hidden layers of 32) give the posteriors; ``f`` and ``g`` are trained so that the coupling of a
    batch, projected on the posteriors as marginals, has the least information about the target.

    Args:
        x1, x2, y: as in `clustered`.
        epochs: of the discriminators (published: 40).
        coupling_epochs: of the coupling (published: 10).
        batch_size: samples per batch (published: 256). The result is averaged over a half of the samples; the other trains.
        seed: of split, weights and batches.
        units: ``"bits"`` or ``"nats"`` (published: nats).

    Returns:
        The `PID`, not certified (``gap`` is NaN) and not clamped: parts may be negative.

    Notes:
        It measures the discriminators, and its coupling is a bound from above on the union information: unique parts and
        synergy come with the error of both. Posteriors are not calibrated, so that the marginals of a class have unequal mass
        and the projection ends on those of the second source. The projection works on logarithms and runs 50 sweeps, where
        the published code stops within an absolute tolerance of 0.01.

    Source:
        Liang et al. (2023), Quantifying and modeling feature interactions, section 3.2 (BATCH).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a = rng.integers(0, 2, 200)
        >>> found = neural_batch(a, a, a, epochs=2, coupling_epochs=1)
        >>> found.estimator, found.corrected
        ('neural batch', True)
    """
    factor = nats_in(units)
    for name, least in (("epochs", epochs), ("coupling_epochs", coupling_epochs), ("batch_size", batch_size - 1)):
        in_range(name, least, 1)
    a, b, codes, _ = samples(x1, x2, y, bins=4, group=None)
    label = torch.from_numpy(codes)
    kinds, draw = int(label.max()) + 1, torch.Generator().manual_seed(seed)
    order = torch.randperm(len(label), generator=draw)
    train, test = order[len(label) // 2 :], order[: len(label) // 2]
    one, two = (torch.from_numpy((x - x.mean(0)) / np.maximum(x.std(0), 1e-9)).float() for x in (a, b))
    inputs = (one, two, torch.cat([one, two], 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judges = [_network(x.shape[1], kinds) for x in inputs]
        couplers = [_network(x.shape[1], kinds * WIDTH) for x in inputs[:2]]
    for judge, x in zip(judges, inputs, strict=True):
        optimiser = torch.optim.Adam(judge.parameters(), lr=1e-3)
        for rows in _batches(train, epochs, batch_size, draw):
            descend(optimiser, F.cross_entropy(judge(x[rows]), label[rows]))
    with torch.no_grad():
        p1, p2, p12 = (judge(x).softmax(1) for judge, x in zip(judges, inputs, strict=True))
    optimiser = torch.optim.Adam([p for c in couplers for p in c.parameters()], lr=1e-3)
    for rows in _batches(train, coupling_epochs, batch_size, draw):
        descend(optimiser, _joint_information(couplers, one[rows], two[rows], p1[rows], p2[rows]))
    found = []
    with torch.no_grad():
        for rows in _batches(test, 1, batch_size, draw):
            union = _joint_information(couplers, one[rows], two[rows], p1[rows], p2[rows])
            found.append([float(v) for v in (*(_information(p[rows]) for p in (p1, p2, p12)), union)])
    i1, i2, i12, union_ = (float(v) * factor for v in np.mean(found, 0))
    return PID(
        **of_union(i1, i2, i12, union_), gap=math.nan, units=units, estimator="neural batch", corrected=True, samples=len(test)
    )


def _network(inputs: int, outputs: int) -> nn.Sequential:
    sizes = [inputs, 32, 32, 32, 32]
    hidden = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(32, outputs))


def _batches(rows: Tensor, epochs: int, size: int, draw: torch.Generator) -> list[Tensor]:
    """Shuffled batches; a last one of a single row is left out, unless it is all there is."""
    cut = [part for _ in range(epochs) for part in torch.split(rows[torch.randperm(len(rows), generator=draw)], size)]
    return [part for part in cut if len(part) > 1] or cut


def _information(posterior: Tensor) -> Tensor:
    """Mean divergence of posteriors from their mean, nats."""
    mean = posterior.mean(0)
    return (torch.xlogy(posterior, posterior).sum(1) - torch.xlogy(posterior, mean).sum(1)).mean()


def _joint_information(couplers: list[nn.Sequential], x1: Tensor, x2: Tensor, p1: Tensor, p2: Tensor) -> Tensor:
    """Information of the projected coupling of a batch about the target, nats."""
    f, g = (F.layer_norm(c(x).unflatten(1, (-1, WIDTH)), (WIDTH,)) for c, x in zip(couplers, (x1, x2), strict=True))
    q = torch.einsum("ick,jck->cij", f, g) / math.sqrt(WIDTH)
    rows, columns = ((p / len(p)).clamp_min(1e-12).log().T for p in (p1, p2))
    for _ in range(50):
        q = q - q.logsumexp(2, keepdim=True) + rows[:, :, None]
        q = q - q.logsumexp(1, keepdim=True) + columns[:, None]
    mass = q.exp()
    target = mass.sum((1, 2))
    conditional = (mass * (q - q.logsumexp(0))).sum()
    return conditional - torch.xlogy(target, target).sum()
