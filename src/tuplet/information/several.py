"""More than two modalities: all pairs, each against the rest, and whether the pairs agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.functional._given import column
from tuplet.information._codes import Features, features
from tuplet.information.clusters import clustered
from tuplet.information.pid import PID
from tuplet.types import InputError, in_range

Estimator = Callable[[Features, Features, ArrayLike], PID]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One modality whose information about the target depends on the partner that it is decomposed with.

    Attributes:
        modality: its name.
        information: partner -> :math:`I(X; Y)`, as redundancy plus unique information.
        spread: largest minus smallest.
        tolerance: what the spread may be.
    """

    modality: str
    information: Mapping[str, float]
    spread: float
    tolerance: float

    def __str__(self) -> str:
        """One line for a reader."""
        seen = ", ".join(f"{value:.3f} beside {partner}" for partner, value in self.information.items())
        return f"I({self.modality};Y) depends on the partner: {seen}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Decompositions of several modalities.

    Attributes:
        pairs: ``(first, second)`` -> their `PID`, names sorted.
        rest: modality -> the `PID` of it (first) and all others together (second).
        disagreements: what `consistency` says about ``pairs``.
    """

    pairs: Mapping[tuple[str, str], PID]
    rest: Mapping[str, PID]
    disagreements: tuple[Disagreement, ...]


def pairs(sources: Mapping[str, ArrayLike | Tensor], y: ArrayLike | Tensor, *, estimator: Estimator = clustered) -> Pairs:
    """Decompose every pair of modalities, and every modality against all others together.

    Args:
        sources: name -> ``(n, ...)`` features, two modalities or more, row i of each the same sample.
        y: ``(n,)`` target.
        estimator: what decomposes ``(x1, x2, y)``: `clustered`, `batch`, or one of them with options,
            ``functools.partial(clustered, clusters=20, group=subject)``.

    Returns:
        The `Pairs`. With two modalities ``rest`` is empty. There is no accepted decomposition of more than two sources: the
        rest counts as one, its features side by side. With `clustered` a wide modality then weighs more than a narrow one.

    Raises:
        InputError: if there are fewer than two modalities.

    Source:
        As `clustered`.

    Example:
        >>> from functools import partial
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 300)
        >>> found = pairs({"a": y + 0.0, "b": y + 0.0, "c": rng.random(300)}, y, estimator=partial(clustered, bootstrap=0))
        >>> round(found.pairs["a", "b"].redundancy, 2), round(found.rest["a"].redundancy, 2)
        (1.0, 1.0)
    """
    if len(sources) < 2:
        raise InputError(f"sources has {sorted(sources)}, expected two modalities or more")
    x = {name: features(f"sources[{name!r}]", sources[name]) for name in sorted(sources)}
    target = column("y", y)
    for name, rows in x.items():
        if len(rows) != len(target):
            raise InputError(f"sources[{name!r}] has {len(rows)} rows, expected {len(target)} to match y")
    found = {(a, b): estimator(x[a], x[b], target) for a, b in combinations(x, 2)}
    rest = {}
    for name in x if len(x) > 2 else ():
        others = np.hstack([v for other, v in x.items() if other != name])
        rest[name] = estimator(x[name], others, target)
    return Pairs(found, rest, consistency(found))


def consistency(found: Mapping[tuple[str, str], PID], *, tolerance: float = 0.02) -> tuple[Disagreement, ...]:
    """Check that a modality says as much about the target whatever partner it is decomposed with.

    :math:`I(X; Y) = R + U_X` does not know the partner. Tables of several pairs often break that.

    Args:
        found: ``(first, second)`` -> their `PID`, from an estimate or from a published table.
        tolerance: largest spread that passes where decompositions have no intervals, in their units. With intervals, those of
            the largest and the smallest value must overlap instead.

    Returns:
        One `Disagreement` per modality at fault, by name. `clustered` passes by construction; a spread means that samples,
        clusters or calibration differed between pairs.

    Raises:
        InputError: if units differ.

    Source:
        Williams and Beer (2010), the identities of the decomposition.

    Example:
        >>> def of(r, u1, u2, s):
        ...     return PID(redundancy=r, unique1=u1, unique2=u2, synergy=s, information1=r + u1, information2=r + u2,
        ...         information12=r + u1 + u2 + s, gap=0.0)
        >>> mosei = {("vision", "text"): of(0.123, 0.001, 0.163, 0.005), ("audio", "text"): of(0.127, 0.001, 0.248, 0.002)}
        >>> print(consistency(mosei)[0])
        I(text;Y) depends on the partner: 0.286 beside vision, 0.375 beside audio
    """
    in_range("tolerance", tolerance, 0)
    if len(units := {p.units for p in found.values()}) > 1:
        raise InputError(f"found has units {sorted(units)}, expected one; convert with .to('bits')")
    seen: dict[str, dict[str, tuple[float, float, float]]] = {}
    for (a, b), pid in found.items():
        for name, partner, side in ((a, b, 1), (b, a, 2)):
            value = pid.redundancy + (pid.unique1 if side == 1 else pid.unique2)
            low, high = (pid.interval or {}).get(f"information{side}", (value, value))
            seen.setdefault(name, {})[partner] = (value, low, high)
    out = []
    for name, of in sorted(seen.items()):
        least, most = min(of.values()), max(of.values())
        spread = most[0] - least[0]
        allowed = max(tolerance, (least[2] - least[0]) + (most[0] - most[1]))
        if spread > allowed:
            out.append(Disagreement(name, {k: v[0] for k, v in of.items()}, spread, allowed))
    return tuple(out)
