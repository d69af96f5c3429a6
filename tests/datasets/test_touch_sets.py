"""Readers of tactile data sets, from small trees in their layouts: what each row holds, options, and conversion."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fixtures import touch_sets as fixture
from tuplet import AlignmentModel, InputError
from tuplet.catalog import READERS
from tuplet.datasets import _touch_files, _touch_source, tvl
from tuplet.nets import tokeniser
from tuplet.objectives import Pairwise

SIDE = 8


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {name: tmp_path_factory.mktemp(name) for name in fixture.WRITERS}
    for name, root in found.items():
        fixture.WRITERS[name](root)
    return found


def load(root, name, **options):
    return READERS[name].load(root, side=SIDE, **{"normalisation": "none", **options})


def colours(source, modality):
    """Red, green and blue of every row, in steps of ten: JPEG is off by one or two."""
    rows = torch.arange(len(source.present[modality]))
    return (source.read(modality, rows).mean(dim=(2, 3)) * 25.5).round().int().tolist()


def rows_of(source):
    return {p: getattr(source.split, p).tolist() for p in ("train", "val", "test")}


def straddling(source):
    part = np.full(len(source.group), -1)
    for code, rows in enumerate(rows_of(source).values()):
        part[rows] = code
    return _touch_source.straddling(part, source.group.numpy())


def test_every_set_reads_verifies_and_converts_to_the_same(roots, tmp_path):
    for name, root in roots.items():
        reader = READERS[name]
        out = reader.convert(root, tmp_path / f"{name}.safetensors", side=SIDE)
        for options in ({}, {"normalisation": "clip", "seed": 3}):
            a, b = load(root, name, **options), load(out, name, **options)
            assert rows_of(a) == rows_of(b), name
            assert a.targets == b.targets, name
            assert a.provenance.notes == b.provenance.notes, name
            for part in ("train", "val", "test"):
                x, y = (getattr(s, part)[:] for s in (a, b))
                for field in ("inputs", "present", "target", "aux"):
                    left, right = getattr(x, field), getattr(y, field)
                    assert left.keys() == right.keys()
                    assert all(torch.equal(left[k], right[k]) for k in left), (name, part, field)
                assert torch.equal(x.group, y.group), name
                assert all(not v[~x.present[k]].any() for k, v in x.inputs.items()), name
        assert "sensor" in a.aux, name
        assert a.fingerprint != load(root, name, seed=3).fingerprint, name
        assert any("pictures, mean colour" in line for line in reader.verify(root)), name


def test_touch_and_go_pairs_frames_and_counts_its_leak(roots):
    root = roots["touch_and_go"]
    s = load(root, "touch_and_go")
    frames = [(i, t) for i, (_, n) in enumerate(fixture.TAG.values()) for t in range(n)]
    at = {(2 * i, 2 * t): row for row, (i, t, _) in enumerate((r // 2, g // 2, b) for r, g, b in colours(s, "touch"))}
    assert sorted(at) == sorted((2 * i, 2 * t) for i, t in frames)
    for modality, blue in (("touch", 0), ("vision", 20)):
        found = colours(s, modality)
        assert all(found[row] == [r, g, blue] for (r, g), row in at.items())
    for (r, g), row in at.items():
        folder, (material, _) = list(fixture.TAG.items())[r // 2]
        assert s.values["material"][row] == material
        assert s.values["hardness"][row] == (material == 7)
        rough = {"a": 0, "b": 1 if g < 6 else -1, "c": (g // 2) % 2}.get(folder, -1)
        assert s.values["roughness"][row] == rough
        text = {("a", 0): [98, 7, 99], ("a", 1): [98, 7, 99], ("c", 0): [98, 8, 8, 99]}.get((folder, g // 2), [])
        assert s.present["text"][row] == bool(text)
        assert s.read("text", torch.tensor([row]))[0, :5].tolist() == (text + [0] * 5)[:5]
        assert bool(row in s.split.test) == (folder == "e" or (folder in "ab" and g // 2 >= 3))
    assert s.targets["material"].names[7] == "leather"
    assert s.values["sensor"].unique().tolist() == [0]
    assert straddling(s) == 2
    assert s.provenance.notes == ("split material: 2 groups are in more than one part",)
    told = READERS["touch_and_go"].verify(root)
    assert any(line.startswith("published split material: 11 train, 0 val, 5 test; 2 groups are in two parts") for line in told)
    assert "published split roughness: 8 train, 0 val, 3 test; no group is in two parts" in told
    rough = load(root, "touch_and_go", task="roughness")
    assert {k: len(v) for k, v in rows_of(rough).items()} == {"train": 5, "val": 3, "test": 3}
    assert straddling(rough) == 0
    for seed in range(5):
        drawn = load(root, "touch_and_go", split="folders", seed=seed)
        assert straddling(drawn) == 0
        assert sum(map(len, rows_of(drawn).values())) == len(frames)


def test_ssvtp_tvl_and_touch100k_pair_three_modalities(roots):
    s = load(roots["ssvtp"], "ssvtp")
    assert colours(s, "touch") == [[2 * i, 0, 0] for i in range(12)]
    assert colours(s, "vision") == [[2 * i, 0, 20] for i in range(12)]
    assert s.split.test.tolist() == [8, 9, 10, 11]
    assert s.present["text"].all()
    assert s.values["sensor"].unique().tolist() == [1]
    s = load(roots["tvl"], "tvl")
    assert colours(s, "vision")[:8] == [[5 * k, 2 * i, 20] for k in (0, 1) for i in range(4)]
    assert [c[2] for c in colours(s, "touch")[:4]] == [0, 2, 4, 6]
    assert s.split.test.tolist() == [7, 8, 9, 10, 11]
    assert s.values["contact"].tolist() == [1] * 22 + [0]
    assert s.present["text"].tolist() == [True] * 12 + [False] * 10 + [True]
    assert straddling(s) == 1
    assert straddling(load(roots["tvl"], "tvl", split="folders")) == 0
    assert len(load(roots["tvl"], "tvl", not_contact=0.0).group) == 22
    s = load(roots["touch100k"], "touch100k")
    words = tokeniser("words", length=12, vocabulary=500)
    known = load(roots["touch100k"], "touch100k", tokenise=words)
    rows = torch.arange(10)
    assert torch.equal(known.read("text", rows), words([f"It feels like number {i}." for i in range(10)]).float())
    assert torch.equal(known.read("phrase", rows), words([f"rough, {i}" for i in range(10)]).float())
    assert s.modalities["text"].shape == (1024,)
    assert s.fingerprint != known.fingerprint


def test_octopi_has_no_vision_unless_asked(roots):
    s = load(roots["octopi"], "octopi")
    assert not s.present["vision"].any()
    assert s.present["touch"].all()
    assert colours(s, "touch")[:4] == [[0, 5, 6], [0, 5, 16], [0, 10, 6], [0, 10, 16]]
    assert s.values["hardness"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 4
    assert s.values["sensor"].unique().tolist() == [3]
    assert {k: len(v) for k, v in rows_of(s).items()} == {"train": 8, "val": 4, "test": 4}
    assert straddling(s) == 0
    assert s.read("text", torch.tensor([0]))[0, :4].tolist() == [98, 5, 99, 0]
    assert s.present["text"].sum() == 1
    batch = s.train[:]
    loss = Pairwise()(AlignmentModel.for_source(s, dim=4)(batch)).total  # nothing to align with vision, and no fault
    assert torch.isfinite(loss)
    twice = load(roots["octopi"], "octopi", duplicate_touch=True)
    assert colours(twice, "vision") == colours(twice, "touch") == colours(s, "touch")
    assert twice.present["vision"].all()


def test_tacquad_and_sitr_keep_one_item_of_all_sensors_together(roots):
    s = load(roots["tacquad"], "tacquad")
    assert s.aux == ("object", "sensor")
    want = []
    for k in range(5):
        spans = [(0, 3, (1, 2, 3)), (1, 1, (0, 1) if k != 2 else ()), (2, 4, (2,))]
        want += [(k, place, sensor, t) for place, sensor, span in spans for t in span]
    assert colours(s, "touch") == [[4 * k, 6 * place, 4 * t] for k, place, _, t in want]
    assert colours(s, "vision") == [[4 * k, 6 * place, 4 * (t // 2)] for k, place, _, t in want]
    assert s.values["sensor"].tolist() == [sensor for _, _, sensor, _ in want]
    names = [s.targets["object"].names[c] for c in s.values["object"].tolist()]
    assert names[0] == "indoor/cup"
    assert names[-1] == "outdoor/bark"
    assert s.present["text"].tolist() == [k != 3 for k, *_ in want]
    s = load(roots["sitr"], "sitr")
    assert colours(s, "touch") == [[4 * i, 0, 0] for i in range(5)] + [[4 * i, 12, 0] for i in range(6)]
    assert s.group.tolist() == s.values["object"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]
    assert s.values["sensor"].tolist() == [0] * 5 + [1] * 6
    assert s.targets["sensor"].names == ("sensor_0000", "sensor_0012")
    assert straddling(s) == 0


def test_tacquad_without_captions_has_token_ids(tmp_path):
    fixture.tacquad(tmp_path)
    for place in ("indoor", "outdoor"):
        file = tmp_path / f"contact_{place}.csv"
        file.write_text("".join(",".join(line.split(",")[:7]) + "\n" for line in file.read_text().splitlines()))
    s = load(tmp_path, "tacquad")
    names = [s.targets["object"].names[c] for c in s.values["object"].tolist()]
    assert s.present["text"].tolist() == [n == "outdoor/bark" for n in names]
    assert s.read("text", torch.arange(len(names)))[:, 0].tolist() == [float(n == "outdoor/bark") for n in names]


def test_objectfolder_and_feel_give_their_probes(roots):
    s = load(roots["objectfolder_touch"], "objectfolder_touch")
    assert len(s.group) == 15
    want = [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (4, 0), (4, 1)]
    assert colours(s, "touch")[:8] == [[3 * k, 6 * i, 0] for k, i in want]
    assert s.values["material"][:8].tolist() == [k % 2 for k, _ in want]
    assert s.values["sensor"].unique().tolist() == [5]
    assert straddling(s) == 1
    assert straddling(load(roots["objectfolder_touch"], "objectfolder_touch", split="objects")) == 0
    old = READERS["objectfolder_touch"].read(roots["objectfolder_touch"], version="1.0", side=SIDE).columns
    assert old["target.sensor"].tolist() == [-1] * 6
    assert old["target.material"].tolist() == [0] * 3 + [1] * 3
    s = load(roots["feel"], "feel", moment="after")
    want = [(k, i) for k in range(5) for i in range(2)]
    for name, blue in (("touch_a", 0), ("touch_b", 20), ("vision", 10)):
        assert colours(s, name) == [[4 * k, 10 * i + 2, blue] for k, i in want]
    assert s.values["grasp"].tolist() == [(i + k) % 2 for k, i in want]
    assert rows_of(s) == {"train": [0, 1, 2, 3], "val": [4, 5], "test": [6, 7, 8, 9]}
    assert straddling(load(roots["feel"], "feel", split="objects")) == 0


def test_cifar_and_dogs_are_pictures_for_either_encoder(roots, tmp_path):
    s = load(roots["cifar"], "cifar")
    assert s.values["label"].tolist() == [0, 2, 1, 2, 2, 2, 0, 2, 1, 2, 2, 2]
    assert colours(s, "vision")[3] == [4, 1, 1]  # red, then green and blue: channels lie one after the other
    assert s.split.test.tolist() == [10, 11]
    assert s.targets["label"].names == ("plane", "car", "bird")
    touch = load(roots["cifar"], "cifar", modality="touch")
    assert colours(touch, "touch") == colours(s, "vision")
    assert not touch.present["vision"].any()
    fixture.cifar(tmp_path, hundred=True)
    hundred = READERS["cifar"].read(tmp_path, side=SIDE)
    assert hundred.columns["target.coarse"].tolist() == [1, 0, 1, 0]
    assert json.loads(hundred.about["classes.coarse"]) == ["animal", "fruit"]
    s = load(roots["dogs"], "dogs", seed=1)
    assert [s.targets["breed"].names[c] for c in s.values["breed"]] == ["pug", "borzoi"] * 5
    for rows in rows_of(s).values():
        assert np.bincount(s.values["breed"][rows]).tolist() == [len(rows) // 2] * 2


def test_pictures_are_scaled_cropped_turned_and_normalised(tmp_path, roots):
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :8], wide[:, 8:24], wide[:, 24:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    row = _touch_files.Row("a", {"touch": tmp_path / "wide.png"})
    column = _touch_files.content([row], {"name": "x"}, {}, side=8).columns["input.touch"]
    assert column[[0]][0].reshape(3, -1).mean(axis=1) == pytest.approx([0, 255, 0], abs=5)  # the middle is kept
    plain, clip, imagenet = (load(roots["ssvtp"], "ssvtp", normalisation=n) for n in ("none", "clip", "imagenet"))
    x = plain.test[:].inputs["vision"]
    for source, how in ((clip, "clip"), (imagenet, "imagenet")):
        mean, deviation = (torch.tensor(v)[:, None, None] for v in _touch_source.COLOURS[how])
        torch.testing.assert_close(source.test[:].inputs["vision"], (x - mean) / deviation)
    corner = Image.new("RGB", (20, 10))
    corner.putpixel((0, 0), (255, 0, 0))
    assert np.argwhere(np.asarray(tvl._turned(corner, tmp_path, 90))[..., 0]).tolist() == [[19, 5]]  # padded, then turned left
    photo = np.zeros((300, 100, 3), np.uint8)
    photo[200:277, 11:88] = 255  # 0.2546 of 300 pixels, below the first 200, in the middle
    cut = np.asarray(tvl._cropped(Image.fromarray(photo), tmp_path / "hct" / "data3" / "1.jpg"))
    assert cut.shape == (77, 77, 3)
    assert cut.min() == 255
    assert not np.asarray(tvl._cropped(Image.fromarray(photo), tmp_path / "hct" / "data1" / "1.jpg")).any()


def test_the_advice_for_a_pickled_split_works(tmp_path, capsys):
    fixture.feel(tmp_path)
    (tmp_path / "split_3.json").unlink()
    np.save(tmp_path / "split_3.npy", fixture.FEEL, allow_pickle=True)
    with pytest.raises(InputError, match="is a pickle; convert it") as told:
        load(tmp_path, "feel")
    _, _, command, file = shlex.split(str(told.value).split("that it names: ")[1].replace(" > ", " "))
    exec(command)
    Path(file).write_text(capsys.readouterr().out)
    assert len(load(tmp_path, "feel").train) == 4
    lines = (tmp_path / "feel.csv").read_text()
    (tmp_path / "feel.csv").write_text("object,i,grip\n" + lines)
    assert len(load(tmp_path, "feel").train) == 4
