"""The tap scene: repeatable rows, sounds at the modes of what is struck, and modalities that share the object."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.test_objects import thing_of
from tuplet import InputError
from tuplet.simulators import tap
from tuplet.simulators.episodes import episode_rows
from tuplet.simulators.objects import MATERIALS, SHAPES, draw
from tuplet.simulators.stage import stage, strike
from tuplet.simulators.tap import RATE, Tap, look, press, record

SMALL = Tap(size=32, instances=4)


@pytest.fixture(scope="module")
def rows():
    return episode_rows(SMALL, episodes=30, seed=5)


def test_rows_have_their_shapes_and_ranges(rows):
    assert rows["input.vision"].shape == rows["input.touch"].shape == (120, 3, 32, 32)
    assert rows["input.vision"].dtype == rows["input.touch"].dtype == np.uint8
    assert rows["input.audio"].shape == (120, 64, 64)
    assert all(np.isfinite(v).all() for v in rows.values())
    assert (rows["strike"] > 0).all()
    for name, classes in (("material", MATERIALS), ("shape", SHAPES)):
        codes = rows[f"target.{name}"].reshape(30, 4)
        assert (codes == codes[:, :1]).all()  # an object keeps its material and shape
        assert set(codes.ravel()) <= set(range(len(classes)))
    for name in ("vision", "touch", "audio"):
        x = rows[f"input.{name}"].reshape(120, -1)
        assert len(np.unique(x, axis=0)) == 120
        assert (x.std(axis=1) > 0).all()


def test_an_episode_depends_on_its_seed_and_number_only(rows):
    again = Tap(size=32, instances=4).episode(np.random.default_rng([5, 7]))
    for name, values in again.items():
        np.testing.assert_array_equal(values, rows[name][28:32])
    other = SMALL.episode(np.random.default_rng([6, 7]))
    assert not np.array_equal(other["input.audio"], again["input.audio"])


def test_instances_of_one_object_are_nearer_than_others(rows):
    for name, at_least in (("audio", 0.5), ("touch", 0.2), ("vision", 0.2)):
        x = rows[f"input.{name}"].astype(float)
        if name == "touch":  # a texture is known by its spectrum, wherever the finger lands
            x = np.log1p(np.abs(np.fft.rfft2(x - x.mean(axis=(2, 3), keepdims=True))))
        if name == "audio":
            x = x.max(axis=2)
        if name == "vision":
            x = x[:, :, 10:22, 10:22].mean(axis=(2, 3))
        x = x.reshape(120, -1)
        far = np.linalg.norm(x[:, None] - x, axis=2) + np.diag(np.full(120, np.inf))
        hits = (rows["group"][far.argmin(axis=1)] == rows["group"]).mean()
        assert hits > at_least, name  # chance is 3 / 119


def test_a_steel_rod_sounds_at_its_modes_and_rings_on():
    rod = thing_of("rod", "steel")
    f = rod.modes.below(0.45 * RATE).frequency
    rng = np.random.default_rng(1)
    force, step, gain = strike(rng, rod, stage(rod))
    wave = record(rng, rod, force=force, step=step, gain=gain)
    late = wave[1600:] * np.hanning(len(wave) - 1600)
    heard = np.fft.rfftfreq(len(late), 1 / RATE)[np.abs(np.fft.rfft(late)).argmax()]
    assert np.abs(f - heard).min() < 2.5
    dull = replace(rod, material=replace(rod.material, loss=0.1))
    short = record(np.random.default_rng(2), dull, force=force, step=step, gain=gain)
    assert np.abs(wave[4000:]).max() > 10 * np.abs(short[4000:]).max()
    assert 0.29 < np.abs(wave).max() < 0.92


def test_where_it_is_struck_is_heard():
    rod = thing_of("rod", "glass")
    gains = [strike(np.random.default_rng(seed), rod, stage(rod))[2][:6] for seed in range(12)]
    assert np.linalg.matrix_rank(np.array(gains)) == 6


def test_views_show_the_colour_and_touches_do_not():
    thing = thing_of("plate", "plastic")
    red, green = (replace(thing, colour=c, shine=0.0) for c in ((0.9, 0.1, 0.1), (0.1, 0.9, 0.1)))
    views = [look(np.random.default_rng(0), t, stage(t), size=32) for t in (red, green)]
    middle = [v[:, 14:18, 14:18].mean(axis=(1, 2)) for v in views]
    np.testing.assert_allclose(middle[0][[1, 0, 2]], middle[1], atol=1)
    assert middle[0][0] > 3 * middle[0][1]
    touches = [press(np.random.default_rng(0), t, stage(t), size=32) for t in (red, green)]
    np.testing.assert_array_equal(*touches)


def test_the_stage_is_left_as_it_was_found():
    thing = draw(np.random.default_rng(3))
    data = stage(thing)
    before = data.qpos.copy()
    for act in (look, press):
        act(np.random.default_rng(0), thing, data, size=8)
        np.testing.assert_array_equal(data.qpos, before)
    strike(np.random.default_rng(0), thing, data)
    np.testing.assert_array_equal(data.qpos, before)
    first = strike(np.random.default_rng(0), thing, data)
    np.testing.assert_array_equal(first[0], strike(np.random.default_rng(0), thing, stage(thing))[0])


def test_bad_settings_are_refused():
    for settings, message in (
        ({"size": 4}, "size is 4"),
        ({"instances": 0}, "instances is 0"),
        ({"bands": 65}, "bands is 65"),
        ({"waveform": "yes"}, "waveform is 'yes'"),
    ):
        with pytest.raises(InputError, match=message):
            Tap(**settings)


def test_the_source_splits_by_object(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    source = tap.load(episodes=40, seed=1, instances=2, size=8, waveform="keep")
    parts = {p: set(getattr(source, p)[:].group.tolist()) for p in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 40
    assert len(parts["train"]) > 6 * len(parts["test"]) > 0
    assert source.targets["material"].names == tuple(sorted(MATERIALS))
    assert source.targets["shape"].names == SHAPES
    assert source.modalities["waveform"].shape == (10240,)
    assert source.modalities["touch"].unit == "red, green, blue, 0 to 1"
    assert math.isclose(float(source.train[:].inputs["audio"].mean()), 0, abs_tol=1e-3)
    assert tap.load(episodes=40, seed=1, instances=2, size=8, waveform="keep").fingerprint == source.fingerprint
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
