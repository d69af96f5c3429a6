"""The result of every partial information decomposition: four parts, the terms they add up to, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tuplet.types import InputError, one_of

Units = Literal["bits", "nats"]

PARTS = ("redundancy", "unique1", "unique2", "synergy")
"""The four parts of a decomposition, in the order in which they are shown."""

TERMS = ("information1", "information2", "information12")
"""The mutual informations with the target that the parts add up to."""

ROUNDING = 1e-8
"""What the identities may miss by beyond the certified gap, in units of the result: rounding of sums of logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PID:
    r"""What two sources say about a target: shared, unique to each, and visible only jointly.

    .. math::
        R + U_1 = I(X_1; Y), \quad R + U_2 = I(X_2; Y), \quad R + U_1 + U_2 + S = I(X_1, X_2; Y)

    With the union information :math:`I^* = R + U_1 + U_2`, the parts are non-negative exactly if
    :math:`\max(I_1, I_2) \le I^* \le \min(I_1 + I_2, I_{12})`. Both are checked on construction, within ``gap``.

    Attributes:
        redundancy: :math:`R`, what either source says.
        unique1: :math:`U_1`, what only the first source says.
        unique2: :math:`U_2`, what only the second source says.
        synergy: :math:`S`, what only both together say.
        information1: :math:`I(X_1; Y)`.
        information2: :math:`I(X_2; Y)`.
        information12: :math:`I(X_1, X_2; Y)`.
        gap: certified bound on the error of :math:`I^*`, hence of each part, as a solution of its optimisation; NaN where
            nothing is certified. Not the error of an estimate from samples.
        units: ``"bits"`` or ``"nats"``, of every number here.
        definition: which redundancy is meant; definitions differ in kind.
        estimator: how the distribution was had: ``"discrete"`` (given), ``"clustered"``, ``"batch"``, ``"gaussian"``, ...
        corrected: True if a bias or a null's mean was subtracted: parts may then be negative; only identities are checked.
        samples: number of samples behind an estimate; None for a given distribution.
        null: part or term -> what it is under permuted targets (mean, quantile, p-value).
        interval: part or term -> (low, high).
        significant: part or term -> whether it exceeds its null.
        warnings: what a reader must know before believing the numbers.

    Raises:
        InputError: if the parts do not add up, or leave the bounds, by more than ``gap``.

    Example:
        >>> print(PID(redundancy=0.0, unique1=0.0, unique2=0.0, synergy=1.0, information1=0.0, information2=0.0,
        ...     information12=1.0, gap=0.0))
        PID in bits (BROJA, discrete)
          redundancy  0.0000
          unique 1    0.0000
          unique 2    0.0000
          synergy     1.0000
        I(X1;Y) 0.0000, I(X2;Y) 0.0000, I(X1,X2;Y) 1.0000, exact
    """

    redundancy: float
    unique1: float
    unique2: float
    synergy: float
    information1: float
    information2: float
    information12: float
    gap: float
    units: Units = "bits"
    definition: str = "BROJA"
    estimator: str = "discrete"
    corrected: bool = False
    samples: int | None = None
    null: Mapping[str, Any] | None = None
    interval: Mapping[str, tuple[float, float]] | None = None
    significant: Mapping[str, bool] | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the units, the identities and the bounds."""
        one_of("units", self.units, ("bits", "nats"))
        slack = ROUNDING + (0.0 if math.isnan(self.gap) else self.gap)
        sums = {
            "information1": self.redundancy + self.unique1,
            "information2": self.redundancy + self.unique2,
            "information12": self.union + self.synergy,
        }
        for name, found in sums.items():
            wanted = getattr(self, name)
            if not abs(found - wanted) <= slack:
                raise InputError(
                    f"{name} is {wanted:.6g} {self.units}, but its parts add up to {found:.6g}; "
                    "redundancy, unique1, unique2 and synergy must come from one union information"
                )
        for name in PARTS:
            if not self.corrected and getattr(self, name) < -slack:
                raise InputError(
                    f"{name} is {getattr(self, name):.6g} {self.units}, below zero by more than the gap {self.gap:.1e}; "
                    "the union information is out of its bounds: solve to a smaller gap, or say corrected=True if a null "
                    "was subtracted"
                )

    @property
    def union(self) -> float:
        """The union information :math:`I^* = R + U_1 + U_2`: the least that sources with these marginals say together."""
        return self.redundancy + self.unique1 + self.unique2

    def to(self, units: Units) -> PID:
        """Return the same decomposition in other units.

        Args:
            units: ``"bits"`` or ``"nats"``.
        """
        factor = nats_in(units) / nats_in(self.units)
        if units == self.units:
            return self

        def scaled(name: str, value: Any) -> Any:
            if isinstance(value, Mapping):  # p-values and other pure numbers keep their value
                return {k: v if k.startswith("p_") or k in ("p", "draws") else scaled(k, v) for k, v in value.items()}
            if isinstance(value, tuple):
                return tuple(scaled(name, v) for v in value)
            return value * factor if isinstance(value, float) else value

        numbers = {name: getattr(self, name) * factor for name in (*PARTS, *TERMS, "gap")}
        return replace(
            self,
            **numbers,
            units=units,
            null=scaled("null", self.null) if self.null is not None else None,
            interval=scaled("interval", self.interval) if self.interval is not None else None,
        )

    def __str__(self) -> str:
        """Four lines of parts, with intervals and significance where known, and the terms beneath."""
        samples = f", {self.samples} samples" if self.samples is not None else ""
        corrected = ", corrected" if self.corrected else ""
        lines = [f"PID in {self.units} ({self.definition}, {self.estimator}{corrected}{samples})"]
        for name, label in zip(PARTS, ("redundancy", "unique 1", "unique 2", "synergy"), strict=True):
            line = f"  {label:<10}  {_shown(getattr(self, name))}"
            if self.interval and name in self.interval:
                low, high = self.interval[name]
                line += f"  [{_shown(low)}, {_shown(high)}]"
            if self.significant and name in self.significant:
                line += "  above its null" if self.significant[name] else "  not above its null"
            lines.append(line)
        terms = zip(("I(X1;Y)", "I(X2;Y)", "I(X1,X2;Y)"), TERMS, strict=True)
        lines.append(", ".join(f"{label} {_shown(getattr(self, name))}" for label, name in terms) + f", {_certified(self.gap)}")
        return "\n".join([*lines, *(f"! {text}" for text in self.warnings)])


def nats_in(units: Units) -> float:
    """Return what a nat is in these units."""
    one_of("units", units, ("bits", "nats"))
    return 1 / math.log(2) if units == "bits" else 1.0


def of_union(i1: Any, i2: Any, i12: Any, union: Any) -> dict[str, Any]:
    """Return the parts and terms that follow from the informations of the sources and their union information."""
    values = (i1 + i2 - union, union - i2, union - i1, i12 - union, i1, i2, i12)
    return dict(zip((*PARTS, *TERMS), values, strict=True))


def _shown(value: float) -> str:
    return f"{value + 0.0 if abs(value) >= 5e-5 else 0.0:.4f}"  # no -0.0000


def _certified(gap: float) -> str:
    if math.isnan(gap):
        return "nothing certified"
    return "exact" if gap <= ROUNDING else f"certified to {10.0 ** math.ceil(math.log10(gap)):.0e}"
