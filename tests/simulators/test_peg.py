"""The peg fits the hole only where the hole is, the wrist feels the contact, and rows line up in time."""

import mujoco
import numpy as np
import pytest

from tuplet.simulators import peg
from tuplet.simulators.episodes import episode_rows
from tuplet.simulators.peg import CLEARANCE, DEEP, REACH, SIDE, Peg, scene

WEIGHT = 0.06 * 9.81  # newtons below the sensor
EPISODES = 16


def pressed(offset=(0.0, 0.0), yaw=0.0, hole=(0.01, -0.015), turn=0.3, depth=0.01):
    """Hold the peg over the hole with an error, then press down."""
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(scene(hole=hole, turn=turn, friction=0.15)))
    high = REACH + DEEP + 0.004
    data.qpos[:] = data.ctrl[:] = (hole[0] + offset[0], hole[1] + offset[1], high, 0, 0, turn + yaw)
    for k in range(800):
        data.ctrl[2] = high - (depth + 0.004) * min(1, k / 500)
        mujoco.mj_step(data.model, data)
    mujoco.mj_forward(data.model, data)
    return data


def test_the_hole_is_wider_than_the_peg_by_the_clearance():
    data = pressed()
    model, walls = data.model, []
    for i in range(model.ngeom):
        if model.geom_bodyid[i] == model.body("plate").id:
            gaps = np.abs(model.geom_pos[i][:2]) - model.geom_size[i][:2]
            walls.append(gaps.max())
    assert 2 * np.array(walls) == pytest.approx(2 * SIDE + CLEARANCE)
    assert len(walls) == 4


@pytest.mark.parametrize(
    ("offset", "yaw", "enters"),
    [((0, 0), 0, True), ((0.003, 0), 0, False), ((0, -0.003), 0, False), ((0, 0), 0.25, False)],
)
def test_the_peg_enters_only_where_the_hole_is(offset, yaw, enters):
    tip = pressed(offset, yaw).site("tip").xpos[2]
    assert (tip < DEEP - 0.008) == enters
    assert enters or tip > DEEP - 0.002


def test_the_wrist_feels_weight_in_the_air_and_the_plate_when_pressed():
    free = pressed(depth=-0.01)  # goes up instead
    np.testing.assert_allclose(np.abs(free.sensordata), [0, 0, WEIGHT, 0, 0, 0], atol=1e-3)
    data = pressed((0.004, 0), depth=0.002)
    total, wrench = np.zeros(3), np.zeros(6)
    for k in range(data.ncon):
        mujoco.mj_contactForce(data.model, data, k, wrench)
        sign = 1 if data.contact.geom[k][1] == data.model.geom("peg").id else -1
        total += sign * data.contact.frame[k].reshape(3, 3).T @ wrench[:3]
    assert total[2] > 2
    felt = data.site("wrist").xmat.reshape(3, 3) @ (data.sensordata[:3] * np.sign(free.sensordata[2]))
    assert felt[2] == pytest.approx(WEIGHT - total[2], abs=0.02)


@pytest.fixture(scope="module")
def columns():
    return episode_rows(Peg(size=16), episodes=EPISODES, seed=0)


def by_episode(values):
    return values.reshape(EPISODES, -1, *values.shape[1:])


def test_both_classes_of_contact_and_enough_insertions(columns):
    assert 0.3 < columns["target.contact"].mean() < 0.9
    inserted = by_episode(columns["inserted"])
    assert inserted.any(axis=1).mean() >= 0.3
    assert (~inserted).any(axis=1).all()  # every trajectory begins outside
    np.testing.assert_array_equal(columns["inserted"], columns["pose.raw"][:, 2] < DEEP / 2)


def test_targets_lie_one_step_ahead(columns):
    pose, ahead = by_episode(columns["pose.raw"]), by_episode(columns["target.orientation"])
    np.testing.assert_array_equal(ahead[:, :-1], pose[:, 1:, 3:])
    np.testing.assert_allclose(np.linalg.norm(columns["target.orientation"], axis=1), 1, atol=1e-6)
    assert (columns["target.orientation"][:, 0] >= 0).all()
    np.testing.assert_array_equal(columns["input.pose"], columns["pose.raw"])


def test_contact_is_felt_one_step_later(columns):
    """Along the peg the force differs from the weight where the label of the row before says contact."""
    felt = np.abs(np.abs(by_episode(columns["input.force"])[:, 1:, :, 2]) - WEIGHT).max(axis=2)
    label = by_episode(columns["target.contact"])[:, :-1] == 1
    assert np.median(felt[label]) > 1
    assert np.median(felt[~label]) < 0.3


def test_flow_is_zero_on_the_table_and_follows_the_gripper(columns):
    motion = columns["input.flow"].astype(float)
    assert not motion[:, :, -1].any()  # lowest row of pixels: the table
    speed = np.linalg.norm(np.diff(by_episode(columns["pose.raw"])[:, :, :3], axis=1), axis=2).reshape(-1)
    seen = np.abs(by_episode(motion)[:, 1:]).reshape(len(speed), -1).max(axis=1)
    assert np.corrcoef(speed, seen)[0, 1] > 0.9


def test_depth_of_the_table_is_the_closed_form():
    from tuplet.simulators.peg import CAMERA

    depth = episode_rows(Peg(size=32, steps=4), episodes=1)["input.depth"][0, 0].astype(float)
    ahead = np.subtract(CAMERA.target, CAMERA.eye)
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    side = np.tan(np.deg2rad(CAMERA.fov) / 2) * (31 / 32)
    ray = ahead - side * right - side * np.cross(right, ahead)  # lower left pixel
    assert depth[-1, 0] == pytest.approx(-CAMERA.eye[2] / ray[2], rel=1e-3)


def test_colours_tell_the_trajectory_only_where_they_are_drawn_once():
    """Nearest neighbour in the colour of a corner of the table; chance is about 1 in 8."""
    share = {}
    for appearance in ("step", "trajectory"):
        rows = episode_rows(Peg(size=8, appearance=appearance, steps=20), episodes=8)
        colour = rows["input.vision"][:, :, -1, 0].astype(float)
        gaps = np.linalg.norm(colour[:, None] - colour[None], axis=2) + 1e9 * np.eye(len(colour))
        share[appearance] = (rows["group"][gaps.argmin(axis=1)] == rows["group"]).mean()
    assert share["trajectory"] > 0.9
    assert share["step"] < 0.35


def test_the_source_splits_by_trajectory(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    source = peg.load(episodes=5, size=8, steps=16)
    groups = [set(rows[:].group.tolist()) for rows in (source.train, source.val, source.test)]
    assert all(groups)
    assert set().union(*groups) == set(range(5))
    assert sum(map(len, groups)) == 5
    batch = source.train[:3]
    assert {k: tuple(v.shape) for k, v in batch.inputs.items()} == {
        "depth": (3, 1, 8, 8),
        "flow": (3, 2, 8, 8),
        "force": (3, 32, 6),
        "pose": (3, 7),
        "vision": (3, 3, 8, 8),
    }
    assert batch.target["contact"].dtype.is_floating_point is False
    assert source.targets["contact"].names == ("free", "contact")
    assert peg.load(episodes=5, size=8, steps=16).fingerprint == source.fingerprint
