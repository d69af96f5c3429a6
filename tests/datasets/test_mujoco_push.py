"""MuJoCo Push from a fixture in its layout."""

import h5py
import numpy as np
import pytest
import torch

from tests.fixtures import mujoco_push as fixture
from tuplet import InputError
from tuplet.data import Table, write_table
from tuplet.datasets import mujoco_push


@pytest.fixture(scope="module", params=[False, True], ids=["flat", "column"])
def made(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("push")
    return root, fixture.write(root, column=request.param)


def starts(trajectories, *, window, stride, horizon):
    return [
        (part, arrays, number, first)
        for number, (part, arrays) in enumerate(trajectories)
        for first in range(0, len(arrays["eef_pos"]) - window - horizon + 1, stride)
    ]


@pytest.mark.parametrize("options", [{}, {"window": 32, "stride": 3, "horizon": 1, "target": "last"}])
def test_windows_hold_the_steps_they_should(made, options):
    root, trajectories = made
    s = mujoco_push.load(root, **options)
    window, horizon = options.get("window", 16), options.get("horizon", 0)
    rows = starts(trajectories, window=window, stride=options.get("stride", 8), horizon=horizon)
    assert len(s.group) == len(rows)
    for code, part in enumerate(("train", "val", "test")):
        batch = getattr(s, part)[:]
        raw = {k: batch.inputs[k].numpy() * v.deviation + v.mean for k, p in s.preprocessing.items() for v in [p.scale]}
        for i, index in enumerate(batch.index.tolist()):
            home, arrays, number, first = rows[index]
            here = slice(first, first + window)
            assert home == code
            assert batch.group[i] == number
            np.testing.assert_allclose(raw["image"][i], arrays["image"][here], rtol=1e-5, atol=1e-2)
            np.testing.assert_allclose(raw["position"][i], arrays["eef_pos"][here], atol=1e-5)
            np.testing.assert_allclose(raw["sensors"][i, :, :6], arrays["force"][here], atol=1e-4)
            np.testing.assert_allclose(raw["sensors"][i, :, 6], arrays["contact"].ravel()[here], atol=1e-5)
            place = arrays["eef_pos"]
            if first:
                np.testing.assert_allclose(raw["control"][i, :, :3], place[first - 1 : first + window - 1], atol=1e-5)
            change = np.diff(place[here], axis=0)
            np.testing.assert_allclose(raw["control"][i, 1:, 3:6], change, atol=1e-5)
            aim = arrays["Cylinder0_pos"][first + horizon : first + window + horizon, :2]
            aim = aim[-1:] if "target" in options else aim
            np.testing.assert_allclose(batch.target["object"][i], aim.ravel(), atol=1e-6)


def test_frames_move_the_target_only(made):
    root, trajectories = made
    world, start, gripper = (mujoco_push.load(root, frame=f) for f in ("world", "start", "gripper"))
    rows = starts(trajectories, window=16, stride=8, horizon=0)
    batch, relative, hand = (s.test[:5] for s in (world, start, gripper))
    for i, index in enumerate(batch.index.tolist()):
        _, arrays, _, first = rows[index]
        step = batch.target["object"][i].reshape(16, 2) - relative.target["object"][i].reshape(16, 2)
        np.testing.assert_allclose(step, np.tile(arrays["Cylinder0_pos"][first, :2], (16, 1)), atol=1e-6)
        step = batch.target["object"][i].reshape(16, 2) - hand.target["object"][i].reshape(16, 2)
        np.testing.assert_allclose(step, np.tile(arrays["eef_pos"][first + 15, :2], (16, 1)), atol=1e-6)
    assert torch.equal(batch.inputs["image"], relative.inputs["image"])
    assert len({s.fingerprint for s in (world, start, gripper)}) == 3


def test_trajectories_do_not_leak_and_statistics_are_those_of_train(made):
    root, _ = made
    s = mujoco_push.load(root)
    owners = [set(s.group[getattr(s.split, p)].tolist()) for p in ("train", "val", "test")]
    assert [len(o) for o in owners] == [5, 2, 3]
    assert not (owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2])
    train = s.train[:].inputs["sensors"]
    assert train.mean((0, 1)).abs().max() < 1e-4
    assert (train.std((0, 1), correction=0) - 1).abs().max() < 1e-3


