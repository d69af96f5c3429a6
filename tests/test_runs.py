"""From a file to embeddings on the command line: train, evaluate, embed; who owns a folder; what a killed run says."""

import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

import tuplet
from tuplet.cli import main
from tuplet.cli.bench import Bench, _training
from tuplet.study._answer import Answer


@pytest.fixture
def here(tmp_path, monkeypatch, undrawn, unlearned):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 5))
    arrays = {"force": x.astype("f4"), "sound": (x @ rng.normal(size=(5, 3))).astype("f4")}
    np.savez(tmp_path / "my.npz", **arrays, label=(x[:, 0] > 0).astype(int))
    np.savez(tmp_path / "bare.npz", **arrays)
    return tmp_path


def loaded(name):
    with np.load(name) as file:
        return dict(file)


def ran(*arguments):
    return main([str(a) for a in arguments])


def test_a_file_becomes_a_model_numbers_and_vectors(here, capsys):
    assert ran("train", "my.npz", "--epochs", 2, "--out", "run") == 0
    assert "nothing was trained" not in capsys.readouterr().out
    before = (here / "run/model.safetensors").read_bytes()
    assert ran("train", "my.npz", "--epochs", 2, "--out", "run") == 0
    assert "run was finished before: nothing was trained" in capsys.readouterr().out
    assert (here / "run/model.safetensors").read_bytes() == before
    assert ran("train", "my.npz", "--epochs", 2, "--out", "run", "--fresh") == 0
    text = capsys.readouterr().out
    assert "nothing was trained" not in text
    assert len(text.splitlines()) < 15
    assert "tuplet evaluate run" in text
    assert ran("evaluate", "run") == 0
    text = capsys.readouterr().out
    assert "linear" in text
    assert not text.startswith("unfinished")
    card = (here / "run" / "README.md").read_text()
    assert "R@1, mean cosine" in card
    assert "chance" in card
    assert ran("embed", "run", "my.npz", "--out", "emb.npz", "--batch-size", 64) == 0
    table, raw = loaded("emb.npz"), dict(np.load("my.npz"))
    z = tuplet.load("run").encode({"force": raw["force"]}, batch_size=64)["force"]
    own = table["modality"] == "force"
    assert np.array_equal(table["vector"][own], z)
    assert np.array_equal(table["id"][own], np.arange(100))
    assert np.array_equal(table["label"][own], raw["label"])
    known = {k for k in table if not k.startswith("about.")}
    assert known == {"id", "modality", "vector", "part", "label", "row", "absent.id", "absent.modality", "absent.row"}
    assert len(table["absent.id"]) == 0
    capsys.readouterr()
    assert ran("embed", "run", "my.npz", "--out", "emb.npz") == 2
    assert "--force" in capsys.readouterr().err
    assert ran("embed", "run", "my.npz", "--out", "emb.npz", "--force") == 0


def test_embed_keeps_the_target_that_the_run_was_told(here, capsys):
    raw = dict(np.load("bare.npz"))
    words = np.where(raw["force"][:, 0] > 0, "walk", "run")
    np.savez("named.npz", **raw, act=words)
    assert ran("train", "named.npz", "--target", "act", "--epochs", 40, "--lr", 1, "--out", "run") == 0
    assert " of at most 40 epochs (stopped early), " in capsys.readouterr().out
    assert ran("embed", "run", "named.npz") == 0
    table = loaded("emb.npz")
    assert (table["act"] == words[table["id"]]).all()
    assert ran("embed", "run", "bare.npz", "--force") == 0
    assert "act" not in loaded("emb.npz")


