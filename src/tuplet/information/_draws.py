"""Count tables of relabelled and resampled rows, by the hundred: what nulls and intervals are made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tuplet.information.pid import PARTS, TERMS
from tuplet.types import InputError

Codes = NDArray[np.int64]
Counts = NDArray[np.float64]
Draws = dict[str, NDArray[np.float64]]  # part or term -> its value in each of ``T`` draws


def few(permutations: int, level: float = 0.05) -> tuple[str, ...]:
    """Warn of permutations that are too few for any part to reach a level."""
    said = f"{permutations} permutations cannot reach level {level:g}; take at least {round(4 / level)}"
    return (said,) * (len(PARTS) / (1 + permutations) > level)


def tables(x1: Codes, x2: Codes, y: Codes, sizes: tuple[int, int, int]) -> Counts:
    """Count rows of codes into joint tables."""
    n1, n2, ny = sizes
    cell = np.atleast_2d((x1 * n2 + x2) * ny + y)
    cell = cell + (n1 * n2 * ny) * np.arange(len(cell))[:, None]
    counts = np.bincount(cell.ravel(), minlength=len(cell) * n1 * n2 * ny)
    return counts.reshape(len(cell), n1, n2, ny).astype(np.float64)


def relabelled(
    y: Codes, *, draws: int, rng: np.random.Generator, within: Codes | None = None, group: Codes | None = None
) -> Codes:
    """Hand the labels of rows to other rows, at random."""
    n = len(y)
    stratum = np.zeros(n, dtype=np.int64) if within is None else within
    rows = np.lexsort((np.arange(n) if group is None else group, stratum))
    new = np.ones(n, dtype=bool)  # the first row of every unit: a row, or the rows of a group in a stratum
    if group is not None:
        new[1:] = (np.diff(stratum[rows]) != 0) | (np.diff(group[rows]) != 0)
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, n))
    unit = np.cumsum(new) - 1
    offset = np.arange(n) - start[unit]
    keys = stratum[rows][start] + rng.random((draws, len(start)))
    taken = np.argsort(keys, axis=1)[:, unit]  # units are sorted by stratum, so each place gets one of its stratum
    out = np.empty((draws, n), dtype=y.dtype)
    out[:, rows] = y[rows][start[taken] + offset % size[taken]]
    return out


def resampled(
    x1: Codes,
    x2: Codes,
    y: Codes,
    sizes: tuple[int, int, int],
    *,
    draws: int,
    rng: np.random.Generator,
    group: Codes | None = None,
) -> Counts:
    """Count tables of bootstrap samples: rows, or whole groups of rows, drawn with replacement."""
    cells = int(np.prod(sizes))
    if group is None:
        counts = tables(x1, x2, y, sizes).ravel()
        return rng.multinomial(len(y), counts / counts.sum(), size=draws).astype(np.float64).reshape(draws, *sizes)
    from scipy.sparse import csr_matrix

    names, code = np.unique(group, return_inverse=True)
    if len(names) < 2:
        raise InputError("group has one value; rows of one group say nothing about others: give several, or group=None")
    cell = (x1 * sizes[1] + x2) * sizes[2] + y
    held = csr_matrix((np.ones(len(y)), (code, cell)), shape=(len(names), cells))
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float64)
    return np.asarray(weights @ held, dtype=np.float64).reshape(draws, *sizes)


def nulls(
    raw: Draws, free: Draws, given: list[Draws] | None, gap: float
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The decisive null of each part and term, and Holm's p-value of each part."""
    # part -> the sources that labels stay with in its further nulls; and the terms that it cannot do without
    of_part = {"redundancy": [], "unique1": [1], "unique2": [0], "synergy": [0, 1]}
    terms = {"redundancy": TERMS[:2], "unique1": TERMS[:1], "unique2": TERMS[1:2]}
    null: dict[str, dict[str, float]] = {}
    for name in (*TERMS, *PARTS):
        nulls = [free[name], *(given[i][name] for i in of_part.get(name, []) if given)]
        shown = max(nulls, key=lambda draws: float(draws.mean()))
        slack = gap if name in PARTS else 1e-9  # what solver and rounding may differ by
        p = [(1 + int((draws >= raw[name][0] - slack).sum())) / (1 + len(draws)) for draws in nulls]
        null[name] = {
            "raw": float(raw[name][0]),
            "mean": float(shown.mean()),
            "quantile": float(np.quantile(shown, 0.95)),
            "p": max([*p, *(null[t]["p"] for t in terms.get(name, ()))]),
        }
    adjusted = holm({name: null[name]["p"] for name in PARTS})
    for name, p_holm in adjusted.items():
        null[name]["p_holm"] = p_holm
    return null, adjusted


def holm(p: dict[str, float]) -> dict[str, float]:
    """Adjust p-values for their number, so that calling those below a level errs in any of them at most that often."""
    adjusted, least = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda k: p[k])):
        least = max(least, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = least
    return adjusted


WIDER, WIDER_BIASED = 1.3, 1.2
"""Factors on the spread of resamples: parts are minima and maxima of terms; chosen on other draws than those of the bench."""


def intervals(
    best: Mapping[str, float], drawn: Mapping[str, NDArray[np.float64]], level: float, *, biased: bool = False
) -> dict[str, tuple[float, float]]:
    """Put the spread of resamples around the estimates."""
    found = {}
    for name, value in best.items():
        middle = float(drawn[name].mean())
        low, high = (WIDER_BIASED if biased else WIDER) * (np.quantile(drawn[name], [level / 2, 1 - level / 2]) - middle)
        corrected = 2 * value - middle if biased else value
        found[name] = (max(0.0, min(value, corrected) + float(low)), max(0.0, max(value, corrected) + float(high)))
    return found
