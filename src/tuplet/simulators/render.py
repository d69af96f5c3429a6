"""Pictures by casting one ray per pixel on the CPU: colour, depth, which geom, normals and exact optical flow.

No display, no OpenGL: `mujoco.mj_multiRay` finds what each ray meets; the colour is the geom's own times Lambert's cosine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, in_range, one_of

Vector = tuple[float, float, float]
About = dict[str, str]
SKY = (0.78, 0.82, 0.88)
"""Colour of a pixel whose ray meets nothing: red, green, blue in [0, 1]."""
BRIGHTNESS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R Recommendation BT.601)."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at a point, with square pictures; ``z`` of the world points up."""

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
        return np.asarray(rays @ self.axes)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points ``(..., 3)`` of the world appear: ``(..., 2)``, x right and y down, pixel centres at .5."""
        seen: NDArray[np.float64] = (points - np.asarray(self.eye)) @ self.axes.T
        return (seen[..., :2] / seen[..., 2:] * self._focus + 1) * self.size / 2

    @property
    def _focus(self) -> float:
        return 1 / math.tan(math.radians(self.fov) / 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a scene, ``H = W = camera.size``."""

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
    r"""Take a picture of a MuJoCo scene as it stands."""
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
    """Return the brightness of a colour picture."""
    return np.asarray((rgb @ np.array(BRIGHTNESS) + 0.5).astype(np.uint8))


def flow(now: Frame, before: Frame) -> NDArray[np.float32]:
    """Return how far each pixel's point has moved in the picture since ``before``: exact, from geometry."""
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
    """Import MuJoCo, or say how to get it."""
    try:
        import mujoco
    except ModuleNotFoundError:
        raise InputError("mujoco is not installed; run pip install 'tuplet[data]'") from None
    return cast(ModuleType, mujoco)


def world(text: str) -> Any:
    """Build a scene of MJCF and compute what follows from its positions."""
    mujoco = physics()
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(text))
    mujoco.mj_forward(data.model, data)
    return data


def glide(data: Any, goal: NDArray[np.float64], count: int) -> Iterator[int]:
    """Lead the commands to a goal in equal steps of the physics; yields after each of them."""
    start, mujoco = data.ctrl.copy(), physics()
    for k in range(count):
        data.ctrl[:] = start + (goal - start) * (k + 1) / count
        mujoco.mj_step(data.model, data)
        yield k
    mujoco.mj_forward(data.model, data)


def about(title: str, *, physical: bool = True, classes: Mapping[str, Sequence[str]] | None = None, **units: str) -> About:
    """Return what the file of a scene says of itself."""
    origin = f"tuplet, MuJoCo {physics().__version__}" if physical else "tuplet"
    named = {f"classes.{k}": json.dumps(list(v)) for k, v in (classes or {}).items()}
    return {"title": title, "origin": origin, "licence": "Apache-2.0", **{f"unit.{k}": v for k, v in units.items()}, **named}


def quaternion(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation as the unit quaternion whose first number is not negative."""
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
