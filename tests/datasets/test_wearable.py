"""The smartwatch recordings: a fixture in their format, and the real file where it is installed."""

import importlib.util
import zipfile

import numpy as np
import pytest

from tests.fixtures import wearable as fixture
from tuplet import InputError
from tuplet.datasets import wearable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("watch")
    fixture.write(root)
    return root


def owners(source):
    return [set(source.group[getattr(source.split, part)].tolist()) for part in ("train", "val", "test")]


def test_windows_hold_what_their_labels_say(folder):
    s = wearable.load(folder, window=50, stride=25)
    raw = {p: getattr(s, p)[:] for p in ("train", "val", "test")}
    scale = s.preprocessing["accelerometer"].scale
    for batch in raw.values():
        level = (batch.inputs["accelerometer"].numpy() * scale.deviation + scale.mean).mean(axis=(1, 2)).round()
        person, exercise, side = level // 100, level % 100 // 10, level % 10
        assert (exercise == batch.target["exercise"].numpy()).all()
        assert (side == batch.target["side"].numpy()).all()
        assert (person - 1 == s.group[batch.index].numpy()).all()
        assert batch.inputs["gyroscope"].shape[1:] == (50, 3)
        assert batch.group is None
    train = raw["train"].inputs["gyroscope"]
    assert train.mean((0, 1)).abs().max() < 1e-4
    assert (train.std((0, 1), correction=0) - 1).abs().max() < 1e-4


def test_people_do_not_leak(folder):
    for options in ({}, {"seed": 3}, {"held_out": 2}, {"held_out": 5, "side": "left"}):
        s = wearable.load(folder, **options)
        parts = owners(s)
        assert sum(map(len, parts)) == len(set.union(*parts)) == 5
        if "held_out" in options:
            assert parts[2] == {options["held_out"] - 1}
    assert wearable.load(folder).split != wearable.load(folder, seed=3).split


def test_one_side_is_half(folder):
    both, left, right = (wearable.load(folder, side=side) for side in ("both", "left", "right"))
    assert len(left.values["exercise"]) + len(right.values["exercise"]) == len(both.values["exercise"])
    assert "side" not in left.targets
    assert len({s.fingerprint for s in (both, left, right)}) == 3


def test_package_wheel_and_converted_file_are_the_same(folder, tmp_path, monkeypatch):
    s = wearable.load(folder)
    wheel = tmp_path / "seglearn-1.2.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        out.write(folder / "watch_dataset.npy", "seglearn/data/watch_dataset.npy")
    file = wearable.READER.convert(folder, tmp_path / "w.safetensors")
    package = tmp_path / "site" / "seglearn"
    fixture.write(package / "data")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for root in (folder / "watch_dataset.npy", wheel, file, None):
        assert wearable.load(root).fingerprint == s.fingerprint
    assert wearable.READER.verify(folder)[0].startswith("70 recordings")


def broken(**changes):
    return fixture.content() | changes


x = fixture.content()["X"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({k: v for k, v in fixture.content().items() if k != "y"}, r"lacks \['y'\]"),
        ([1, 2], "is not a dict"),
        (broken(X_labels=["wx"] * 6), "has labels"),
        (broken(X=[x[0][:, :5], *x[1:]]), r"recording 0 of shape \(\d+, 5\)"),
        (broken(X=[*x[:-1], np.full((300, 6), np.nan)]), "recording 69"),
        (broken(X=x[1:]), "expected 69 codes"),
        (broken(y=fixture.content()["y"] + 1), "'y'"),
        (broken(side=np.full(70, 0.5)), "'side'"),
    ],
)
def test_damaged_data_are_named(tmp_path, data, message):
    fixture.write(tmp_path, data)
    with pytest.raises(InputError, match=message):
        wearable.load(tmp_path)


def test_what_is_no_data_is_refused(tmp_path, folder, monkeypatch):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    np.save(tmp_path / "watch_dataset.npy", broken(X=[Evil()]), allow_pickle=True)
    with pytest.raises(InputError):
        wearable.load(tmp_path)
    (tmp_path / "a.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match="no readable wheel"):
        wearable.load(tmp_path / "a.whl")
    with pytest.raises(InputError, match="held_out is 11"):
        wearable.load(folder, held_out=11)
    with pytest.raises(InputError, match="side is 'middle'"):
        wearable.load(folder, side="middle")
    with pytest.raises(InputError, match="longest recording"):
        wearable.load(folder, window=1000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install seglearn"):
        wearable.load()


@pytest.mark.skipif(importlib.util.find_spec("seglearn") is None, reason="seglearn is not installed")
def test_the_real_recordings_are_what_they_are_said_to_be():
    columns = wearable.read().columns
    assert len(columns["recording"]) == 244_102
    assert columns["recording"].max() == 139
    assert sorted(set(columns["group"].tolist())) == list(range(1, 11))
    assert 0.9 < np.median(np.linalg.norm(columns["input.accelerometer"], axis=1)) < 1.2
