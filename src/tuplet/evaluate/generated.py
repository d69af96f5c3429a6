"""How good generated pictures are: distances of features to real ones, classes, and whether they are found again."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from tuplet.types import InputError


def kid(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Return the kernel distance of features and its standard error.

    The unbiased squared maximum mean discrepancy with the kernel ``(x . y / D + 1)^3`` over all rows, and the jackknife over
    rows of both sets. Source: Binkowski et al. (2018), Demystifying MMD GANs, who average over random blocks.

    Args:
        real: ``(N, D)`` features of real pictures.
        fake: ``(M, D)`` features of generated ones, by the same extractor.

    Returns:
        The distance, 0 on average where both have one distribution and perhaps negative, and its standard error.

    Raises:
        InputError: for widths that differ, fewer than four rows, or values that are not finite.

    Example:
        >>> x = torch.randn(200, 8)
        >>> value, error = kid(x, x + 1.0)
        >>> value > 4 * error
        True
    """
    _check(real, fake)
    x, y = real.double(), fake.double()
    xx, yy, xy = ((a @ b.mT / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m, between = len(x), len(y), xy.sum()
    variance = 0.0
    for own, other, size, rest in ((xx, xy.sum(dim=1), n, m), (yy, xy.sum(dim=0), m, n)):
        each = own.sum(dim=1) - own.diagonal()  # (size,): a row against the others of its set
        without = (each.sum() - 2 * each) / ((size - 1) * (size - 2)) - 2 * (between - other) / ((size - 1) * rest)
        variance += float((size - 1) / size * (without - without.mean()).square().sum())
    return _unbiased(xx, yy, xy), variance**0.5


def mmd(real: Tensor, fake: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy with a Gaussian kernel.

    The bandwidth is the median distance of real rows. Source: Gretton et al. (2012); for pictures: Jayasumana et al. (2024).

    Args:
        real: ``(N, D)`` features of real pictures.
        fake: ``(M, D)`` features of generated ones.

    Returns:
        0 where both have one distribution; may be negative.

    Raises:
        InputError: for widths that differ or fewer than four rows.

    Example:
        >>> x = torch.randn(100, 4)
        >>> mmd(x, x + 1.0) > 0.1
        True
    """
    _check(real, fake)
    x, y = real.double(), fake.double()
    width = torch.pdist(x).median().clamp_min(1e-12)
    return _unbiased(*(torch.exp(-0.5 * (torch.cdist(a, b) / width).square()) for a, b in ((x, x), (y, y), (x, y))))


def _unbiased(xx: Tensor, yy: Tensor, xy: Tensor) -> float:
    """Return the estimate from three kernel matrices: without the diagonals of the first two."""
    n, m = len(xx), len(yy)
    own = (xx.sum() - xx.diagonal().sum()) / (n * (n - 1)) + (yy.sum() - yy.diagonal().sum()) / (m * (m - 1))
    return float(own - 2 * xy.mean())


def fid(real: Tensor, fake: Tensor, *, extractor: str) -> tuple[str, float]:
    """Return the Frechet distance of features, and a name that says by which extractor and of how many rows.

    ``|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))`` with means and covariances of both sets. It is biased by small samples: rows of
    one table may be compared, numbers of papers may not. Source: Heusel et al. (2017).

    Args:
        real: ``(N, D)`` features of real pictures.
        fake: ``(M, D)`` features of generated ones.
        extractor: what made the features, such as ``"emoji-cnn"``.

    Returns:
        The name, such as ``fid[emoji-cnn,n=300]``, and the value.

    Raises:
        InputError: for widths that differ, or fewer rows than dimensions, whose covariance is singular.

    Example:
        >>> x = torch.randn(50, 4)
        >>> name, value = fid(x, x, extractor="plain")
        >>> name, round(value, 6)
        ('fid[plain,n=50]', 0.0)
    """
    _check(real, fake)
    n, d = min(len(real), len(fake)), real.shape[1]
    if n <= d:
        raise InputError(f"{n} rows of {d} features have a singular covariance; give more than {d}, or read kid and mmd")
    x, y = (v.double().numpy() for v in (real, fake))
    a, b = np.cov(x, rowvar=False).reshape(d, d), np.cov(y, rowvar=False).reshape(d, d)
    root = np.real(np.asarray(sqrtm(a @ b)))
    value = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    return f"fid[{extractor},n={n}]", float(max(value, 0.0))


def diversity(fake: Tensor) -> float:
    """Return the mean distance between generated rows over the root of their width.

    Args:
        fake: ``(M, D)`` features of generated pictures.

    Returns:
        0 where all are one picture; compare it with that of real ones.

    Example:
        >>> diversity(torch.tensor([[0.0], [3.0]]))
        3.0
    """
    return float(torch.pdist(fake.double()).mean() / fake.shape[1] ** 0.5)


def _check(real: Tensor, fake: Tensor) -> None:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < 4:
        raise InputError(
            f"real and fake have shapes {tuple(real.shape)} and {tuple(fake.shape)}, expected (N, D) and (M, D) with four rows "
            "or more each; use one extractor for both"
        )
    if not bool(torch.isfinite(real).all() and torch.isfinite(fake).all()):
        raise InputError("real or fake has features that are not finite; leave out those rows")
