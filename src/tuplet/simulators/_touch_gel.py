"""Gel and light of four optical touch sensors: how deep a press goes, and what their cameras see of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import zoom

from tuplet.simulators._touch_calibration import Table
from tuplet.simulators._touch_surface import FIELD, MARGIN, Maps, blurred, frequencies, places

RGB = tuple[float, float, float]
RED, GREEN, BLUE, WHITE = (1.0, 0.15, 0.1), (0.1, 1.0, 0.2), (0.1, 0.25, 1.0), (1.0, 1.0, 1.0)
DRAG = 1.5
"""Millimetres that a marker moves where the gel's slope is 1."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor. Gel: blur and marker sizes in millimetres. Light: lamps as (degrees around, degrees above, colour)."""

    blur: float
    dome: float
    lamps: tuple[tuple[float, float, RGB], ...]
    level: RGB
    shine: float = 0.2
    power: int = 12
    falloff: float = 0.25
    vignette: float = 0.1
    gamma: float = 1.0
    noise: float = 0.01
    markers: float = 0.0
    dot: float = 0.22


SENSORS: dict[str, Sensor] = {
    "gelsight": Sensor(
        0.13, 45.0, ((0.0, 25.0, RED), (120.0, 25.0, GREEN), (240.0, 25.0, BLUE)), (0.51, 0.52, 0.55), falloff=0.3, noise=0.008
    ),
    "gelsight_mini": Sensor(
        0.1,
        np.inf,
        ((30.0, 30.0, RED), (150.0, 30.0, GREEN), (270.0, 30.0, BLUE)),
        (0.44, 0.5, 0.58),
        markers=1.9,
        vignette=0.35,
    ),
    "digit": Sensor(
        0.2,
        28.0,
        ((90.0, 20.0, RED), (210.0, 20.0, GREEN), (330.0, 20.0, BLUE)),
        (0.3, 0.32, 0.42),
        shine=0.6,
        power=25,
        falloff=0.7,
        vignette=0.4,
        gamma=0.9,
        noise=0.027,
    ),
    "duragel": Sensor(
        0.27,
        60.0,
        ((60.0, 22.0, WHITE), (150.0, 28.0, WHITE)),
        (0.47, 0.47, 0.44),
        shine=0.05,
        falloff=0.15,
        vignette=0.2,
        noise=0.015,
        markers=1.5,
        dot=0.3,
    ),
}
"""Short name -> how its gel and light are approximated; guessed, but for DIGIT's noise and its lamps 120 degrees apart."""


def indentation(sensor: Sensor, above: Maps, give: Maps, size: int) -> tuple[Maps, Maps]:
    """Return how far the gel moves, and that without the imprint's detail; both ``(B, S, S)``, millimetres."""
    x, y = places(size)
    cycles = frequencies(size)
    pressed = np.maximum(above - (x * x + y * y) / np.float32(2 * sensor.dome), 0)
    pressed = give * (1 - np.exp(-pressed / give))  # a soft object, give (B, 1, 1) is small, flattens
    wide = blurred(pressed, cycles, 0.8)
    # around the contact the gel bulges as far as a wide blur reaches
    return blurred(np.maximum(pressed, 0.8 * wide), cycles, sensor.blur), wide


def pictures(sensor: Sensor, name: str, table: Table | None, moved: Maps, wide: Maps, size: int) -> Maps:
    """Return the camera's pictures without noise, ``(B, 3, size, size)``: by a table of measurements, or by lamps."""
    edge = -(-size // MARGIN)
    inner = slice(edge, edge + size)
    down, right = (np.asarray(g)[:, inner, inner] for g in np.gradient(moved, FIELD / size, axis=(1, 2)))
    seen = table.light(down, right, size) if table else lambert(sensor, down, right, size) * _background(name, size)
    if sensor.markers:
        seen = seen * _markers(sensor, wide, size)[:, None, inner, inner]
    return seen


def lambert(sensor: Sensor, down: Maps, right: Maps, size: int) -> Maps:
    """Light slopes ``(B, size, size)`` by the lamps: ``ambient + kd max(n l, 0) + ks max(n h, 0)^power``, times distance."""
    edge = -(-size // MARGIN)
    x, y = (p[edge : edge + size, edge : edge + size] for p in places(size))
    right, down = right - x / np.float32(sensor.dome), down - y / np.float32(sensor.dome)
    short = 1 / np.sqrt(1 + right**2 + down**2)  # the normal is (-right, -down, 1) times this
    seen = np.zeros((len(down), 3, size, size), np.float32)
    flat = np.zeros(3, np.float32)  # the same for an untouched, level gel under the camera
    for around, above, colour in sensor.lamps:
        a, e = np.radians([around, above])
        lx, ly, lz = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], np.float32)
        hx, hy, hz = np.array([lx, ly, lz + 1], np.float32) / np.sqrt(2 + 2 * lz)  # half-way between lamp and camera
        tint = np.array(colour, np.float32)
        shade = np.maximum(lz - right * lx - down * ly, 0) * short
        gloss = (np.maximum(hz - right * hx - down * hy, 0) * short) ** sensor.power
        near = 1 + np.float32(sensor.falloff * 2 / FIELD) * (x * np.cos(a, dtype=np.float32) + y * np.sin(a, dtype=np.float32))
        seen += ((shade + np.float32(sensor.shine) * gloss) * near)[:, None] * tint[:, None, None]
        flat += (lz + np.float32(sensor.shine) * hz**sensor.power) * tint
    ambient = 0.5 * flat
    corner = 1 - sensor.vignette * (x * x + y * y) / np.float32(FIELD**2 / 2)
    scale = np.array(sensor.level, np.float32) / (flat + ambient)
    lit: Maps = (seen + ambient[:, None, None]) * (scale[:, None, None] * corner)
    return lit if sensor.gamma == 1 else np.power(np.maximum(lit, 0), np.float32(sensor.gamma))


@cache
def _background(name: str, size: int) -> Maps:
    """What an approximated gel is like without a press: uneven paint, the same for all pictures of a sensor."""
    rng = np.random.default_rng([list(SENSORS).index(name), 4242])
    coarse = rng.normal(0, 0.05, (3, 6, 6))
    return np.asarray(np.exp(zoom(coarse, (1, size / 6, size / 6), order=3, mode="nearest", grid_mode=True)).astype(np.float32))


def _markers(sensor: Sensor, wide: Maps, size: int) -> Maps:
    """Return how much light the printed dots let through; they are dragged away from where the gel is deepest."""
    x, y = places(size)
    down, right = np.gradient(wide, FIELD / size, axis=(1, 2))
    far = np.zeros_like(wide)  # squared millimetres to the nearest dot
    for at, slope in ((x, right), (y, down)):
        cell = (at + np.float32(DRAG) * slope) / np.float32(sensor.markers)  # the dot that was printed here lies there
        far += ((cell - np.rint(cell)) * np.float32(sensor.markers)) ** 2
    soft = np.float32(max(0.08, FIELD / size / 3))
    return np.asarray(1 - 0.75 / (1 + np.exp((np.sqrt(far) - np.float32(sensor.dot)) / soft)))
