"""Decomposition from samples of discrete sources: corrected for chance, with nulls, intervals and a verdict per part."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tuplet.functional._given import states
from tuplet.information._draws import Counts, Draws, few, intervals, nulls, relabelled, resampled, tables
from tuplet.information.finite import Components, components
from tuplet.information.pid import PARTS, PID, TERMS, Units, nats_in, of_union
from tuplet.types import InputError, in_range

SPARSE = 5.0  # samples per cell below which a warning is given


def counted(
    x1: ArrayLike,
    x2: ArrayLike,
    y: ArrayLike,
    *,
    group: ArrayLike | None = None,
    permutations: int = 200,
    bootstrap: int = 200,
    level: float = 0.05,
    seed: int = 0,
    units: Units = "bits",
    estimator: str = "counted",
) -> PID:
    r"""Decompose what two discrete sources say about a target, from samples.

    Counting ``n`` samples into ``n1 n2 |Y|`` cells invents information, nearly all of it synergy. Each term is therefore
    put on the scale between what chance gives and the most there is,

    .. math::
        I^c = (I - I^0) \Big/ \Big(1 - \frac{I^0}{I^{max}}\Big), \qquad I^0 = \text{mean under relabelling},

    which reads zero for independent data and leaves full information as it is: :math:`I_1, I_2` and :math:`R` with labels
    permuted over all samples; :math:`I_{12}` by the chain rule, :math:`I_1 + I(X_2; Y | X_1)`, with labels permuted among
    samples of equal :math:`x_1`, or with the sources swapped, whichever is less. The parts follow from these four.

    Args:
        x1: ``(n,)`` states of the first source, integers or anything that can be sorted.
        x2: ``(n,)`` states of the second source.
        y: ``(n,)`` classes of the target.
        group: ``(n,)`` ids of dependent samples (subject, file ...), which are permuted and resampled as a whole.
        permutations: relabellings per null. 200 leave room for the smallest threshold, ``level / 4``.
        bootstrap: resamples for the intervals; 0 for none, and then no verdict.
        level: chance, at most, of calling any of the four parts significant where there is no information at all.
        seed: of permutations and resamples.
        units: ``"bits"`` or ``"nats"``.
        estimator: name of the estimator in the result.

    Returns:
        The corrected `PID`. ``null[part]`` holds ``raw`` (the value that was counted), ``mean`` and ``quantile`` (0.95) of
        the decisive null, ``p`` and, for parts, ``p_holm``. ``interval`` is ``1 - level`` wide.

    Raises:
        InputError: if lengths differ or are less than 2, or an option is out of range.

    Notes:
        A part is ``significant`` if its p-value, adjusted for four parts (Holm), is at most ``level`` **and** its interval
        stays above zero. The p-value of a part is the largest over nulls in which this part is zero, each
        ``(1 + #{null >= raw}) / (1 + permutations)``; if the first leaves nothing to decide, the others are not drawn:

        - every part: labels permuted over all samples, exact where neither source says anything;
        - redundancy also: :math:`I_1` and :math:`I_2` above chance, since :math:`R \le \min(I_1, I_2)`;
        - unique 1 also: :math:`I_1` above chance, and labels permuted among samples of equal :math:`x_2`, which keeps
          :math:`I_2` and makes :math:`U_1 = S = 0`; unique 2 likewise;
        - synergy also: labels permuted among samples of equal :math:`x_1`, and of equal :math:`x_2`, which keeps how samples
          fill the cells ``(x1, x2)``, on which the invented synergy depends.

        Unique parts of equally informative sources swing by the sampling error of :math:`I_1 - I_2`, which no relabelling
        shows; there the interval decides. With few samples per cell intervals are too short for synergy.
        Cost: ``permutations + bootstrap + 1`` union informations of ``n1 n2 |Y|`` cells in one batch, two ``permutations``
        more where something may be there.

    Source:
        Chance adjustment: Vinh, Epps and Bailey (2010), equation 6. Permutation p-values: Phipson and Smyth (2010). Holm
        (1979). The choice of nulls is ours.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.integers(0, 2, (2, 400))
        >>> found = counted(a, b, a ^ b, permutations=100, bootstrap=50)
        >>> [part for part, is_there in found.significant.items() if is_there]
        ['synergy']
    """
    nats_in(units)  # refused now, if at all
    in_range("permutations", permutations, 1)
    in_range("bootstrap", bootstrap, 0)
    in_range("level", level, 1e-6, 1)
    cy = states("y", y)
    n = len(cy)
    c1, c2 = states("x1", x1, n), states("x2", x2, n)
    kin = None if group is None else states("group", group, n)
    if n < 2:
        raise InputError(f"y has {n} rows, expected at least 2")
    n1, n2, ny = (int(c.max()) + 1 for c in (c1, c2, cy))
    sizes, rng = (n1, n2, ny), np.random.default_rng(seed)
    over_all = tables(c1, c2, relabelled(cy, draws=permutations, rng=rng, group=kin), sizes)
    given = [tables(c1, c2, relabelled(cy, draws=permutations, rng=rng, within=c, group=kin), sizes) for c in (c1, c2)]
    again = resampled(c1, c2, cy, sizes, draws=bootstrap, rng=rng, group=kin) if bootstrap else np.empty((0, *sizes))
    observed = tables(c1, c2, cy, sizes)
    noise = max(1, min(n1, n2) - 1) * max(1, ny - 1) / (2 * n)  # of a term under independence, nats
    gap = min(1e-3, 0.05 * noise)
    raw = _solved(observed, units, min(gap, 1e-6))
    free, boot = _split(_solved(np.concatenate([over_all, again]), units, gap), [permutations, bootstrap])
    shares = np.bincount(cy) / len(cy)
    entropy = float(-(shares * np.log(shares)).sum() * nats_in(units))
    best = _corrected(raw, free, [_information(g, units) for g in given], entropy)
    null, p = nulls(raw, free, None, gap)
    if min(p.values()) <= level:  # else no further null can make anything significant
        null, p = nulls(raw, free, _split(_solved(np.concatenate(given), units, gap), [permutations] * 2), gap)
    interval = intervals(best, boot, level) if bootstrap else None
    return PID(
        **best,
        gap=float(raw["gap"][0]),
        units=units,
        estimator=estimator,
        corrected=True,
        samples=n,
        null=null,
        interval=interval,
        significant={k: p[k] <= level and interval[k][0] > 0 for k in PARTS} if interval else None,
        warnings=_warnings(n, observed, permutations, level),
    )


def _solved(counts: Counts, units: Units, gap: float) -> Draws:
    found: Components = components(torch.from_numpy(counts), units=units, gap=gap)
    return {name: getattr(found, name).numpy() for name in (*PARTS, *TERMS, "gap")}


def _split(values: Draws, lengths: list[int]) -> list[Draws]:
    ends = np.cumsum(lengths)[:-1]
    pieces = {k: np.split(v, ends) for k, v in values.items()}
    return [{k: v[i] for k, v in pieces.items()} for i in range(len(lengths))]


def _information(counts: Counts, units: Units) -> NDArray[np.float64]:
    """I1, I2 and I12 of ``(T, n1, n2, |Y|)`` counts, one row each."""
    from scipy.special import xlogy

    p = counts / counts.sum((1, 2, 3), keepdims=True)

    def entropy(*axes: int) -> NDArray[np.float64]:
        q = p.sum(axes) if axes else p
        return np.asarray(-xlogy(q, q).reshape(len(q), -1).sum(1))

    target = entropy(1, 2)
    found = (entropy(2, 3) - entropy(2), entropy(1, 3) - entropy(1), entropy(3) - entropy())
    return np.stack([target + v for v in found]) * nats_in(units)


def _corrected(raw: Draws, free: Draws, given: list[NDArray[np.float64]], entropy: float) -> dict[str, Any]:
    seen = {k: float(v[0]) for k, v in raw.items()}
    i1, i2 = (_above_chance(seen[k], float(free[k].mean()), entropy) for k in TERMS[:2])
    shared = min(_above_chance(seen["redundancy"], float(free["redundancy"].mean()), entropy), i1, i2)
    shared = max(shared, i1 + i2 - entropy)
    union = i1 + i2 - shared
    chains = [
        low + _above_chance(seen["information12"] - seen[k], float(draws[-1].mean() - draws[i].mean()), entropy - seen[k])
        for i, (low, k, draws) in enumerate(zip((i1, i2), TERMS[:2], given, strict=True))
    ]
    together = max(union, min(chains))
    return of_union(i1, i2, together, union)


def _above_chance(value: float, chance: float, most: float) -> float:
    room = most - chance
    return max(0.0, (value - chance) / room * most) if room > 1e-9 else 0.0


def _warnings(n: int, observed: Counts, permutations: int, level: float) -> tuple[str, ...]:
    said = []
    cells = observed[0].size
    if n < SPARSE * cells:
        said.append(
            f"{n} samples for {cells} cells, {n / cells:.2g} per cell; below {SPARSE:g} synergy is hard to tell from chance"
        )
    if observed.shape[3] < 2:
        said.append("the target has one class: there is nothing to say about it")
    return (*said, *few(permutations, level))
