"""Tap: an object is seen, struck and touched; which sound and which touch belong to which view?

A simulated stand-in for vision, audio and touch of ObjectFolder 2.0; figures compare with each other only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_table
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.indent import gel_image, imprint, relief
from tuplet.simulators.modal import ring
from tuplet.simulators.objects import MATERIALS, SHAPES, Thing, draw
from tuplet.simulators.render import Camera, about, render
from tuplet.simulators.sound import WINDOW, log_mel
from tuplet.simulators.stage import lay, site, stage, strike
from tuplet.types import Kind, in_range, one_of

Vector = NDArray[np.float64]
RATE = 16000
"""Samples of sound a second."""
SECONDS = 0.64
SUPPORT = 2.0
"""What threads and air take from every mode, nepers a second: guessed."""


def load(
    *,
    episodes: int = 120,
    seed: int = 0,
    size: int = 64,
    instances: int = 10,
    bands: int = 64,
    waveform: Literal["drop", "keep"] = "drop",
    workers: int | None = None,
) -> Source:
    """Simulate the objects, or find them in the cache, and split them 8:1:1 by object.

    Args:
        episodes: objects; few of them may lack a material or shape, which is refused.
        seed: of the objects and of the split.
        size: pixels of one side of both pictures.
        instances: rows per object, each another view, strike and press.
        bands: of the spectrogram, which has as many columns; at most 64.
        waveform: ``"keep"`` adds the sound itself as a fourth modality.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) and ``touch`` (3, size, size) in [0, 1], ``audio`` (bands, bands), and
        ``waveform`` (10240) when kept; targets ``material`` and ``shape``, six classes each; group = object, the relevance
        for retrieval. The object is no target, since the objects of the test part are new.

    Raises:
        InputError: if a number is out of range, a class is absent from the training part, or MuJoCo is not installed.

    Notes:
        Physical: rigid bodies and the mallet's contact force by MuJoCo; frequencies, shapes and decay of the bodies'
        vibrations by thin-body theory; perspective and geometry of what is seen and felt. Modelled: materials that are
        alike in all directions (wood is not), their looks, textures and losses (guessed), light, a microphone that hears
        all modes alike and sets its level by the peak, a gel of springs with three lamps. Not claimed: that a sound, look
        or touch is that of a real object; there are no balls, whose modes lie above hearing.

        Views of one object share its colour, sounds its pitches, touches its texture; view and sound share material, shape
        and size, touch and sound the material and some of the shape, which need not tell two objects apart.

    Source:
        Names and split: R. Gao et al., ObjectFolder 2.0, 2022.

    Example:
        >>> source = load(episodes=40, instances=1, size=8, seed=1)
        >>> {k: m.shape for k, m in source.modalities.items()}, len(source.val), len(source.test)
        ({'audio': (64, 64), 'touch': (3, 8, 8), 'vision': (3, 8, 8)}, 6, 4)
    """
    scene = Tap(size=size, instances=instances, bands=bands, waveform=waveform)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    rates = {"audio": (bands - 1) / (SECONDS - WINDOW)} | ({"waveform": float(RATE)} if waveform == "keep" else {})
    kinds: dict[str, Kind] = {"audio": "signal"}  # bands are channels in time
    return from_table(file, fractions=(0.8, 0.1, 0.1), seed=seed, rates=rates, kinds=kinds)


@dataclass(frozen=True)
class Tap:
    """One object a time, seen, struck and touched ``instances`` times; one row per instance."""

    name: ClassVar[str] = "tap"
    version: ClassVar[int] = 1
    size: int = 64
    instances: int = 10
    bands: int = 64
    waveform: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        in_range("size", self.size, 8)
        in_range("instances", self.instances, 1)
        in_range("bands", self.bands, 1, 65)
        one_of("waveform", self.waveform, ("drop", "keep"))

    @property
    def about(self) -> dict[str, str]:
        """Return title, origin, units and classes."""
        return about(
            "Objects seen, struck and touched (simulated)",
            vision="red, green, blue, 0 to 1",
            audio="natural logarithm of power",
            touch="red, green, blue, 0 to 1",
            waveform="full scale",
            classes={"material": sorted(MATERIALS), "shape": SHAPES},
        )

    def episode(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Return the instances of one object."""
        thing = draw(rng)
        data = stage(thing)
        rows: dict[str, list[Any]] = {k: [] for k in ("vision", "audio", "touch", "waveform", "strike")}
        for _ in range(self.instances):
            rows["vision"].append(look(rng, thing, data, size=self.size))
            force, step, gain = strike(rng, thing, data)
            wave = record(rng, thing, force=force, step=step, gain=gain)
            rows["strike"].append(force.max())
            rows["audio"].append(log_mel(wave, rate=RATE, bands=self.bands, frames=self.bands))
            rows["waveform"].append(wave.astype(np.float32))
            rows["touch"].append(press(rng, thing, data, size=self.size))
        columns = {f"input.{k}": np.stack(rows[k]) for k in ("vision", "audio", "touch")}
        if self.waveform == "keep":
            columns["input.waveform"] = np.stack(rows["waveform"])
        return columns | {
            "target.material": np.full(self.instances, sorted(MATERIALS).index(thing.kind), dtype=np.int64),
            "target.shape": np.full(self.instances, SHAPES.index(thing.shape), dtype=np.int64),
            "strike": np.array(rows["strike"], dtype=np.float32),
        }


