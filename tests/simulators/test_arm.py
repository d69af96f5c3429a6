"""The arm: hand-computed kinematics, what the inertial sensor must read, and errors where they are said to be."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tuplet import InputError
from tuplet.simulators import arm
from tuplet.simulators.arm import HOME, LIMITS, STEP, Arm, forward, plan, stage
from tuplet.simulators.episodes import episode_rows
from tuplet.simulators.render import physics

SMALL = Arm(size=8)


@pytest.fixture(scope="module")
def rows():
    return episode_rows(SMALL, episodes=12, seed=4)


def hand_by_hand(q):
    """Walk along the arm: turn about each joint's axis and step along the published lengths, in the world's words."""
    turn, place = Rotation.identity(), np.zeros(3)
    steps = (  # before the joint: twist about x in degrees, along x; after it: along z, metres
        (0, 0, 0.333),
        (-90, 0, 0),
        (90, 0, 0.316),
        (90, 0.0825, 0),
        (-90, -0.0825, 0.384),
        (90, 0, 0),
        (90, 0.088, 0.107 + 0.1034),
    )
    for angle, (twist, along_x, along_z) in zip(q, steps, strict=True):
        place = place + turn.apply([along_x, 0, 0])
        turn = turn * Rotation.from_euler("x", twist, degrees=True) * Rotation.from_rotvec([0, 0, angle])
        place = place + turn.apply([0, 0, along_z])
    return place, turn


def test_pose_is_forward_kinematics_of_the_angles(rows):
    for q, found in zip(rows["angles"].astype(float), rows["target.pose"].astype(float), strict=True):
        place, turn = hand_by_hand(q)
        np.testing.assert_allclose(found[:3], place, atol=2e-6)
        assert (Rotation.from_quat(found[[4, 5, 6, 3]]) * turn.inv()).magnitude() < 2e-6
        frame = forward(q)[7]
        np.testing.assert_allclose(frame[:3, 3], place, atol=1e-12)
        np.testing.assert_allclose(frame[:3, :3], turn.as_matrix(), atol=1e-12)


def test_quaternions_are_units_on_one_side_and_never_jump(rows):
    q = rows["target.pose"][:, 3:].astype(float)
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-6)
    home = Rotation.from_matrix(forward(HOME)[7, :3, :3]).as_quat(scalar_first=True)
    assert min((q @ home).min(), (q @ -home).min()) >= -1e-6 or (np.sign(q @ home) == np.sign(q[0] @ home)).all()
    steps = np.linalg.norm(np.diff(q.reshape(12, -1, 4), axis=1), axis=2)
    assert steps.max() < 0.5


def test_accelerometer_at_rest_reads_gravity_and_gyroscope_nothing():
    mujoco, data = physics(), stage(np.random.default_rng(0))
    for q in (HOME, HOME + 0.3, HOME - [0.5, 0.2, 0.1, 0.3, 0.6, 0.2, 1.0]):
        data.qpos[:] = data.ctrl[:] = q
        data.qvel[:] = 0
        for _ in range(300):
            mujoco.mj_step(data.model, data)
        np.testing.assert_allclose(data.qpos, q, atol=1e-4)  # gravity is compensated
        world = data.site("imu").xmat.reshape(3, 3) @ data.sensordata[:3]
        np.testing.assert_allclose(world, [0, 0, 9.81], atol=1e-3)
        np.testing.assert_allclose(data.sensordata[3:], 0, atol=1e-4)


def test_gyroscope_integrates_to_the_change_of_orientation(rows):
    imu, pose = (rows[k].astype(float).reshape(12, -1, *rows[k].shape[1:]) for k in ("input.imu", "target.pose"))
    turned = []
    for e in range(12):
        for first in range(0, imu.shape[1] - 4, 4):  # 4 rows are 32 samples
            a, b = (Rotation.from_quat(pose[e, i, [4, 5, 6, 3]]) for i in (first, first + 4))
            walked = a
            for rate in imu[e, first + 4, :, 3:]:
                walked = walked * Rotation.from_rotvec(rate * STEP)
            assert (walked.inv() * b).magnitude() < 0.02
            turned.append((a.inv() * b).magnitude())
    assert np.mean(turned) > 0.1  # there was something to integrate


def test_accelerometer_integrates_to_the_change_of_velocity():
    mujoco, data = physics(), stage(np.random.default_rng(0))
    path = plan(np.random.default_rng(1), 2.0)
    data.qpos[:] = data.ctrl[:] = path(0.0)[0]
    h = data.model.opt.timestep
    places, felt = [], []
    for _ in range(1000):
        data.ctrl[:] = path(data.time)[0]
        mujoco.mj_step(data.model, data)
        places.append(data.site("imu").xpos.copy())
        felt.append(data.site("imu").xmat.reshape(3, 3) @ data.sensordata[:3] - [0, 0, 9.81])
    speed = np.gradient(np.array(places), h, axis=0)
    gained = np.cumsum(felt, axis=0) * h
    assert np.abs(speed).max() > 0.3
    np.testing.assert_allclose(gained[10:-2] - gained[10], speed[10:-2] - speed[10], atol=0.01)


def test_motion_follows_the_plan_and_stays_clear(rows):
    q = rows["angles"]
    assert (q >= LIMITS[:, 0]).all()
    assert (q <= LIMITS[:, 1]).all()
    assert rows["target.pose"][:, 2].min() > 0.05
    assert np.ptp(rows["target.pose"][:, :3], axis=0).min() > 0.4
    path = plan(np.random.default_rng(3), 3.0)
    t = np.linspace(0, 3, 3001)
    angles, rates = (np.array([path(x)[i] for x in t]) for i in (0, 1))
    np.testing.assert_allclose(np.gradient(angles, t, axis=0)[1:-1], rates[1:-1], atol=0.02)
    np.testing.assert_allclose(angles[0] + np.cumsum(rates, axis=0)[-1] * 1e-3, angles[-1], atol=2e-3)


def test_encoders_are_off_by_one_zero_per_motion(rows):
    off = (rows["input.joints"] - rows["angles"]).astype(float).reshape(12, -1, 7)
    zero = off.mean(axis=1)
    assert (off - zero[:, None]).std() == pytest.approx(0.002, rel=0.1)
    assert zero.std() == pytest.approx(0.02, rel=0.25)
    exact = Arm(size=8, bias=0.0).episode(np.random.default_rng(0))
    assert np.abs(exact["input.joints"] - exact["angles"]).max() < 0.012


def test_windows_share_their_samples(rows):
    imu = rows["input.imu"].reshape(12, -1, 32, 6)
    assert imu.shape[1] == 21
    np.testing.assert_array_equal(imu[:, :-1, 8:], imu[:, 1:, :-8])
    assert np.abs(imu[..., :3]).mean() > 2  # gravity


def test_an_episode_depends_on_its_seed_and_number_only(rows):
    again = Arm(size=8).episode(np.random.default_rng([4, 3]))
    for name, values in again.items():
        np.testing.assert_array_equal(values, rows[name][63:84])
    assert not np.array_equal(again["angles"], rows["angles"][:21])


def test_bad_settings_are_refused():
    for settings, message in (
        ({"steps": 10}, "steps is 10, expected at least history = 32"),
        ({"bias": -1.0}, "bias is -1.0"),
        ({"size": 0}, "size is 0"),
    ):
        with pytest.raises(InputError, match=message):
            Arm(**settings)


def test_the_source_splits_by_motion(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    source = arm.load(episodes=10, size=8, stride=20)
    parts = {p: set(getattr(source, p)[:].group.tolist()) for p in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 10
    assert source.targets["pose"].kind == "real"
    assert source.modalities["imu"].unit == "m/s^2 and rad/s"
    imu = source.train[:].inputs["imu"]
    np.testing.assert_allclose(imu.std(dim=(0, 1), correction=0), 1, rtol=1e-3)  # each axis by itself
    assert arm.load(episodes=10, size=8, stride=20).fingerprint == source.fingerprint
