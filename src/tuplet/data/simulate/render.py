"""Pictures by casting one ray per pixel on the CPU: colour, depth, which geom, normals and exact optical flow.

No display, no OpenGL: `mujoco.mj_multiRay` finds what each ray meets; the colour is the geom's own times Lambert's cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, in_range, one_of

Vector = tuple[float, float, float]
SKY = (0.78, 0.82, 0.88)
"""Colour of a pixel whose ray meets nothing: red, green, blue in [0, 1]."""
BRIGHTNESS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R Recommendation BT.601)."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at a point, with square pictures; ``z`` of the world points up.

    Attributes:
        eye: where it stands, metres.
        target: the point in the middle of the picture, metres; not straight above or below ``eye``.
        fov: angle of view from one side of the picture to the other, degrees in (0, 180).
        size: pixels of one side.
    """

    eye: Vector
    target: Vector
    fov: float = 45.0
    size: int = 64

    def __post_init__(self) -> None:
        in_range("fov", self.fov, 1e-3, 180)
        in_range("size", self.size, 1)
        ahead = np.subtract(self.target, self.eye)
        if np.hypot(ahead[0], ahead[1]) < 1e-9 * max(1.0, abs(ahead[2])):
            raise InputError(f"target {self.target} is straight above or below eye {self.eye}; move one of them aside")

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """Return the unit vectors right, down and ahead in the world, as rows ``(3, 3)``."""
        ahead = np.subtract(self.target, self.eye).astype(np.float64)
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(ahead, right), ahead])

    @cached_property
    def rays(self) -> NDArray[np.float64]:
        """Return one vector per pixel, ``(size, size, 3)``, of length 1 along the axis ahead."""
        side = (np.arange(self.size) + 0.5) / self.size * 2 - 1
        across, down = np.meshgrid(side, side)
        rays = np.stack([across / self._focus, down / self._focus, np.ones_like(across)], axis=-1)
        turned: NDArray[np.float64] = rays @ self.axes
        return turned

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points ``(..., 3)`` of the world appear: ``(..., 2)``, x right and y down, pixel centres at .5."""
        seen: NDArray[np.float64] = (points - np.asarray(self.eye)) @ self.axes.T
        return (seen[..., :2] / seen[..., 2:] * self._focus + 1) * self.size / 2

    @property
    def _focus(self) -> float:
        return 1 / math.tan(math.radians(self.fov) / 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a scene, ``H = W = camera.size``.

    Attributes:
        rgb: uint8 ``(H, W, 3)``.
        depth: ``(H, W)``, metres along the camera's axis; infinite where nothing is.
        ids: int32 ``(H, W)``, the geom that is seen; -1 where nothing is.
        normals: ``(H, W, 3)``, unit vectors in the world; zero where nothing is.
        camera: what it was taken with.
        places: ``(geoms, 3)``, where each geom was, metres.
        turns: ``(geoms, 3, 3)``, its rotation from its own axes to the world's.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float64]
    ids: NDArray[np.int32]
    normals: NDArray[np.float64]
    camera: Camera
    places: NDArray[np.float64]
    turns: NDArray[np.float64]


def render(
    data: Any,
    *,
    camera: Camera,
    lamp: Vector = (0.5, -0.5, 2.0),
    ambient: float = 0.35,
    shadows: Literal["none", "cast"] = "none",
) -> Frame:
    r"""Take a picture of a MuJoCo scene as it stands.

    .. math:: c = c_{geom} \, (a + (1 - a) \max(0, n \cdot l))

    Args:
        data: a ``mujoco.MjData`` after ``mj_forward`` or ``mj_step``; it is not changed.
        camera: where from.
        lamp: position of the point light, metres; its brightness does not fall off.
        ambient: share ``a`` in [0, 1] of the light that comes from everywhere.
        shadows: ``"cast"`` leaves only the ambient light where a geom hides the lamp, at twice the cost.

    Returns:
        The `Frame`.

    Raises:
        InputError: if ambient leaves [0, 1], shadows is another word, or MuJoCo is not installed.

    Notes:
        Cost: one ray per pixel (two with shadows), against every geom. Same scene, same bits.

    Example:
        >>> import mujoco
        >>> floor = '<mujoco><worldbody><geom type="plane" size="1 1 1"/></worldbody></mujoco>'
        >>> data = mujoco.MjData(mujoco.MjModel.from_xml_string(floor))
        >>> mujoco.mj_forward(data.model, data)
        >>> frame = render(data, camera=Camera(eye=(0, -1, 1), target=(0, 0, 0), size=9))
        >>> round(float(frame.depth[4, 4]), 6), frame.rgb.shape
        (1.414214, (9, 9, 3))
    """
    in_range("ambient", ambient, 0, 1 + 1e-12)
    one_of("shadows", shadows, ("none", "cast"))
    eye, light = np.asarray(camera.eye, dtype=np.float64), np.asarray(lamp, dtype=np.float64)
    rays = camera.rays.reshape(-1, 3)
    depth, ids, normals = _cast(data, eye, rays)
    hit = slice(None) if ids.min() >= 0 else np.flatnonzero(ids >= 0)  # a slice spares copies
    away = eye + depth[hit, None] * rays[hit] - light
    distance = np.sqrt(np.einsum("ni,ni->n", away, away))
    cosine = np.maximum(0.0, -np.einsum("ni,ni->n", normals[hit], away) / distance)
    if shadows == "cast":
        lit = np.flatnonzero(cosine)  # what faces away from the lamp is dark anyway
        cosine[lit[_cast(data, light, away[lit])[0] < 1 - 1e-4]] = 0.0
    colour = np.broadcast_to(np.array(SKY), (len(ids), 3)).copy()
    colour[hit] = data.model.geom_rgba[ids[hit], :3] * (ambient + (1 - ambient) * cosine)[:, None]
    side = (camera.size, camera.size)
    return Frame(
        rgb=(255 * np.clip(colour, 0, 1) + 0.5).astype(np.uint8).reshape(*side, 3),
        depth=depth.reshape(side),
        ids=ids.reshape(side),
        normals=normals.reshape(*side, 3),
        camera=camera,
        places=data.geom_xpos.copy(),
        turns=data.geom_xmat.reshape(-1, 3, 3).copy(),
    )


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the brightness of a colour picture.

    Args:
        rgb: uint8 ``(..., 3)``.

    Returns:
        uint8 ``(...)``.

    Notes:
        The weights are `BRIGHTNESS`.

    Source:
        ITU-R Recommendation BT.601.

    Example:
        >>> grey(np.array([[255, 255, 255], [0, 255, 0]], dtype=np.uint8)).tolist()
        [255, 150]
    """
    bright: NDArray[np.uint8] = (rgb @ np.array(BRIGHTNESS) + 0.5).astype(np.uint8)
    return bright


