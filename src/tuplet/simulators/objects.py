"""Things that can be seen, struck and touched: a shape, its size, a material and a texture, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.simulators.modal import Material, Modes, beam, bowl, cup, plate
from tuplet.simulators.texture import Kind, Texture, draw_texture

Shape = Literal["bar", "bowl", "cup", "plate", "rod", "tube"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
TURNS = 96
"""Flat faces around a body of revolution."""


@dataclass(frozen=True, slots=True)
class Stuff:
    """A material, how it looks and how it is usually finished."""

    body: Material
    colours: tuple[tuple[float, float, float], ...]
    shine: float
    finish: tuple[Kind, ...]


GREYS = ((0.62, 0.64, 0.67), (0.5, 0.52, 0.55), (0.72, 0.72, 0.7))
WOODS = ((0.72, 0.52, 0.32), (0.55, 0.36, 0.2), (0.83, 0.68, 0.47))
PAINTS = ((0.85, 0.2, 0.18), (0.15, 0.4, 0.8), (0.95, 0.75, 0.15), (0.2, 0.65, 0.35), (0.9, 0.9, 0.88))
MATERIALS: dict[str, Stuff] = {
    "ceramic": Stuff(
        Material(2400.0, 70e9, 0.22, 3e-3),
        ((0.93, 0.91, 0.87), (0.76, 0.44, 0.32), (0.25, 0.4, 0.62)),
        0.5,
        ("pebble", "smooth"),
    ),
    "glass": Stuff(
        Material(2500.0, 70e9, 0.23, 1e-3), ((0.72, 0.86, 0.84), (0.62, 0.78, 0.66), (0.8, 0.86, 0.92)), 0.9, ("smooth",)
    ),
    "plastic": Stuff(Material(1200.0, 2.4e9, 0.37, 3e-2), PAINTS, 0.3, ("smooth", "ridges", "knurl")),
    "rubber": Stuff(
        Material(1100.0, 5e7, 0.49, 1.5e-1), ((0.14, 0.14, 0.15), (0.3, 0.3, 0.32), (0.6, 0.2, 0.15)), 0.05, ("knurl", "ridges")
    ),
    "steel": Stuff(Material(7850.0, 200e9, 0.29, 4e-4), GREYS, 0.8, ("smooth", "ridges", "pebble")),
    "wood": Stuff(Material(700.0, 11e9, 0.35, 1.5e-2), WOODS, 0.05, ("grain",)),
}
"""Rounded textbook values; the loss factors lie within wide published ranges and are guessed, as are looks and finishes."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object."""

    shape: Shape
    size: tuple[float, ...]
    kind: str
    material: Material
    colour: tuple[float, float, float]
    shine: float
    texture: Texture
    split: float

    @property
    def modes(self) -> Modes:
        """Return how it rings."""
        s = self.size
        if self.shape == "bar":
            a, b, length = s
            return beam(self.material, length=length, area=a * b, inertia=(b * a**3 / 12, a * b**3 / 12))
        if self.shape == "plate":
            return plate(self.material, sides=(s[0], s[1]), thickness=s[2])
        if self.shape in ("rod", "tube"):
            inner = s[0] - s[2] if self.shape == "tube" else 0.0
            second = math.pi * (s[0] ** 4 - inner**4) / 4
            area = math.pi * (s[0] ** 2 - inner**2)
            return beam(self.material, length=s[1], area=area, inertia=(second * (1 - self.split), second))
        if self.shape == "cup":
            return cup(self.material, radius=s[0] - s[2] / 2, height=s[1], thickness=s[2], split=self.split)
        return bowl(self.material, radius=s[0] - s[1] / 2, thickness=s[1], split=self.split)

    @property
    def geom(self) -> tuple[str, str]:
        """Return MuJoCo's asset (empty where none is needed) and the attributes of its geom, in the body's axes."""
        s = self.size
        if self.shape in ("bar", "plate"):
            return "", f'type="box" size="{s[0] / 2} {s[1] / 2} {s[2] / 2}"'
        if self.shape == "rod":
            return "", f'type="cylinder" size="{s[0]} {s[1] / 2}"'
        vertices, faces = revolve(self._profile())
        numbers = " ".join(f"{x:.7g}" for x in vertices.ravel())
        corners = " ".join(map(str, faces.ravel().tolist()))
        return f'<mesh name="thing" inertia="exact" vertex="{numbers}" face="{corners}"/>', 'type="mesh" mesh="thing"'

    def _profile(self) -> NDArray[np.float64]:
        """Return radius and height along the closed outline of a body of revolution, ``(P, 2)``."""
        s = self.size
        if self.shape == "tube":
            r, half, inner = s[0], s[1] / 2, s[0] - s[2]
            return np.array([(r, -half), (r, half), (inner, half), (inner, -half)])
        if self.shape == "cup":
            r, top, wall = s
            return np.array([(0, 0), (r, 0), (r, top), (r - wall, top), (r - wall, wall), (0, wall)])
        angle = np.linspace(0, math.pi / 2, 25)
        arc = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
        arc[0, 0] = arc[-1, 1] = 0.0
        outline: NDArray[np.float64] = np.concatenate([arc * s[0], arc[::-1] * (s[0] - s[1])])
        outline[:, 1] += s[0]
        return outline


