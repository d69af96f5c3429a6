"""Objects that are seen, struck and touched: a picture, the sound of a tap and the picture of a soft fingertip.

What is physical: rigid bodies and the contact force of a mallet by MuJoCo, the frequencies, shapes and decay of the bodies'
vibrations by thin-body theory, the geometry under the fingertip. What is modelled: materials' looks and losses, textures,
light, the microphone (all modes radiate alike), the gel. What is not claimed: that any sound, look or touch is that of a
real object; there are no balls, whose modes lie above hearing. It stands in for vision, audio and touch of ObjectFolder 2.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data.simulate.indent import gel_image, imprint, relief
from tuplet.data.simulate.mel import log_mel
from tuplet.data.simulate.modal import Material, ring
from tuplet.data.simulate.objects import MATERIALS, SHAPES, Thing, draw
from tuplet.data.simulate.render import Camera, physics, render
from tuplet.types import in_range, one_of

Vector = NDArray[np.float64]
RATE = 16000
"""Samples of sound a second."""
SECONDS = 0.64
MALLET = Material(1150, 3e9, 0.4, 0.0)
"""Nylon."""
TIP = 8e-3
"""Radius of the mallet, metres."""
BOUNCE = 0.5
"""Speed of parting over speed of meeting, of mallet and object: guessed, one for all materials."""
SUPPORT = 2.0
"""What threads and air take from every mode, nepers a second: guessed."""


@dataclass(frozen=True)
class Tap:
    """One object a time, seen, struck and touched ``instances`` times; one row per instance.

    Attributes:
        size: pixels of one side of both pictures.
        instances: rows per object, each from another view, light, place and strength.
        bands: of the spectrogram, which has as many columns.
        waveform: ``"keep"`` adds the sound itself as ``input.waveform``, 0.64 s at 16 kHz.
    """

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

    def episode(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Return the instances of one object.

        Columns: ``input.vision`` uint8 ``(3, size, size)``; ``input.audio`` float32 ``(bands, bands)``, natural logarithm of
        the power in mel bands, low pitch first; ``input.touch`` uint8 ``(3, size, size)``, 16 mm wide; ``target.material``
        and ``target.shape``, codes in the order of `MATERIALS` and `SHAPES`; ``strike`` float32, peak force in newtons.
        """
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


def stage(thing: Thing) -> Any:
    """Put an object and a mallet into a world without gravity, above a table.

    Args:
        thing: the object.

    Returns:
        A ``mujoco.MjData`` with the free bodies ``thing`` and ``mallet``, which touch nothing but each other.

    Example:
        >>> data = stage(draw(np.random.default_rng(0)))
        >>> data.model.nq, data.model.npair
        (14, 1)
    """
    asset, geom = thing.geom
    colour = " ".join(f"{c:.4f}" for c in thing.colour)
    text = f"""
<mujoco>
  <option gravity="0 0 0" integrator="Euler" tolerance="1e-12"><flag autoreset="disable"/></option>
  <default><geom contype="0" conaffinity="0"/></default>
  <asset>{asset}</asset>
  <worldbody>
    <geom name="table" type="plane" size="2 2 0.1" rgba="0.6 0.6 0.6 1"/>
    <body name="thing" pos="0 0 3">
      <freejoint/><geom name="thing" {geom} density="{thing.material.density}" rgba="{colour} 1"/>
    </body>
    <body name="mallet" pos="0 0 -3"><freejoint/><geom name="mallet" size="{TIP}" mass="0.015"/></body>
  </worldbody>
  <contact><pair geom1="mallet" geom2="thing" condim="1" solimp="0.95 0.95 0.001 0.5 2"/></contact>
</mujoco>"""
    mujoco = physics()
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(text))
    mujoco.mj_forward(data.model, data)
    return data


