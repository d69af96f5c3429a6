"""What is touched: objects with a texture, the relief that a press meets, and how the same surface looks to a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Maps = NDArray[np.floating]
"""float32 in practice: maps are ``(B, S, S)``."""
FAMILIES = ("smooth", "grating", "weave", "dots", "pebble", "ridges")
FIELD = 14.16
"""Millimetres along a side of the gel that is seen: 480 pixels of the calibrated sensors, .0295 mm each."""
MARGIN = 8
"""One in so many pixels is added on each side, so that blurring in the Fourier domain meets no edge."""
CELLS = 16
"""Pebbles repeat after so many."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: what a touch can tell of it; lengths in millimetres."""

    family: str
    rough: bool
    hard: bool
    wave: float
    relief: float
    grain: float
    body: float


@dataclass(frozen=True, slots=True)
class Contact:
    """One press of an object, and one photograph of it; everything here but the object is nuisance."""

    thing: Thing
    pose: tuple[float, float, float]
    centre: tuple[float, float]
    depth: float
    view: tuple[float, float, float]
    zoom: float
    lamp: tuple[float, float]
    colours: NDArray[np.float64]
    shine: float
    cells: Maps
    grain: Maps
    dust: Maps


def draw_thing(seed: int, number: int) -> Thing:
    """Draw an object; each 24 in a row have every family, roughness and hardness once."""
    kinds = len(FAMILIES) * 4
    kind = int(np.random.default_rng([seed, 0, number // kinds]).permutation(kinds)[number % kinds])
    rng = np.random.default_rng([seed, 1, number])
    rough, hard = bool(kind // len(FAMILIES) % 2), kind // len(FAMILIES) >= 2
    return Thing(
        family=FAMILIES[kind % len(FAMILIES)],
        rough=rough,
        hard=hard,
        wave=float(np.exp(rng.uniform(np.log(1.3), np.log(3.4)))),
        relief=float(rng.uniform(0.18, 0.34)),
        grain=float(rng.uniform(0.045, 0.075) if rough else rng.uniform(0.0, 0.012)),
        body=float(rng.uniform(18, 40)),
    )


def draw_contact(thing: Thing, rng: np.random.Generator, size: int) -> Contact:
    """Draw a press and a photograph of an object."""
    side = padded(size)

    def pose() -> tuple[float, float, float]:
        return float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, CELLS)), float(rng.uniform(0, CELLS))

    return Contact(
        thing=thing,
        pose=pose(),
        centre=(float(rng.uniform(-1.8, 1.8)), float(rng.uniform(-1.8, 1.8))),
        depth=float(rng.uniform(0.7, 1.3)),
        view=pose(),
        zoom=float(rng.uniform(0.8, 1.3)),
        lamp=(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.5, 1.0))),
        colours=rng.uniform(0.25, 0.95, (2, 3)),
        shine=float(np.clip(0.25 + 0.2 * thing.hard + rng.normal(0, 0.15), 0, 1)),
        cells=rng.uniform(-0.4, 0.4, (CELLS, CELLS, 2)).astype(np.float32),
        grain=rng.standard_normal((side, side), dtype=np.float32),
        dust=rng.standard_normal((side, side), dtype=np.float32),
    )


