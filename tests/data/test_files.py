"""Pictures and sounds that are decoded when a batch asks for them."""

import pickle

import numpy as np
import pytest

from tuplet import InputError
from tuplet.data import Pictures, Sounds, from_arrays, from_columns

image = pytest.importorskip("PIL.Image")
wavfile = pytest.importorskip("scipy.io.wavfile")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 4, 6, 3), dtype=np.uint8)
    waves = [rng.integers(-(2**15), 2**15, 5 + i % 3).astype(np.int16) for i in range(20)]
    for i, (picture, wave) in enumerate(zip(pixels, waves, strict=True)):
        image.fromarray(picture).save(tmp_path / f"{i:02}.png")
        wavfile.write(tmp_path / f"{i:02}.wav", 8000, wave)
    return sorted(tmp_path.glob("*.png")), sorted(tmp_path.glob("*.wav")), np.moveaxis(pixels, -1, 1), waves


def test_files_give_the_rows_of_arrays_and_can_be_handed_to_workers(files):
    pictures, sounds, pixels, waves = files
    filled = np.zeros((20, 1, 6), np.float32)
    for row, wave in zip(filled, waves, strict=True):
        row[0, : len(wave[:6])] = wave[:6] / np.float32(2**15)
    columns = {"picture": Pictures(pictures), "sound": Sounds(sounds, steps=6)}
    assert columns["sound"].rate == 8000
    made = from_columns(columns, checksum="", scaling={"sound": "none"})
    held = from_arrays({"picture": pixels, "sound": filled}, scaling={"sound": "none"}, split=made.split)
    rows = pickle.loads(pickle.dumps(made)).train
    for name in columns:
        assert np.array_equal(rows[[4, 1, 4]].inputs[name], held.train[[4, 1, 4]].inputs[name])


def test_grey_pictures_have_three_equal_channels(tmp_path):
    image.new("L", (3, 2), 7).save(tmp_path / "grey.png")
    assert (Pictures([tmp_path / "grey.png"])[[0]] == 7).all()
    assert Pictures([tmp_path / "grey.png"])[:0].shape == (0, 3, 2, 3)


def test_what_is_wrong_with_a_file_is_one_line(files, tmp_path):
    pictures, sounds, *_ = files
    image.new("RGB", (9, 9)).save(tmp_path / "large.png")
    wavfile.write(tmp_path / "fast.wav", 16000, np.ones(5, np.int16))
    (tmp_path / "torn.png").write_bytes(pictures[0].read_bytes()[:60])
    with pytest.raises(InputError, match=r"different sizes: .*00.png has 6 x 4 pixels and .*large.png 9 x 9"):
        Pictures([pictures[0], tmp_path / "large.png"])[[1]]
    with pytest.raises(InputError, match=r"torn.png is no readable picture"):
        Pictures([pictures[0], tmp_path / "torn.png"])[[1]]
    with pytest.raises(InputError, match="different rates"):
        Sounds([sounds[0], tmp_path / "fast.wav"], steps=4)[[1]]
    for make in (Pictures, lambda paths: Sounds(paths, steps=3)):
        with pytest.raises(InputError, match="paths is empty"):
            make([])
    with pytest.raises(InputError, match="steps is 0"):
        Sounds(sounds, steps=0)
