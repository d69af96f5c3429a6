"""Sensor-aware modulation: tokens are scaled by how much a router thinks they are their sensor's."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.types import InputError, one_of

WithoutId = Literal["skip", "argmax", "expected"]


class SensorModulator(nn.Module):
    r"""Scale every token by one plus the router's weight of the sensor that it came from.

    .. math:: w = \mathrm{softmax}(W_s f) \in R^K, \qquad \tilde f = (1 + w_s) f

    It stands after the first norm of a tower, before its blocks: on one pooled vector a positive factor would vanish under
    a projection without bias and a normalisation.

    Args:
        width: ``D`` of the tokens.
        sensors: number of sensors ``K``, two or more.
        without_id: factor of rows whose sensor is unknown: 1 (``"skip"``, as the published probe), ``1 + max w``
            (``"argmax"``), or ``1 + sum w^2`` (``"expected"``, the mean of the chosen weight under ``w`` itself).

    Raises:
        InputError: for fewer than two sensors, an unknown policy, tokens of another shape or an id out of range.

    Notes:
        ``module(tokens (B, N, D), sensor (B,) int64 | None) -> (B, N, D)``; the id -1 means unknown. The softmax of half
        precision tokens runs in float32.

    Source:
        TLV-CoRe, equation 1 (residual and per token, as its code). The code needs the true id everywhere and drops the
        modulation in its probe.

    Example:
        >>> module = SensorModulator(4, 2)
        >>> module(torch.ones(3, 5, 4), torch.tensor([0, 1, -1])).shape
        torch.Size([3, 5, 4])
    """

    def __init__(self, width: int, sensors: int, *, without_id: WithoutId = "skip") -> None:
        super().__init__()
        if sensors < 2:
            raise InputError(f"sensors is {sensors}, expected 2 or more; with one sensor leave the modulator out")
        one_of("without_id", without_id, ("skip", "argmax", "expected"))
        self.router = nn.Linear(width, sensors, bias=False)
        self.without_id = without_id

    def forward(self, tokens: Tensor, sensor: Tensor | None = None) -> Tensor:
        """Return the scaled tokens."""
        width, sensors = self.router.in_features, self.router.out_features
        if tokens.ndim != 3 or tokens.shape[2] != width:
            raise InputError(f"tokens has shape {tuple(tokens.shape)}, expected (B, N, {width})")
        if sensor is None and self.without_id == "skip":
            return tokens
        sensor = torch.full((len(tokens),), -1, device=tokens.device) if sensor is None else sensor
        shaped = sensor.shape == tokens.shape[:1]
        if not shaped or (not torch.compiler.is_compiling() and bool(((sensor < -1) | (sensor >= sensors)).any())):
            raise InputError(
                f"sensor has shape {tuple(sensor.shape)} and ids {sorted(set(sensor.flatten().tolist()))[:9]}, expected "
                f"({len(tokens)},) with ids from 0 to {sensors - 1}, or -1 for unknown"
            )
        logits = self.router(tokens)
        w = logits.float().softmax(-1) if logits.dtype in (torch.float16, torch.bfloat16) else logits.softmax(-1)
        own = w.gather(2, sensor.clamp(min=0)[:, None, None].expand(-1, w.shape[1], 1))  # (B, N, 1)
        if self.without_id == "skip":
            unknown = torch.zeros_like(own)
        elif self.without_id == "argmax":
            unknown = w.amax(dim=2, keepdim=True)
        else:
            unknown = w.square().sum(dim=2, keepdim=True)
        factor = 1 + torch.where((sensor >= 0)[:, None, None], own, unknown)
        return tokens * factor.to(tokens.dtype)
