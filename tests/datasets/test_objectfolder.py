"""ObjectFolder retrieval from a fixture in its layout."""

import json

import numpy as np
import pytest
import torch

from tests.fixtures import objectfolder as fixture
from tuplet import InputError
from tuplet.datasets import objectfolder
from tuplet.datasets._touch_source import COLOURS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of")
    fixture.write(folder)
    return folder


def test_three_senses_of_one_instance_are_in_one_row(root):
    s = objectfolder.load(root, side=16, normalisation="none")
    objects = sorted(fixture.SPLIT["train"] | fixture.SPLIT["val"] | fixture.SPLIT["test"])
    for part, content in fixture.SPLIT.items():
        batch = getattr(s, part)[:]
        wanted = [(name, i) for name, numbers in content.items() for i in numbers]
        assert len(batch) == len(wanted)
        mean, deviation = (
            torch.as_tensor(v) for v in (s.preprocessing["audio"].scale.mean, s.preprocessing["audio"].scale.deviation)
        )
        sounds = batch.inputs["audio"] * deviation + mean
        for row, (name, i) in enumerate(wanted):
            for sense in ("vision", "touch"):
                colour = torch.tensor([int(name) * 10, i * 10, 0]) / 255
                torch.testing.assert_close(batch.inputs[sense][row], colour[:, None, None].expand(3, 16, 16))
            assert float(sounds[row].mean()) == pytest.approx(int(name) + i / 100, abs=1e-4)
            assert objects[batch.group[row]] == name


def test_pictures_are_normalised_as_published(root):
    s, plain = (objectfolder.load(root, side=8, normalisation=n) for n in ("imagenet", "none"))
    assert s.fingerprint != plain.fingerprint
    a, b = s.test[:].inputs["vision"], plain.test[:].inputs["vision"]
    mean, deviation = (torch.tensor(v)[:, None, None] for v in COLOURS["imagenet"])
    torch.testing.assert_close(a, (b - mean) / deviation)
    assert objectfolder.load(root).modalities["touch"].shape == (3, 256, 256)


def test_objects_do_not_leak_and_relevance_is_the_object(root):
    s = objectfolder.load(root, side=8)
    owners = [set(s.group[getattr(s.split, p)].tolist()) for p in ("train", "val", "test")]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 6
    assert s.test[:].group.tolist() == [5, 5, 4, 4]  # objects 7 and 4 of 1, 10, 2, 3, 4, 7 in the order of their names


def test_a_converted_file_is_the_same(root, tmp_path):
    file = objectfolder.READER.convert(root, tmp_path / "o.safetensors")
    a, b = (objectfolder.load(r).train[:] for r in (root, file))
    assert all(torch.equal(a.inputs[k], b.inputs[k]) for k in a.inputs)
    with pytest.raises(InputError, match=r"input\.vision, expected rows of \(3, 64, 64\)"):
        objectfolder.load(file, side=64)
    assert objectfolder.READER.verify(root)[:3] == [
        "train: 3 objects, 7 instances",
        "val: 1 objects, 2 instances",
        "test: 2 objects, 4 instances",
    ]


split = fixture.SPLIT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        (json.dumps([1]), "has no objects in 'train'"),
        (json.dumps({k: split[k] for k in ("train", "test")}), "has no objects in 'val'"),
        (json.dumps(split | {"val": {"7": [3]}}), "object '7' in val and in test; that leaks"),
        (json.dumps(split | {"val": {"2": [0, 0]}}), "twice"),
        (json.dumps(split | {"val": {"2": ["0"]}}), "without a list of instance numbers"),
        (json.dumps(split | {"val": {"2": []}}), "without a list"),
        (json.dumps(split | {"val": {"../2": [0]}}), "expected the name of a folder"),
        (json.dumps(split | {"val": {"2": [0, 55]}}), "55.png does not exist"),
    ],
)
def test_bad_splits_are_named(root, tmp_path, content, message):
    (root / "other.json").write_text(content)
    with pytest.raises(InputError, match=message):
        objectfolder.load(root, split="other.json")


def test_damaged_files_are_named(tmp_path):
    fixture.write(tmp_path)
    picture, sound = tmp_path / "touch/3/1.png", tmp_path / "audio_spectrogram/3/1.npy"
    good = picture.read_bytes()
    for content in (good[: len(good) // 2], b"", b"GIF89a"):
        picture.write_bytes(content)
        with pytest.raises(InputError, match=r"touch/3/1\.png is no readable picture .*expected PNG\)"):
            objectfolder.READER.verify(tmp_path)
    picture.write_bytes((tmp_path / "vision/3/1.png").read_bytes())
    with pytest.raises(InputError, match="300 x 280 pixels, expected at least 320"):
        objectfolder.READER.verify(tmp_path)
    picture.write_bytes(good)
    np.save(sound, np.zeros((5, 8), np.float32))
    with pytest.raises(InputError, match=r"3/1\.npy has shape \(5, 8\)"):
        objectfolder.READER.verify(tmp_path)
    np.save(sound, np.full((5, 9), np.nan, np.float32))
    with pytest.raises(InputError, match="audio with NaN"):
        objectfolder.READER.verify(tmp_path)
    sound.unlink()
    with pytest.raises(InputError, match=r"1\.npy does not exist"):
        objectfolder.load(tmp_path)