def strike(rng: np.random.Generator, thing: Thing, data: Any) -> tuple[Vector, float, Vector]:
    """Hit an object that hangs free with a mallet of 10 to 30 g at 0.5 to 2 m/s.

    Args:
        rng: where place, mass and speed come from.
        thing: the object.
        data: from `stage`; its state is overwritten.

    Returns:
        The contact force ``(n,)`` in newtons, the seconds between its values, and how strongly it moves each mode where it
        acts, ``(K,)``, kg^-1/2.

    Notes:
        MuJoCo's contact is a damped spring, set so that it lasts as long as Hertz's contact of a ball on a flat body
        would; its force follows from both bodies' motion. The object's vibration does not act back on the mallet.

    Source:
        Johnson, Contact Mechanics, 1985, section 11.4 (duration).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> thing = draw(rng)
        >>> force, step, gain = strike(rng, thing, stage(thing))
        >>> bool(force.max() > 1), force[-1] == 0, 1e-5 < len(force) * step < 1e-2
        (True, True, True)
    """
    mujoco, model, modes = physics(), data.model, thing.modes
    mass, speed = rng.uniform(0.01, 0.03), rng.uniform(0.5, 2.0)
    both = 1 / (1 / mass + 1 / modes.mass)
    soft = sum((1 - m.poisson**2) / m.young for m in (MALLET, thing.material))
    lasts = 2.87 * (both**2 * soft**2 / (TIP * speed)) ** 0.2
    loss = -math.log(BOUNCE) / math.hypot(math.pi, math.log(BOUNCE))
    pitch = math.pi / lasts / math.sqrt(1 - loss**2)
    model.opt.timestep = lasts / 64
    model.pair_solref[0] = -(pitch**2), -2 * loss * pitch
    ball = model.body("mallet").id
    model.body_inertia[ball] *= mass / model.body_mass[ball]
    model.body_mass[ball] = mass
    lay(data, place=np.array([0.0, 0.0, 3.0]), turn=np.eye(3))
    mujoco.mj_setConst(model, data)
    point, normal = site(rng, thing, data)
    data.qpos[7:10] = point + normal * (TIP + 1e-9)
    data.qvel[6:9] = -normal * speed
    force, row = [], np.zeros(6)
    while len(force) < 1000:
        mujoco.mj_step(model, data)
        pushed = 0.0
        for i in range(data.ncon):
            mujoco.mj_contactForce(model, data, i, row)
            pushed += row[0]
        force.append(pushed)
        if pushed == 0 and max(force) > 0:
            break
    lay(data, place=np.array([0.0, 0.0, 3.0]), turn=np.eye(3))
    return np.array(force), float(model.opt.timestep), modes.shape(point - [0, 0, 3]) @ -normal


def record(rng: np.random.Generator, thing: Thing, *, force: Vector, step: float, gain: Vector) -> Vector:
    """Record the sound of a strike: 0.64 s at 16 kHz, the strike after 10 to 50 ms.

    Args:
        rng: where the moment, the level and the noise come from.
        thing: what was struck.
        force: of the mallet, newtons.
        step: seconds between its values.
        gain: how strongly the force moves each mode.

    Returns:
        ``(10240,)``; the recording level puts the peak between 0.3 and 0.9, the noise lies about 60 dB below 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> thing = draw(rng)
        >>> force, step, gain = strike(rng, thing, stage(thing))
        >>> wave = record(rng, thing, force=force, step=step, gain=gain)
        >>> wave.shape, bool(abs(wave[:150]).max() < 0.01), bool(abs(wave).max() > 0.29)
        ((10240,), True, True)
    """
    modes = thing.modes.below(0.45 * RATE)
    decay = math.pi * modes.frequency * thing.material.loss + SUPPORT
    times = np.arange(int(SECONDS * RATE)) / RATE - rng.uniform(0.01, 0.05)
    heard = ring(modes, gain=gain[: len(decay)], decay=decay, force=force, step=step, times=times)
    found: Vector = heard * rng.uniform(0.3, 0.9) / max(float(np.abs(heard).max()), 1e-30)
    return found + rng.normal(0, 1e-3, len(heard))


def press(rng: np.random.Generator, thing: Thing, data: Any, *, size: int) -> NDArray[np.uint8]:
    """Press a soft optical fingertip on an object with 2 to 8 N, a little askew.

    Args:
        rng: where place, angle, force and camera noise come from.
        thing: the object.
        data: from `stage`, the object lying at (0, 0, 3).
        size: pixels of one side.

    Returns:
        uint8 ``(3, size, size)``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> thing = draw(rng)
        >>> press(rng, thing, stage(thing), size=32).shape
        (3, 32, 32)
    """
    point, normal = site(rng, thing, data)
    out = normal + rng.normal(0, 0.02, 3)
    out /= np.linalg.norm(out)
    right = np.cross(rng.normal(size=3), out)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(out, right), out])
    height = relief(data, body="thing", texture=thing.texture, point=point, axes=axes, size=size)
    seen = gel_image(imprint(height, force=rng.uniform(2, 8)))
    noisy: NDArray[np.uint8] = np.clip(seen + rng.normal(0, 2, seen.shape) + 0.5, 0, 255).astype(np.uint8)
    return noisy


