"""What a soft optical fingertip sees: the surface under it, how far the gel gives way, and three coloured lamps inside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.simulators.render import physics
from tuplet.simulators.texture import Texture
from tuplet.types import in_range

Grid = NDArray[np.float64]
FOUNDATION = 4e7
"""Pressure in the gel per depth, Pa/m: about a gel of 0.15 MPa that is 4 mm thick."""
PATCH, BLUR = 16e-3, 2e-4
"""Side of what is felt, and how far the gel smooths it, metres."""
DEEPEST = 3e-3
"""The gel gives way no further, metres."""


def relief(
    data: Any,
    *,
    body: str,
    texture: Texture,
    point: NDArray[np.float64],
    axes: NDArray[np.float64],
    patch: float = PATCH,
    size: int = 64,
) -> Grid:
    """Measure the surface of a body below a square patch, along parallel-looking rays from 1 m away."""
    in_range("size", size, 2)
    side = ((np.arange(size) + 0.5) / size - 0.5) * patch
    across, up = np.meshgrid(side, -side)
    rays = across[..., None] * axes[0] + up[..., None] * axes[1] - axes[2]
    n, flat = size * size, np.ascontiguousarray(rays).reshape(-1)
    ids, distance = np.full(n, -1, dtype=np.int32), np.full(n, -1.0)
    physics().mj_multiRay(data.model, data, point + axes[2], flat, None, True, -1, ids, distance, None, n, 2.0)
    hit = np.isin(ids, [g for g in range(data.model.ngeom) if data.model.geom_bodyid[g] == data.body(body).id])
    met = point + axes[2] + distance[:, None] * rays.reshape(-1, 3)
    height = 1 - distance + texture.height((met - data.body(body).xpos) @ data.body(body).xmat.reshape(3, 3))
    return np.where(hit, height, -np.inf).reshape(size, size)


def imprint(height: Grid, *, force: float) -> Grid:
    r"""Press a flat gel on a surface until it carries a force."""
    area = (PATCH / len(height)) ** 2
    top = float(height.max())
    low, high = top - DEEPEST, top
    for _ in range(40):
        middle = (low + high) / 2
        carried = FOUNDATION * area * float(np.maximum(0.0, height - middle).sum())
        low, high = (middle, high) if carried > force else (low, middle)
    return np.maximum(0.0, height - (low + high) / 2)


def gel_image(depth: Grid) -> NDArray[np.uint8]:
    r"""Take the picture of a gel from within, by a red, a green and a blue lamp at its sides."""
    pixel = PATCH / len(depth)
    pad = math.ceil(3 * BLUR / pixel)
    bell = np.exp(-0.5 * (np.arange(-pad, pad + 1) * pixel / BLUR) ** 2)
    bell /= bell.sum()
    smooth = np.pad(depth, pad, mode="edge")
    smooth = np.apply_along_axis(np.convolve, 0, smooth, bell, "valid")
    smooth = np.apply_along_axis(np.convolve, 1, smooth, bell, "valid")
    down, right = np.gradient(smooth, pixel)
    length = np.sqrt(1 + down**2 + right**2)
    angle = np.radians([0, 120, 240])[:, None, None]
    side = (np.cos(angle) * -right + np.sin(angle) * down) / length
    bright = 0.1 + 0.45 * np.maximum(0.0, 0.8 * side + 0.6 / length) / 0.6
    return np.asarray((255 * np.clip(bright, 0, 1) + 0.5).astype(np.uint8))
