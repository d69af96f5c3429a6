"""Arm: a camera, an inertial sensor at the wrist and joint encoders; where is the hand?

A simulated stand-in for vision, inertial and proprioceptive recordings of a robot; no public data of that kind was found,
so figures compare with each other only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.render import Camera, about, physics, render, world
from tuplet.types import InputError, in_range

Vector = NDArray[np.float64]
JOINTS = (
    (0.0, 0.0, 0.333),
    (0.0, -math.pi / 2, 0.0),
    (0.0, math.pi / 2, 0.316),
    (0.0825, math.pi / 2, 0.0),
    (-0.0825, -math.pi / 2, 0.384),
    (0.0, math.pi / 2, 0.0),
    (0.088, math.pi / 2, 0.0),
)
"""Length (m), twist (rad) and offset (m) of each joint in Craig's convention: Franka Emika's published parameters."""
LIMITS = np.array(
    [
        (-2.8973, 2.8973),
        (-1.7628, 1.7628),
        (-2.8973, 2.8973),
        (-3.0718, -0.0698),
        (-2.8973, 2.8973),
        (-0.0175, 3.7525),
        (-2.8973, 2.8973),
    ]
)
"""Published range of each joint, radians."""
HOME = np.array([0.0, -0.4, 0.0, -2.1, 0.0, 1.75, 0.785])
"""Joint angles around which it moves, radians: gripper down, in front of it."""
SWAY = np.array([1.3, 0.6, 0.5, 0.6, 0.8, 0.6, 1.2])
"""How far it moves from there, radians."""
FLANGE, TIP = 0.107, 0.2104
"""From the last joint to the inertial sensor and to the point between the fingers, metres."""
STEP = 0.01
"""Seconds between samples of the inertial sensor."""
SUBSTEPS = 10
ACCELEROMETER, GYROSCOPE, ENCODER = 0.05, 0.005, 0.002
"""Standard deviation of a sample's noise, m/s^2, rad/s and rad: guessed."""
EYE = (1.25, -1.05, 0.85)
SCALING: dict[str, Scaling] = {"imu": "channels"}


def load(
    *,
    episodes: int = 200,
    seed: int = 0,
    size: int = 64,
    history: int = 32,
    stride: int = 8,
    bias: float = 0.02,
    workers: int | None = None,
) -> Source:
    """Simulate the motions, or find them in the cache, and split them 60/20/20 by motion.

    Args:
        episodes: motions; each gives 21 rows with the other settings left as they are.
        seed: of the motions and of the split.
        size: pixels of one side of the picture.
        history: samples of the inertial sensor in a row, 100 a second.
        stride: samples from one row to the next.
        bias: standard deviation of the encoders' zero, radians: guessed.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) in [0, 1], ``imu`` (history, 6), ``joints`` (7); target ``pose`` (7), metres and
        unit quaternion; group = motion.

    Raises:
        InputError: if a number is out of range or MuJoCo is not installed.

    Notes:
        Physical: the kinematics of a Franka Emika Panda by its published joint parameters, rigid-body motion under position
        servos, what accelerometer and gyroscope measure. Modelled: links as capsules, their masses, the plan of the motion,
        flat colours, one lamp, the sensors' errors (guessed). Not claimed: the Panda's looks, masses or control.

        The joints alone determine the pose up to the encoders' errors: fusion can gain no more than those. Colours, light,
        camera and the encoders' zeros are drawn per motion, so pictures tell motions apart: hence the split by motion.

    Source:
        Joint parameters: Franka Emika, Robot and interface specifications (Craig's convention).

    Example:
        >>> source = load(episodes=5, size=8, stride=40)
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["pose"].size
        ({'imu': (32, 6), 'joints': (7,), 'vision': (3, 8, 8)}, 7)
    """
    scene = Arm(size=size, history=history, stride=stride, steps=history + 160, bias=bias)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates={"imu": 1 / STEP})