def test_new_rows_of_some_modalities_with_ids_and_absent_rows(here, capsys):
    assert ran("train", "bare.npz", "--epochs", 1, "--dim", 8) == 0
    assert ran("evaluate", "runs/train") == 0
    x = np.load("my.npz")["force"][:5].copy()
    x[2] = np.nan
    np.savez("new.npz", force=x, id=np.array(list("vwxyz")), other=np.ones(3))
    assert ran("embed", "runs/train", "new.npz") == 0
    table = loaded("emb.npz")
    assert table["id"].tolist() == ["v", "w", "y", "z"]
    assert table["vector"].shape == (4, 8)
    assert (table["absent.id"].tolist(), table["absent.modality"].tolist()) == (["x"], ["force"])
    assert set(table["part"].tolist()) == {""}  # other rows than those of the training
    capsys.readouterr()
    for content, message in (
        ({"force": x[:, :2]}, "force"),
        ({"other": x}, "give some of these"),
        ({"force": np.full((3, 5), np.nan)}, "no row"),
        ({"force": np.zeros((0, 5))}, "no row"),
        ({"force": x, "sound": np.ones((3, 3))}, "another number of rows"),
    ):
        np.savez("bad.npz", **content)
        assert ran("embed", "runs/train", "bad.npz", "--out", "bad-out.npz") == 2
        assert message in capsys.readouterr().err
        assert not (here / "bad-out.npz").exists()
    assert ran("embed", "runs/train", "new.npz", "--keep", "force", "--out", "bad-out.npz") == 2
    assert "keep names ['force'], which the model embeds" in capsys.readouterr().err


def test_words_that_look_like_files_stay_words_in_later_files(here, capsys):
    rows = [f"{i},{i % 5},p/a{i % 7}.png,{i % 2}" for i in range(40)]
    (here / "log.csv").write_text("\n".join(["x.a,x.b,file,label", *rows]))
    train = ("train", "log.csv", "--epochs", 1, "--dim", 8, "--start", "random", "--objective", "pairwise")
    assert ran(*train) == 2
    assert "40 of 40 pictures do not exist, such as" in capsys.readouterr().err
    assert ran(*train, "--kind", "file=text") == 0
    assert ran("embed", "runs/train", "log.csv", "--out", "log.npz") == 0
    assert set(loaded("log.npz")["modality"]) == {"file", "x"}
    for lines, said in (
        (["x.a,file", "1,u"], "lacks the column 'x.b'"),
        (["x.a,x.b,file", "1,,u"], "no value in column 'x.b'"),
    ):
        (here / "less.csv").write_text("\n".join(lines))
        assert ran("embed", "runs/train", "less.csv", "--out", "less.npz") == 2
        assert said in capsys.readouterr().err


