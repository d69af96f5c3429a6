"""Push: a finger pushes a puck over a table; where is the puck one step later?

A simulated stand-in for MuJoCo Push: names and shapes of the modalities are those of the published tables, the rest is the
library's own, so figures compare with each other only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.episodes import Columns, episode_table
from tuplet.simulators.render import BRIGHTNESS, Camera, about, glide, grey, quaternion, render, world
from tuplet.types import InputError, in_range

STEP = 0.05
"""Seconds from one picture to the next."""
SUBSTEPS = 20
TRIALS = 20
CAMERA = Camera(eye=(0.0, -0.5, 0.62), target=(0.0, 0.01, 0.02), fov=34.0)
TABLE = 0.28
"""Half the side of the table, metres."""
REACH = 0.15
"""A stroke ends when the puck's middle is further than this from the middle of the table and leaves, metres."""
HOVER, LOW = 0.085, 0.016
"""Height of the fingertip's middle above the table between strokes and while pushing, metres."""
SCALING: dict[str, Scaling] = {"force": "channels", "pose": "channels"}
RATES = dict.fromkeys(("force", "pose", "vision"), 1 / STEP)


def load(
    *,
    episodes: int = 400,
    seed: int = 0,
    size: int = 32,
    history: int = 32,
    stride: int = 4,
    horizon: int = 1,
    workers: int | None = None,
) -> Source:
    """Simulate the episodes, or find them in the cache, and split them 60/20/20 by episode.

    Args:
        episodes: each gives 8 rows with the other settings left as they are.
        seed: of the episodes and of the split.
        size: pixels of one side of the picture.
        history: steps of a window, 20 a second.
        stride: steps from one window to the next.
        horizon: steps from the end of the window to the position to predict.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (history, size, size) grey in [0, 1], ``force`` (history, 6), ``pose`` (history, 7); target
        ``position`` (2), metres; group = episode.

    Raises:
        InputError: if a number is out of range or MuJoCo is not installed.

    Notes:
        Physical: rigid bodies, Coulomb friction, contact forces, the compliance of the finger, exact timing. Modelled: the
        strokes (towards the puck's middle, with a wandering heading), flat colours, one lamp, no sensor noise. Not claimed:
        the robot, objects, policy or numbers of MuJoCo Push, nor the looks of any real table.

        Friction, mass, radius, speed, colours and light are drawn per episode; one in which the finger misses is drawn
        again. The fingertip is near the puck for much of the time, so ``pose`` alone predicts much of the position: compare
        with single modalities. Windows of one episode overlap and share one scene, hence the split by episode.

    Source:
        Shapes: MuJoCo Push as in M. A. Lee et al., Multimodal Sensor Fusion with Differentiable Filters, 2020; the window
        of 32 steps and the next-step target are guessed from published tables, since no public code has them.

    Example:
        >>> source = load(episodes=6, size=8)
        >>> source.modalities["force"].shape, source.targets["position"].size, len(source.train)
        ((32, 6), 2, 32)
    """
    scene = Push(size=size, history=history, stride=stride, horizon=horizon, steps=history + 32 + horizon - 1)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates=RATES)


@dataclass(frozen=True)
class Push:
    """Strokes of a finger against a puck; one row per window of ``history`` steps, 20 steps a second."""

    name: ClassVar[str] = "push"
    version: ClassVar[int] = 1
    size: int = 32
    history: int = 32
    stride: int = 4
    horizon: int = 1
    steps: int = 64

    def __post_init__(self) -> None:
        for argument in ("size", "history", "stride", "horizon"):
            in_range(argument, getattr(self, argument), 1)
        if self.steps < self.history + self.horizon:
            raise InputError(f"steps is {self.steps}, expected at least history + horizon = {self.history + self.horizon}")

    @property
    def about(self) -> dict[str, str]:
        """Return title, origin, units and classes."""
        return about(
            "A finger pushes a puck (simulated)",
            vision="brightness, 0 to 1",
            force="N and N m",
            pose="m and unit quaternion",
            position="m",
        )

    def episode(self, rng: np.random.Generator) -> Columns:
        """Return the windows of one episode in which the finger touches the puck."""
        last = np.arange(self.history - 1, self.steps - self.horizon, self.stride)
        window = last[:, None] + np.arange(1 - self.history, 1)
        for _ in range(TRIALS):  # a stroke may miss: then all is drawn anew
            track = _track(rng, self)
            if track["contact"][window].any():
                break
        else:
            raise InputError(f"steps is {self.steps}, too few for the finger to reach the puck; give 64")
        return {
            "input.vision": track["vision"][window],
            "input.force": track["force"][window],
            "input.pose": track["pose"][window],
            "target.position": track["position"][last + self.horizon],
            "contact": track["contact"][window].mean(axis=1, dtype=np.float32),
            "friction": track["friction"][last],
            "mass": track["mass"][last],
        }


