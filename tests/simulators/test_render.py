"""Pictures against closed forms: planes, spheres, Lambert's law, shadows, and points projected by hand."""

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tuplet.simulators.render import SKY, Camera, flow, grey, quaternion, render
from tuplet.types import InputError

EYE = np.array([0.4, -0.9, 0.7])
CAMERA = Camera(eye=tuple(EYE), target=(0.0, 0.1, 0.05), fov=50.0, size=40)


def scene(body, *, rgba="0.8 0.4 0.2 1"):
    text = f"""<mujoco><worldbody><geom name="floor" type="plane" size="9 9 1" rgba="{rgba}"/>{body}</worldbody></mujoco>"""
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(text))
    mujoco.mj_forward(data.model, data)
    return data


def pinhole(point, camera):
    """Project one point with a camera matrix written out by hand."""
    ahead = np.array(camera.target) - np.array(camera.eye)
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    x, y, z = (axis @ (np.asarray(point) - camera.eye) for axis in (right, up, ahead))
    scale = camera.size / 2 / np.tan(np.deg2rad(camera.fov) / 2)
    return np.array([camera.size / 2 + scale * x / z, camera.size / 2 - scale * y / z]), z


def test_depth_of_a_plane_and_its_normals():
    frame = render(scene(""), camera=CAMERA)
    points = EYE + frame.depth[..., None] * CAMERA.rays
    seen = frame.ids == 0
    assert seen.all()
    assert np.abs(points[seen][:, 2]).max() < 1e-9  # on the plane
    np.testing.assert_allclose(frame.depth[seen], -EYE[2] / CAMERA.rays[seen][:, 2], rtol=1e-9)
    np.testing.assert_allclose(frame.normals[seen], np.broadcast_to([0, 0, 1], (seen.sum(), 3)), atol=1e-12)


def test_depth_of_a_sphere():
    middle, radius = np.array([0.05, 0.1, 0.2]), 0.17
    frame = render(scene(f'<geom name="ball" size="{radius}" pos="0.05 0.1 0.2"/>'), camera=CAMERA)
    rays, gap = CAMERA.rays, EYE - middle
    a, b, c = (rays**2).sum(-1), 2 * rays @ gap, gap @ gap - radius**2
    square = b**2 - 4 * a * c
    assert (frame.ids == 1).sum() > 50
    np.testing.assert_array_equal(frame.ids == 1, square > 0)
    ball = square > 0
    root = (-b[ball] - np.sqrt(square[ball])) / (2 * a[ball])
    np.testing.assert_allclose(frame.depth[ball], root, rtol=1e-9)
    outward = (EYE + root[:, None] * rays[ball] - middle) / radius
    np.testing.assert_allclose(frame.normals[ball], outward, atol=1e-7)


def test_pixels_and_rays_agree_with_a_pinhole_written_out():
    rng = np.random.default_rng(0)
    for point in rng.uniform(-0.3, 0.3, size=(20, 3)):
        expected, depth = pinhole(point, CAMERA)
        np.testing.assert_allclose(CAMERA.project(point), expected, rtol=1e-12)
        assert depth > 0
    row, column = 7, 31
    expected, depth = pinhole(EYE + 1.7 * CAMERA.rays[row, column], CAMERA)
    np.testing.assert_allclose(expected, [column + 0.5, row + 0.5], rtol=1e-12)
    assert depth == pytest.approx(1.7)


def test_colour_is_lambert_and_the_sky_is_the_sky():
    lamp, ambient = np.array([0.3, 0.2, 1.5]), 0.25
    camera = Camera(eye=(0, -1, 0.3), target=(0, 0, 0.3), fov=60, size=24)  # upper half: nothing
    frame = render(scene(""), camera=camera, lamp=tuple(lamp), ambient=ambient)
    assert (frame.ids[:12] == -1).all()
    assert np.isinf(frame.depth[:12]).all()
    assert (frame.rgb[0, 0] == np.round(255 * np.array(SKY))).all()
    for row, column in ((20, 3), (23, 12), (16, 20)):
        point = np.array(camera.eye) + frame.depth[row, column] * camera.rays[row, column]
        away = lamp - point
        bright = ambient + (1 - ambient) * away[2] / np.linalg.norm(away)
        expected = 255 * bright * np.array([0.8, 0.4, 0.2])
        assert np.abs(frame.rgb[row, column] - expected).max() <= 0.51


