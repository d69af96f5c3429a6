"""What a soft optical fingertip sees: the surface under it, how far the gel gives way, and three coloured lamps inside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data.simulate.render import physics
from tuplet.data.simulate.texture import Texture
from tuplet.types import in_range

Grid = NDArray[np.float64]
FOUNDATION = 4e7
"""Pressure in the gel per depth, Pa/m: about a gel of 0.15 MPa that is 4 mm thick."""
DEEPEST = 3e-3
"""The gel gives way no further, metres."""


def relief(
    data: Any,
    *,
    body: str,
    texture: Texture,
    point: NDArray[np.float64],
    axes: NDArray[np.float64],
    patch: float = 16e-3,
    size: int = 64,
) -> Grid:
    """Measure the surface of a body below a square patch, along parallel-looking rays from 1 m away.

    Args:
        data: a ``mujoco.MjData`` after ``mj_forward``.
        body: its name; nothing else may be within a metre above the patch.
        texture: of its surface, in the body's axes, added to the shape.
        point: ``(3,)``, middle of the patch, metres in the world.
        axes: ``(3, 3)``, rows: right and up in the patch, and outwards, away from the body.
        patch: side of the patch, metres.
        size: points along a side.

    Returns:
        ``(size, size)``, metres outwards of ``point``; ``-inf`` where no ray meets the body.

    Example:
        >>> import mujoco
        >>> from tuplet.data.simulate.texture import draw_texture
        >>> ball = '<mujoco><worldbody><body name="ball"><geom size=".05"/></body></worldbody></mujoco>'
        >>> data = mujoco.MjData(mujoco.MjModel.from_xml_string(ball))
        >>> mujoco.mj_forward(data.model, data)
        >>> smooth = draw_texture(np.random.default_rng(0), "smooth")
        >>> h = relief(data, body="ball", texture=smooth, point=np.array([0, 0, 0.05]), axes=np.eye(3), size=9)
        >>> bool(abs(h[4, 4]) < 1e-5), bool(h[0, 0] < h[4, 0] < h[4, 4])
        (True, True)
    """
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


def imprint(height: Grid, *, force: float, patch: float = 16e-3) -> Grid:
    r"""Press a flat gel on a surface until it carries a force.

    .. math:: F = k \int \max(0, h - c) \, dA

    Args:
        height: ``(H, H)``, metres; ``-inf`` where nothing is.
        force: F, newtons; a surface too small for it sinks in by 3 millimetres and carries less.
        patch: side of the surface, metres.

    Returns:
        ``(H, H)``, how far the gel gives way, metres.

    Notes:
        The gel is a bed of springs (Winkler) of stiffness `FOUNDATION`; the body does not yield.

    Example:
        >>> flat = imprint(np.zeros((8, 8)), force=5.12)
        >>> round(1e3 * float(flat[0, 0]), 6)  # 5.12 N / (0.016 m)^2 / 4e7 Pa/m
        0.5
    """
    area = (patch / len(height)) ** 2
    top = float(height.max())
    low, high = top - DEEPEST, top
    for _ in range(40):
        middle = (low + high) / 2
        carried = FOUNDATION * area * float(np.maximum(0.0, height - middle).sum())
        low, high = (middle, high) if carried > force else (low, middle)
    return np.maximum(0.0, height - (low + high) / 2)


def gel_image(depth: Grid, *, patch: float = 16e-3, blur: float = 2e-4) -> NDArray[np.uint8]:
    r"""Take the picture of a gel from within, by a red, a green and a blue lamp at its sides.

    .. math:: c_l = b + a \, n \cdot l, \quad n \propto (-\partial_x h, -\partial_y h, 1)

    Args:
        depth: ``(H, H)``, how far the gel gives way, metres.
        patch: side of the gel that is seen, metres.
        blur: how far the skin of the gel bridges, metres.

    Returns:
        uint8 ``(3, H, H)``.

    Notes:
        Lambert's cosine of three far lamps at 0, 120 and 240 degrees: no real sensor's calibration.

    Example:
        >>> still = gel_image(np.zeros((8, 8)))
        >>> len(np.unique(still)), bool(np.array_equal(still[0], still[2]))
        (1, True)
    """
    pixel = patch / len(depth)
    reach = np.arange(-math.ceil(3 * blur / pixel), math.ceil(3 * blur / pixel) + 1) * pixel
    bell = np.exp(-0.5 * (reach / blur) ** 2) / np.exp(-0.5 * (reach / blur) ** 2).sum()
    pad = len(reach) // 2
    smooth = np.pad(depth, pad, mode="edge")
    smooth = np.apply_along_axis(np.convolve, 0, smooth, bell, "valid")
    smooth = np.apply_along_axis(np.convolve, 1, smooth, bell, "valid")
    down, right = np.gradient(smooth, pixel)
    length = np.sqrt(1 + down**2 + right**2)
    angle = np.radians([0, 120, 240])[:, None, None]
    side = (np.cos(angle) * -right + np.sin(angle) * down) / length
    bright = 0.1 + 0.45 * np.maximum(0.0, 0.8 * side + 0.6 / length) / 0.6
    picture: NDArray[np.uint8] = (255 * np.clip(bright, 0, 1) + 0.5).astype(np.uint8)
    return picture
