"""How a decoder learns: first the closed form, then the network, on pictures whose group the closed form was not shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tuplet.generate._flow import Flow
from tuplet.generate.decoder import Decoder, check
from tuplet.types import InputError, in_range


@dataclass(frozen=True)
class DecoderConfig:
    """How a decoder is trained.

    Attributes:
        steps: optimiser steps of the network; 0: what the closed form gives is drawn as it is, without noise.
        batch_size: pictures per step.
        lr: highest learning rate of AdamW; it rises over the first 5 % of the steps and falls to 0 as a cosine.
        drop: share of pictures that are shown without their vector, which guidance needs.
        decay: of the running mean of the weights, which is what samples are drawn with.
        seed: of the weights, the batches, the noise and what is dropped.

    Example:
        >>> DecoderConfig(steps=100).batch_size
        32
    """

    steps: int = 0
    batch_size: int = 32
    lr: float = 2e-3
    drop: float = 0.1
    decay: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        in_range("steps", self.steps, 0)
        in_range("batch_size", self.batch_size, 1)
        in_range("drop", self.drop, 0, 1)
        in_range("decay", self.decay, 0, 1)


def fit_decoder(
    decoder: Decoder,
    z: Tensor,
    pictures: Tensor,
    style: Tensor | None = None,
    *,
    group: Tensor | None = None,
    config: DecoderConfig | None = None,
    report: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> list[float]:
    """Fit the closed form of a decoder to pictures and their vectors, then train its network, in place.

    Args:
        decoder: to train.
        z: ``(N, D)`` vectors of the pictures, of unit length.
        pictures: ``(N, C, H, W)`` from 0 to 1, or bytes.
        style: ``(N,)`` style of each picture; default 0.
        group: ``(N,)`` whole numbers, equal for rows of one concept: the network learns from what the closed form makes of a
            concept that it was not shown. Default: every row is one.
        config: how.
        report: called with steps done, all steps, and the mean loss since the last call, 20 times.

    Returns:
        Mean loss of each twentieth of the steps; empty for none.

    Raises:
        InputError: for shapes, styles, groups or values that do not fit the decoder, or a loss that is not finite.

    Example:
        >>> z, pictures = torch.eye(4), torch.rand(4, 3, 8, 8)
        >>> len(fit_decoder(Decoder(4, side=8, widths=(8, 8, 8)), z, pictures, config=DecoderConfig(steps=20, batch_size=4)))
        20
    """
    config = config or DecoderConfig()
    styles = torch.zeros(len(z), dtype=torch.int64) if style is None else style
    check(decoder, z, styles)
    shape = (len(z), decoder.channels, decoder.side, decoder.side)
    if tuple(pictures.shape) != shape:
        raise InputError(f"pictures have shape {tuple(pictures.shape)}, expected {shape}; resize them")
    white = 1.0 if pictures.is_floating_point() else 255.0
    if not bool(((pictures >= 0) & (pictures <= white)).all()):
        raise InputError("pictures have values outside 0 to 1; divide by their largest, or give bytes")
    groups = torch.arange(len(z)) if group is None else group
    if groups.shape != (len(z),) or groups.is_floating_point():
        raise InputError(f"group has shape {tuple(groups.shape)} of {groups.dtype}, expected ({len(z)},) whole numbers")
    z = nn.functional.normalize(z.float(), dim=1)
    all_known = decoder.closed.fit(z, 2 / white * pictures.flatten(1).float() - 1, styles, groups, config.seed)
    if not config.steps:
        decoder.flow = None
        decoder.eval()
        return []
    if decoder.flow is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            decoder.flow = Flow(decoder.dim, decoder.side, decoder.channels, decoder.styles, decoder.widths)
    draw = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=config.lr, weight_decay=0.01)
    warm = max(1, config.steps // 20)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: min((i + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * i / config.steps))
    )
    running: Any = get_ema_multi_avg_fn
    mean: Any = AveragedModel(decoder, multi_avg_fn=running(config.decay))
    losses: list[float] = []
    total, counted, n = 0.0, 0, min(config.batch_size, len(z))
    decoder.train()
    for step in range(config.steps):
        rows = torch.randperm(len(z), generator=draw)[:n]
        level = torch.randn(n, generator=draw).sigmoid()  # most often in the middle, where learning is hardest
        x = 2 / white * pictures[rows].float() - 1
        s = level[:, None, None, None]
        noisy = (1 - s) * x + s * torch.randn(x.shape, generator=draw)
        shown = torch.rand(n, generator=draw) >= config.drop
        known = all_known[0][rows], all_known[1][rows]
        picture, deviation = decoder(noisy, level, z[rows], styles[rows], shown, known)
        loss = ((picture - x) / deviation.clamp_min(0.01)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        mean.update_parameters(decoder)
        total, counted = total + float(loss.detach()), counted + 1
        if (step + 1) * 20 // config.steps > step * 20 // config.steps:
            losses.append(total / counted)
            if not math.isfinite(losses[-1]):
                raise InputError(f"the loss is {losses[-1]} after {step + 1} steps; lower lr (now {config.lr:g})")
            report(step + 1, config.steps, losses[-1])
            total, counted = 0.0, 0
    decoder.load_state_dict(mean.module.state_dict())
    decoder.eval()
    return losses
