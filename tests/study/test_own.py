"""A comparison on a user's file: any names, with and without a target, the same data in every worker."""

import numpy as np
import pytest

from tuplet import InputError
from tuplet.cli import main
from tuplet.cli.own import described
from tuplet.cli.source import Reading
from tuplet.study._cell import run_cell
from tuplet.study._report import write_report
from tuplet.study.suite import Cell, load_suite

NAMES = ("$\\frac{$ [/x] <b>", "b" * 200)


def file(folder, *, seed=0, names=NAMES):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 5)).astype("f4")
    views = {names[0]: x, names[1]: (x @ rng.normal(size=(5, 4))).astype("f4")}
    np.savez(folder / "my.npz", **views, label=(x[:, 0] > 0).astype(int))
    return folder / "my.npz"


def test_a_suite_is_rebuilt_from_its_factory_and_checks_its_data(tmp_path, capsys):
    factory = described(str(file(tmp_path)), Reading())
    capsys.readouterr()
    suite = load_suite(factory)
    assert suite.title == "my"
    assert {e.name for e in suite.entries} >= {"raw", "none", "linear", "supervised", "pairwise", "gram"}
    assert not {"triangle", "symile_n_squared"} & {e.name for e in suite.entries}
    assert len(suite.left_out) == 2
    found = {r.metric: r for r in run_cell(suite, Cell("data", "linear", "default", 0)) if r.detail in ("", "mean")}
    assert found["retrieval/cosine/R@1"].value > 0.5
    file(tmp_path, seed=1)
    with pytest.raises(InputError, match="has changed since"):
        suite.tasks[0].load()


def test_names_of_all_kinds_pass_through_report_pictures_and_tables(tmp_path, capsys):
    factory = described(str(file(tmp_path)), Reading(target="label"))
    suite = load_suite(factory)
    records = [r for e in ("linear", "none", "raw") for r in run_cell(suite, Cell("data", e, "default", 0))]
    page = write_report(suite, records, tmp_path).read_text()
    assert "<b>" not in page.replace("<body>", "")
    assert "bbb…bbb" in page


def test_arguments_are_checked_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file(tmp_path, names=("force", "sound"))
    for wrong, word in (
        (["--seeds", "0"], "seeds is 0"),
        (["--only", "triangle"], "TRIANGLE is left out: it is defined here for 3 modalities"),
        (["--only", "nobody"], "only names ['nobody']"),
        (["--target", "nope"], "nope"),
        (["--modalities", "force", "nope"], "nope"),
        (["--preset", "paper"], "preset is"),
        (["--workers", "0"], "workers is 0"),
    ):
        assert main(["bench", "my.npz", *wrong]) == 2
        assert word in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == ["my.npz"]
    assert main(["bench", "quickstart", "--target", "label"]) == 2
    assert main(["bench", "nothing"]) == 2


def test_a_selection_is_shown_beside_the_closed_form_and_says_nothing_of_others(tmp_path, capsys, monkeypatch, unlearned):
    monkeypatch.chdir(tmp_path)
    file(tmp_path, names=("force", "sound"))
    assert main(["bench", "my.npz", "--only", "none", "--seeds", "2", "--workers", "1", "--out", "run"]) == 0
    text = capsys.readouterr().out
    assert "Linear closed form" in text
    assert "left out" not in text + (tmp_path / "run" / "report.html").read_text()
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_damaged_folders_are_one_line(tmp_path, capsys):
    for content in ("[]", '{"suite": 1, "factory": "x"}', "{", '{"suite": "own", "factory": "a:b?plan=[]"}', "\udcff"):
        (tmp_path / "suite.json").write_text(content, errors="surrogateescape")
        assert main(["report", str(tmp_path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