def test_a_converted_file_is_the_same_under_any_option(made, tmp_path):
    root, _ = made
    file = mujoco_push.READER.convert(root, tmp_path / "p.safetensors")
    bare = write_table(tmp_path / "bare.safetensors", Table.open(file).columns, about={"name": "mujoco_push"})
    assert mujoco_push.load(bare).provenance.title == "MuJoCo Push (gentle push)"
    for options in ({}, {"window": 20, "horizon": 2, "frame": "start"}):
        a, b = (mujoco_push.load(r, **options).val[:] for r in (root, file))
        for name in a.inputs:
            torch.testing.assert_close(a.inputs[name], b.inputs[name])
        assert torch.equal(a.target["object"], b.target["object"])
    lines = mujoco_push.READER.verify(root)
    assert lines[0].startswith("gentle_push_1000.hdf5: 5 trajectories, 210 steps")


def replace(group, key, values):
    del group[key]
    if values is not None:
        group[key] = values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: replace(f["trajectory1"], "force", None), "trajectory1 has no array 'force'"),
        (lambda f: replace(f["trajectory1"], "contact", None), "trajectory1 has no array 'contact'"),
        (lambda f: replace(f["trajectory1"], "image", np.zeros((41, 16, 16))), r"'image' of shape \(41, 16, 16\)"),
        (lambda f: replace(f["trajectory1"], "eef_pos", np.zeros((9, 3))), "arrays of lengths"),
        (
            lambda f: replace(f["trajectory1"], "eef_pos", np.full((46, 3), np.nan)),
            "NaN, infinite or huge values in 'eef_pos'",
        ),
        (lambda f: replace(f["trajectory1"], "image", np.zeros((46, 32, 32))), "'image' of dtype float64"),
        (lambda f: replace(f, "trajectory1", np.zeros(3)), "trajectory1 is an array"),
        (lambda f: [f.__delitem__(k) for k in list(f)], "has no group trajectory0"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, message):
    fixture.write(tmp_path)
    with h5py.File(tmp_path / "gentle_push_10.hdf5", "r+") as content:
        change(content)
    with pytest.raises(InputError, match=message):
        mujoco_push.load(tmp_path)


def test_a_trajectory_in_two_parts_is_refused(tmp_path):
    fixture.write(tmp_path)
    with (
        h5py.File(tmp_path / "gentle_push_1000.hdf5") as train,
        h5py.File(tmp_path / "gentle_push_300.hdf5", "r+") as test,
    ):
        train.copy("trajectory2", test, "trajectory9")
    with pytest.raises(InputError, match=r"300\.hdf5/trajectory9 holds the same trajectory as .*1000\.hdf5/trajectory2"):
        mujoco_push.READER.verify(tmp_path)


def test_missing_and_truncated_files_are_named(tmp_path):
    fixture.write(tmp_path)
    file = tmp_path / "gentle_push_300.hdf5"
    content = file.read_bytes()
    for share in (0.0, 0.3, 0.97):
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"gentle_push_300\.hdf5.*cannot be read"):
            mujoco_push.READER.verify(tmp_path)
    file.unlink()
    with pytest.raises(InputError, match="does not exist"):
        mujoco_push.load(tmp_path)
    for option in ("target", "frame"):
        with pytest.raises(InputError, match=f"{option} is 'x'"):
            mujoco_push.load(tmp_path, **{option: "x"})


def test_damaged_bytes_never_give_more_than_a_refusal(tmp_path):
    fixture.write(tmp_path, files=dict.fromkeys(fixture.FILES, 1), steps=20)
    file = tmp_path / "gentle_push_10.hdf5"
    content = file.read_bytes()
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content)
        for place in rng.integers(0, 4000 if seed % 2 else len(content), size=3):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            mujoco_push.READER.verify(tmp_path)
        except InputError:
            refused += 1
    assert refused > 5