def scene(*, radius: float, mass: float, friction: float, colours: NDArray[np.float64]) -> str:
    """Return the scene as MJCF: a table, a puck at its middle, and the finger above."""
    brighter = (colours[1] - colours[0]) @ BRIGHTNESS > 0
    disc = 1 - 0.6 * (1 - colours[1]) if brighter else 0.6 * colours[1]  # on the puck, further still from the table
    table, puck, finger, top = (" ".join(f"{c:.4f}" for c in row) + " 1" for row in (*colours, disc))
    return f"""
<mujoco>
  <option timestep="{STEP / SUBSTEPS}" integrator="implicitfast" cone="elliptic" impratio="10">
    <flag autoreset="disable"/>
  </option>
  <default>
    <geom friction="0.01 0.001 0.0001" condim="4"/>
    <default class="seen"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="slide"><joint type="slide" damping="2" armature="0.1"/><position kp="1500" kv="80"/></default>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="{TABLE} {TABLE} 0.1" rgba="{table}"/>
    <geom class="seen" type="plane" size="3 3 0.1" pos="0 0 -0.4" rgba="0.42 0.44 0.47 1"/>
    <body name="puck" pos="0 0 0.02">
      <freejoint name="puck"/>
      <geom name="puck" type="cylinder" size="{radius} 0.02" mass="{mass}" friction="{friction} 0.001 0.0001"
        rgba="{puck}"/>
      <geom class="seen" type="cylinder" size="{0.55 * radius} 0.0215" rgba="{top}"/>
    </body>
    <body name="wrist" gravcomp="1">
      <joint name="x" class="slide" axis="1 0 0"/>
      <joint name="y" class="slide" axis="0 1 0"/>
      <joint name="z" class="slide" axis="0 0 1"/>
      <geom class="seen" type="cylinder" size="0.03 0.014" pos="0 0 0.15" mass="0.5" rgba="0.85 0.86 0.88 1"/>
      <body name="hand" pos="0 0 0.13" gravcomp="1">
        <joint name="tilt_x" axis="1 0 0" stiffness="3" damping="0.08" armature="0.002"/>
        <joint name="tilt_y" axis="0 1 0" stiffness="3" damping="0.08" armature="0.002"/>
        <joint name="yaw" axis="0 0 1" damping="0.02" armature="0.002"/>
        <geom class="seen" type="box" size="0.03 0.012 0.012" mass="0.1" rgba="0.55 0.57 0.6 1"/>
        <body name="finger">
          <site name="wrist" pos="0 0 -0.012"/>
          <geom name="finger" type="capsule" fromto="0 0 -0.02 0 0 -0.13" size="0.012" mass="0.08" rgba="{finger}"/>
          <site name="tip" pos="0 0 -0.13"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position class="slide" joint="x"/><position class="slide" joint="y"/><position class="slide" joint="z"/>
    <position joint="yaw" kp="2" kv="0.1"/>
  </actuator>
  <sensor><force site="wrist"/><torque site="wrist"/></sensor>
</mujoco>"""


