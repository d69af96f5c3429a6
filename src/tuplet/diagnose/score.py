"""A measured similarity beside what unrelated rows would give: its chance level and its null of shuffled pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.types import in_range


@dataclass(frozen=True, slots=True)
class Null:
    """What a metric reads when rows of one side are shuffled, so that pairs are unrelated but each space is as it was."""

    mean: float
    low: float
    high: float
    p: float
    shuffles: int


@dataclass(frozen=True, slots=True)
class Score:
    """A similarity of two representations of the same rows; ``float(score)`` is its value.

    Attributes:
        metric: its name.
        value: what was measured. NaN where it is undefined, for instance when one side does not vary.
        n: rows. Compare scores only at equal ``n``, ``k`` and convention.
        convention: how rows were prepared and compared.
        chance: expected value for unrelated pairs (over all shuffles of the rows of one side); None where only `null` says it.
        k: neighbours, or components; None for metrics without.
        null: shuffled pairs; None if not asked for.
        interval: 95 % interval of the value over all rows, where only some rows were asked; None where all were.
        warnings: what makes the number doubtful.
    """

    metric: str
    value: float
    n: int
    convention: str
    chance: float | None
    k: int | None = None
    null: Null | None = None
    interval: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        """Return the value."""
        return self.value

    def __str__(self) -> str:
        """Say the value, what unrelated rows would give, and how it was measured."""
        said = f"{self.metric} {self.value:.4f}"
        if self.interval is not None:
            said += f" [{self.interval[0]:.4f}, {self.interval[1]:.4f}]"
        if self.chance is not None:
            said += f", chance {self.chance:.4f}"
        if (null := self.null) is not None:
            said += f", shuffled {null.mean:.4f} [{null.low:.4f}, {null.high:.4f}] (p = {null.p:.2g}, {null.shuffles} shuffles)"
        said += f"; n = {self.n}" + ("" if self.k is None else f", k = {self.k}") + f", {self.convention}"
        return "\n  ! ".join([said, *self.warnings])


def shuffles_of(
    value: float, measure: Callable[[Tensor], float], *, n: int, shuffles: int, seed: int, device: torch.device
) -> Null | None:
    """Measure a metric on shuffled pairs."""
    in_range("shuffles", shuffles, 0)
    if shuffles == 0:
        return None
    generator = torch.Generator().manual_seed(seed)
    orders = (torch.randperm(n, generator=generator).to(device) for _ in range(shuffles))
    found = torch.tensor([measure(order) for order in orders], dtype=torch.float64)
    low, high = torch.quantile(found, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    larger = int((found >= value).sum())
    return Null(float(found.mean()), low, high, (1 + larger) / (1 + shuffles), shuffles)
