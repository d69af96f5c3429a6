"""Centred kernel alignment and canonical correlations of two representations held in memory, with shuffled pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tuplet.diagnose._lists import Array, paired
from tuplet.diagnose.moments import Moments, alignment_score, canonical_score, hsic_of, principal
from tuplet.diagnose.score import Score, shuffles_of
from tuplet.types import InputError, in_range, one_of

ENTRIES = 2**22  # kernel entries in memory at a time, 32 MiB
ROUNDING = 1e-13  # a kernel whose HSIC with itself is less than this share of its squared norm is constant
Kernel = Literal["linear", "rbf"]  # kernels that `cka` compares
_Tile = Callable[[Tensor], Tensor]


@torch.no_grad()
def cka(
    a: Array,
    b: Array,
    *,
    kernel: Kernel = "linear",
    unbiased: bool = True,
    sigma: float | Literal["median"] = "median",
    shuffles: int = 0,
    seed: int = 0,
    block_size: int | None = None,
) -> Score:
    r"""Compare the kernels of two representations: do the same pairs of rows lie close together, over the whole space?

    .. math::
        \mathrm{CKA} = \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\, \mathrm{HSIC}(L, L)}}, \qquad
        \mathrm{HSIC}_{\text{biased, linear}} = |X_c^\top Y_c|_F^2

    Args:
        a: ``(n, d_a)``.
        b: ``(n, d_b)``, the same things in the same order.
        kernel: ``"linear"``, inner products; ``"rbf"``, :math:`\exp(-|x - y|^2 / 2\sigma^2)`.
        unbiased: Song et al.'s HSIC, whose expectation for unrelated rows is exactly 0. The biased form, the To-Align-or-Not
            paper's equation 7, tends to 1 as soon as ``n <= d``, unrelated rows or not.
        sigma: width of the RBF kernel, a distance > 0, for both sides; ``"median"``, each side's own (lower) median distance
            of different rows, over 2,048 evenly spaced rows if there are more.
        shuffles: shuffled pairs for the null; each costs about as much as the value.
        seed: of the shuffles.
        block_size: rows of a block; about 32 MiB of float64 when left out.

    Returns:
        The `Score`, at most 1; below 0 by chance if unbiased. Its ``chance`` is the exact mean over all shuffles. Linear: one
        pass, ``n (d_a + d_b)^2``, by `Moments`, which also takes a stream. RBF: ``n^2 (d_a + d_b)``. Float64. Invariant to
        rotations, shifts and one scale of a side; a few columns of large variance decide it.

    Raises:
        InputError: for bad rows, fewer than 4 (2 if biased), or a bad option.

    Source:
        Kornblith et al. (2019), Similarity of neural network representations revisited; Song et al. (2012), Feature selection
        via dependence maximization, equation 5.

    Example:
        >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        >>> round(float(cka(x, 3 * x.flip(1) + 1)), 6), cka(x, x).chance
        (1.0, 0.0)
    """
    one_of("kernel", kernel, ("linear", "rbf"))
    x, y = paired(a, b, least=4 if unbiased else 2)
    n = len(x)
    in_range("block_size", 1 if block_size is None else block_size, 1)
    if kernel == "linear" and n >= max(x.shape[1], y.shape[1]):
        score = Moments().update(x, y, block_size=block_size or 8192).cka(unbiased=unbiased)
        measure = _linear(x, y, unbiased) if shuffles else None
    else:
        rows = block_size or max(1, ENTRIES // n)
        tiles = [_tiles(v, kernel, sigma) for v in (x, y)]
        score, measure = _tiled(tiles, n, rows, max(x.shape[1], y.shape[1]), kernel, unbiased, x.device)
    if measure is None or math.isnan(score.value):
        return score
    null = shuffles_of(score.value, measure, n=n, shuffles=shuffles, seed=seed, device=x.device)
    return replace(score, null=null)


@torch.no_grad()
def svcca(a: Array, b: Array, *, components: int | float = 10, shuffles: int = 0, seed: int = 0) -> Score:
    r"""Compare the main subspaces of two representations: the mean canonical correlation of their principal components.

    .. math::
        \frac{1}{k} \sum_{j \le k} \rho_j, \qquad \rho = \text{singular values of } W_a^\top X_c^\top Y_c W_b

    with :math:`W` the ``k`` principal directions over their singular values.

    Args:
        a, b, shuffles, seed: as in `cka`.
        components: how many per side (int), or the share of each side's variance to keep (float in (0, 1]; Raghu et al. take
            0.99). Chance grows with it, so a fixed number keeps scores of different widths comparable.

    Returns:
        The `Score` in [0, 1]; its ``k`` is the smaller number of components kept, no more than a side's rank. Its ``chance``,
        :math:`\sqrt{k_{max} / (n - 1)}`, is the root of the mean of :math:`\rho^2` over all shuffles. Costs ``n (d_a +
        d_b)^2``, then ``d^3``. Columns are centred, not scaled, as in google/svcca; the To-Align-or-Not paper scales them
        first. Invariant to rotations and shifts; with all components to any invertible linear map.

    Raises:
        InputError: for bad rows, fewer than 2, or bad ``components``.

    Source:
        Raghu et al. (2017), SVCCA.

    Example:
        >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        >>> round(float(svcca(x, x.flip(1), components=3)), 6)
        1.0
    """
    x, y = paired(a, b, least=2)
    moments = Moments().update(x, y)
    score = moments.svcca(components=components)
    if not shuffles or math.isnan(score.value):
        return score
    aa, bb, _ = moments.scatter()
    u, v = (_centred(s) @ principal(t, components) for s, t in ((x, aa), (y, bb)))

    def measure(order: Tensor) -> float:
        return canonical_score(u.mT @ v[order], len(x), components).value

    null = shuffles_of(score.value, measure, n=len(x), shuffles=shuffles, seed=seed, device=x.device)
    return replace(score, null=null)


def _centred(x: Tensor) -> Tensor:
    x = x.double() - x.double().median(dim=0).values  # a column that never changes becomes exactly 0
    return x - x.mean(dim=0)


def _linear(x: Tensor, y: Tensor, unbiased: bool) -> Callable[[Tensor], float]:
    """Linear CKA as a function of the order of the second side's rows."""
    n, (u, v) = len(x), (_centred(x), _centred(y))
    p, q = u.square().sum(dim=1), v.square().sum(dim=1)

    def hsic(s: Tensor, t: Tensor, i: Tensor, j: Tensor) -> float:
        return hsic_of(float((s.mT @ t).square().sum()), float(i @ j), float(i.sum()), float(j.sum()), n, unbiased)

    both = math.sqrt(max(hsic(u, u, p, p) * hsic(v, v, q, q), 0.0)) or math.nan
    return lambda order: hsic(u, v[order], p, q[order]) / both