def draw(rng: np.random.Generator) -> Thing:
    """Draw an object: every shape and material is as likely as every other."""
    shape, kind = SHAPES[int(rng.integers(len(SHAPES)))], sorted(MATERIALS)[int(rng.integers(len(MATERIALS)))]
    ranges: dict[Shape, tuple[tuple[float, float], ...]] = {
        "bar": ((0.024, 0.045), (0.006, 0.014), (0.14, 0.28)),
        "bowl": ((0.045, 0.09), (0.002, 0.005)),
        "cup": ((0.03, 0.05), (0.06, 0.12), (0.002, 0.005)),
        "plate": ((0.1, 0.2), (0.1, 0.2), (0.003, 0.008)),
        "rod": ((0.006, 0.013), (0.14, 0.28)),
        "tube": ((0.008, 0.014), (0.2, 0.28), (0.0015, 0.003)),
    }
    stuff = MATERIALS[kind]
    vary = np.exp(rng.normal(size=3) * (0.02, 0.05, 0.2))
    body = stuff.body
    material = replace(body, density=body.density * vary[0], young=body.young * vary[1], loss=body.loss * vary[2])
    texture = draw_texture(rng, stuff.finish[int(rng.integers(len(stuff.finish)))])
    if shape == "plate":  # fibres run along a side, not through the thickness
        texture = replace(texture, waves=texture.waves[:, [2, 1, 0]])
    shade = np.clip(np.array(stuff.colours[int(rng.integers(len(stuff.colours)))]) * rng.uniform(0.85, 1.1, 3), 0.03, 1)
    return Thing(
        shape=shape,
        size=tuple(float(rng.uniform(*pair)) for pair in ranges[shape]),
        kind=kind,
        material=material,
        colour=(float(shade[0]), float(shade[1]), float(shade[2])),
        shine=stuff.shine,
        texture=texture,
        split=float(rng.uniform(0.001, 0.01)),
    )


def revolve(profile: NDArray[np.float64], turns: int = TURNS) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Turn a closed outline around z into a closed surface of triangles."""
    angle = np.arange(turns) * 2 * math.pi / turns
    ring = np.stack([np.cos(angle), np.sin(angle), np.ones(turns)], axis=1)
    points = ring[:, None] * profile[None, :, [0, 0, 1]]
    t, p = np.meshgrid(np.arange(turns), np.arange(len(profile)), indexing="ij")
    here, up = t * len(profile) + p, t * len(profile) + (p + 1) % len(profile)
    there, over = np.roll(here, -1, axis=0), np.roll(up, -1, axis=0)
    faces = np.concatenate([np.stack([here, there, over], axis=-1), np.stack([here, over, up], axis=-1)]).reshape(-1, 3)
    vertices, merged = np.unique(points.reshape(-1, 3), axis=0, return_inverse=True)
    faces = merged.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices, faces[whole]
