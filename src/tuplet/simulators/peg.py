"""Peg: a gripper inserts a peg into a hole; will it touch, and how will it be turned, one step later?

A simulated stand-in for Vision & Touch: names and shapes of the modalities are those of the published tables, the rest is
the library's own, so figures compare with each other only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.episodes import Columns, episode_table
from tuplet.simulators.render import Camera, Frame, about, flow, glide, physics, quaternion, render, world
from tuplet.types import in_range, one_of

STEP = 0.05
"""Seconds from one row to the next; physics and force run at 1 kHz."""
SUBSTEPS = 50
HISTORY = 32
"""Force readings in a row: the last 32 ms."""
SIDE = 0.010
"""Half the side of the peg, metres."""
CLEARANCE = 0.0012
"""How much wider the hole is than the peg, metres."""
DEEP = 0.03
"""Thickness of the plate with the hole, metres."""
REACH = 0.11
"""From the peg's tip up to the joints of the gripper, metres."""
PLATE = 0.05
"""Half the side of the plate, metres."""
CAMERA = Camera(eye=(0.13, -0.2, 0.24), target=(0.0, 0.0, 0.058), fov=40.0)
SCALING: dict[str, Scaling] = {"force": "channels"}
RATES = {"force": SUBSTEPS / STEP}


def load(
    *,
    episodes: int = 60,
    seed: int = 0,
    size: int = 64,
    steps: int = 50,
    every: int = 1,
    appearance: Literal["step", "trajectory"] = "step",
    workers: int | None = None,
) -> Source:
    """Simulate the trajectories, or find them in the cache, and split them 60/20/20 by trajectory.

    Args:
        episodes: trajectories; each gives ``steps - 2`` rows, over ``every``.
        seed: of the trajectories and of the split.
        size: pixels of one side of the pictures; 128 in the published tables.
        steps: steps of a trajectory, 20 a second.
        every: one row in so many steps; rows of one trajectory are alike.
        appearance: when colours and light are drawn: at every ``"step"`` or once a ``"trajectory"``.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) in [0, 1], ``depth`` (1, size, size), ``flow`` (2, size, size), ``force``
        (32, 6), ``pose`` (7); targets ``contact`` (free or contact, within the next step) and ``orientation`` (4, the unit
        quaternion after it); group = trajectory. The file also holds ``inserted`` and ``pose.raw``.

    Raises:
        InputError: if a number is out of range, appearance is another word, or MuJoCo is not installed.

    Notes:
        Physical: rigid contact with friction, a gripper that gives way in six degrees of freedom, wrist force at 1 kHz,
        exact depth and flow (kept as float16), a square hole 1.2 mm wider than the peg. Modelled: the search (descend,
        spiral while pressing, insert, lift, again), flat colours, one lamp, no sensor noise. Not claimed: the robot, its
        controller, the noise of its sensors or the pictures of Vision & Touch.

        Whether two rows are of one trajectory can be read from pixels alone: the plate stays where it is, and with
        ``appearance="trajectory"`` so do its colours. Compare any same-trajectory figure with a baseline on pixels. The
        orientation changes little in one step, so ``pose`` alone predicts it well.

    Source:
        Shapes: Vision & Touch, M. A. Lee et al., Making Sense of Vision and Touch, 2019. That flow looks back one step,
        and that the orientation is a quaternion of the peg, is guessed.

    Example:
        >>> source = load(episodes=4, size=8, steps=12)
        >>> source.modalities["flow"].shape, source.targets["contact"].names, source.targets["orientation"].size
        ((2, 8, 8), ('free', 'contact'), 4)
    """
    scene = Peg(size=size, steps=steps, every=every, appearance=appearance)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates=RATES)


