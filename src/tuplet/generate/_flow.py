"""The network of a decoder: a small U-Net of diffusers that draws what the closed form lacks."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from tuplet.errors import importing

TIMES = 1000
"""Noise level 1 as diffusers counts it."""


class Flow(nn.Module):
    """What is missing in a picture at some noise level, in units of its deviation; 0 before it is trained."""

    def __init__(self, dim: int, side: int, channels: int, styles: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
        self.net = cast(nn.Module, diffusers().UNet2DModel)(
            sample_size=side // 2,
            in_channels=8 * channels + 1,  # 2 x 2 pixels of the noise and of the mean picture are one place; nearness
            out_channels=4 * channels,
            block_out_channels=widths,
            down_block_types=(*down, down[1]),
            up_block_types=(up[0], *up),
            layers_per_block=1,
            norm_num_groups=8,
            class_embed_type="identity",
            resnet_time_scale_shift="scale_shift",
        )
        width = 4 * widths[0]  # of the embedding of the noise level, to which the condition is added
        self.condition = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, width))
        self.style = nn.Embedding(styles, width)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.scale = math.sqrt(dim)
        nn.init.zeros_(self.net.conv_out.weight)
        nn.init.zeros_(self.net.conv_out.bias)

    def forward(
        self, noise: Tensor, mean: Tensor, near: Tensor, level: Tensor, z: Tensor, style: Tensor, shown: Tensor
    ) -> Tensor:
        """Return ``(B, C, H, W)``; ``near`` is ``(B, 1, 1, 1)``, and rows that are not ``shown`` hide their vector."""
        given = pixel_unshuffle(torch.cat([noise, mean], dim=1), 2)
        given = torch.cat([given, near.expand(-1, 1, *given.shape[2:])], dim=1)
        told = torch.where(shown[:, None], self.condition(z * self.scale), self.nothing) + self.style(style)
        return pixel_shuffle(self.net(given, level * TIMES, class_labels=told).sample, 2)


def diffusers() -> Any:
    """Import diffusers, or say which extra has it."""
    with importing("pictures are generated with diffusers; pip install 'tuplet[generate]'"):
        import diffusers as found
    return found
