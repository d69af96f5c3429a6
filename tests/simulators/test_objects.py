"""Objects, their textures, the strike, the fingertip and the spectrogram against closed forms and conservation laws."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tuplet import InputError
from tuplet.simulators.indent import DEEPEST, FOUNDATION, gel_image, imprint, relief
from tuplet.simulators.objects import MATERIALS, SHAPES, draw, revolve
from tuplet.simulators.render import physics
from tuplet.simulators.sound import log_mel, mel_bands
from tuplet.simulators.stage import DAMPING, MALLET, TIP, site, stage, strike
from tuplet.simulators.texture import KINDS, Texture, draw_texture

NONE = Texture(np.zeros((0, 3)), np.zeros(0), np.zeros(0))


def thing_of(shape, kind=None, seed=0):
    for i in range(1000):
        thing = draw(np.random.default_rng([seed, i]))
        if thing.shape == shape and kind in (None, thing.kind):
            return thing
    raise AssertionError


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_surfaces_of_revolution_are_closed_and_hold_their_volume():
    n = 64
    lost = n / (2 * math.pi) * math.sin(2 * math.pi / n)  # a polygon's share of its circle
    tube = np.array([(2, -3), (2, 3), (1, 3), (1, -3)], dtype=float)
    cone = np.array([(0, 0), (2, 0), (0, 3)], dtype=float)
    for profile, want in ((tube, math.pi * (4 - 1) * 6), (cone, math.pi * 4 * 3 / 3)):
        vertices, faces = revolve(profile, turns=n)
        assert volume(vertices, faces) == pytest.approx(want * lost, rel=1e-9)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        assert len(np.unique(edges, axis=0)) == len(edges)  # each once in each direction
        assert {tuple(e) for e in edges.tolist()} == {tuple(e[::-1]) for e in edges.tolist()}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rigid_body_weighs_what_the_modes_say(shape):
    thing = thing_of(shape)
    weight = float(stage(thing).model.body("thing").mass[0])
    assert weight == pytest.approx(thing.modes.mass, rel=0.05 if shape == "cup" else 0.01)  # base and wall overlap


def test_every_object_can_be_heard():
    seen = set()
    for i in range(300):
        thing = draw(np.random.default_rng([1, i]))
        f = thing.modes.frequency
        assert 5 < f[0] < 7200, thing
        assert (np.diff(f) >= 0).all()
        seen.add((thing.shape, thing.kind))
    assert len(seen) == len(SHAPES) * len(MATERIALS)


def test_strike_obeys_momentum_and_hertz():
    thing = thing_of("bar", "steel")
    a, b, c = thing.size
    for seed in range(4):
        data, rng = stage(thing), np.random.default_rng(seed)
        force, step, _ = strike(rng, thing, data)
        rng = np.random.default_rng(seed)
        mass, speed = rng.uniform(0.01, 0.03), rng.uniform(0.5, 2.0)
        point, normal = site(rng, thing, data)
        body = thing.modes.mass
        arm = np.cross(point - [0, 0, 3], normal)
        turning = body / 12 * np.array([b * b + c * c, a * a + c * c, a * a + b * b])
        moved = 1 / (1 / mass + 1 / body + (arm**2 / turning).sum())
        angle = math.pi - 2 * math.asin(DAMPING)
        back = math.exp(-DAMPING * angle / math.sqrt(1 - DAMPING**2))
        assert back == pytest.approx(0.51, abs=0.005)
        assert force.sum() * step == pytest.approx((1 + back) * moved * speed, rel=0.03)
        soft = (1 - MALLET.poisson**2) / MALLET.young + (1 - thing.material.poisson**2) / thing.material.young
        both = mass * body / (mass + body)
        hertz = 2.87 * (both**2 * soft**2 / TIP / speed) ** 0.2
        assert np.count_nonzero(force) * step == pytest.approx(hertz, rel=0.04)
        assert (force >= 0).all()


def test_harder_objects_are_struck_shorter():
    lasting = []
    for kind in ("rubber", "plastic", "steel"):
        force, step, _ = strike(np.random.default_rng(3), t := thing_of("plate", kind), stage(t))
        lasting.append(np.count_nonzero(force) * step)
    assert lasting[0] > 2 * lasting[1] > 2 * lasting[2]


@pytest.mark.parametrize("shape", SHAPES)
def test_sites_lie_on_the_surface(shape):
    thing = thing_of(shape)
    data, rng, s = stage(thing), np.random.default_rng(0), thing.size
    for _ in range(20):
        point, normal = site(rng, thing, data)
        p = point - [0, 0, 3]
        r = math.hypot(p[0], p[1])
        if shape in ("rod", "tube", "cup"):
            assert r == pytest.approx(s[0], rel=2e-3)
            assert abs(normal @ [-p[1], p[0], 0]) < 0.04 * r
        elif shape == "bowl":
            assert np.linalg.norm(p - [0, 0, s[0]]) == pytest.approx(s[0], rel=2e-3)
        else:
            assert np.abs(np.abs(2 * p / np.array(s)) - 1).min() < 1e-6
        assert np.linalg.norm(normal) == pytest.approx(1)


def ball_relief(radius=0.02, size=64, patch=16e-3, texture=NONE):
    mujoco = physics()
    text = f'<mujoco><worldbody><body name="ball" pos="1 2 3"><geom size="{radius}"/></body></worldbody></mujoco>'
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(text))
    mujoco.mj_forward(data.model, data)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    point = np.array([1, 2, 3]) + radius * axes[2]
    return relief(data, body="ball", texture=texture, point=point, axes=axes, patch=patch, size=size), axes, point


def test_relief_of_a_ball_is_its_equation():
    height, axes, point = ball_relief()
    side = ((np.arange(64) + 0.5) / 64 - 0.5) * 16e-3
    across, up = np.meshgrid(side, -side)
    rays = across[..., None] * axes[0] + up[..., None] * axes[1] - axes[2]
    met = point + axes[2] + (1 - height)[..., None] * rays
    np.testing.assert_allclose(np.linalg.norm(met - [1, 2, 3], axis=-1), 0.02, atol=1e-9)
    bumps = draw_texture(np.random.default_rng(1), "pebble")
    rough = ball_relief(texture=bumps)[0] - height
    np.testing.assert_allclose(rough, bumps.height(met - [1, 2, 3]), atol=1e-12)


def test_relief_ends_where_the_body_ends():
    height, *_ = ball_relief(radius=4e-3)
    inside = np.isfinite(height).mean() * 16e-3**2
    assert inside == pytest.approx(math.pi * 4e-3**2, rel=0.05)
    assert np.isneginf(height[0, 0])


def test_imprint_of_a_ball_carries_the_springs_force():
    height, *_ = ball_relief(size=128)
    depth = imprint(height, force=3.0)
    area = (16e-3 / 128) ** 2
    assert FOUNDATION * depth.sum() * area == pytest.approx(3.0, rel=1e-6)
    # a paraboloid of radius R pressed to d holds a volume of pi R d^2
    assert depth.max() == pytest.approx(math.sqrt(3.0 / (math.pi * FOUNDATION * 0.02)), rel=0.03)
    assert imprint(height, force=6.0).max() > depth.max()
    pin = np.full((16, 16), -np.inf)
    pin[8, 8] = 0.0
    assert imprint(pin, force=50.0).max() == pytest.approx(DEEPEST)


def test_gel_shows_slopes_by_colour():
    slope = np.tile(np.arange(32) * 16e-3 / 32 * 0.3, (32, 1))  # rises to the right by 0.3
    seen = gel_image(slope)[:, 16, 16] / 255
    normal = np.array([-0.3, 0, 1]) / math.hypot(1, 0.3)
    for colour, degrees in zip(seen, (0, 120, 240), strict=True):
        a = math.radians(degrees)  # a picture's rows go down
        lamp = np.array([0.8 * math.cos(a), -0.8 * math.sin(a), 0.6])
        assert colour == pytest.approx(0.1 + 0.75 * max(0, normal @ lamp), abs=3e-3)
    turned = gel_image(np.rot90(slope, 2))[:, 16, 16]
    assert turned[0] > 255 * seen[0] + 50  # the slope that faces the red lamp is red


def test_textures_fade_where_pixels_are_coarse_and_are_of_their_kind():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, size=(4000, 3))
    for kind in KINDS:
        texture = draw_texture(np.random.default_rng(2), kind)
        sizes = [texture.height(points, blur=b).std() for b in (0.0, 5e-4, 5e-3)]
        assert sizes[0] > sizes[1] > 20 * sizes[2]
        assert sizes[0] == pytest.approx(math.sqrt((texture.amplitudes**2).sum() / 2), rel=0.2)
        assert (sizes[0] < 1e-5) == (kind == "smooth")
    fibres = draw_texture(rng, "grain").waves
    assert np.abs(fibres[:, 2]).mean() < 0.1 * np.linalg.norm(fibres, axis=1).mean()
    with pytest.raises(InputError, match="kind is 'furry'"):
        draw_texture(rng, "furry")


def test_log_mel_finds_a_tone_and_counts_its_power():
    rate, time = 16000, np.arange(10240) / 16000
    edges = 700 * (10 ** (np.linspace(2595 * math.log10(1 + 50 / 700), 2595 * math.log10(1 + 8000 / 700), 66) / 2595) - 1)
    for tone in (200, 1000, 5000):
        found = log_mel(np.sin(2 * np.pi * tone * time), rate=rate)
        assert found.shape == (64, 64)
        assert abs(int(found[:, 32].argmax()) - int(np.abs(edges[1:-1] - tone).argmin())) <= 1
        twice = log_mel(2 * np.sin(2 * np.pi * tone * time), rate=rate)
        assert twice.max() - found.max() == pytest.approx(math.log(4), abs=1e-3)
    np.testing.assert_allclose(log_mel(np.zeros(10240), rate=rate), math.log(1e-7), rtol=1e-6)
    # neighbouring triangles sum to one between the first and the last peak
    bands, f = mel_bands(64, rate=rate, points=1024), np.fft.rfftfreq(1024, 1 / rate)
    np.testing.assert_allclose(bands.sum(axis=0)[(f >= edges[1]) & (f <= edges[-2])], 1)
    with pytest.raises(InputError, match="wave has shape"):
        log_mel(np.zeros(100), rate=rate)
    with pytest.raises(InputError, match="too many"):
        mel_bands(300, rate=rate, points=1024)


def test_material_and_size_are_heard():
    rod = thing_of("rod", "steel")
    slack = replace(rod, material=replace(rod.material, young=rod.material.young / 4))
    np.testing.assert_allclose(slack.modes.frequency, rod.modes.frequency / 2)
    longer = replace(rod, size=(rod.size[0], 2 * rod.size[1]))
    np.testing.assert_allclose(longer.modes.frequency, rod.modes.frequency / 4)
