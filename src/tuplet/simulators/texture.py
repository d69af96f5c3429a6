"""Solid textures: a height defined at every point of a body, so that eye and fingertip meet the same surface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.types import one_of

Kind = Literal["smooth", "ridges", "grain", "knurl", "pebble"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Texture:
    r"""A sum of plane waves through the body."""

    waves: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    phases: NDArray[np.float64]

    def height(self, points: NDArray[np.float64], *, blur: float = 0.0) -> NDArray[np.float64]:
        """Return the height at points ``(..., 3)`` in the body's axes, metres; waves shorter than ``blur`` metres fade."""
        seen = self.amplitudes * np.exp(-0.5 * (np.linalg.norm(self.waves, axis=1) * blur / 2) ** 2)
        return np.asarray(np.cos(points @ self.waves.T + self.phases) @ seen)


def draw_texture(rng: np.random.Generator, kind: Kind) -> Texture:
    """Draw a texture of a kind."""
    one_of("kind", kind, KINDS)
    wave, depth = 2 * math.pi / rng.uniform(1.2e-3, 3e-3), rng.uniform(0.5e-4, 1e-4)
    frame = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if kind == "ridges":
        waves, amplitudes = np.outer([1, 2], frame[0]) * wave, np.array([1, 0.3]) * depth
    elif kind == "knurl":
        waves, amplitudes = frame * wave, np.full(3, 0.6) * depth
    elif kind == "grain":  # fibres along z: waves lie across it
        turn, length = rng.uniform(0, 2 * math.pi, 20), wave * rng.uniform(0.4, 1.6, 20)
        waves = np.stack([np.cos(turn), np.sin(turn), rng.normal(0, 0.06, 20)], axis=1) * length[:, None]
        amplitudes = np.full(20, 0.3) * depth
    else:
        waves = rng.normal(size=(20, 3))
        waves *= wave * rng.uniform(0.6, 1.2, (20, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
        amplitudes = np.full(20, 0.3 if kind == "pebble" else 0.02) * depth
    return Texture(waves, amplitudes, rng.uniform(0, 2 * math.pi, len(waves)))
