"""The puck obeys Coulomb, the wrist feels what the finger touches, and windows line up in time."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from tuplet.simulators import push
from tuplet.simulators.episodes import episode_rows
from tuplet.simulators.push import CAMERA, HOVER, LOW, Push, scene
from tuplet.simulators.render import glide, world

GRAVITY = 9.81
FINGER = 0.08  # kilograms below the sensor


def made(mass=0.3, friction=0.4, radius=0.04):
    text = scene(radius=radius, mass=mass, friction=friction, colours=np.full((3, 3), 0.5))
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(text))
    data.ctrl[:3] = data.qpos[7:10] = (0.0, -0.2, HOVER)
    return data


def step(data, times):
    for _ in range(times):
        mujoco.mj_step(data.model, data)


@pytest.mark.parametrize(("friction", "mass", "speed"), [(0.2, 0.1, 0.5), (0.4, 0.3, 0.8), (0.6, 0.5, 0.6)])
def test_a_sliding_puck_stops_after_v2_over_2_mu_g(friction, mass, speed):
    data = made(mass, friction)
    step(data, 100)
    start = data.qpos[:2].copy()
    data.qvel[0] = speed
    step(data, 1000)
    assert np.abs(data.qvel[:3]).max() < 1e-3
    travelled = np.linalg.norm(data.qpos[:2] - start)
    assert travelled == pytest.approx(speed**2 / (2 * friction * GRAVITY), rel=0.03)


def test_at_rest_the_wrist_feels_the_weight_of_the_finger():
    data = made()
    step(data, 500)
    np.testing.assert_allclose(np.abs(data.sensordata), [0, 0, FINGER * GRAVITY, 0, 0, 0], atol=1e-3)


def test_while_pushing_the_wrist_feels_the_friction_of_the_puck():
    friction, mass = 0.3, 0.4
    data = made(mass, friction)
    data.ctrl[:3] = data.qpos[7:10] = (0.0, -0.06, LOW)
    step(data, 200)
    rest, felt, contact = data.sensordata.copy(), [], []
    for k in range(1000):
        data.ctrl[1] += 0.1 * data.model.opt.timestep  # 0.1 m/s
        step(data, 1)
        if k >= 500:
            felt.append(data.sensordata - rest)
            contact.append(_force_on_the_puck(data))
    sideways = np.mean(felt, axis=0)[:3]
    pushed = np.mean(contact, axis=0)
    weight = friction * mass * GRAVITY
    assert np.hypot(*pushed[:2]) == pytest.approx(weight, rel=0.05)  # steady: the push equals Coulomb's friction
    assert np.hypot(*sideways[:2]) == pytest.approx(weight, rel=0.1)  # in the finger's axes, which lean a little
    assert data.qpos[1] > 0.05


def _force_on_the_puck(data):
    total, wrench = np.zeros(3), np.zeros(6)
    puck, finger = data.model.geom("puck").id, data.model.geom("finger").id
    for k in range(data.ncon):
        pair = data.contact.geom[k].tolist()
        if sorted(pair) == sorted((puck, finger)):
            mujoco.mj_contactForce(data.model, data, k, wrench)
            total += (1 if pair[1] == puck else -1) * data.contact.frame[k].reshape(3, 3).T @ wrench[:3]
    return total


@pytest.fixture(scope="module")
def columns():
    return episode_rows(Push(size=16), episodes=16, seed=0)


def test_every_episode_touches_and_windows_have_contact(columns):
    contact, group = columns["contact"], columns["group"]
    assert all(contact[group == g].any() for g in range(16))
    assert (contact > 0).mean() >= 0.4
    assert contact.mean() >= 0.4  # of all the steps in windows
    assert (contact < 1).any()  # and they are not always together


def test_windows_overlap_as_their_stride_says(columns):
    for name in ("input.vision", "input.force", "input.pose"):
        rows = columns[name][columns["group"] == 3]
        np.testing.assert_array_equal(rows[1:, :-4], rows[:-1, 4:])


def test_the_horizon_looks_further_into_the_same_episode():
    near, far = (episode_rows(Push(size=4, horizon=h), episodes=1, seed=5) for h in (1, 5))
    rows = len(far["target.position"])
    np.testing.assert_array_equal(near["input.force"][:rows], far["input.force"])
    np.testing.assert_array_equal(near["target.position"][1 : rows + 1], far["target.position"])


def test_the_puck_moves_and_stays_on_the_table(columns):
    position = columns["target.position"]
    assert np.abs(position).max() < 0.28
    travel = [np.ptp(position[columns["group"] == g], axis=0).max() for g in range(16)]
    assert np.median(travel) > 0.03


def test_force_says_when_finger_and_puck_touch(columns):
    """Sideways force is larger in windows with much contact: a modality that carries the event."""
    sideways = np.linalg.norm(columns["input.force"][:, :, :2], axis=2).mean(axis=1)
    much = columns["contact"] > np.median(columns["contact"])
    assert sideways[much].mean() > 1.2 * sideways[~much].mean()


def test_the_target_is_where_the_next_picture_shows_the_puck():
    rows = episode_rows(Push(size=64, stride=1, steps=48), episodes=4)
    same = rows["group"][1:] == rows["group"][:-1]
    pictures = rows["input.vision"][1:, -1][same].astype(float)  # one step after the window that the target belongs to
    position = rows["target.position"][:-1][same]
    stands_out = {}
    for name, flip in (("there", 1), ("mirrored", -1)):
        top = np.column_stack([position * flip, np.full(len(position), 0.04)])  # the middle of its upper face
        x, y = replace(CAMERA, size=64).project(top).astype(int).T
        seen = pictures[np.arange(len(pictures)), y, x]
        stands_out[name] = (np.abs(seen - np.median(pictures, axis=(1, 2))) > 20).mean()
    assert stands_out["there"] > 0.85
    assert stands_out["mirrored"] < 0.4


def test_the_source_splits_by_episode(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    source = push.load(episodes=6, size=8)
    groups = [set(rows[:].group.tolist()) for rows in (source.train, source.val, source.test)]
    assert all(groups)
    assert set().union(*groups) == set(range(6))
    assert sum(map(len, groups)) == 6
    batch = source.train[:4]
    assert {k: tuple(v.shape) for k, v in batch.inputs.items()} == {
        "force": (4, 32, 6),
        "pose": (4, 32, 7),
        "vision": (4, 32, 8, 8),
    }
    assert batch.target["position"].abs().max() < 0.28  # metres, not scaled
    assert source.targets["position"].unit == "m"
    assert push.load(episodes=6, size=8).fingerprint == source.fingerprint
    assert push.load(episodes=6, size=8, seed=1).fingerprint != source.fingerprint


def test_commands_reach_their_goal_in_equal_steps():
    data = world(
        '<mujoco><worldbody><body><joint name="x" type="slide"/><geom size="1"/></body></worldbody>'
        '<actuator><position joint="x"/></actuator></mujoco>'
    )
    assert [round(float(data.ctrl[0]), 6) for _ in glide(data, np.array([2.0]), 4)] == [0.5, 1.0, 1.5, 2.0]
