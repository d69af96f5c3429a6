"""The stage on which an object hangs while it is struck: MuJoCo's rigid bodies and the contact force between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.simulators.modal import Material
from tuplet.simulators.objects import Thing
from tuplet.simulators.render import physics, world

Vector = NDArray[np.float64]
MALLET = Material(1150.0, 3e9, 0.4, 0.0)
"""Nylon."""
TIP = 8e-3
"""Radius of the mallet, metres."""
DAMPING = 0.25
"""Of the contact, a share of critical: guessed, one for all materials. They part at 0.51 of the speed at which they met."""


def stage(thing: Thing) -> Any:
    """Put an object and a mallet into a world without gravity, above a table."""
    asset, geom = thing.geom
    colour = " ".join(f"{c:.4f}" for c in thing.colour)
    return world(f"""
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
</mujoco>""")


def strike(rng: np.random.Generator, thing: Thing, data: Any) -> tuple[Vector, float, Vector]:
    """Hit an object that hangs free with a mallet of 10 to 30 g at 0.5 to 2 m/s."""
    mujoco, model, modes = physics(), data.model, thing.modes
    mass, speed = rng.uniform(0.01, 0.03), rng.uniform(0.5, 2.0)
    both = 1 / (1 / mass + 1 / modes.mass)
    soft = sum((1 - m.poisson**2) / m.young for m in (MALLET, thing.material))
    lasts = 2.87 * (both**2 * soft**2 / (TIP * speed)) ** 0.2
    pitch = (math.pi - 2 * math.asin(DAMPING)) / lasts / math.sqrt(1 - DAMPING**2)
    model.opt.timestep = lasts / 64
    model.pair_solref[0] = -(pitch**2), -2 * DAMPING * pitch
    ball = model.body("mallet").id
    model.body_inertia[ball] *= mass / model.body_mass[ball]
    model.body_mass[ball] = mass
    lay(data, place=np.array([0.0, 0.0, 3.0]), turn=np.eye(3))
    mujoco.mj_setConst(model, data)
    point, normal = site(rng, thing, data)
    data.qpos[7:10] = point + normal * (TIP + 1e-9)
    data.qvel[6:9] = -normal * speed
    force: list[float] = []
    row = np.zeros(6)
    while len(force) < 1000:
        mujoco.mj_step(model, data)
        pushed = 0.0
        for i in range(data.ncon):
            mujoco.mj_contactForce(model, data, i, row)
            pushed += row[0]
        force.append(pushed)
        if pushed == 0 and max(force) > 0:
            break
    if not any(force) or force[-1] > 0:
        raise ArithmeticError(f"the mallet did not bounce off a {thing.shape} of size {thing.size}")
    lay(data, place=np.array([0.0, 0.0, 3.0]), turn=np.eye(3))
    return np.array(force), float(model.opt.timestep), modes.shape(point - [0, 0, 3]) @ -normal


def site(rng: np.random.Generator, thing: Thing, data: Any) -> tuple[Vector, Vector]:
    """Choose where to strike or touch: what a ray from outside meets first."""
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
    """Put the object somewhere, at rest, and the mallet out of sight."""
    mujoco = physics()
    data.qpos[:3], data.qpos[7:14] = place, [0, 0, -3, 1, 0, 0, 0]
    mujoco.mju_mat2Quat(data.qpos[3:7], np.ascontiguousarray(turn, dtype=np.float64).reshape(9))
    data.qvel[:] = 0
    mujoco.mj_forward(data.model, data)
