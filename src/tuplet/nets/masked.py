"""AnyTouch's additions to a touch tower: tokens that name the sensor, and reconstruction of masked patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from tuplet.nets.tower_encoder import Encoded
from tuplet.nets.towers import ClipTower
from tuplet.types import InputError


def universal_share(done: float, *, start: float = 0.0, end: float = 0.75) -> float:
    """Probability that a row's sensor is replaced by the universal one, when a share of the run is done.

    Args:
        done: share of the run, in [0, 1].
        start: at the beginning.
        end: at the end.

    Returns:
        The probability.

    Source:
        AnyTouch, its code.

    Example:
        >>> universal_share(0.5)
        0.375
    """
    return start + (end - start) * done


class SensorTokens(nn.Module):
    """Learned tokens that name the sensor, inserted after the class token.

    Args:
        width: ``D`` of the tokens.
        sensors: number of sensors.
        count: tokens per sensor.

    Raises:
        InputError: for an id out of range.

    Notes:
        ``module(tokens (B, N, D), sensor (B,) | None) -> (B, N + count, D)``. The last row of the table is the universal
        sensor, of id -1. In training a row's id is replaced by it with the probability ``share``, which `tuplet.fit` raises
        over the run as `universal_share` says.

    Source:
        AnyTouch.

    Example:
        >>> SensorTokens(4, 2, count=3)(torch.ones(2, 5, 4), torch.tensor([0, -1])).shape
        torch.Size([2, 8, 4])
    """

    def __init__(self, width: int, sensors: int, *, count: int = 5) -> None:
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(sensors + 1, count, width))
        self.share = 0.0

    def forward(self, tokens: Tensor, sensor: Tensor | None = None) -> Tensor:
        """Return the tokens with those of the sensor after the first."""
        sensors = len(self.table) - 1
        ids = torch.full((len(tokens),), -1, device=tokens.device) if sensor is None else sensor
        if not torch.compiler.is_compiling() and bool(((ids < -1) | (ids >= sensors)).any()):
            raise InputError(f"sensor has ids {sorted(set(ids.tolist()))[:9]}, expected 0 to {sensors - 1}, or -1 for unknown")
        if self.training and self.share > 0:
            ids = torch.where(torch.rand(len(ids), device=ids.device) < self.share, -1, ids)
        return torch.cat([tokens[:, :1], self.table[ids % (sensors + 1)].to(tokens.dtype), tokens[:, 1:]], dim=1)


class MaskedTower(nn.Module):
    """A touch tower with sensor tokens that also reconstructs masked patches while it trains.

    Args:
        tower: a vision tower of CLIP.
        modality: name of the touch modality.
        sensors: number of sensors.
        ratio: share of the patches that are masked.
        width: of the decoder.
        layers: of the decoder.
        heads: of the decoder.
        count: sensor tokens.

    Notes:
        ``encoder(x, aux) -> Encoded``: ``h`` is the pooled vector; ``aux["reconstruction.<modality>"]`` is, in training, the
        mean squared error of the pixels of each row's masked patches, for `tuplet.objectives.Handed`, else 0.

    Source:
        AnyTouch, stages 1 and 2, for single pictures.

    Example:
        >>> from tuplet.nets.towers import clip
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> tower = clip({"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny})
        >>> out = MaskedTower(tower, "touch", 2, width=8, layers=1, heads=2)(torch.ones(3, 3, 8, 8))
        >>> out.h.shape, out.aux["reconstruction.touch"].shape
        (torch.Size([3, 8]), torch.Size([3]))
    """

    takes_aux = True

    def __init__(
        self,
        tower: ClipTower,
        modality: str,
        sensors: int,
        *,
        ratio: float = 0.75,
        width: int = 512,
        layers: int = 8,
        heads: int = 16,
        count: int = 5,
    ) -> None:
        super().__init__()
        config = tower.body.config
        self.tower, self.modality, self.ratio = tower, modality, ratio
        self.arguments = {"sensors": sensors, "ratio": ratio, "width": width, "layers": layers, "heads": heads, "count": count}
        self.sensors = SensorTokens(tower.width, sensors, count=count)
        self.patch = int(config.patch_size)
        self.patches = (int(config.image_size) // self.patch) ** 2
        self.into = nn.Linear(tower.width, width)
        self.mask = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 1 + count + self.patches, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, activation="gelu", batch_first=True, norm_first=True, dropout=0.0
        )
        self.decoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pixels = nn.Linear(width, 3 * self.patch**2)

    def forward(self, x: Tensor, aux: Mapping[str, Tensor] | None = None) -> Encoded:
        """Return the pooled vector, and the reconstruction's error per row, 0 in evaluation."""
        sensor = (aux or {}).get("sensor")
        h = self.tower(x, first=lambda tokens: self.sensors(tokens, sensor)).pooled
        errors = self.errors(x, sensor) if self.training else h.new_zeros(len(h))
        return Encoded(h, {f"reconstruction.{self.modality}": errors})

    def errors(self, x: Tensor, sensor: Tensor | None) -> Tensor:
        """Mask patches, reconstruct them from the others; return the mean squared error per row ``(B,)``."""
        b, shown = len(x), max(1, round((1 - self.ratio) * self.patches))
        order = torch.rand(b, self.patches, device=x.device).argsort(dim=1)
        back = order.argsort(dim=1)  # place of every patch in the shuffled order
        head = 1 + self.sensors.table.shape[1]

        def first(tokens: Tensor) -> Tensor:
            tokens = self.sensors(tokens, sensor)
            kept = order[:, :shown, None].expand(-1, -1, tokens.shape[2])
            return torch.cat([tokens[:, :head], tokens[:, head:].gather(1, kept)], dim=1)

        seen = self.into(self.tower(x, first=first).hidden[-1])
        blanks = self.mask.expand(b, self.patches - shown, -1).to(seen.dtype)
        shuffled = torch.cat([seen[:, head:], blanks], dim=1)
        patches = shuffled.gather(1, back[:, :, None].expand(-1, -1, shuffled.shape[2]))
        out = self.pixels(self.decoder(torch.cat([seen[:, :head], patches], dim=1) + self.place)[:, head:])
        wrong = (out - self._cut(x)).square().mean(dim=2)  # (B, patches)
        hidden = back >= shown
        return cast(Tensor, (wrong * hidden).sum(dim=1) / hidden.sum(dim=1).clamp(min=1))

    def _cut(self, x: Tensor) -> Any:
        """Cut pictures ``(B, 3, H, W)`` into patches ``(B, P, 3 p p)``, row by row."""
        p = self.patch
        return x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
