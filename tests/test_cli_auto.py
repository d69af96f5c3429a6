"""``train --objective auto``: what a comparison chose on validation rows is trained, and decided once."""

import json
from dataclasses import replace

import pytest

from tests.test_runs import here, ran
from tuplet import InputError
from tuplet.cli import auto
from tuplet.study.record import Record
from tuplet.suites import own

__all__ = ["here"]


@pytest.mark.whole
def test_auto_compares_once_trains_the_best_and_says_so(here, capsys, monkeypatch):
    monkeypatch.setattr(auto, "SHORT", ("pairwise",))
    budget = own.budget_for
    monkeypatch.setattr(own, "budget_for", lambda rows: replace(budget(rows), epochs=1))
    command = ("train", "my.npz", "--objective", "auto", "--epochs", 1)
    assert ran(*command, "--out", "run") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "no finished comparison of these data" in text
    note = json.loads((here / "run/run.json").read_text())
    assert (note["objective"], note["start"]) == ("pairwise", "gcca")
    trials = {}
    for file in (here / "run-bench/cells").rglob("pairwise.trial-*.jsonl"):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if record["metric"] == "tuning/score":
                trials[record["settings"]["tau"]] = record["value"]
    assert len(trials) == 3
    assert trials[note["settings"]["tau"]] == max(trials.values())  # by validation rows, not by the report's test rows
    assert ran(*command, "--out", "run") == 0
    assert "run before" in " ".join(capsys.readouterr().out.split())
    assert ran("train", "my.npz", "--objective", "gram", "--epochs", 1, "--out", "other") == 0
    (here / "run-bench").rename(here / "other-bench")
    assert ran(*command, "--out", "other") == 2  # another run's folder is not taken for what auto chose
    assert "holds a run with objective = gram" in capsys.readouterr().err
    (here / "other-bench").rename(here / "run-bench")
    (here / "runs/bench").mkdir(parents=True)
    (here / "run-bench").rename(here / "runs/bench/my")
    assert ran(*command, "--out", "again", "--fresh") == 0
    assert "the comparison in runs/bench/my (run before)" in " ".join(capsys.readouterr().out.split())
    assert json.loads((here / "again/run.json").read_text())["settings"]["tau"] == note["settings"]["tau"]
    assert not (here / "again-bench").exists()
    for extra in (("--tau", 0.1), ("--align", "auto"), ("--devices", 2)):
        assert ran(*command, "--out", "no", *extra) == 2
        assert "--objective auto" in capsys.readouterr().err
    assert not (here / "no").exists()


def test_what_train_cannot_be_told_is_not_chosen(monkeypatch, tmp_path):
    suite = own.comparison(
        lambda: None, factory="", title="d", modalities=("a", "b"), target="", kind="", size=0, rows=50, start="gcca"
    )
    monkeypatch.setattr("tuplet.study._report.write_report", lambda *_: tmp_path)
    scores = {"one_vs_all": 0.9, "pairwise": 0.4, "gram": 0.6, "structure": 0.8}
    monkeypatch.setattr("tuplet.study._answer.trial_scores", lambda *_: {("data started", k): v for k, v in scores.items()})

    def records(names):
        given = {"one_vs_all": {"tau": 0.03, "beta": 0.3}, "structure": {"tau": 0.1, "weight": 10.0}}
        return [
            Record("own", "data started", k, "tuned", 0, given.get(k, {"tau": 0.07}), "retrieval/cosine/R@1", v, "mean")
            for k, v in zip(names, (0.1, 0.9, 0.2, 0.3), strict=False)
        ]

    found = auto._best(suite, records(scores), tmp_path, "chose")
    assert found == ("gram", 0.07, "gcca")  # the best on validation rows that has no setting but tau; worse on test rows
    with pytest.raises(InputError, match="give --objective NAME"):
        auto._best(suite, records(["one_vs_all"]), tmp_path, "chose")
