"""The simulated touch world: what sensors share, what they do not, and what is refused."""

import io
import zipfile

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.nets.augment import Augment
from tuplet.simulators import _touch_calibration as calibration
from tuplet.simulators._touch_gel import SENSORS, _markers, indentation, lambert, pictures
from tuplet.simulators._touch_surface import (
    FIELD,
    blurred,
    draw_contact,
    draw_thing,
    frequencies,
    padded,
    pattern,
    places,
)
from tuplet.simulators._touch_words import HARD, PATTERNS, ROUGH, sentence
from tuplet.simulators.touch import load

SMALL = {"contacts": 96, "size": 16, "calibration": "approximate"}


@pytest.fixture(scope="module")
def same():
    return load(**SMALL | {"size": 32}, same_contact=True)


def test_a_seed_is_a_source_and_more_contacts_begin_with_the_same():
    source, again, other = load(**SMALL), load(**SMALL), load(**SMALL, seed=1)
    assert source.fingerprint == again.fingerprint != other.fingerprint
    more = load(**SMALL | {"contacts": 120})
    for k in ("touch", "vision", "text"):
        assert torch.equal(more.columns[k].values[:96], source.columns[k].values), k
        assert k == "text" or len(torch.unique(source.columns[k].values, dim=0)) == 96, k