@dataclass(frozen=True)
class Arm:
    """Motions from place to place; one row every ``stride`` samples of the inertial sensor, at 100 samples a second."""

    name: ClassVar[str] = "arm"
    version: ClassVar[int] = 1
    size: int = 64
    history: int = 32
    stride: int = 8
    steps: int = 192
    bias: float = 0.02

    def __post_init__(self) -> None:
        for argument, least in (("size", 8), ("history", 1), ("stride", 1), ("bias", 0)):
            in_range(argument, getattr(self, argument), least)
        if self.steps < self.history:
            raise InputError(f"steps is {self.steps}, expected at least history = {self.history}")

    @property
    def about(self) -> dict[str, str]:
        """Return title, origin, units and classes."""
        return about(
            "An arm with a camera, an inertial sensor and encoders (simulated)",
            vision="red, green, blue, 0 to 1",
            imu="m/s^2 and rad/s",
            joints="rad",
            pose="m and unit quaternion",
        )

    def episode(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Return the rows of one motion."""
        mujoco = physics()
        data = stage(rng)
        off = rng.normal(0, self.bias, 7) if self.bias else np.zeros(7)
        camera = Camera(
            eye=tuple((np.array(EYE) + rng.normal(0, 0.03, 3)).tolist()), target=(0.25, 0.0, 0.42), fov=42.0, size=self.size
        )
        lamp = (*rng.uniform(-1.2, 1.2, 2).tolist(), rng.uniform(1.8, 2.6))
        ambient = rng.uniform(0.35, 0.5)
        path = plan(rng, self.steps * STEP)
        data.qpos[:] = path(0.0)[0]
        data.ctrl[:] = data.qpos
        mujoco.mj_forward(data.model, data)
        imu, sensed = np.empty((self.steps, 6)), np.empty((SUBSTEPS, 6))
        rows: dict[str, list[Any]] = {k: [] for k in ("input.vision", "input.imu", "target.pose", "angles")}
        for i in range(self.steps):
            for k in range(SUBSTEPS):
                data.ctrl[:] = path(data.time)[0]
                mujoco.mj_step(data.model, data)
                sensed[k] = data.sensordata
            imu[i] = sensed.mean(axis=0)
            if i >= self.history - 1 and (i - self.history + 1) % self.stride == 0:
                mujoco.mj_kinematics(data.model, data)
                rows["input.imu"].append(imu[i + 1 - self.history : i + 1].copy())
                frame = render(data, camera=camera, lamp=lamp, ambient=ambient, shadows="cast")
                rows["input.vision"].append(frame.rgb.transpose(2, 0, 1))
                rows["target.pose"].append(pose(data))
                rows["angles"].append(data.qpos.copy())
        columns = {k: np.stack(v) for k, v in rows.items()}
        noise = np.repeat([ACCELEROMETER, GYROSCOPE], 3)
        # a sample has one error however many rows hold it
        held = np.arange(len(columns["angles"]))[:, None] * self.stride + np.arange(self.history)
        columns["input.imu"] += rng.normal(size=(self.steps, 6))[held] * noise
        columns["input.joints"] = columns["angles"] + off + rng.normal(0, ENCODER, columns["angles"].shape)
        return {k: v if v.dtype == np.uint8 else v.astype(np.float32) for k, v in columns.items()}


def stage(rng: np.random.Generator) -> Any:
    """Build the arm on a table, with colours of its own."""
    paint = {
        "link": rng.uniform(0.7, 1.0) * rng.uniform(0.92, 1, 3),
        "hinge": rng.uniform(0.15, 0.4) + np.zeros(3),
        "hand": np.array([0.9, 0.45, 0.1]) * rng.uniform(0.8, 1.1, 3),
        "table": rng.uniform(0.35, 0.75) * rng.uniform(0.8, 1.15, 3),
    }
    rgba = {k: " ".join(f"{c:.4f}" for c in np.clip(v, 0, 1)) + " 1" for k, v in paint.items()}
    body = f"""
      <site name="imu" pos="0 0 {FLANGE}"/><site name="tip" pos="0 0 {TIP}"/>
      <geom type="cylinder" fromto="0 0 0.03 0 0 {FLANGE}" size="0.04" rgba="{rgba["hinge"]}"/>
      <geom type="box" pos="0 0 0.135" size="0.025 0.09 0.028" rgba="{rgba["hand"]}"/>
      <geom type="box" pos="0 0.045 0.188" size="0.011 0.01 0.03" rgba="{rgba["hinge"]}"/>
      <geom type="box" pos="0 -0.045 0.188" size="0.011 0.01 0.03" rgba="{rgba["hinge"]}"/>"""
    for i in reversed(range(7)):
        length, twist, offset = JOINTS[i]
        thick = 0.06 if i < 4 else 0.05
        link = ""
        if i < 6:
            a, turn, d = JOINTS[i + 1]
            to = np.array([a, -d * math.sin(turn), d * math.cos(turn)])
            if np.linalg.norm(to) > 0:
                ends = " ".join(f"{x:.6f}" for x in to)
                link = f'<geom type="capsule" fromto="0 0 0 {ends}" size="{thick}" rgba="{rgba["link"]}"/>'
        body = f"""
      <body name="link{i + 1}" pos="{length} {-offset * math.sin(twist):.9f} {offset * math.cos(twist):.9f}"
        quat="{math.cos(twist / 2):.12f} {math.sin(twist / 2):.12f} 0 0" gravcomp="1">
        <joint name="joint{i + 1}" range="{LIMITS[i, 0]} {LIMITS[i, 1]}"/>
        <geom type="cylinder" size="{thick + 0.006} {thick + 0.012}" rgba="{rgba["hinge"]}"/>{link}{body}
      </body>"""
    gains = ((900, 60), (900, 60), (900, 50), (900, 50), (400, 16), (300, 12), (200, 9))
    servos = "".join(f'<position joint="joint{i + 1}" kp="{k}" kv="{d}"/>' for i, (k, d) in enumerate(gains))
    # without implicit damping: what the accelerometer reads is then exactly what changes the velocity
    return world(f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{STEP / SUBSTEPS}" integrator="Euler"><flag autoreset="disable" eulerdamp="disable"/></option>
  <default><geom contype="0" conaffinity="0" density="1000"/><joint armature="0.1" damping="1"/></default>
  <worldbody>
    <geom type="plane" size="0.9 0.9 0.1" rgba="{rgba["table"]}"/>
    <geom type="plane" size="9 9 0.1" pos="0 0 -0.7" rgba="0.42 0.44 0.47 1"/>
    <geom type="cylinder" fromto="0 0 0 0 0 0.3" size="0.075" rgba="{rgba["link"]}"/>{body}
  </worldbody>
  <actuator>{servos}</actuator>
  <sensor><accelerometer site="imu"/><gyro site="imu"/></sensor>
</mujoco>""")


