"""AV-MNIST: scales, splits, patches and tokens against the arrays that were written."""

import numpy as np
import pytest
import torch

from tests.fixtures import av_mnist as fixture
from tuplet.datasets import av_mnist
from tuplet.io.npy import read_npy
from tuplet.types import InputError


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.float32, 255), (np.float64, 1), (np.int64, 255)])
@pytest.mark.parametrize("converted", [False, True])
def test_pictures_are_0_to_1_whatever_the_dtype(dtype, top, converted, tmp_path):
    made = fixture.write(tmp_path, dtype=dtype, top=top)
    root = av_mnist.READER.convert(tmp_path, tmp_path / "a.safetensors") if converted else tmp_path
    source = av_mnist.load(root, validation=14)
    for part, rows in (("train", made["train"]["image"][:-14]), ("val", made["train"]["image"][-14:])):
        got = getattr(source, part)[:].inputs["image"]
        assert got.shape[1:] == (1, 28, 28)
        wanted = rows.astype(np.float64) / top
        assert np.allclose(got.numpy().reshape(len(rows), 784), wanted, atol=1e-6)
    audio = source.test[:].inputs["audio"].numpy()[:, 0]
    assert np.allclose(audio, made["test"]["audio"].astype(np.float64) / 255, atol=1e-6)
    assert source.test[:].target["digit"].tolist() == made["test"]["labels"].tolist()


def test_patches_are_4_by_4_pixels(tmp_path):
    made = fixture.write(tmp_path)
    image = made["train"]["image"][0].reshape(28, 28) / 255
    patches = av_mnist.load(tmp_path, validation=14, image="patches").train[:1].inputs["image"][0].numpy()
    for row in range(7):
        for column in range(7):
            wanted = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1)
            assert np.allclose(patches[7 * row + column], wanted, atol=1e-6)


@pytest.mark.parametrize("axes", ["coefficient-frame", "frame-coefficient"])
def test_mfcc_are_scaled_per_coefficient_on_train(axes, tmp_path):
    made = fixture.write(tmp_path, mfcc=True)
    source = av_mnist.load(tmp_path, validation=14, axes=axes)
    raw = made["train"]["audio"][:-14].astype(np.float64)
    over, keep = ((0, 2), (1, 0)) if axes == "coefficient-frame" else ((0, 1), (0, 1))
    mean, deviation = raw.mean(axis=over), raw.std(axis=over)
    x = made["test"]["audio"][3].astype(np.float64)
    wanted = (x.transpose(keep) - mean) / deviation
    assert source.modalities["audio"].shape == wanted.shape
    assert np.allclose(source.test[3:4].inputs["audio"][0].numpy(), wanted, atol=1e-4)


def test_the_published_split_shares_recordings_and_the_clip_split_does_not(tmp_path):
    made = fixture.write(tmp_path, rows=(280, 84), clips=60)
    clip = np.concatenate([made["train"]["clip"], made["test"]["clip"]])
    published, drawn = av_mnist.load(tmp_path, validation=28), av_mnist.load(tmp_path, split="clip")
    assert set(clip[published.split.val]) & set(clip[published.split.train])
    parts = [set(clip[p].tolist()) for p in (drawn.split.train, drawn.split.val, drawn.split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60
    assert torch.equal(drawn.train[:].group, torch.from_numpy(av_mnist.read(tmp_path)[0]["clip"][drawn.split.train]))
    lines = "\n".join(av_mnist.READER.verify(tmp_path))
    assert "60 different recordings in 364 rows" in lines
    share = 100 * np.isin(made["test"]["clip"], made["train"]["clip"]).mean()
    assert f"test: {share:.1f} % of rows" in lines


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        ("train_labels.npy", np.arange(84) % 11, "other than 0 .. 9"),
        ("train_labels.npy", np.zeros(5, int), "expected 5 rows of numbers"),
        ("image/test_data.npy", np.zeros((28, 700), np.uint8), "expected 784 pixels"),
        ("image/test_data.npy", np.full((28, 784), 256), "rows of|outside 0 .. 255"),
        ("audio/train_data.npy", np.zeros((84, 20, 36), np.float32), "expected one of"),
        ("audio/test_data.npy", np.zeros((28, 36, 20), np.uint8), "as in"),
        ("image/train_data.npy", np.full((84, 784), np.nan), "rows of|not finite"),
    ],
)
def test_faults_are_named(file, array, message, tmp_path):
    fixture.write(tmp_path)
    np.save(tmp_path / file, array)
    with pytest.raises(InputError, match=message):
        av_mnist.load(tmp_path, validation=14)


def test_npy_holds_objects_only_through_the_restricted_reader(tmp_path):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.arange(3), {"a": 1}]
    np.save(tmp_path / "a.npy", ragged, allow_pickle=True)
    assert read_npy(tmp_path / "a.npy")[0].tolist() == [0, 1, 2]
    bad = np.empty(1, dtype=object)
    bad[0] = fixture.write  # a function
    np.save(tmp_path / "a.npy", bad, allow_pickle=True)
    with pytest.raises(InputError, match=r"asks for tests\.fixtures\.av_mnist\.write"):
        read_npy(tmp_path / "a.npy")
    for array in (
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 4)),
        np.array(3),
        np.array(["ab", "c"]),
    ):
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy(tmp_path / "a.npy"), array)
    np.save(tmp_path / "a.npy", np.arange(1000))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    with pytest.raises(InputError, match="holds 7991 bytes of data, expected 8000"):
        read_npy(tmp_path / "a.npy")
