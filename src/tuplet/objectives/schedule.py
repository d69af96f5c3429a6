"""Weights that change while training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from tuplet.types import InputError, one_of


@dataclass(frozen=True)
class Schedule:
    r"""A weight that moves from ``start`` to ``end``: ``Pairwise() + Schedule(0.0, 0.1) * Structure()``.

    .. math:: w(p) = a + (b - a)\, f\big((p - p_0) / (p_1 - p_0)\big), \qquad f(x) = x \text{ or } (1 - \cos \pi x) / 2

    Args:
        start: weight :math:`a` up to ``begin``.
        end: weight :math:`b` from ``until`` on.
        begin: :math:`p_0`, share of the run in [0, 1].
        until: :math:`p_1`, share of the run, at least ``begin``; equal for a jump.
        shape: ``"linear"`` or ``"cosine"``.

    Raises:
        InputError: for weights that are not finite, an unknown shape, or shares out of order.

    Notes:
        `tuplet.fit` tells the objective how far the run is, as the share of its steps done: 0 in the first step, 1 after the
        last; a resumed run is where it was. By hand: ``objective.advance(0.5)``.

    Source:
        Elementary.

    Example:
        >>> warm = Schedule(0.0, 1.0, until=0.5)
        >>> warm(0.0), warm(0.25), warm(0.9)
        (0.0, 0.5, 1.0)
    """

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        one_of("shape", self.shape, ("linear", "cosine"))
        for argument in ("start", "end"):
            if not math.isfinite(getattr(self, argument)):
                raise InputError(f"{argument} is {getattr(self, argument)}, expected a finite weight")
        if not 0 <= self.begin <= self.until <= 1:
            raise InputError(f"begin and until are {self.begin} and {self.until}, expected 0 <= begin <= until <= 1")

    def __call__(self, progress: float) -> float:
        """Return the weight at a share of the run."""
        if progress >= self.until:
            return self.end
        share = max(progress - self.begin, 0.0) / (self.until - self.begin)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + (self.end - self.start) * share

    def __mul__(self, factor: object) -> Any:
        """Return the schedule of a multiple of the weight."""
        if not isinstance(factor, int | float):
            return NotImplemented
        return replace(self, start=self.start * factor, end=self.end * factor)

    __rmul__ = __mul__
