"""The temperature of a softmax: fixed, or learnable within bounds; one for all, or one per modality or pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tuplet.types import InputError, positive


class Temperature(nn.Module):
    r"""A positive divisor of logits, learnable between two bounds; unlike clamping, they never stop the gradient.

    .. math:: \log \tau = \log a + (\log b - \log a)\, \sigma(p)

    Args:
        start: initial :math:`\tau`, strictly between the bounds. 0.07 is CLIP's.
        bounds: ``(a, b)``, smallest and largest :math:`\tau`. CLIP clamps its scale to [1, 100], so (0.01, 1).

    Source:
        CLIP (Radford et al., 2021), which learns the logarithm of the scale and clamps it.

    Example:
        >>> round(Temperature(0.07)().item(), 4)
        0.07
    """

    def __init__(self, start: float = 0.07, *, bounds: tuple[float, float] = (0.01, 1.0)) -> None:
        super().__init__()
        low, high = bounds
        if not 0 < low < start < high:
            raise InputError(f"start is {start}, expected a number strictly between the bounds {low} and {high} (> 0)")
        share = math.log(start / low) / math.log(high / low)
        self.logit = nn.Parameter(torch.tensor(math.log(share / (1 - share))))
        self.bounds = bounds

    def forward(self) -> Tensor:
        """Return the current temperature, a scalar."""
        low, high = self.bounds
        return low * (high / low) ** torch.sigmoid(self.logit)


class Fixed(nn.Module):
    """A temperature that does not change."""

    def __init__(self, tau: float) -> None:
        super().__init__()
        positive("tau", tau)
        self.tau = float(tau)

    def forward(self) -> float:
        """Return the temperature."""
        return self.tau


PerName = Mapping[str, float | Temperature] | Mapping[tuple[str, str], float | Temperature]
"""One temperature per modality, or per pair of modalities."""


class PerModality(nn.Module):
    r"""A temperature for every modality, or for some pairs of them."""

    def __init__(self, values: PerName) -> None:
        super().__init__()
        if not values:
            raise InputError("tau is empty; give a number, or one per modality or pair of modalities")
        self.places = {_key(k): i for i, k in enumerate(values)}
        if long := [k for k in self.places if not 1 <= len(k) <= 2]:
            raise InputError(f"tau has the key {long[0]!r}, expected a modality or a pair of modalities")
        self.parts = nn.ModuleList(v if isinstance(v, Temperature) else Fixed(v) for v in values.values())

    def forward(self, *names: str) -> float | Tensor:
        """Return the temperature of a modality, or of a pair."""
        keys = [key] if (key := _key(names)) in self.places else [(name,) for name in names]
        if absent := [k[0] for k in keys if k not in self.places]:
            pair, known = f" or the pair {names}" if len(names) > 1 else "", sorted("-".join(k) for k in self.places)
            raise InputError(f"tau has no entry for {absent[0]!r}{pair}; it has {known}")
        scale: float | Tensor = math.prod([self.parts[self.places[k]]() for k in keys])
        return scale if len(keys) == 1 else scale ** (1 / len(keys))

    def check(self, names: Sequence[str]) -> None:
        """Refuse temperatures of modalities that are not among the names."""
        for key in self.places:
            for name in key:
                if name not in names:
                    raise InputError(f"tau names {name!r}, which z does not have; z has {list(names)}")


Tau = float | Temperature | PerName
"""What objectives take as ``tau``: one temperature, or one per modality or pair of modalities."""


def temperature(tau: Tau) -> Temperature | Fixed | PerModality:
    """Turn the ``tau`` of an objective's constructor into a module."""
    if isinstance(tau, Mapping):
        return PerModality(tau)
    return tau if isinstance(tau, Temperature) else Fixed(tau)


def at(tau: nn.Module, *names: str) -> float | Tensor:
    """Read a temperature for one modality or a pair."""
    value: float | Tensor = tau(*names) if isinstance(tau, PerModality) else tau()
    return value


def _key(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(sorted(names))