def look(rng: np.random.Generator, thing: Thing, data: Any, *, size: int) -> NDArray[np.uint8]:
    """Photograph an object on a table, from 25 to 60 degrees above it, under one lamp.

    Args:
        rng: where pose, view, light and the table's colour come from.
        thing: the object.
        data: from `stage`.
        size: pixels of one side.

    Returns:
        uint8 ``(3, size, size)``: Lambert's cosine and shadows by `render`, then the texture as a stain where pixels are fine
        enough to show it, and a highlight.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> thing = draw(rng)
        >>> look(rng, thing, stage(thing), size=32).shape
        (3, 32, 32)
    """
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
    frame = render(data, camera=camera, lamp=lamp, ambient=rng.uniform(0.3, 0.5))
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


def site(rng: np.random.Generator, thing: Thing, data: Any) -> tuple[Vector, Vector]:
    """Choose where to strike or touch: what a ray from outside meets first.

    Args:
        rng: where the ray comes from.
        thing: the object.
        data: from `stage`, the object lying at (0, 0, 3) with its own axes.

    Returns:
        Point and outward unit normal, ``(3,)`` each, in the world. Cups and bowls are met from outside, plates from above or
        below, the others from their sides.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> thing = draw(rng)
        >>> point, normal = site(rng, thing, stage(thing))
        >>> round(float(np.linalg.norm(normal)), 6)
        1.0
    """
    s, around = thing.size, rng.uniform(0, 2 * math.pi)
    aim, towards = np.zeros(3), np.array([math.cos(around), math.sin(around), rng.uniform(-0.2, 0.2)])
    if thing.shape == "bowl":
        aim[2], towards[2] = s[0], -rng.uniform(0.02, 0.8)
    elif thing.shape == "cup":
        aim[2] = s[1] * rng.uniform(0.35, 0.98)
        towards[2] = 0.0
    elif thing.shape == "plate":
        aim[:2] = np.array(s[:2]) * rng.uniform(-0.49, 0.49, 2)
        towards = np.array([*(0.2 * towards[:2]), rng.choice([-1.0, 1.0])])
    else:
        aim[2] = s[1 if thing.shape != "bar" else 2] * rng.uniform(-0.49, 0.49)
        if thing.shape == "bar":  # nobody strikes its narrow side
            towards[1] = math.copysign(2.0, towards[1])
    towards /= np.linalg.norm(towards)
    start = data.body("thing").xpos + aim + towards
    ids, distance, normal = np.full(1, -1, dtype=np.int32), np.full(1, -1.0), np.zeros(3)
    physics().mj_multiRay(data.model, data, start, -towards, None, True, -1, ids, distance, normal, 1, 2.0)
    if ids[0] != data.model.geom("thing").id:
        raise ArithmeticError(f"a ray past a {thing.shape} of size {s}")
    return start - distance[0] * towards, normal


def lay(data: Any, *, place: Vector, turn: Vector) -> None:
    """Put the object somewhere, at rest, and the mallet out of sight.

    Args:
        data: from `stage`.
        place: ``(3,)``, metres.
        turn: ``(3, 3)``, from the object's axes to the world's.

    Example:
        >>> data = stage(draw(np.random.default_rng(0)))
        >>> lay(data, place=np.ones(3), turn=np.eye(3))
        >>> data.body("thing").xpos.tolist()
        [1.0, 1.0, 1.0]
    """
    mujoco = physics()
    data.qpos[:3], data.qpos[7:14] = place, [0, 0, -3, 1, 0, 0, 0]
    mujoco.mju_mat2Quat(data.qpos[3:7], np.ascontiguousarray(turn, dtype=np.float64).reshape(9))
    data.qvel[:] = 0
    mujoco.mj_forward(data.model, data)


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
    found: Vector = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found