def test_objects_stay_in_one_part_and_batches_carry_the_sensor():
    source = load(**SMALL, sensors=("digit", "gelsight"))
    parts = [set(source.part(p).group.tolist()) for p in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 24
    assert torch.bincount(source.group).tolist() == [4] * 24
    batch = source.select(["touch", "text"]).train[:9]
    assert torch.equal(batch.aux["sensor"], batch.target["sensor"])
    assert torch.equal(Augment()(batch).aux["sensor"], batch.target["sensor"])
    assert source.targets["sensor"].names == ("digit", "gelsight")
    assert {k: t.size for k, t in source.targets.items()} == {"family": 6, "hardness": 2, "roughness": 2, "sensor": 2}
    alone = load(**SMALL, sensors=("digit",))
    assert "sensor" not in alone.targets
    assert not alone.train[:2].aux
    ids = source.values["sensor"].numpy()
    digits = alone.columns["touch"].values.numpy()[ids == 0]
    np.testing.assert_array_equal(source.columns["touch"].values.numpy()[ids == 0], digits)


def test_one_contact_through_every_sensor(same):
    touch = same.columns["touch"].values.numpy().reshape(96, 4, 3, 32, 32) / 255
    assert same.values["sensor"].tolist() == [0, 1, 2, 3] * 96
    for k in ("family", "hardness", "roughness"):
        assert (same.values[k].reshape(96, 4) == same.values[k][::4, None]).all(), k
    assert (same.group.reshape(96, 4) == torch.arange(96)[:, None]).all()
    vision = same.columns["vision"].values.reshape(96, 4, -1)
    assert (vision == vision[:, :1]).all()
    # the mean picture of a sensor tells it from the others, and the imprint agrees where it does not
    style = touch.mean(axis=0)
    between = min(np.abs(style[i] - style[j]).mean() for i in range(4) for j in range(i))
    assert between > 0.05
    change = np.abs(touch - style).mean(axis=2) - np.abs(touch - style).mean(axis=(0, 2))  # (96, 4, 32, 32)
    change = change.reshape(96, 4, -1) - change.reshape(96, 4, -1).mean(axis=-1, keepdims=True)
    change /= np.linalg.norm(change, axis=-1, keepdims=True)
    alike = np.einsum("aip,bjp->ijab", change, change)
    for i, j in ((0, 1), (0, 2), (0, 3)):
        assert (alike[i, j].argmax(axis=1) == np.arange(96)).mean() > 0.3, (i, j)  # chance is 0.01


def test_pictures_are_exposed_and_not_noise(same):
    touch = same.columns["touch"].values.numpy().reshape(96, 4, 3, 32, 32)
    for i, name in enumerate(SENSORS):
        seen = touch[:, i]
        assert (seen == 255).mean() < 0.01, name
        assert (seen == 0).mean() < 0.01, name
        assert 60 < seen.mean() < 190, name
        assert seen.std() > 12, name
    near = np.corrcoef(touch[..., 1:].ravel(), touch[..., :-1].ravel())[0, 1]
    assert near > 0.85


def test_hard_and_rough_things_make_other_imprints(same):
    touch = same.columns["touch"].values.numpy().reshape(96, 4, 3, 32, 32)[:, 0] / 255
    energy = (np.diff(touch, axis=-1) ** 2).mean(axis=(1, 2, 3))
    of = {k: np.array(same.targets[k].names)[same.values[k].numpy()[::4]] for k in ("hardness", "roughness")}
    assert energy[of["hardness"] == "hard"].mean() > 1.3 * energy[of["hardness"] == "soft"].mean()
    assert energy[of["roughness"] == "rough"].mean() > 1.2 * energy[of["roughness"] == "smooth"].mean()


def test_sentences_say_what_the_targets_say():
    for number in range(48):
        thing = draw_thing(0, number)
        said = sentence(thing, np.random.default_rng(number)).lower()
        for words, value in ((HARD, thing.hard), (ROUGH, thing.rough), (PATTERNS, thing.family)):
            assert any(w in said for w in words[value]), (said, value)
        assert "{" not in said
    told = []
    ids = load(**SMALL, tokenise=lambda texts: told.extend(texts) or torch.arange(192).reshape(96, 2))
    assert ids.columns["text"].values.tolist() == torch.arange(192.0).reshape(96, 2).tolist()
    assert len(told) == 96
    kinds = {(t.family, t.rough, t.hard) for t in (draw_thing(3, i) for i in range(24, 48))}
    assert len(kinds) == 24


def test_blurs_are_gaussian_and_in_millimetres():
    size = 64
    x, y = places(size)
    point = np.zeros((1, padded(size), padded(size)), np.float32)
    point[0, 40, 40] = 1
    found = blurred(point, frequencies(size), 0.5)[0]
    away = (x - x[40, 40]) ** 2 + (y - y[40, 40]) ** 2
    assert found.sum() == pytest.approx(1, abs=1e-4)
    assert (found * away).sum() == pytest.approx(2 * 0.5**2, rel=0.02)


def test_a_level_gel_has_its_level_and_slopes_take_the_colour_of_the_lamp_they_face():
    size = 33
    flat = np.zeros((1, size, size), np.float32)
    sensor = SENSORS["gelsight"]
    middle = lambert(sensor, flat, flat, size)[0, :, 16, 16]
    np.testing.assert_allclose(middle, sensor.level, rtol=1e-3)
    # red comes from the right: a slope that falls to the right faces it
    toward, away = (lambert(sensor, flat, flat + s, size)[0, 0, 16, 16] for s in (-0.5, 0.5))
    assert toward > middle[0] > away


def test_the_gel_is_pressed_only_where_it_is_met_and_soft_things_flatten():
    size = 32
    x, y = places(size)
    above = (1 - (x * x + y * y) / 10)[None]
    give = np.full((1, 1, 1), 3.0, np.float32)
    hard, _ = indentation(SENSORS["digit"], above, give, size)
    soft, _ = indentation(SENSORS["digit"], above, give / 6, size)
    assert hard.max() == pytest.approx(0.9, abs=0.15)
    assert soft.max() < 0.5
    assert abs(hard[0, 0]).max() < 1e-3
    at = np.arange(size) - (size - 1) / 2
    for name in ("duragel", "gelsight_mini"):
        pressed, wide = indentation(SENSORS[name], above, give, size)
        touched, untouched = (pictures(SENSORS[name], name, None, w * pressed, w * wide, size)[0] for w in (1, 0))
        change = np.abs(touched - untouched).sum(axis=0)
        centre = [(change.sum(axis=axis) * at).sum() / change.sum() for axis in (0, 1)]
        assert np.abs(centre).max() < 1, name  # what changes lies in the middle of the picture


def test_markers_move_away_from_the_press():
    size = 128
    x, y = places(size)
    sensor = SENSORS["gelsight_mini"]
    wide = np.exp(-(x * x + y * y) / 18)[None]
    for sign in (1, -1):  # the dot right of the middle, and the one left of it
        near = (np.abs(x - sign * sensor.markers) < 0.9) & (np.abs(y) < 0.9)
        still, moved = (1 - _markers(sensor, w * wide, size)[0] for w in (0, 1))
        before, after = ((dark * x * near).sum() / (dark * near).sum() for dark in (still, moved))
        assert before == pytest.approx(sign * sensor.markers, abs=0.05)
        assert sign * (after - before) > 0.1


def test_pebbles_are_whole_and_textures_fill_their_range():
    for number in range(24):
        contact = draw_contact(draw_thing(0, number), np.random.default_rng(number), 64)
        height = pattern([contact], [contact.pose], 4.0, 64)[0]
        if contact.thing.family == "pebble":  # a stone that is cut off at a cell's edge makes a step inside
            flat = height[1:-1, 1:-1] > 0.5
            step = np.abs(np.diff(height, axis=0))[:-1, 1:-1]
            assert step[flat].max() < 0.25
        if contact.thing.family != "smooth":
            assert height.min() >= 0
            assert height.min() < 0.1 < 0.9 < height.max() <= 1.0 + 1e-6


def wheel(path, sensor="gelsight", bins=125):
    """Write a wheel with a table that answers with the slope to the right in red, that down in blue, the same in green."""
    steep = np.tan(np.minimum(np.arange(bins) + 0.5, bins - 2) * np.pi / 2 / (bins - 1))[:, None]
    way = (np.arange(bins) + 0.5) * 2 * np.pi / (bins - 1) - np.pi
    terms = {k: np.zeros((bins, bins, 6)) for k in "rgb"}
    terms["b"][..., 5] = 255 * 0.1 * steep * np.cos(way)  # frames and tables begin with blue, whatever they are called
    terms["r"][..., 5] = 255 * 0.1 * steep * np.sin(way)
    terms["g"][..., 5] = 50
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 51, 153
    with zipfile.ZipFile(path, "a") as file:
        for name, arrays in (
            ("polycalib", {f"grad_{k}": v for k, v in terms.items()}),
            ("dataPack", {"f0": frame}),
        ):
            data = io.BytesIO()
            np.savez(data, **arrays)
            file.writestr(f"taxim/calib/{sensor}/{name}.npz", data.getvalue())
    return path


def test_measured_light_is_looked_up_by_slope(tmp_path, monkeypatch):
    path = tmp_path / "taxim.whl"
    for sensor in calibration.CALIBRATED:
        wheel(path, sensor)
    table = calibration.calibrations(path)["gelsight"]
    np.testing.assert_allclose(table.background[:, 5, 5], (0.6, 0, 0.2), atol=1e-6)
    slope = np.full((1, 8, 8), 0.4, np.float32)
    seen = table.light(slope, -slope, 8)[0, :, 4, 4]
    np.testing.assert_allclose(seen, (0.6 - 0.04, 0, 0.2 + 0.04), atol=3e-3)
    np.testing.assert_allclose(table.light(0 * slope, 0 * slope, 8)[0, :, 4, 4], (0.6, 0, 0.2), atol=3e-3)
    source = load(**SMALL | {"calibration": path}, sensors=("gelsight", "digit"))
    notes = source.provenance.notes
    assert ["measured (taxim" in n for n in notes] == [True, False]
    assert source.fingerprint != load(**SMALL, sensors=("gelsight", "digit")).fingerprint
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "site" / "taxim" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    installed = load(**SMALL | {"calibration": "installed"}, sensors=("gelsight", "digit"))
    assert installed.fingerprint == source.fingerprint
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as file:
        file.writestr("taxim/calib/gelsight/polycalib.npz", b"nothing")
    for bad in ("other.whl", "missing", ""):
        with pytest.raises(InputError, match="has no readable calib/gelsight/polycalib"):
            load(**SMALL | {"calibration": tmp_path / bad})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sensors": ("gelsight", "tac3d")}, "sensors is 'tac3d'"),
        ({"sensors": ("digit", "digit")}, "different names"),
        ({"sensors": ()}, "one or more"),
        ({"size": 8}, "size is 8"),
        ({"contacts": 0}, "contacts is 0"),
        ({"contacts": 95}, "contacts is 95"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_input_is_named_in_one_line(options, words):
    with pytest.raises(InputError, match=words) as error:
        load(**SMALL | options)
    assert "\n" not in str(error.value)


def test_the_field_is_that_of_the_calibrated_frames():
    assert pytest.approx(480 * 0.0295) == FIELD