def flow(now: Frame, before: Frame) -> NDArray[np.float32]:
    """Return how far each pixel's point has moved in the picture since ``before``: exact, from geometry.

    Args:
        now: the picture at whose pixels the motion is given.
        before: an earlier picture of the same model; its camera may be another one of the same size.

    Returns:
        float32 ``(2, H, W)``, pixels to the right and down; zero where nothing is seen.

    Raises:
        InputError: if the pictures differ in size or in the number of geoms.

    Notes:
        It needs only the past, and says nothing about what was hidden before: such points move as their geom did.

    Example:
        >>> import mujoco
        >>> ball = '<mujoco><worldbody><body><freejoint/><geom size=".2"/></body></worldbody></mujoco>'
        >>> data = mujoco.MjData(mujoco.MjModel.from_xml_string(ball))
        >>> camera, frames = Camera(eye=(0, -2, 0), target=(0, 0, 0), fov=90, size=16), []
        >>> for x in (0.0, 0.18):
        ...     data.qpos[0] = x
        ...     mujoco.mj_forward(data.model, data)
        ...     frames.append(render(data, camera=camera))
        >>> float(flow(frames[1], frames[0])[0, 8, 8].round(1)) > 0
        True
    """
    if now.camera.size != before.camera.size or len(now.places) != len(before.places):
        raise InputError(
            f"now has {now.camera.size} pixels a side and {len(now.places)} geoms, before has {before.camera.size} and "
            f"{len(before.places)}; take both pictures of one scene"
        )
    moved = (now.places != before.places).any(axis=1) | (now.turns != before.turns).any(axis=(1, 2))
    moved |= now.camera != before.camera
    hit = np.append(moved, False)[now.ids]  # the last is for -1, nothing
    seen = now.ids[hit]
    points = np.asarray(now.camera.eye) + now.depth[hit, None] * now.camera.rays[hit]
    local = np.einsum("nji,nj->ni", now.turns[seen], points - now.places[seen])
    earlier = np.einsum("nij,nj->ni", before.turns[seen], local) + before.places[seen]
    motion = np.zeros((2, *now.ids.shape), dtype=np.float32)
    motion[:, hit] = (now.camera.project(points) - before.camera.project(earlier)).T
    return motion


def physics() -> ModuleType:
    """Import MuJoCo, or say how to get it.

    Returns:
        The module ``mujoco``.

    Raises:
        InputError: if it is not installed.

    Example:
        >>> hasattr(physics(), "mj_step")
        True
    """
    try:
        import mujoco
    except ModuleNotFoundError:
        raise InputError("mujoco is not installed; run pip install 'tuplet[data]'") from None
    module: ModuleType = mujoco
    return module


def quaternion(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation as the unit quaternion whose first number is not negative.

    Args:
        turn: rotation matrix, ``(9,)`` or ``(3, 3)``.

    Returns:
        ``(4,)``: w, x, y, z.

    Example:
        >>> quaternion(np.diag([1.0, -1.0, -1.0])).tolist()
        [0.0, 1.0, 0.0, 0.0]
    """
    found = np.empty(4)
    physics().mju_mat2Quat(found, np.ascontiguousarray(turn, dtype=np.float64).reshape(9))
    return found if found[0] >= 0 else -found


def _cast(
    data: Any, eye: NDArray[np.float64], rays: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
    """Return the distance in lengths of its ray, geom and normal of what each ray ``(n, 3)`` meets first."""
    n = len(rays)
    ids, distance, normals = np.full(n, -1, dtype=np.int32), np.full(n, -1.0), np.zeros((n, 3))
    if n:
        flat = np.ascontiguousarray(rays).reshape(-1)
        found = (ids, distance, normals.reshape(-1))  # written in place
        physics().mj_multiRay(data.model, data, eye, flat, None, True, -1, *found, n, 1e10)
    normals[ids < 0] = 0.0
    return np.where(ids < 0, np.inf, distance), ids, normals