def _track(rng: np.random.Generator, push: Push) -> Columns:
    """Return one value per step of everything that is recorded."""
    friction, mass, radius = rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.5), rng.uniform(0.032, 0.046)
    text = scene(radius=radius, mass=mass, friction=friction, colours=_colours(rng))
    data = world(text)
    lamp = (*rng.uniform(-1, 1, size=2), rng.uniform(1, 2))
    ambient = rng.uniform(0.3, 0.55)
    data.qpos[:2] = rng.uniform(-0.1, 0.1, size=2)
    data.qpos[7:10] = data.ctrl[:3] = [*rng.uniform(-0.2, 0.2, size=2), HOVER]
    policy = _strokes(rng, data, radius)
    camera = replace(CAMERA, size=push.size)
    sensed, pair = np.empty((SUBSTEPS, 6)), {data.model.geom("puck").id, data.model.geom("finger").id}
    tip = data.site("tip")
    kept: dict[str, list[Any]] = {k: [] for k in ("vision", "force", "pose", "position", "contact")}
    for _ in range(push.steps):
        touched = False
        for k in glide(data, next(policy), SUBSTEPS):
            sensed[k] = data.sensordata
            touched = touched or any(set(two) == pair for two in data.contact.geom.tolist())
        kept["vision"].append(grey(render(data, camera=camera, lamp=lamp, ambient=ambient, shadows="cast").rgb))
        kept["force"].append(sensed.mean(axis=0))
        kept["pose"].append([*tip.xpos, *quaternion(tip.xmat)])
        kept["position"].append(data.body("puck").xpos[:2].copy())
        kept["contact"].append(touched)
    columns = {k: np.array(v) for k, v in kept.items()}
    columns |= {k: columns[k].astype(np.float32) for k in ("force", "pose", "position")}
    return columns | {k: np.full(push.steps, v, dtype=np.float32) for k, v in (("friction", friction), ("mass", mass))}


def _strokes(rng: np.random.Generator, data: Any, radius: float) -> Iterator[NDArray[np.float64]]:
    """Yield the next command (x, y, z, yaw): go above, lower behind the puck, push after its middle, lift, again."""
    puck, command = data.body("puck").xpos, data.ctrl.copy()
    middle = data.qpos[:2].copy()
    while True:
        inward = math.atan2(-middle[1], -middle[0])
        heading = inward + rng.uniform(-1, 1) * (math.pi if np.hypot(*middle) < 0.05 else 1.0)
        speed, wander, drift = rng.uniform(0.06, 0.2), rng.normal(0, 0.25), rng.normal(0, 0.04)
        command[3] = rng.uniform(-1, 1)
        behind = middle - (radius + 0.012 + rng.uniform(0.008, 0.03)) * np.array([math.cos(heading), math.sin(heading)])
        for place, height, step in ((behind, HOVER, 0.025), (behind, LOW, 0.03)):
            goal = np.array([*place, height])
            while (far := np.linalg.norm(goal - command[:3])) > 1e-9:
                command[:3] += (goal - command[:3]) * min(1.0, step / far)
                yield command
        for _ in range(int(rng.integers(15, 45))):
            middle = puck[:2].copy()
            ahead = middle - command[:2]
            angle = math.atan2(ahead[1], ahead[0]) + wander
            wander += drift - 0.1 * wander
            command[:2] += speed * STEP * np.array([math.cos(angle), math.sin(angle)])
            yield command
            if np.hypot(*puck[:2]) > REACH and puck[:2] @ ahead > 0:
                break
        middle = puck[:2].copy()
        while command[2] < HOVER:
            command[2] = min(HOVER, command[2] + 0.03)
            yield command


def _colours(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the colours of table, puck and finger until each differs in brightness from the puck."""
    while True:
        colours = np.stack(
            [rng.uniform(0.45, 0.95) * rng.uniform(0.75, 1, 3), rng.uniform(0.05, 1, 3), rng.uniform(0.1, 0.4) + np.zeros(3)]
        )
        bright = colours @ BRIGHTNESS
        if abs(bright[1] - bright[0]) > 0.25 and abs(bright[1] - bright[2]) > 0.15:
            return colours
