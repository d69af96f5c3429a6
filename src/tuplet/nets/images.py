"""Encoders of pictures, depth maps, flow and stacks of frames: a ResNet-18, and a small net that trains on two cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from jaxtyping import Float
from torch import Tensor, nn

from tuplet.nets.mlp import sizes_of
from tuplet.types import importing, one_of

Norm = Literal["batch", "group"]


class ResNet18(nn.Module):
    """A ResNet-18 with any number of input channels, trained from scratch.

    Args:
        channels: input channels: 3 for colour, 1 for depth, 2 for flow, or the number of frames of a history.
        out_features: width of the output.
        single: what to do with one channel: ``"repeat"`` copies it to three (OVA-IB's depth), ``"adapt"`` gives the first
            layer one input channel. Any other number than 1 or 3 always adapts the first layer.
        norm: ``"batch"`` (He et al., and OVA-IB) or ``"group"`` (groups of up to 32 channels). With ``"batch"`` rows influence
            each other while training, also missing ones: a cached step or several processes then differ from a plain step.

    Raises:
        InputError: for a bad option, or if torchvision is absent.

    Source:
        He et al. (2016), Deep residual learning; OVA-IB (Li et al., 2026), appendix B.2.

    Example:
        >>> import torch
        >>> ResNet18(1, 8, norm="group")(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self, channels: int, out_features: int, *, single: Literal["repeat", "adapt"] = "repeat", norm: Norm = "batch"
    ) -> None:
        super().__init__()
        sizes = sizes_of(channels=channels, out_features=out_features)
        one_of("norm", norm, ("batch", "group"))
        one_of("single", single, ("repeat", "adapt"))
        with importing("ResNet18 needs torchvision; run pip install 'tuplet[data]'"):
            from torchvision.models import resnet18
        self.copies = 3 if channels == 1 and single == "repeat" else 1
        self.channels = channels
        made = resnet18(weights=None, num_classes=out_features, norm_layer=_norm(norm, 32))
        if (seen := channels * self.copies) != 3:
            made.conv1 = nn.Conv2d(seen, 64, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(made.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.layers = made
        self._arguments = {**sizes, "single": single, "norm": norm}

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B out"]:
        """Return the encoded pictures."""
        return cast(Tensor, self.layers(x.expand(-1, 3, -1, -1) if self.copies == 3 else x))


class SmallCNN(nn.Module):
    """Four strided convolutions, pooled to a grid of 4 x 4 so that places are kept, and a linear layer.

    Args:
        channels: input channels.
        out_features: width of the output.
        width: channels after the first convolution; doubled by the next two.
        norm: ``"group"`` (groups of up to 8 channels; rows do not influence each other) or ``"batch"``.

    Example:
        >>> import torch
        >>> SmallCNN(3, 8)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, out_features: int, *, width: int = 16, norm: Norm = "group") -> None:
        super().__init__()
        sizes = sizes_of(channels=channels, out_features=out_features, width=width)
        one_of("norm", norm, ("batch", "group"))
        make = _norm(norm, 8)
        widths = [channels, width, 2 * width, 4 * width, 4 * width]
        steps: list[nn.Module] = []
        for i, stride in enumerate((2, 2, 2, 1)):
            steps += [nn.Conv2d(widths[i], widths[i + 1], 3, stride, padding=1), make(widths[i + 1]), nn.ReLU()]
        self.layers = nn.Sequential(*steps, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], out_features))
        self._arguments = {**sizes, "norm": norm}

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B out"]:
        """Return the encoded pictures."""
        return cast(Tensor, self.layers(x))


def _norm(norm: Norm, size: int) -> Callable[[int], nn.Module]:
    """Return what makes a norm layer for a number of channels; ``size`` is the largest group."""
    return nn.BatchNorm2d if norm == "batch" else lambda channels: nn.GroupNorm(max(1, channels // size), channels)
