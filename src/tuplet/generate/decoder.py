"""Pictures from vectors of a space: a closed form recalls what is near, and a small U-Net learns the flow to the rest."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from tuplet.generate._closed_form import ClosedForm, Recalled
from tuplet.generate._flow import TIMES, Flow, diffusers
from tuplet.io import Between, read_state, write_atomic
from tuplet.types import InputError

SCHEMA = {"schema": Between(int, 3, 3), "dim": int, "side": int, "channels": int, "styles": int, "widths": [int]}
SCHEMA |= {"rows": int, "components": int, "network": bool, "sha256": str}
FIX = "fit the decoder anew with fit_decoder, or restore the file"


class Decoder(nn.Module):
    """A picture from a vector of the space: a closed form where it knows, conditional flow matching where it does not.

    A kernel ridge regression, fitted in seconds, gives the mean picture ``m`` of a vector and how near ``c`` the vector is
    to one that was fitted, from 0 to 1. At 1 the picture is recalled: ``m`` is what `sample` returns. Elsewhere ``m`` is a
    blend, and the network, if one is trained, draws what it lacks. Between a picture ``x`` and noise ``e`` lies
    ``x_s = (1 - s) x + s e``. With ``v`` the variance of ``x`` about ``m``, which is 0 at ``c = 1``, and
    ``t = (1 - s)^2 v + s^2``, the picture expected is::

        m + (1 - s) v / t (x_s - (1 - s) m) + s (v / t)^(1/2) net(x_s, m, c, s, z, style)

    `sample` follows the velocity ``(x_s - x) / s`` from noise (``s = 1``) to a picture (``s = 0``) in Euler steps. With
    guidance ``g`` it is ``u() + g (u(z) - u())``: 1 shows what the vector holds, more than 1 has more contrast and hides
    what the vector lacks. Without a network `sample` returns ``m``, and with guidance ``g`` the same step away from the mean
    picture of the style. Network and sampler are those of `diffusers` (extra ``generate``), which nothing else needs. Source:
    Lipman et al. (2023) for the flow; Karras et al. (2022) for a network that adds to the best linear guess.

    Args:
        dim: ``D`` of the vectors, which are of unit length.
        side: height and width of pictures, a multiple of 8.
        channels: of pictures.
        styles: number of styles, such as artists or cameras, between which `sample` may choose.
        widths: channels of the network at its three resolutions, multiples of 8.
        rows, components, network: sizes of the closed form, and whether there is a network, which `fit_decoder` sets.

    Raises:
        InputError: for sizes that do not fit, or for a network without diffusers.

    Example:
        >>> from tuplet.generate import DecoderConfig, fit_decoder
        >>> z, pictures = torch.nn.functional.normalize(torch.randn(12, 4), dim=1), torch.rand(12, 3, 8, 8)
        >>> decoder = Decoder(4, side=8, widths=(8, 8, 8))
        >>> losses = fit_decoder(decoder, z, pictures, config=DecoderConfig(steps=3, batch_size=4))
        >>> decoder.sample(z[:2], steps=2).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        dim: int,
        *,
        side: int = 32,
        channels: int = 3,
        styles: int = 1,
        widths: tuple[int, int, int] = (32, 48, 64),
        rows: int = 0,
        components: int = 0,
        network: bool = False,
    ) -> None:
        super().__init__()
        steps = {"dim": (dim, 1), "side": (side, 8), "styles": (styles, 1), **{f"width {w}": (w, 8) for w in widths}}
        for name, (value, step) in steps.items():
            if value < 1 or value % step:
                raise InputError(f"{name} is {value}, expected a positive multiple of {step}")
        self.dim, self.side, self.channels, self.styles, self.widths = dim, side, channels, styles, widths
        self.closed = ClosedForm(dim, channels * side**2, styles, rows, components)
        self.flow = Flow(dim, side, channels, styles, widths) if network else None

    def forward(
        self, x: Tensor, level: Tensor, z: Tensor, style: Tensor, shown: Tensor, known: Recalled
    ) -> tuple[Tensor, Tensor]:
        """Return the pictures expected at noise levels ``(B,)``, and the deviation ``(B, 1, 1, 1)`` about the linear guess.

        ``known`` is what the closed form says; rows that are not ``shown`` hide it and their vector.
        """
        components, near = (torch.where(shown.view(-1, *[1] * (k.ndim - 1)), k, 0.0) for k in known)
        m = self.closed.picture(components, style).view_as(x)
        s, c = (k[:, None, None, None] for k in (level, near))
        v = self.closed.spread * (1 - c)  # (B, 1, 1, 1)
        total = ((1 - s) ** 2 * v + s**2).clamp_min(1e-6)
        away = x - (1 - s) * m
        deviation = s * (v / total).sqrt()
        linear = m + (1 - s) * v / total * away
        if self.flow is None:
            return linear, deviation
        return linear + deviation * self.flow(away / total.sqrt(), m, c, level, z, style, shown), deviation

    @torch.no_grad()
    def sample(self, z: Tensor, *, style: int | Tensor = 0, guidance: float = 1.0, steps: int = 20, seed: int = 0) -> Tensor:
        """Draw a picture for each vector.

        Args:
            z: ``(B, D)``; brought to unit length.
            style: of all, or ``(B,)``.
            guidance: 1 for what the vector holds, more for cleaner pictures.
            steps: Euler steps from noise to picture; like the seed of no effect without a network.
            seed: of the noise, which is drawn row by row: the first row does not depend on how many follow.

        Returns:
            ``(B, C, H, W)`` from 0 to 1.

        Raises:
            InputError: for vectors of another width, an unknown style, or steps or guidance that are not positive.
        """
        styles = torch.as_tensor(style, dtype=torch.int64).expand(len(z)) if not isinstance(style, Tensor) else style
        check(self, z, styles)
        if steps < 1 or guidance <= 0:
            raise InputError(f"steps is {steps} and guidance {guidance:g}, expected 1 or more and above 0")
        z = nn.functional.normalize(z.float(), dim=1)
        known = self.closed.predicted(z, styles)
        everywhere = torch.ones(len(z), dtype=torch.bool, device=z.device)
        if self.flow is None:
            free = self.closed.means[styles]
            drawn = free + guidance * (self.closed.picture(known[0], styles) - free)
            return (drawn.view(-1, self.channels, self.side, self.side) / 2 + 0.5).clamp(0, 1)
        draw = torch.Generator().manual_seed(seed)
        x = torch.randn(len(z), self.channels, self.side, self.side, generator=draw).to(z.device)
        scheduler = diffusers().FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES)
        scheduler.set_timesteps(steps)
        for time in scheduler.timesteps:
            level = (time / TIMES).expand(len(z)).to(x)
            picture, _ = self(x, level, z, styles, everywhere, known)
            if guidance != 1:
                free, _ = self(x, level, z, styles, ~everywhere, known)
                picture = free + guidance * (picture - free)
            x = scheduler.step((x - picture) / level[:, None, None, None], time, x).prev_sample
        return (x / 2 + 0.5).clamp(0, 1)

    def save(self, folder: Path) -> None:
        """Write ``decoder.json`` and ``decoder.safetensors``, 5 MB for 1,000 concepts in three styles, more with a network."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = save({k: v.contiguous() for k, v in self.state_dict().items()})
        write_atomic(folder / "decoder.safetensors", weights)
        told: dict[str, Any] = {k: getattr(self, k) for k in ("dim", "side", "channels", "styles", "widths")}
        rows, components = self.closed.weights.shape
        told |= {"network": self.flow is not None, "rows": rows, "components": components}
        told |= {"schema": 3, "sha256": sha256(weights).hexdigest()}
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
    told = read_state(folder / "decoder.json", SCHEMA, fix=FIX)
    file = folder / "decoder.safetensors"
    content = file.read_bytes()
    if sha256(content).hexdigest() != told.pop("sha256"):
        raise InputError(f"{file} does not hold the weights of decoder.json: its sha256 differs; {FIX}")
    del told["schema"]
    decoder = Decoder(told.pop("dim"), **{**told, "widths": tuple(told["widths"])})
    try:
        decoder.load_state_dict(load(content))
    except Exception as error:  # safetensors and torch raise several kinds
        what = str(error).splitlines()[0]
        raise InputError(f"{file} does not hold the weights of decoder.json: {what}") from None
    return decoder.eval()


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


def check(decoder: Decoder, z: Tensor, style: Tensor) -> None:
    """Refuse vectors and styles that do not fit the decoder."""
    if z.ndim != 2 or z.shape[1] != decoder.dim or len(z) < 1:
        raise InputError(f"z has shape {tuple(z.shape)}, expected (N, {decoder.dim}) with N of 1 or more")
    if not bool(torch.isfinite(z).all()) or not bool((z != 0).any(dim=1).all()):
        raise InputError("z has rows that are zero or not finite; leave out rows that lack the modality")
    if style.shape != z.shape[:1] or bool(((style < 0) | (style >= decoder.styles)).any()):
        raise InputError(
            f"style has shape {tuple(style.shape)}, from {int(style.min())} to {int(style.max())}, expected ({len(z)},), from "
            f"0 to {decoder.styles - 1}"
        )
