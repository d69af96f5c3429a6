"""Vision & Touch from a fixture in its layout, and every fault of it that we could think of."""

import h5py
import numpy as np
import pytest
import torch

from tests.fixtures import vision_touch as fixture
from tuplet import InputError
from tuplet.datasets import vision_touch


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("vt")
    return root, fixture.write(root)


def test_every_row_pairs_one_step_with_the_next(made):
    root, files = made
    s = vision_touch.load(root)
    assert len(s.group) == 9 * 48
    for part in ("train", "val", "test"):
        rows = getattr(s, part)
        picked = torch.arange(len(rows))[:: 11 if part == "train" else 5].flip(0)
        batch = rows[picked]
        for i, index in enumerate(batch.index.tolist()):
            file, t = files[index // 48], index % 48
            assert (batch.inputs["image"][i] == torch.from_numpy(file["image"][t].transpose(2, 0, 1) / np.float32(255))).all()
            np.testing.assert_array_equal(batch.inputs["depth"][i, 0], file["depth_data"][t, :, :, 0])
            np.testing.assert_array_equal(batch.inputs["flow"][i], file["optical_flow"][t].transpose(2, 0, 1))
            force = np.tanh(file["ee_forces_continuous"][t, 18:50])
            np.testing.assert_allclose(batch.inputs["force"][i], force, atol=1e-6)
            assert batch.target["contact"][i] == file["contact"][t + 1].any()
            np.testing.assert_allclose(batch.target["orientation"][i], file["proprio"][t + 1, :4], atol=1e-6)
            assert batch.group[i] == index // 48
    assert batch.inputs["force"].shape[1:] == (32, 6)


def test_options_choose_the_pose_the_orientation_and_the_modalities(made):
    root, files = made
    s = vision_touch.load(root, task="VFP", orientation="ee_ori")
    assert sorted(s.modalities) == ["force", "image", "pose"]
    assert {k: m.shape for k, m in s.modalities.items()}["pose"] == (7,)
    batch = s.val[[3]]
    file, t = files[batch.index // 48], int(batch.index % 48)
    np.testing.assert_allclose(batch.target["orientation"][0], file["ee_ori"][t + 1], atol=1e-6)
    pose = s.preprocessing["pose"].scale
    place = batch.inputs["pose"][0].numpy() * pose.deviation + pose.mean
    np.testing.assert_allclose(place, [*file["ee_pos"][t], *file["ee_ori"][t]], atol=1e-5)
    stored = vision_touch.load(root, task="VFP", proprio="stored")
    assert stored.modalities["pose"].shape == (8,)
    assert len({s.fingerprint, stored.fingerprint, vision_touch.load(root, task="VFP").fingerprint}) == 3
    assert sorted(vision_touch.load(root, task="VFD").modalities) == ["depth", "force", "image"]


def test_trajectories_and_siblings_do_not_leak(made):
    root, _ = made
    for seed in range(3):
        s = vision_touch.load(root, task="VFP", seed=seed)
        runs = [set((s.group[getattr(s.split, p)] // 3).tolist()) for p in ("train", "val", "test")]
        assert sum(map(len, runs)) == len(set.union(*runs)) == 3
    s = vision_touch.load(root, task="VFP", siblings="file")
    files = [set(s.group[getattr(s.split, p)].tolist()) for p in ("train", "val", "test")]
    assert sum(map(len, files)) == len(set.union(*files)) == 9
    assert vision_touch.load(root, task="VFP").split == vision_touch.load(root, task="VFP").split


def test_no_row_is_drawn_at_random(made):
    root, _ = made
    a, b = (vision_touch.load(root, task="VFP").train[:].inputs["image"] for _ in range(2))
    assert torch.equal(a, b)


def test_a_converted_file_is_the_same(tmp_path):
    small = tmp_path / "vt"
    fixture.write(small, count=7)
    s = vision_touch.load(small)
    t = vision_touch.load(vision_touch.READER.convert(small, tmp_path / "vt.safetensors"))
    assert t.split == s.split
    a, b = s.test[:20], t.test[:20]
    for name in s.modalities:
        assert torch.equal(a.inputs[name], b.inputs[name])
    assert torch.equal(a.target["orientation"], b.target["orientation"])
    lines = vision_touch.READER.verify(small)
    assert lines[0].startswith("7 trajectories in 3 runs, 336 rows")
    assert "dtype uint8" in "".join(lines)


def damaged(root, change):
    fixture.write(root, count=3)
    file = root / fixture.name(1)
    with h5py.File(file, "r+") as content:
        change(content)
    return file


def replace(content, key, values):
    del content[key]
    content[key] = values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.__delitem__("contact"), "has no array 'contact'"),
        (lambda f: f.__delitem__("depth_data"), "has no array 'depth_data'"),
        (lambda f: replace(f, "image", np.zeros((50, 64, 64, 3), np.uint8)), r"'image' of shape \(50, 64, 64, 3\)"),
        (lambda f: replace(f, "proprio", np.zeros((49, 8))), r"'proprio' of shape \(49, 8\)"),
        (lambda f: replace(f, "proprio", np.full((50, 8), np.nan)), "NaN, infinite or huge values in 'proprio'"),
        (lambda f: replace(f, "ee_pos", np.array([["x"] * 3] * 50, dtype="S1")), "'ee_pos' of shape"),
        (lambda f: replace(f, "optical_flow", np.zeros((50, 128, 128, 2))), "'optical_flow' of dtype float64"),
        (lambda f: (f.__delitem__("contact"), f.create_group("contact")), "'contact' of shape None"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, message):
    file = damaged(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        vision_touch.load(tmp_path, siblings="file")
    assert str(file) in str(caught.value)
    with pytest.raises(InputError, match=message):
        vision_touch.READER.verify(tmp_path)


def test_truncated_files_are_named(tmp_path):
    fixture.write(tmp_path, count=3)
    file = tmp_path / fixture.name(2)
    content = file.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.99):
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"_2_1000\.h5 .*(cannot be read|has)"):
            vision_touch.READER.verify(tmp_path)


def test_a_trajectory_under_two_names_is_refused(tmp_path):
    fixture.write(tmp_path, count=3)
    (tmp_path / "triangle_real_9_0_1000.h5").write_bytes((tmp_path / fixture.name(0)).read_bytes())
    with pytest.raises(InputError, match="holds the same trajectory as"):
        vision_touch.load(tmp_path)


def test_pictures_that_are_not_finite_are_found(tmp_path):
    def change(content):
        content["depth_data"][7, 3, 3] = np.inf

    damaged(tmp_path, change)
    with pytest.raises(InputError, match="NaN or infinite values in 'depth_data'"):
        vision_touch.READER.verify(tmp_path)
    s = vision_touch.load(tmp_path, task="VFD", siblings="file")
    with pytest.raises(InputError, match=r"modalities\['depth'\] has NaN"):
        [part[:] for part in (s.train, s.val, s.test)]


def test_options_and_too_few_runs_are_named(made, tmp_path):
    root, _ = made
    for option in ("task", "orientation", "proprio", "siblings"):
        with pytest.raises(InputError, match=f"{option} is 'x'"):
            vision_touch.load(root, **{option: "x"})
    fixture.write(tmp_path, count=3)
    with pytest.raises(InputError, match="1 groups for three parts"):
        vision_touch.load(tmp_path)