def test_a_box_casts_its_shadow_where_the_lines_meet_the_floor():
    data = scene('<geom type="box" size="0.1 0.1 0.01" pos="0 0 0.5"/>')
    lamp = (0.0, 0.0, 1.0)  # the upper face is at 0.51, so the shadow's half side is 0.1 / 0.49
    camera = Camera(eye=(0, -1.5, 0.4), target=(0, 0, 0), size=64)
    lit, dark = (render(data, camera=camera, lamp=lamp, ambient=0.5, shadows=s) for s in ("none", "cast"))
    floor = lit.ids == 0
    points = np.array(camera.eye) + lit.depth[..., None] * camera.rays
    reach = np.abs(points[..., :2]).max(-1)
    inside, outside = floor & (reach < 0.1 / 0.49 - 0.01), floor & (reach > 0.1 / 0.49 + 0.01)
    assert inside.sum() > 20
    assert (dark.rgb[inside] == np.round(255 * 0.5 * np.array([0.8, 0.4, 0.2]))).all()
    np.testing.assert_array_equal(dark.rgb[outside], lit.rgb[outside])
    assert (lit.rgb[inside] > dark.rgb[inside]).all()


BLOCK = """<body pos="0.05 0 0.2"><freejoint/><geom type="box" size="0.12 0.08 0.1"/></body>"""


def moved(data, position, rotation):
    data.qpos[:3] = position
    data.qpos[3:] = rotation.as_quat(scalar_first=True)
    mujoco.mj_forward(data.model, data)
    return render(data, camera=CAMERA)


def test_flow_follows_points_of_a_moved_and_turned_body():
    data = scene(BLOCK)
    first = (np.array([0.05, 0.0, 0.2]), Rotation.from_euler("xyz", [10, -20, 30], degrees=True))
    second = (np.array([0.09, 0.03, 0.17]), Rotation.from_euler("xyz", [25, -5, 60], degrees=True))
    before, now = moved(data, *first), moved(data, *second)
    motion = flow(now, before)
    rows, columns = np.nonzero(now.ids == 1)
    assert len(rows) > 60
    for row, column in zip(rows, columns, strict=True):
        point = EYE + now.depth[row, column] * CAMERA.rays[row, column]
        earlier = first[1].apply(second[1].inv().apply(point - second[0])) + first[0]
        expected = np.array([column + 0.5, row + 0.5]) - pinhole(earlier, CAMERA)[0]
        np.testing.assert_allclose(motion[:, row, column], expected, atol=1e-4)
    assert np.abs(motion[:, now.ids == 1]).max() > 1
    assert not motion[:, now.ids == 0].any()  # the floor stays where it is


def test_flow_of_a_moving_camera_and_of_nothing():
    data = scene(BLOCK)
    camera, other = (Camera(eye=(x, -0.9, 0.7), target=(0.0, 0.1, 0.5), fov=50.0, size=40) for x in (0.4, 0.45))
    before, now = render(data, camera=other), render(data, camera=camera)
    motion = flow(now, before)
    row, column = np.argwhere(now.ids == 0)[-1]
    point = EYE + now.depth[row, column] * camera.rays[row, column]
    expected = np.array([column + 0.5, row + 0.5]) - pinhole(point, other)[0]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(motion[:, row, column], expected, atol=1e-4)
    assert not flow(now, now).any()
    nothing = now.ids == -1
    assert nothing.any()
    assert not motion[:, nothing].any()


def test_grey_and_quaternion():
    assert grey(np.array([[10, 200, 30]], dtype=np.uint8)).tolist() == [round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)]
    for seed in range(20):
        turn = Rotation.random(rng=np.random.default_rng(seed))
        expected = turn.as_quat(scalar_first=True, canonical=True)
        np.testing.assert_allclose(quaternion(turn.as_matrix()), expected, atol=1e-9)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="straight above"):
        Camera(eye=(0, 0, 1), target=(0, 0, 0))
    with pytest.raises(InputError, match="fov is 180"):
        Camera(eye=(0, 1, 1), target=(0, 0, 0), fov=180)
    data = scene("")
    with pytest.raises(InputError, match="shadows is 'soft'"):
        render(data, camera=CAMERA, shadows="soft")
    with pytest.raises(InputError, match="ambient is 2"):
        render(data, camera=CAMERA, ambient=2)
    with pytest.raises(InputError, match="40 pixels a side"):
        flow(render(data, camera=CAMERA), render(data, camera=Camera(eye=(0, 1, 1), target=(0, 0, 0), size=8)))
