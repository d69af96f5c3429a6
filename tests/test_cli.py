"""The command line: exit codes, one line for bad input, and the train-evaluate path."""

import contextlib
import hashlib
import io
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures import wesad
from tests.starter import started, together
from tuplet.cli import main
from tuplet.data import Table

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data(tmp_path):
    """A small file with three modalities and a label."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    np.savez(tmp_path / "my.npz", **{k: np.eye(3)[y] + rng.normal(size=(300, 3)) for k in "abc"}, label=y)
    return str(tmp_path / "my.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "nothing"], "suite is 'nothing'"),
        (["bench", "quickstart", "--only", "nope"], "only names ['nope']"),
        (["bench", "quickstart", "--seeds", "0"], "seeds is 0"),
        (["report", "nowhere"], "nowhere is not the folder of a bench run"),
        (["train", "nothing"], "source is 'nothing'"),
        (["train", "digits", "--objective", "magic"], "objective is 'magic'"),
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
        (["data", "info", "cats"], "source is 'cats'"),
        (["data", "show", "nowhere.safetensors"], "nowhere.safetensors"),
        (["data", "simulate", "cats", "--episodes", "1"], "name is 'cats', expected"),
        (["data", "simulate", "push", "--episodes", "0"], "episodes is 0"),
        (["data", "verify", "digits", "--root", "."], "root is ., but digits ships with tuplet"),
        (["data", "verify", "mosei", "--root", "nowhere"], "root nowhere holds none of mosei_senti_data.pkl"),
        (["data", "convert", "wesad", "--root", "nowhere", "--out", "w.safetensors"], "root nowhere has no S2/S2.pkl"),
        (["data", "convert", "wesad", "--root", "nowhere", "--out", "w.csv"], "out is w.csv"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    seen = capsys.readouterr()
    lines = [line for line in seen.err.splitlines() if line.startswith("tuplet:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in seen.err


def test_report_names_the_command_of_another_folder(capsys, tmp_path):
    for marker, command in (
        ("run", "evaluate"),
        ("audit", "audit DATA --out"),
        ("demo", "demo --out"),
        ("suite", "sweep"),
    ):
        out = tmp_path / marker
        out.mkdir()
        (out / f"{marker}.json").write_text('{"suite": "sweep", "factory": ""}')
        assert main(["report", str(out)]) == 2
        seen = capsys.readouterr().err
        assert f"`tuplet {command}" in seen
        assert f"{out}`" in seen


def test_data_is_listed_and_described(capsys):
    assert main(["data", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert "digits" in listed
    assert "wesad (real data: --root)" in listed
    assert main(["data", "info", "digits"]) == 0
    text = capsys.readouterr().out
    assert "modality zernike: (47,)" in text
    assert "CC BY 4.0" in text


def test_real_data_are_checked_converted_and_described(tmp_path, capsys):
    wesad.write(tmp_path / "raw")
    assert main(["data", "info", "wesad"]) == 0
    assert "root/S{n}/S{n}.pkl" in capsys.readouterr().out
    assert main(["data", "verify", "wesad", "--root", str(tmp_path / "raw")]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "no fault found",
        "not looked at: whether row i is the same thing in every modality",
    ]
    out = tmp_path / "w.safetensors"
    assert main(["data", "convert", "wesad", "--root", str(tmp_path / "raw"), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert hashlib.sha256(out.read_bytes()).hexdigest() in text
    described = []
    for root in (out, tmp_path / "raw"):
        assert main(["data", "info", "wesad", "--root", str(root)]) == 0
        described.append([line for line in capsys.readouterr().out.splitlines() if "  modality" in line])
    assert described[0] == described[1]
    assert len(described[0]) == 3


def test_simulated_rows_are_kept_in_one_file(tmp_path, capsys):
    hashes = set()
    for k in range(2):
        out = tmp_path / f"{k}.safetensors"
        assert main(["data", "simulate", "push", "--episodes", "2", "--size", "8", "--out", str(out)]) == 0
        text = capsys.readouterr().out
        hashes.add(hashlib.sha256(out.read_bytes()).hexdigest())
        assert f"sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}" in text
        assert f"{len(Table.open(out))} rows" in text
        assert "episodes/s" in text
    assert len(hashes) == 1


def test_train_resumes_and_evaluate_reads_the_run(data, tmp_path, capsys, unlearned):
    out = tmp_path / "run"
    arguments = ["train", data, "--objective", "triangle", "--epochs", "1", "--out", str(out), "--modalities", "a", "b"]
    assert main(arguments) == 2
    assert "triangle needs 3 modalities" in capsys.readouterr().err
    assert not out.exists()
    arguments.append("c")
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert main([*arguments, "--seed", "1"]) == 2
    assert "run with seed = 0, this one has seed = 1" in capsys.readouterr().err
    assert main(["evaluate", str(out)]) == 0
    text = capsys.readouterr().out
    assert "linear probe, all modalities" in text
    assert "retrieval/own/R@1" not in text
    assert main(["evaluate", str(out), "--details"]) == 0
    assert "retrieval/own/R@1" in capsys.readouterr().out
    (out / "model.safetensors").write_bytes(b"broken")
    assert main(["evaluate", str(out)]) == 2


@pytest.mark.whole
def test_a_file_recipe_runs_only_when_it_is_named(tmp_path, capsys, unlearned):
    out, file = tmp_path / "run", tmp_path / "mine.py"
    file.write_text((ROOT / "examples" / "recipe.py").read_text().replace("epochs=5", "epochs=1").replace('"pixels", ', ""))
    assert main(["train", str(file), "--out", str(out)]) == 0
    assert main(["evaluate", str(out)]) == 2
    assert "pass it with --recipe" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--recipe", str(file)]) == 0
    file.write_text("x = 1")
    assert main(["train", str(file), "--out", str(tmp_path / "other")]) == 2
    assert "does not define recipe()" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("example", ["own_data.py", "recipe.py"])  # ktuberling.py needs its files: tests/datasets/
def test_examples_run(example):
    example = ROOT / "examples" / example
    assert len(example.read_text().splitlines()) < 80
    runpy.run_path(str(example), run_name="__main__")


def printed(options, folder, name=None):
    """Run the command as a rank of torchrun, or with a name; keep what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(options) == 0
    (folder / f"{name or 'rank' + os.environ['RANK']}.txt").write_text(out.getvalue())