def padded(size: int) -> int:
    """Return the side with its margins."""
    return size + 2 * -(-size // MARGIN)


def places(size: int) -> tuple[Maps, Maps]:
    """Return x (to the right) and y (down) of the pixels with margins, millimetres from the middle, ``(S, S)``."""
    at = (np.arange(padded(size)) - (padded(size) - 1) / 2) * FIELD / size
    y, x = np.meshgrid(at, at, indexing="ij")
    return x.astype(np.float32), y.astype(np.float32)


def frequencies(size: int) -> Maps:
    """Return cycles per millimetre of the half spectrum of a map with margins, ``(S, S // 2 + 1)``."""
    side, step = padded(size), FIELD / size
    return np.asarray(np.hypot(fft.fftfreq(side, step)[:, None], fft.rfftfreq(side, step)).astype(np.float32))


def blurred(maps: Maps, cycles: Maps, sigma: float | Maps) -> Maps:
    """Blur maps ``(B, S, S)`` by a Gaussian of ``sigma`` millimetres, one number or one for each map."""
    return _back(fft.rfft2(maps) * np.exp(-2 * (np.pi * sigma * cycles) ** 2, dtype=np.float32))


def _back(spectrum: NDArray[np.complex64]) -> Maps:
    return np.asarray(fft.irfft2(spectrum, s=(spectrum.shape[-2],) * 2))


def column(values: Sequence[float]) -> Maps:
    """Return one number for each map, ``(B, 1, 1)``."""
    return np.asarray(values, np.float32)[:, None, None]


def pattern(contacts: Sequence[Contact], turns: Sequence[tuple[float, float, float]], scale: Maps | float, size: int) -> Maps:
    """Return the texture's height in 0 .. 1, ``(B, S, S)``: turned, moved, ``scale`` times as large."""
    x, y = places(size)
    turn, first, second = (column(v) for v in zip(*turns, strict=True))
    wave = column([c.thing.wave for c in contacts]) * scale
    u = (np.cos(turn) * x + np.sin(turn) * y) / wave + first  # in periods, (B, S, S)
    v = (np.cos(turn) * y - np.sin(turn) * x) / wave + second
    height = np.ones_like(u)
    for family in FAMILIES[1:]:
        rows = [i for i, c in enumerate(contacts) if c.thing.family == family]
        if rows:
            height[rows] = _height(family, u[rows], v[rows], np.stack([contacts[i].cells for i in rows]))
    return height


def _height(family: str, u: Maps, v: Maps, cells: Maps) -> Maps:
    """Return the height of one family at places in periods, 0 .. 1."""
    pi, height = np.float32(np.pi), u
    if family == "grating":  # flat bars with steep flanks
        height = 0.5 + 0.5 * np.tanh(2.5 * np.sin(2 * pi * u))
    elif family == "ridges":  # round ridges that meander, as on a finger
        bent = u + 0.3 * np.sin(2 * pi * v / 3.3) + 0.15 * np.sin(2 * pi * v / 1.9 + 1)
        height = np.abs(np.cos(pi * bent))
    elif family == "weave":  # two sets of threads, each over and under the other in turn
        across, along = np.cos(pi * u), np.cos(pi * v)
        over = np.abs(across) * (0.6 + 0.4 * np.sign(across) * along)
        height = np.maximum(over, np.abs(along) * (0.6 - 0.4 * np.sign(along) * across))
    elif family == "dots":  # domes on a square lattice
        height = np.sqrt(np.maximum(1 - ((u - np.rint(u)) ** 2 + (v - np.rint(v)) ** 2) / 0.36**2, 0))
    else:
        height = _pebbles(u, v, cells)
    return height


def _pebbles(u: Maps, v: Maps, cells: Maps) -> Maps:
    """Return domes around the nearest stone, of which each cell has one, moved from the cell's middle."""
    i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    u, v = u - i.astype(np.float32), v - j.astype(np.float32)
    stones = (cells[..., 0] + 1j * cells[..., 1] + (0.5 + 0.5j)).astype(np.complex64).ravel()
    first = np.arange(len(u), dtype=np.int32)[:, None, None] * CELLS**2
    near = np.full_like(u, 9.0)  # squared distance to the nearest stone so far
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            moved = stones[first + (i + di) % CELLS * CELLS + (j + dj) % CELLS]  # from the corner of the own cell
            du, dv = moved.real + np.float32(di) - u, moved.imag + np.float32(dj) - v
            near = np.minimum(near, du * du + dv * dv)
    return np.asarray(np.sqrt(np.maximum(1 - near / np.float32(0.65**2), 0)))


def _surface(contacts: Sequence[Contact], height: Maps, noise: Maps, cycles: Maps) -> Maps:
    """Return relief and grain in millimetres, the highest parts near 0; what is soft gives way to the gel."""
    hard = np.array([c.thing.hard for c in contacts])
    relief = column([c.thing.relief for c in contacts]) * (height - 1)
    band = np.exp(-(((cycles - 0.85) / 0.25) ** 2))  # grains of about 1.2 mm
    band *= np.sqrt(noise[0].size / (2 * np.sum(band**2)))  # the map then has standard deviation 1
    grain = column([c.thing.grain for c in contacts]) * band
    give = np.exp(-2 * (np.pi * column(np.where(hard, 0.06, 0.17).tolist()) * cycles) ** 2)
    return _back((fft.rfft2(relief) + fft.rfft2(noise) * grain) * give)


def press(contacts: Sequence[Contact], size: int) -> Maps:
    """Return how far every point of the object would stand above a flat gel, millimetres ``(B, S, S)``; negative: apart."""
    x, y = places(size)
    height = pattern(contacts, [c.pose for c in contacts], 1.0, size)
    surface = _surface(contacts, height, np.stack([c.grain for c in contacts]), frequencies(size))
    (cx, cy), depth = (column(v) for v in zip(*(c.centre for c in contacts), strict=True)), [c.depth for c in contacts]
    body = column([c.thing.body for c in contacts])
    return np.asarray(column(depth) + surface - ((x - cx) ** 2 + (y - cy) ** 2) / (2 * body))


def photographs(contacts: Sequence[Contact], size: int) -> Maps:
    """Return colour pictures of the same objects under one lamp, ``(B, 3, size, size)`` in 0 .. 1."""
    step, edge = FIELD / size, -(-size // MARGIN)
    zoom = column([c.zoom for c in contacts])
    height = pattern(contacts, [c.view for c in contacts], zoom, size)
    surface = _surface(contacts, height, np.stack([c.dust for c in contacts]), frequencies(size))
    down, right = np.gradient(surface, step, axis=(1, 2))
    across, up = (column(v) for v in zip(*(c.lamp for c in contacts), strict=True))
    toward = -(np.cos(across) * right + np.sin(across) * down)
    length = np.sqrt(1 + right**2 + down**2)
    light = np.maximum((toward * np.cos(up) + np.sin(up)) / length, 0)
    half = (toward * np.cos(up) + np.sin(up) + 1) / (length * np.sqrt(2 + 2 * np.sin(up)))  # cosine to the half vector
    gloss = column([c.shine for c in contacts]) * np.maximum(half, 0) ** 30
    tones = np.stack([c.colours for c in contacts]).astype(np.float32)[..., None, None]  # (B, 2, 3, 1, 1)
    paint = tones[:, 0] + 0.4 * (tones[:, 1] - tones[:, 0]) * height[:, None]
    picture = paint * (0.3 + 0.7 * light)[:, None] + 0.35 * gloss[:, None]
    return np.asarray(np.clip(picture[..., edge : edge + size, edge : edge + size], 0, 1))