def plan(rng: np.random.Generator, seconds: float) -> Callable[[float], tuple[Vector, Vector]]:
    r"""Plan a motion through random places, at rest in each, that stays above the table."""
    places, times = [_place(rng)], [0.0]
    while times[-1] <= seconds:
        there = _place(rng)
        middles = places[-1] + np.outer([0.25, 0.5, 0.75], there - places[-1])
        if all(_clear(q) for q in middles):
            times.append(times[-1] + rng.uniform(0.5, 1.2) * max(0.6, float(np.abs(there - places[-1]).max())))
            places.append(there)

    def path(time: float) -> tuple[Vector, Vector]:
        i = min(int(np.searchsorted(times, time, side="right")), len(times) - 1)
        lasts = times[i] - times[i - 1]
        s = min(max((time - times[i - 1]) / lasts, 0.0), 1.0)
        far = places[i] - places[i - 1]
        return places[i - 1] + far * s**3 * (10 - 15 * s + 6 * s * s), far * 30 * s**2 * (1 - s) ** 2 / lasts

    return path


def forward(angles: Vector) -> NDArray[np.float64]:
    r"""Return where each joint and the point between the fingers is, by products of matrices."""
    found, frame = np.empty((8, 4, 4)), np.eye(4)
    for i, (length, twist, offset) in enumerate(JOINTS):
        c, s, ct, st = math.cos(angles[i]), math.sin(angles[i]), math.cos(twist), math.sin(twist)
        frame = frame @ np.array(
            [[c, -s, 0, length], [s * ct, c * ct, -st, -st * offset], [s * st, c * st, ct, ct * offset], [0, 0, 0, 1]]
        )
        found[i] = frame
    found[7] = frame
    found[7, :3, 3] += frame[:3, 2] * TIP
    return found


def pose(data: Any) -> Vector:
    """Return where the point between the fingers is."""
    mujoco = physics()
    found, home = np.empty(4), np.empty(4)
    mujoco.mju_mat2Quat(found, data.site("tip").xmat)
    mujoco.mju_mat2Quat(home, np.ascontiguousarray(forward(HOME)[7, :3, :3]).reshape(9))
    return np.concatenate([data.site("tip").xpos, found if found @ home >= 0 else -found])


def _place(rng: np.random.Generator) -> Vector:
    while True:
        angles = np.clip(HOME + SWAY * rng.uniform(-1, 1, 7), LIMITS[:, 0] + 0.05, LIMITS[:, 1] - 0.05)
        if _clear(angles):
            return angles


def _clear(angles: Vector) -> bool:
    """Return whether the hand is well above the table and away from the arm's foot."""
    places = forward(angles)[:, :3, 3]
    return bool((places[3:, 2] > 0.13).all() and np.hypot(*places[7, :2]) > 0.25)