def launched(options, folder):
    """Run the command as its script does, which starts the other ranks by itself."""
    sys.argv = [str(Path(sys.executable).with_name("tuplet")), *options]
    printed(options, folder, "devices")


@pytest.mark.whole
def test_train_on_two_processes(data, tmp_path):
    """By --devices and as torchrun starts it, with the loss and the weights of one process."""
    one = ["train", data, "--objective", "pairwise", "--epochs", "1", "--out", str(tmp_path / "one")]
    assert main(one) == 0
    process = started(launched, [*one[:-1], str(tmp_path / "devices"), "--devices", "2", "--strategy", "ddp"], tmp_path)
    process.join(240)
    assert process.exitcode == 0
    together(2, printed, [*one[:-1], str(tmp_path / "torchrun")], tmp_path)
    texts = {k: (tmp_path / f"rank{k}.txt").read_text() for k in (0, 1)} | {"devices": (tmp_path / "devices.txt").read_text()}
    assert {k: t.count("now: tuplet evaluate") for k, t in texts.items()} == {0: 1, 1: 0, "devices": 1}
    loss = {k: json.loads((tmp_path / k / "train.jsonl").read_text())["loss"] for k in ("one", "devices", "torchrun")}
    weights = {k: load_file(tmp_path / k / "model.safetensors") for k in loss}
    for k in ("devices", "torchrun"):
        assert loss[k] == pytest.approx(loss["one"], rel=1e-4)
        torch.testing.assert_close(weights[k], weights["one"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", [["--only", "gram"], ["--root", "."], ["--preset", "paper"]])
def test_strategic_refuses_options_that_it_would_ignore(option, tmp_path, capsys):
    assert main(["bench", "strategic", *option, "--out", str(tmp_path / "out")]) == 2
    assert f"{option[0][2:]} is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