def record(rng: np.random.Generator, thing: Thing, *, force: Vector, step: float, gain: Vector) -> Vector:
    """Record the sound of a strike: 0.64 s at 16 kHz, the strike after 10 to 50 ms."""
    modes = thing.modes.below(0.45 * RATE)
    decay = math.pi * modes.frequency * thing.material.loss + SUPPORT
    times = np.arange(int(SECONDS * RATE)) / RATE - rng.uniform(0.01, 0.05)
    heard = ring(modes, gain=gain[: len(decay)], decay=decay, force=force, step=step, times=times)
    found: Vector = heard * rng.uniform(0.3, 0.9) / max(float(np.abs(heard).max()), 1e-30)
    return found + rng.normal(0, 1e-3, len(heard))


def press(rng: np.random.Generator, thing: Thing, data: Any, *, size: int) -> NDArray[np.uint8]:
    """Press a soft optical fingertip on an object with 2 to 8 N, a little askew."""
    point, normal = site(rng, thing, data)
    out = normal + rng.normal(0, 0.02, 3)
    out /= np.linalg.norm(out)
    right = np.cross(rng.normal(size=3), out)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(out, right), out])
    height = relief(data, body="thing", texture=thing.texture, point=point, axes=axes, size=size)
    seen = gel_image(imprint(height, force=rng.uniform(2, 8)))
    return np.asarray(np.clip(seen + rng.normal(0, 2, seen.shape) + 0.5, 0, 255).astype(np.uint8))


def look(rng: np.random.Generator, thing: Thing, data: Any, *, size: int) -> NDArray[np.uint8]:
    """Photograph an object on a table, from 25 to 60 degrees above it, under one lamp."""
    up, middle = _rest(rng, thing)
    yaw = rng.uniform(0, 2 * math.pi)
    spin = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    lay(data, place=np.array([*rng.uniform(-0.02, 0.02, 2), middle]), turn=spin @ up)
    data.model.geom("table").rgba[:3] = rng.uniform(0.35, 0.75) * rng.uniform(0.8, 1.15, 3)
    above, around, far = math.radians(rng.uniform(25, 60)), rng.uniform(0, 2 * math.pi), rng.uniform(0.42, 0.52)
    flat = far * math.cos(above)
    eye = (flat * math.cos(around), flat * math.sin(around), far * math.sin(above) + 0.02)
    lamp = (*rng.uniform(-0.8, 0.8, 2).tolist(), rng.uniform(0.8, 1.6))
    camera = Camera(eye=eye, target=(0.0, 0.0, 0.02), fov=36.0, size=size)
    frame = render(data, camera=camera, lamp=lamp, ambient=rng.uniform(0.3, 0.5), shadows="cast")
    mine = frame.ids == data.model.geom("thing").id
    points = np.asarray(eye) + frame.depth[mine, None] * camera.rays[mine]
    body = data.body("thing")
    pixel = 2 * far * math.tan(math.radians(camera.fov / 2)) / size
    rough = thing.texture.height((points - body.xpos) @ body.xmat.reshape(3, 3), blur=pixel)
    middle_way = _unit(np.asarray(lamp) - points) + _unit(np.asarray(eye) - points)
    shine = thing.shine * np.maximum(0, (frame.normals[mine] * _unit(middle_way)).sum(axis=1)) ** 40
    colour = frame.rgb[mine] * (1 + 0.35 * np.clip(rough / 1e-4, -1, 1))[:, None] + 255 * shine[:, None]
    picture = frame.rgb.copy()
    picture[mine] = np.clip(colour + 0.5, 0, 255).astype(np.uint8)
    lay(data, place=np.array([0.0, 0.0, 3.0]), turn=np.eye(3))
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def _rest(rng: np.random.Generator, thing: Thing) -> tuple[Vector, float]:
    """Return how the object lies on the table: its rotation and the height of its own origin."""
    s = thing.size
    if thing.shape == "plate":
        return np.eye(3), s[2] / 2
    if thing.shape in ("cup", "bowl"):
        over = np.diag([1.0, -1.0, -1.0]) if rng.random() < 0.5 else np.eye(3)
        return over, 0.0 if over[2, 2] > 0 else s[1] if thing.shape == "cup" else s[0]
    return np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), s[1] / 2 if thing.shape == "bar" else s[0]


def _unit(vectors: Vector) -> Vector:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