@dataclass(frozen=True)
class Peg:
    """Insertions of a square peg; one row per step of 50 ms."""

    name: ClassVar[str] = "peg"
    version: ClassVar[int] = 1
    size: int = 128
    steps: int = 50
    every: int = 1
    appearance: Literal["step", "trajectory"] = "step"

    def __post_init__(self) -> None:
        in_range("size", self.size, 1)
        in_range("steps", self.steps, 3)
        in_range("every", self.every, 1)
        one_of("appearance", self.appearance, ("step", "trajectory"))

    @property
    def about(self) -> dict[str, str]:
        """Return title, origin, units and classes."""
        return about(
            "A gripper inserts a peg into a hole (simulated)",
            vision="red, green and blue, 0 to 1",
            depth="m",
            flow="pixels since the step before, right and down",
            force="N and N m",
            pose="m and unit quaternion",
            orientation="unit quaternion",
            classes={"contact": ("free", "contact")},
        )

    def episode(self, rng: np.random.Generator) -> Columns:
        """Return one row per step, or in ``every`` steps, between the first and the last."""
        hole, turn = rng.uniform(-0.02, 0.02, size=2), rng.uniform(-0.5, 0.5)
        text = scene(hole=(float(hole[0]), float(hole[1])), turn=turn, friction=rng.uniform(0.1, 0.25))
        data = world(text)
        camera = replace(CAMERA, size=self.size)
        away = rng.uniform(-1, 1, size=2) * 0.02
        data.qpos[:] = data.ctrl[:] = [*(hole + away), REACH + DEEP + rng.uniform(0.006, 0.03), *rng.normal(0, 0.03, 2), turn]
        data.qpos[5] = data.ctrl[5] = turn + rng.uniform(-0.3, 0.3)
        physics().mj_forward(data.model, data)
        policy = _search(rng, data, hole, turn)
        lamp, ambient = _light(rng, data.model)
        frames: dict[int, Frame] = {}
        kept = range(1, self.steps - 1, self.every)
        rows: dict[str, list[Any]] = {k: [] for k in ("force", "pose", "contact", "depth")}
        sensed = np.empty((SUBSTEPS, 6))
        tip, peg = data.site("tip"), data.model.geom("peg").id
        for step in range(self.steps):
            touched = False
            for k in glide(data, next(policy), SUBSTEPS):
                sensed[k] = data.sensordata
                touched = touched or bool((data.contact.geom == peg).any())
            if self.appearance == "step":
                lamp, ambient = _light(rng, data.model)
            if step in kept or step + 1 in kept:
                frames[step] = render(data, camera=camera, lamp=lamp, ambient=ambient, shadows="cast")
            rows["force"].append(sensed[-HISTORY:].copy())
            rows["pose"].append([*tip.xpos, *quaternion(tip.xmat)])
            rows["contact"].append(touched)
            rows["depth"].append(tip.xpos[2] < DEEP / 2)
        pose = np.array(rows["pose"], dtype=np.float32)
        now, after = list(kept), [i + 1 for i in kept]
        return {
            "input.vision": np.stack([frames[i].rgb.transpose(2, 0, 1) for i in now]),
            "input.depth": np.stack([frames[i].depth[None].astype(np.float16) for i in now]),
            "input.flow": np.stack([flow(frames[i - 1], frames[i]).astype(np.float16) for i in now]),
            "input.force": np.array(rows["force"], dtype=np.float32)[now],
            "input.pose": pose[now],
            "pose.raw": pose[now],
            "target.contact": np.array(rows["contact"], dtype=np.int8)[after],
            "target.orientation": pose[after, 3:],
            "inserted": np.array(rows["depth"])[now],
        }


def scene(*, hole: tuple[float, float], turn: float, friction: float) -> str:
    """Return the scene as MJCF: a table, a plate with a square hole, and a gripper that holds the peg."""
    inner = SIDE + CLEARANCE / 2
    middle, half = (PLATE + inner) / 2, (PLATE - inner) / 2
    walls = "".join(
        f'<geom class="plate" size="{a} {b} {DEEP / 2}" pos="{x} {y} {DEEP / 2}"/>'
        for a, b, x, y in (
            (PLATE, half, 0, middle),
            (PLATE, half, 0, -middle),
            (half, inner, middle, 0),
            (half, inner, -middle, 0),
        )
    )
    return f"""
<mujoco>
  <option timestep="{STEP / SUBSTEPS}" integrator="implicitfast" cone="elliptic" impratio="10">
    <flag autoreset="disable"/>
  </option>
  <compiler angle="radian"/>
  <default>
    <geom friction="{friction} 0.001 0.0001" condim="4" solref="0.004 1" solimp="0.95 0.99 0.0005"/>
    <default class="plate"><geom type="box"/></default>
    <default class="seen"><geom type="box" contype="0" conaffinity="0"/></default>
    <default class="slide"><joint type="slide" armature="0.1"/><position kp="2500" kv="100"/></default>
    <default class="hinge"><joint armature="0.002"/><position kp="25" kv="0.6"/></default>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="2 2 0.1"/>
    <body name="plate" pos="{hole[0]} {hole[1]} 0" euler="0 0 {turn}">{walls}</body>
    <body name="gripper" gravcomp="1">
      <joint name="x" class="slide" axis="1 0 0"/>
      <joint name="y" class="slide" axis="0 1 0"/>
      <joint name="z" class="slide" axis="0 0 1"/>
      <joint name="roll" class="hinge" axis="1 0 0"/>
      <joint name="pitch" class="hinge" axis="0 1 0"/>
      <joint name="yaw" class="hinge" axis="0 0 1"/>
      <geom name="palm" class="seen" size="0.032 0.014 0.012" pos="0 0 -0.012" mass="0.4"/>
      <geom name="flange" class="seen" type="cylinder" size="0.018 0.02" pos="0 0 0.02" mass="0.2"/>
      <geom name="left" class="seen" size="0.005 0.009 0.024" pos="{SIDE + 0.005} 0 -0.044" mass="0.03"/>
      <geom name="right" class="seen" size="0.005 0.009 0.024" pos="{-SIDE - 0.005} 0 -0.044" mass="0.03"/>
      <body name="peg">
        <site name="wrist" pos="0 0 -0.04"/>
        <geom name="peg" type="box" size="{SIDE} {SIDE} 0.036" pos="0 0 {0.036 - REACH}" mass="0.06"/>
        <site name="tip" pos="0 0 {-REACH}"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position class="slide" joint="x"/><position class="slide" joint="y"/><position class="slide" joint="z"/>
    <position class="hinge" joint="roll"/><position class="hinge" joint="pitch"/><position class="hinge" joint="yaw"/>
  </actuator>
  <sensor><force site="wrist"/><torque site="wrist"/></sensor>
</mujoco>"""


