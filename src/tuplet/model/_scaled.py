"""One tower with its scaling inside, as a module of tensors only; and random rows of its kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.data._text import hashed
from tuplet.model.alignment import AlignmentModel
from tuplet.nets import Encoded

WORDS = ("red", "green", "blue", "cup", "ball", "box", "über", "猫")


class Scaled(nn.Module):
    """Turn raw rows ``(B, ...)``, float32 and none of them absent, into unit vectors ``(B, D)``."""

    def __init__(self, model: AlignmentModel, name: str) -> None:
        super().__init__()
        self.encoder, self.projection = model.encoders[name], model.projections[name]
        how = model.preprocessing[name]
        self.kind, self.channels_last, self.library = how.modality.kind, how.channels_last, how.library
        deviation = torch.from_numpy(np.asarray(how.scale.deviation).astype(how.scale.dtype))
        self.register_buffer("mean", torch.from_numpy(np.asarray(how.scale.mean).astype(how.scale.dtype)))
        self.register_buffer("varies", deviation != 0)
        self.register_buffer("deviation", torch.where(deviation != 0, deviation, 1))
        self.mean: Tensor
        self.varies: Tensor
        self.deviation: Tensor

    def forward(self, rows: Tensor) -> Tensor:
        """Scale, encode, project and normalise, as `AlignmentModel.encode` does."""
        x = rows.movedim(-1, 1) if self.channels_last else rows  # (B, C, H, W)
        if self.library:  # counts: every row is brought to one total
            wide = x.double()
            total = wide.sum(dim=1, keepdim=True)
            x = torch.log1p(wide * (self.library / torch.where(total > 0, total, 1.0))).float()
        if self.kind != "text":
            raw = x
            x = torch.where(self.varies, (raw.to(self.mean.dtype) - self.mean) / self.deviation, 0.0).float()
            if self.kind == "padded":
                x = _padded(raw, x)
        h = self.encoder(x)
        z = self.projection(h.h if isinstance(h, Encoded) else h)
        return nn.functional.normalize(z, dim=1, eps=1e-30)


def _padded(raw: Tensor, scaled: Tensor) -> Tensor:
    """Keep the padding of scaled series at zero, and the steps at both ends different from zero."""
    full = (raw != 0).any(dim=2).int()  # (B, T)
    since, until = full.cumsum(dim=1) > 0, full.flip(1).cumsum(dim=1).flip(1) > 0
    ends = full[:, -1:] > 0
    held = (ends & since) | (~ends & until)  # zeros before the series, or after it
    x = torch.where(held[..., None], scaled, 0.0)
    first = held.int().cumsum(dim=1) == 1
    last = held.int().flip(1).cumsum(dim=1).flip(1) == 1
    silent = held & (first | last) & ~(x != 0).any(dim=2)  # a step that equals the mean is still a step
    return torch.cat([torch.where(silent, 2.0**-20, x[..., 0])[..., None], x[..., 1:]], dim=2)


def sample(model: AlignmentModel, name: str, n: int) -> tuple[Any, NDArray[np.float32]]:
    """Draw random raw rows of a modality: as `AlignmentModel.encode` takes them, and as the tower alone does."""
    rng = np.random.default_rng(n)
    how = model.preprocessing[name]
    shape = how.modality.shape
    texts = [" ".join(rng.choice(WORDS, size=3)) for _ in range(n)]
    if how.modality.kind == "text":
        return texts, hashed(name, texts)[0]
    if name in model.words:
        raw: NDArray[Any] = model.words[name].rows(texts)
    elif how.of_bytes:
        raw = rng.integers(0, int(how.scale.deviation) + 1, (n, *shape))
    elif how.library:
        raw = rng.poisson(1.0, (n, *shape)).astype(np.float64)
    else:
        raw = rng.normal(size=(n, *shape)) * how.scale.deviation + how.scale.mean
    if how.modality.kind == "padded":
        for row in raw:
            row[int(rng.integers(1, shape[0] + 1)) :] = 0
    raw = np.moveaxis(raw, 1, -1) if how.channels_last else raw
    rows = np.ascontiguousarray(raw, dtype=np.float32)
    return rows if raw.dtype.kind == "f" else raw, rows