def test_the_part_of_each_row_is_that_of_the_training(here, capsys):
    raw = dict(np.load("my.npz"))
    raw["force"][::7] = np.nan
    np.savez("holes.npz", **raw, subject=np.arange(100) // 4, id=np.array([f"item {i}" for i in range(99, -1, -1)]))
    options = ("--group", "subject", "--target", "label", "--id", "id")
    assert ran("train", "holes.npz", *options, "--epochs", 1, "--out", "run") == 0
    assert ran("embed", "run", "holes.npz") == 0
    table = loaded("emb.npz")
    split = tuplet.data.read(here / "holes.npz", group="subject", target="label", id="id").split
    for part in ("train", "val", "test"):
        ids = {f"item {99 - i}" for i in getattr(split, part)}
        assert set(table["id"][(table["part"] == part) & (table["modality"] == "sound")].tolist()) == ids
    assert set(table["absent.id"].tolist()) == {f"item {99 - i}" for i in range(0, 100, 7)}
    assert set(table["absent.modality"].tolist()) == {"force"}
    assert len(table["id"]) + len(table["absent.id"]) == 200
    np.savez("holes.npz", **{**raw, "sound": raw["sound"] + 1})  # the file has changed: nothing is known of its rows
    assert ran("embed", "run", "holes.npz", "--force") == 0
    assert set(loaded("emb.npz")["part"].tolist()) == {""}


def test_parquet_holds_the_same_table(here, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = dict(np.load("my.npz"))
    raw["force"][3] = np.nan
    np.savez("holes.npz", **raw)
    assert ran("train", "holes.npz", "--epochs", 1, "--out", "run") == 0
    for name in ("emb.npz", "emb.parquet"):
        assert ran("embed", "run", "holes.npz", "--out", name) == 0
    table, found = loaded("emb.npz"), parquet.read_table("emb.parquet")
    assert found.column_names == ["id", "modality", "vector", "part", "label", "row"]
    for k in ("id", "modality", "part", "label"):
        assert found[k].to_pylist() == table[k].tolist()
    assert np.array_equal(np.array(found["vector"].to_pylist(), dtype="f4"), table["vector"])
    assert found.schema.field("vector").type.list_size == table["vector"].shape[1]
    assert json.loads(found.schema.metadata[b"absent.id"]) == [3]
    assert json.loads(found.schema.metadata[b"absent.modality"]) == ["force"]


def test_training_on_shuffled_rows_says_what_to_check(here, capsys):
    raw = dict(np.load("my.npz"))
    np.savez("bad.npz", force=raw["force"], sound=np.random.default_rng(1).permutation(raw["sound"]))
    assert ran("train", "bad.npz", "--out", "bad", "--epochs", 5) == 0
    text = capsys.readouterr().out
    assert "Check the pairing first" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert ran("train", "my.npz", "--out", "good", "--epochs", 5) == 0
    assert "pairing" not in capsys.readouterr().out


def test_a_source_is_embedded_as_it_is_and_only_by_a_model_that_knows_its_scale(here, capsys):
    options = ("--modalities", "fourier", "zernike", "--epochs", 1)
    assert ran("train", "digits", *options, "--out", "run") == 0
    assert ran("embed", "run", "digits") == 0
    table = loaded("emb.npz")
    assert len(table["id"]) == 2 * 2000
    split = tuplet.data.SOURCES["digits"]().split
    assert set(table["id"][table["part"] == "test"].tolist()) == set(split.test.tolist())
    assert not (table["part"] == "").any()
    assert ran("embed", "run", "digits", "--shards", 3, "--workers", 1, "--out", "shards") == 0
    one, many = tuplet.store.open_store("emb.npz"), tuplet.store.open_store("shards")
    assert np.array_equal(one.ids, many.ids)
    assert all(np.array_equal(v, many.vectors()[k]) for k, v in one.vectors().items())
    assert all(np.array_equal(v, many.columns[k]) for k, v in one.columns.items())
    assert ran("embed", "run", "digits?seed=3", "--out", "other.npz") == 2
    assert "scaled otherwise" in capsys.readouterr().err


def test_a_folder_belongs_to_the_run_that_began_it(here, capsys):
    options = ("train", "my.npz", "--epochs", 2, "--out", "run")
    assert ran(*options) == 0
    before = {p.name: p.read_bytes() for p in (here / "run").iterdir()}
    capsys.readouterr()
    for more, message in (
        (("--objective", "gram"), "objective = cone"),
        (("--seed", 1), "seed = 0"),
        (("--lr", 0.1), "lr = None"),
        (("--start", "random"), "start = gcca"),
        (("--dim", 8), "dim = None"),
        (("--tau", 0.3), "tau = None"),
        (("--scaling", "none"), "scaling"),
    ):
        assert ran(*options, *more) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "--fresh" in error
        assert {p.name: p.read_bytes() for p in (here / "run").iterdir()} == before
    (here / "run" / "checkpoint.safetensors").unlink()
    assert ran(*options, "--seed", 1) == 2
    assert ran(*options) == 0  # begins again
    assert ran(*options, "--seed", 1, "--fresh") == 0
    assert json.loads((here / "run" / "run.json").read_text())["seed"] == 1


def test_encoders_begin_as_the_closed_form_where_the_data_allow_it(here, capsys):
    def kept(out):
        config = json.loads((here / out / "config.json").read_text())
        card = (here / out / "README.md").read_text()
        return json.loads((here / out / "run.json").read_text())["start"], config["training"]["start"], card

    assert ran("train", "my.npz", "--epochs", 1, "--objective", "cone", "--out", "default") == 0
    assert "at random" not in capsys.readouterr().out
    *start, card = kept("default")
    assert start == ["gcca", "gcca"]
    assert "Start: encoders began as the linear closed form" in card
    assert "linear map + MLP" in card
    assert tuplet.load("default").start == "gcca"
    assert ran("evaluate", "default") == 0
    assert ran("train", "my.npz", "--epochs", 1, "--objective", "cone", "--start", "gcca", "--out", "default") == 0
    assert ran("train", "my.npz", "--epochs", 1, "--start", "random", "--out", "random") == 0
    *start, card = kept("random")
    assert start == ["random", "random"]
    assert "Start: encoders began at random" in card
    assert "`MLP`" in card
    assert tuplet.load("random").start == "random"
    old = json.loads((here / "random" / "run.json").read_text())  # of a version that knew no start
    (here / "random" / "run.json").write_text(json.dumps({k: v for k, v in old.items() if k != "start"}))
    assert ran("evaluate", "random") == 0


def test_data_without_a_closed_form_say_so_and_begin_at_random(here, capsys):
    x = dict(np.load("my.npz"))
    np.savez("still.npz", force=x["force"], sound=x["sound"], still=np.ones((100, 2), "f4"))
    assert ran("train", "still.npz", "--epochs", 1, "--out", "run") == 0
    (line,) = [t for t in capsys.readouterr().out.splitlines() if t.startswith("Encoders begin at random")]
    assert "still" in line
    assert "constant" in line
    assert json.loads((here / "run" / "run.json").read_text())["start"] == "random"
    assert ran("train", "still.npz", "--epochs", 1, "--out", "run") == 0  # the same command continues
    capsys.readouterr()
    assert ran("train", "still.npz", "--epochs", 1, "--start", "gcca", "--out", "other") == 2
    assert "constant" in capsys.readouterr().err
    assert not (here / "other").exists()


def test_the_command_that_a_bench_ends_with_trains_its_choice(here, capsys):
    for settings, start, words in (
        ({"tau": 0.3}, "started", ("0.3", "gcca")),
        ({"tau": 0.03}, "from scratch", ("0.03", "random")),
        ({}, "started", ("0.07", "gcca")),
    ):
        chosen = SimpleNamespace(entry=SimpleNamespace(name=f"pairwise {start}"), settings=settings)
        table = SimpleNamespace(task=SimpleNamespace(budget=SimpleNamespace(start="random")))
        command = Bench("my.npz", target="label", modalities=("force", "sound"))
        line = _training(command, Answer("my", "", chosen=chosen, table=table))
        words_of_line = shlex.split(line)
        assert words_of_line[:2] == ["now:", "tuplet"]
        assert ran(*words_of_line[2:], "--epochs", 1, "--out", "run", "--fresh") == 0
        assert "modalities: force 5 (vector), sound 3 (vector); target: label (2 classes)" in capsys.readouterr().out
        tau, begun = words
        assert f"'tau': {tau}}}" in json.loads((here / "run" / "config.json").read_text())["objective"]["settings"]
        note = json.loads((here / "run" / "run.json").read_text())
        assert (note["start"], note["settings"]["tau"]) == (begun, settings.get("tau"))
    del note["settings"]["tau"]  # of a version that knew no tau
    (here / "run" / "run.json").write_text(json.dumps(note))
    assert ran("evaluate", "run") == 0
    chosen.settings = {"tau": 0.1, "beta": 1.0}  # of which `tuplet train` cannot be told all
    assert _training(command, Answer("my", "", chosen=chosen, table=table)) == ""


def test_wrong_arguments_leave_nothing_behind(here, capsys):
    for wrong in (
        ("--objective", "nope"),
        ("--epochs", 0),
        ("--batch-size", 1),
        ("--lr", -1),
        ("--dim", 0),
        ("--seed", -1),
        ("--target", "nope"),
        ("--modalities", "force"),
        ("--align", "auto", "--objective", "gram"),
        ("--align", "auto", "--tau", 0.2),
        ("--objective", "transport", "--tau", 0.2),
        ("--tau", 0),
    ):
        assert ran("train", "my.npz", *wrong, "--out", "run") == 2, wrong
        assert len(capsys.readouterr().err.splitlines()) == 1, wrong
        assert not (here / "run").exists(), wrong


def test_rows_that_nothing_pairs_are_refused(here, capsys):
    odd = np.arange(100)[:, None] % 2 == 1
    x = dict(np.load("my.npz"))
    np.savez("apart.npz", force=np.where(odd, x["force"], np.nan), sound=np.where(odd, np.nan, x["sound"]))
    assert ran("train", "apart.npz", "--out", "run") == 2
    assert "nothing to align" in capsys.readouterr().err
    assert not (here / "run").exists()


@pytest.mark.whole
def test_a_recipe_decides_and_nothing_else(here, capsys):
    (here / "r.py").write_text(
        "import tuplet\nfrom tuplet.data import SOURCES\ndef recipe():\n"
        "    s = SOURCES['digits']().select(['zernike', 'fourier'])\n"
        "    return tuplet.Recipe(source=s, model=tuplet.AlignmentModel.for_source(s, dim=8),"
        " objective=tuplet.objectives.Pairwise(), config=tuplet.TrainConfig(epochs=1))\n"
    )
    for option in (("--objective", "gram"), ("--start", "gcca"), ("--dim", 8), ("--modalities", "fourier", "zernike")):
        assert ran("train", "r.py", *option, "--out", "run") == 2
        assert "recipe" in capsys.readouterr().err
        assert not (here / "run").exists()
    assert ran("train", "r.py", "--out", "run") == 0
    assert ran("evaluate", "run", "--recipe", "r.py") == 0


def test_an_unfinished_run_says_so_first(here, capsys, monkeypatch):
    options = ("train", "my.npz", "--epochs", 20, "--out", "run")
    saved = tuplet.train._session.Session._write_model

    def killed(session):
        saved(session)
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr("tuplet.train._session.Session._write_model", killed)
        with pytest.raises(SystemExit):
            ran(*options)
    capsys.readouterr()
    assert ran("evaluate", "run") == 0
    assert capsys.readouterr().out.startswith("unfinished: 1 of 20 epochs")
    assert "unfinished" in (here / "run" / "README.md").read_text()
    assert ran(*options) == 0
    assert ran("evaluate", "run") == 0
    assert "unfinished" not in capsys.readouterr().out


def test_other_data_and_damaged_notes_are_one_line(here, capsys, monkeypatch):
    assert ran("train", "my.npz", "--epochs", 1, "--out", "run") == 0
    (here / "my.npz").rename(here / "moved.npz")
    assert ran("evaluate", "run") == 2
    with monkeypatch.context() as patch:
        patch.setattr("tuplet.model.alignment.linear_maps", None)  # the model is in the folder: nothing to solve
        assert ran("evaluate", "run", "--data", "moved.npz") == 0
    assert ran("evaluate", "run", "--data", "bare.npz") == 2
    assert "other data" in capsys.readouterr().err
    (here / "moved.npz").rename(here / "my.npz")
    good = (here / "run" / "run.json").read_text()
    for form in ("", "null", "[]", "[" * 5000, good.replace('"seed": 0', '"seed": "x"'), good.replace("null", "[1]"),
                 good.replace('"epochs": 1', '"epochs": -3'), good.replace('"epochs": 1', '"dim": 3'),
                 good.replace('"cone"', '"nope"'), good.replace('"recipe": null', '"recipe": "x.py"')):  # fmt: skip
        (here / "run" / "run.json").write_text(form)
        assert ran("evaluate", "run") == 2, form[:60]
        assert len(capsys.readouterr().err.splitlines()) == 1, form[:60]