def _search(rng: np.random.Generator, data: Any, hole: NDArray[np.float64], turn: float) -> Iterator[NDArray[np.float64]]:
    """Yield the next command (x, y, z, roll, pitch, yaw): go above a guess, descend, spiral while pressing, insert."""
    command, tip, weight = data.ctrl.copy(), data.site("tip").xpos, 0.06 * 9.81
    while True:
        guess = hole + rng.normal(0, 0.0025, size=2)
        yaw, hover = turn + rng.normal(0, 0.02), REACH + DEEP + 0.006
        goal = np.array([*guess, hover, 0, 0, yaw])
        for left in range(int(rng.integers(4, 9)), 0, -1):
            command += (goal - command) / left
            yield command
        while abs(data.sensordata[2]) - weight < 2 and tip[2] > DEEP - 0.003:
            command[2] -= 0.0025
            yield command
        press, pitch, speed = rng.uniform(3, 8), rng.uniform(0.0008, 0.0012), rng.uniform(0.025, 0.05)
        angle = turned = 0.0
        phase = rng.uniform(0, 2 * math.pi)
        while tip[2] > DEEP - 0.002 and pitch * angle / (2 * math.pi) < 0.006:
            angle += speed * STEP / max(0.0006, pitch * angle / (2 * math.pi))
            radius = pitch * angle / (2 * math.pi)
            command[:2] = guess + radius * np.array([math.cos(angle + phase), math.sin(angle + phase)])
            command[2] = REACH + DEEP - press / 2500
            command[5] = yaw + 0.03 * math.sin(turned := turned + 0.7)
            yield command
        if tip[2] <= DEEP - 0.002:
            command[:2], command[5] = tip[:2], yaw
            for _ in range(int(rng.integers(12, 25))):
                command[2] = max(command[2] - 0.003, REACH + 0.001)
                yield command
        for _ in range(int(rng.integers(4, 8))):
            command[2] = min(command[2] + 0.006, hover)
            yield command


def _light(rng: np.random.Generator, model: Any) -> tuple[tuple[float, float, float], float]:
    """Colour the geoms; return where the lamp is and how much light comes from everywhere."""
    tones = {"table": rng.uniform(0.45, 0.9) * rng.uniform(0.8, 1, 3), "peg": rng.uniform(0.1, 1, 3)}
    plate, metal = rng.uniform(0.1, 0.9, 3), rng.uniform(0.35, 0.75)
    for i in range(model.ngeom):
        name = model.geom(i).name
        tone = tones.get(name, plate if not name else np.full(3, metal * (1.2 if name in ("left", "right") else 1.0)))
        model.geom_rgba[i, :3] = np.minimum(tone, 1)
    x, y, z = rng.uniform(-0.6, 0.6), rng.uniform(-0.8, 0.2), rng.uniform(0.6, 1.2)
    return (float(x), float(y), float(z)), float(rng.uniform(0.35, 0.55))
