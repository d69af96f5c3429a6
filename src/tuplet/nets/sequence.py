"""Encoders of what changes in time: convolutions for sensor histories and signals, an LSTM for padded feature sequences."""

from __future__ import annotations

from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tuplet.nets.mlp import sizes_of
from tuplet.types import one_of


class SequenceCNN(nn.Module):
    """Three one-dimensional convolutions with ReLU, adaptive average pooling, and a linear layer: any length will do.

    Args:
        channels: numbers per step, such as 6 for force and torque.
        out_features: width of the output.
        layout: ``"sequence"`` for rows ``(T, channels)``, ``"signal"`` for rows ``(channels, T)``.
        width: channels of every convolution.
        kernel: steps that a convolution sees.
        stride: of every convolution; long signals need more than 1.
        pool: steps left after pooling; 1 forgets when something happened.

    Source:
        OVA-IB (Li et al., 2026), appendix B.2: force and torque histories, physiology. Widths, kernels, strides and the pooled
        length are guessed.

    Example:
        >>> net = SequenceCNN(6, 8)
        >>> net(torch.zeros(2, 32, 6)).shape == net(torch.zeros(2, 50, 6)).shape
        True
    """

    def __init__(
        self,
        channels: int,
        out_features: int,
        *,
        layout: Literal["sequence", "signal"] = "sequence",
        width: int = 64,
        kernel: int = 5,
        stride: int = 1,
        pool: int = 4,
    ) -> None:
        super().__init__()
        one_of("layout", layout, ("sequence", "signal"))
        sizes = sizes_of(channels=channels, out_features=out_features, width=width, kernel=kernel, stride=stride, pool=pool)
        self.layout = layout
        self._arguments = {**sizes, "layout": layout}
        steps: list[nn.Module] = []
        for i in range(3):
            steps += [nn.Conv1d(width if i else channels, width, kernel, stride, padding=kernel // 2), nn.ReLU()]
        self.layers = nn.Sequential(*steps, nn.AdaptiveAvgPool1d(pool), nn.Flatten(), nn.Linear(width * pool, out_features))

    def forward(self, x: Float[Tensor, "B S C"]) -> Float[Tensor, "B out"]:
        """Return the encoded histories."""
        return cast(Tensor, self.layers(x.mT if self.layout == "sequence" else x))


class LSTM(nn.Module):
    """The last state of an LSTM over the steps that hold something; zero steps before and after them are padding.

    Args:
        channels: numbers per step.
        out_features: width of the state, and so of the output.

    Notes:
        A step is padding when all its numbers are exactly zero, so scaling must leave padding at zero. Zero steps between
        others count as silence. A row of nothing but zeros gives what a single zero step gives.

    Source:
        Hochreiter and Schmidhuber (1997); OVA-IB (Li et al., 2026), appendix B.2: features of CMU-MOSEI.

    Example:
        >>> net, x = LSTM(5, 8), torch.randn(2, 7, 5)
        >>> torch.allclose(net(x), net(torch.cat([x, torch.zeros(2, 20, 5)], dim=1)), atol=1e-6)
        True
    """

    def __init__(self, channels: int, out_features: int) -> None:
        super().__init__()
        self._arguments = sizes_of(channels=channels, out_features=out_features)
        self.layers = nn.LSTM(channels, out_features, batch_first=True)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B out"]:
        """Return the encoded sequences."""
        steps = torch.arange(x.shape[1], device=x.device)
        held = (x != 0).any(dim=2)
        last = torch.where(held, steps, -1).amax(dim=1)
        first = torch.where(held, steps, x.shape[1]).amin(dim=1).clamp(max=x.shape[1] - 1)
        moved = (first[:, None] + steps).clamp(max=x.shape[1] - 1)  # the first step of each row comes first
        states: Tensor = self.layers(x.gather(1, moved[..., None].expand_as(x)))[0]
        return states[torch.arange(x.shape[0], device=x.device), (last - first).clamp(min=0)]