def _tiles(x: Tensor, kernel: Kernel, sigma: float | str) -> _Tile:
    """Kernel entries of some rows with all rows."""
    x = _centred(x)  # neither kernel's alignment depends on it; digits do
    if kernel == "linear":
        return lambda rows: x[rows] @ x.mT
    if isinstance(sigma, str):
        one_of("sigma", sigma, ("median",))
        some = x[:: math.ceil(len(x) / 2048)]
        squared = _squared(some, some)
        off = squared[~torch.eye(len(some), dtype=torch.bool, device=x.device)]
        squared_width = float(off.median()) or float(off.mean()) or 1.0
    elif not sigma > 0:
        raise InputError(f"sigma is {sigma}, expected 'median' or a distance > 0")
    else:
        squared_width = float(sigma) ** 2
    return lambda rows: _squared(x[rows], x).mul_(-0.5 / squared_width).exp_()


def _squared(x: Tensor, y: Tensor) -> Tensor:
    lengths = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return lengths.addmm_(x, y.mT, alpha=-2).clamp_min_(0)


def _tiled(
    tiles: list[_Tile], n: int, block: int, d: int, kernel: Kernel, unbiased: bool, device: torch.device
) -> tuple[Score, Callable[[Tensor], float]]:
    """CKA from kernel tiles, and as a function of the order of the second side's rows."""

    def blocks() -> Iterator[Tensor]:
        yield from torch.split(torch.arange(n, device=device), block)

    def tile(side: int, rows: Tensor) -> Tensor:
        found = tiles[side](rows)
        return found.scatter_(1, rows[:, None], 0.0) if unbiased else found

    everything = torch.arange(n, device=device)
    sums = torch.zeros(2, n, dtype=torch.float64, device=device)
    traces, products = [0.0, 0.0], [0.0, 0.0, 0.0]
    for rows in blocks():
        k, m = tile(0, rows), tile(1, rows)
        sums[0, rows], sums[1, rows] = k.sum(dim=1), m.sum(dim=1)
        for side, v in enumerate((k, m)):
            traces[side] += float(v.gather(1, rows[:, None]).sum())
        for i, (v, w) in enumerate(((k, m), (k, k), (m, m))):
            products[i] += float(torch.linalg.vecdot(v, w).sum())
    totals: list[float] = sums.sum(dim=1).tolist()

    def hsic(product: float, i: int, j: int, order: Tensor) -> float:
        rows = float(sums[i] @ sums[j, order])
        if unbiased:
            return product + totals[i] * totals[j] / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)
        return product - 2 * rows / n + totals[i] * totals[j] / n**2

    found = [hsic(p, i, j, everything) for p, (i, j) in zip(products, ((0, 1), (0, 0), (1, 1)), strict=True)]
    found[1:] = [h if h > ROUNDING * p else 0.0 for h, p in zip(found[1:], products[1:], strict=True)]
    centred = (traces[0] - totals[0] / n, traces[1] - totals[1] / n)
    both = math.sqrt(max(found[1] * found[2], 0.0)) or math.nan

    def measure(order: Tensor) -> float:
        product = 0.0
        for rows in blocks():
            product += float(torch.linalg.vecdot(tile(0, rows), tile(1, order[rows])[:, order]).sum())
        return hsic(product, 0, 1, order) / both

    return alignment_score(found, centred, n, d, kernel, unbiased), measure
