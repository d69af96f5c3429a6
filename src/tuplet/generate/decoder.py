"""Pictures from vectors of a space: a small U-Net learns the flow from noise to the picture whose vector it is given."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pixel_shuffle, pixel_unshuffle
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tuplet.io import read_state, write_atomic
from tuplet.types import InputError

TIMES = 1000
"""Noise level 1 as diffusers counts it."""
SCHEMA = {"dim": int, "side": int, "channels": int, "styles": int, "widths": [int], "sha256": str}


@dataclass(frozen=True)
class DecoderConfig:
    """How a decoder is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: pictures per step.
        lr: highest learning rate of AdamW; it rises over the first 5 % of the steps and falls to 0 as a cosine.
        drop: share of pictures that are shown without their vector, which guidance needs.
        decay: of the running mean of the weights, which is what samples are drawn with.
        seed: of weights of the batches, the noise and what is dropped.

    Example:
        >>> DecoderConfig(steps=100).batch_size
        64
    """

    steps: int = 3000
    batch_size: int = 64
    lr: float = 2e-3
    drop: float = 0.1
    decay: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name, high in (("drop", 1.0), ("decay", 1.0)):
            if not 0 <= getattr(self, name) < high:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 or more and below {high:g}")


class Decoder(nn.Module):
    """A picture from a vector of the space, by conditional flow matching (Lipman et al., 2023).

    Between a picture ``x`` and noise ``e`` lies ``x_s = (1 - s) x + s e``. The network learns the velocity ``e - x`` from
    ``x_s``, ``s``, the vector ``z`` and the style; `sample` follows it from noise (``s = 1``) to a picture (``s = 0``) in Euler
    steps. With guidance ``g`` the velocity is ``v() + g (v(z) - v())``: 1 shows what the vector holds, more than 1 is
    cleaner and hides what the vector lacks. Network and sampler are those of `diffusers` (extra ``generate``).

    Args:
        dim: ``D`` of the vectors, which are of unit length.
        side: height and width of pictures, a multiple of 8.
        channels: of pictures.
        styles: number of styles, such as artists or cameras, between which `sample` may choose.
        widths: channels of the network at its three resolutions, multiples of 8.

    Raises:
        InputError: without diffusers, or for sizes that do not fit.

    Example:
        >>> z, pictures = torch.nn.functional.normalize(torch.randn(12, 4), dim=1), torch.rand(12, 3, 8, 8)
        >>> decoder = Decoder(4, side=8, widths=(8, 8, 8))
        >>> losses = fit_decoder(decoder, z, pictures, config=DecoderConfig(steps=3, batch_size=4))
        >>> decoder.sample(z[:2], steps=2).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self, dim: int, *, side: int = 32, channels: int = 3, styles: int = 1, widths: tuple[int, int, int] = (48, 64, 96)
    ) -> None:
        super().__init__()
        steps = {"dim": (dim, 1), "side": (side, 8), "styles": (styles, 1), **{f"width {w}": (w, 8) for w in widths}}
        for name, (value, step) in steps.items():
            if value < 1 or value % step:
                raise InputError(f"{name} is {value}, expected a positive multiple of {step}")
        self.dim, self.side, self.channels, self.styles, self.widths = dim, side, channels, styles, widths
        down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
        self.net = cast(nn.Module, diffusers().UNet2DModel)(
            sample_size=side // 2,
            in_channels=4 * channels,  # 2 x 2 pixels are one place
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

    def forward(self, x: Tensor, level: Tensor, z: Tensor, style: Tensor, shown: Tensor) -> Tensor:
        """Return the velocity ``(B, C, H, W)`` at noise levels ``(B,)``; rows that are not ``shown`` hide their vector."""
        known = torch.where(shown[:, None], self.condition(z * math.sqrt(self.dim)), self.nothing)
        inner = self.net(pixel_unshuffle(x, 2), level * TIMES, class_labels=known + self.style(style)).sample
        return pixel_shuffle(inner, 2)

    @torch.no_grad()
    def sample(self, z: Tensor, *, style: int | Tensor = 0, guidance: float = 1.0, steps: int = 20, seed: int = 0) -> Tensor:
        """Draw a picture for each vector.

        Args:
            z: ``(B, D)``; brought to unit length.
            style: of all, or ``(B,)``.
            guidance: 1 for what the vector holds, more for cleaner pictures.
            steps: Euler steps from noise to picture.
            seed: of the noise, which is drawn row by row: the first row does not depend on how many follow.

        Returns:
            ``(B, C, H, W)`` from 0 to 1.

        Raises:
            InputError: for vectors of another width, an unknown style, or steps or guidance that are not positive.
        """
        styles = torch.as_tensor(style, dtype=torch.int64).expand(len(z)) if not isinstance(style, Tensor) else style
        _check(self, z, styles)
        if steps < 1 or guidance <= 0:
            raise InputError(f"steps is {steps} and guidance {guidance:g}, expected 1 or more and above 0")
        draw = torch.Generator().manual_seed(seed)
        x = torch.randn(len(z), self.channels, self.side, self.side, generator=draw).to(z.device)
        z = nn.functional.normalize(z.float(), dim=1)
        scheduler = diffusers().FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES)
        scheduler.set_timesteps(steps)
        everywhere = torch.ones(len(z), dtype=torch.bool, device=z.device)
        for time in scheduler.timesteps:
            level = (time / TIMES).expand(len(z)).to(x)
            velocity = self(x, level, z, styles, everywhere)
            if guidance != 1:
                free = self(x, level, z, styles, ~everywhere)
                velocity = free + guidance * (velocity - free)
            x = scheduler.step(velocity, time, x).prev_sample
        return (x / 2 + 0.5).clamp(0, 1)

    def save(self, folder: Path) -> None:
        """Write ``decoder.json`` and ``decoder.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "decoder.safetensors", save({k: v.contiguous() for k, v in self.state_dict().items()}))
        told = {k: getattr(self, k) for k in ("dim", "side", "channels", "styles", "widths")}
        write_atomic(folder / "decoder.json", json.dumps(told).encode())


def load_decoder(folder: Path) -> Decoder:
    """Read what `Decoder.save` wrote; no code is executed.

    Args:
        folder: with ``decoder.json`` and ``decoder.safetensors``.

    Returns:
        The decoder, ready to sample.

    Raises:
        InputError: for a folder that lacks one of them, or whose weights are not those of the description.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> Decoder(4, side=8, widths=(8, 8, 8)).save(folder)
        >>> load_decoder(folder).dim
        4
    """
    for name in ("decoder.json", "decoder.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}; give the folder that Decoder.save wrote")
    schema = {k: v for k, v in SCHEMA.items() if k != "sha256"}
    told = read_state(folder / "decoder.json", schema)
    decoder = Decoder(told.pop("dim"), **{**told, "widths": tuple(told["widths"])})
    try:
        decoder.load_state_dict(load_file(folder / "decoder.safetensors"))
    except Exception as error:  # safetensors and torch raise several kinds
        what = str(error).splitlines()[0]
        raise InputError(f"{folder / 'decoder.safetensors'} does not hold the weights of decoder.json: {what}") from None
    return decoder.eval()


def fit_decoder(
    decoder: Decoder,
    z: Tensor,
    pictures: Tensor,
    style: Tensor | None = None,
    *,
    config: DecoderConfig | None = None,
    report: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> list[float]:
    """Train a decoder on pictures and their own vectors, in place.

    Args:
        decoder: to train.
        z: ``(N, D)`` vectors of the pictures, of unit length.
        pictures: ``(N, C, H, W)`` from 0 to 1, or bytes.
        style: ``(N,)`` style of each picture; default 0.
        config: how.
        report: called with steps done, all steps, and the mean loss since the last call, 20 times.

    Returns:
        Mean loss of each twentieth of the steps.

    Raises:
        InputError: for shapes, styles or values that do not fit the decoder, or a loss that is not finite.

    Example:
        >>> z, pictures = torch.eye(4), torch.rand(4, 3, 8, 8)
        >>> len(fit_decoder(Decoder(4, side=8, widths=(8, 8, 8)), z, pictures, config=DecoderConfig(steps=20, batch_size=4)))
        20
    """
    config = config or DecoderConfig()
    styles = torch.zeros(len(z), dtype=torch.int64) if style is None else style
    _check(decoder, z, styles)
    shape = (len(z), decoder.channels, decoder.side, decoder.side)
    if tuple(pictures.shape) != shape:
        raise InputError(f"pictures have shape {tuple(pictures.shape)}, expected {shape}; resize them")
    white = 1.0 if pictures.is_floating_point() else 255.0
    if not bool(((pictures >= 0) & (pictures <= white)).all()):
        raise InputError("pictures have values outside 0 to 1; divide by their largest, or give bytes")
    z = nn.functional.normalize(z.float(), dim=1)
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
        noise = torch.randn(x.shape, generator=draw)
        shown = torch.rand(n, generator=draw) >= config.drop
        s = level[:, None, None, None]
        velocity = decoder((1 - s) * x + s * noise, level, z[rows], styles[rows], shown)
        loss = mse_loss(velocity, noise - x)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
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


def between(a: Tensor, b: Tensor, weight: float = 0.5, *, along: str = "mean") -> Tensor:
    """Return unit vectors between two sets: the renormalised weighted mean, or along the arc.

    ``mean``: ``(1 - w) a + w b``; ``slerp``: ``(sin((1 - w) t) a + sin(w t) b) / sin t`` with ``t`` the angle between both.
    Source: UniAlign, Eq. 11 for the mean; Shoemake (1985) for the arc.

    Args:
        a, b: ``(N, D)``.
        weight: 0 for ``a``, 1 for ``b``.
        along: ``"mean"`` or ``"slerp"``.

    Returns:
        ``(N, D)`` of unit length.

    Raises:
        InputError: for another word, shapes that differ, a weight outside 0 to 1, or rows that are opposite.

    Example:
        >>> between(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), along="slerp")
        tensor([[0.7071, 0.7071]])
    """
    if along not in ("mean", "slerp") or a.shape != b.shape or not 0 <= weight <= 1:
        raise InputError(
            f"along is {along!r}, the sets have shapes {tuple(a.shape)} and {tuple(b.shape)}, weight is {weight:g}; expected "
            "'mean' or 'slerp', one shape, and a weight from 0 to 1"
        )
    a, b = (nn.functional.normalize(x, dim=1) for x in (a, b))
    if bool(((a + b).norm(dim=1) < 1e-3).any()):
        raise InputError("a row of one set is opposite to that of the other: there is no way between them; leave it out")
    if along == "slerp":
        angle = 2 * torch.atan2((a - b).norm(dim=1, keepdim=True), (a + b).norm(dim=1, keepdim=True))
        far = angle > 1e-4  # nearer ones lie on a line
        sine = torch.where(far, angle.sin(), torch.ones_like(angle))
        arc = (((1 - weight) * angle).sin() * a + (weight * angle).sin() * b) / sine
        return nn.functional.normalize(torch.where(far, arc, (1 - weight) * a + weight * b), dim=1)
    return nn.functional.normalize((1 - weight) * a + weight * b, dim=1)


def diffusers() -> Any:
    """Import diffusers, or say which extra has it."""
    try:
        import diffusers as found
    except ImportError:
        raise InputError("pictures are generated with diffusers; pip install 'tuplet[generate]'") from None
    return found


def _check(decoder: Decoder, z: Tensor, style: Tensor) -> None:
    if z.ndim != 2 or z.shape[1] != decoder.dim or len(z) < 1:
        raise InputError(f"z has shape {tuple(z.shape)}, expected (N, {decoder.dim}) with N of 1 or more")
    if not bool(torch.isfinite(z).all()) or not bool((z != 0).any(dim=1).all()):
        raise InputError("z has rows that are zero or not finite; leave out rows that lack the modality")
    if style.shape != z.shape[:1] or bool(((style < 0) | (style >= decoder.styles)).any()):
        raise InputError(
            f"style has shape {tuple(style.shape)}, from {int(style.min())} to {int(style.max())}, expected ({len(z)},), from "
            f"0 to {decoder.styles - 1}"
        )
