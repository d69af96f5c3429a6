"""The verdict follows the numbers, in both directions; search finds the row whose text was typed."""

import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.demo.victim import measured, small
from tests.starter import started
from tuplet.audit.advice import Advice, gain_curve
from tuplet.cli.demo import told
from tuplet.data import from_arrays
from tuplet.demo import study
from tuplet.demo.page import verdict
from tuplet.demo.study import METHODS, Found, _measured, _ranks, chosen, measure
from tuplet.evaluate import Result, embed, linear_baseline
from tuplet.evaluate._search import search
from tuplet.io import fresh
from tuplet.types import InputError

N = 300
CURVE = gain_curve([0.0, 0.0, 0.0], np.eye(3), (0.0, 0.3, 1.0))
ADVICE = Advice("unclear", 0.0, CURVE.interval, "", CURVE, ())
AUDIT = SimpleNamespace(
    pairs=[
        SimpleNamespace(
            pair=("english", "noto"),
            pid=SimpleNamespace(significant=None),
            similarity={},
            pilot=SimpleNamespace(metric="accuracy", folds=1),
            advice=ADVICE,
        )
    ]
)


def method(share, probe=0.5, validation=None):
    """A method that finds this share of the names."""
    ranks = np.where(np.random.default_rng(0).permutation(N) < share * N, 1, 200)
    validation = share if validation is None else validation
    return [
        Found(
            {"linear": probe, "validation": validation, "cosine": share},
            ranks,
            ranks,
            np.zeros((N, 10), np.int64),
            1.0 * (ranks <= 10),
        )
    ]


def answers(concepts=range(N), **shares):
    found = {m: method(shares.get(m, 0.03)) for m in METHODS}
    found["inputs"] = [Found({"linear": 0.9}, *[np.zeros(0, np.int64)] * 4)]
    return [answer for _, answer in verdict(found, [f"row {i}" for i in range(N)], concepts, AUDIT)]


def test_the_best_objective_is_named_with_those_like_it():
    align, which, gain, _ = answers(pairwise=0.3, gram=0.6, ova_ib=0.59, linear=0.2)
    assert align.startswith("Yes")
    assert which.startswith("GRAM, which finds most on validation rows. On test rows it finds 60%")
    assert "OVA-IB (59%) cannot be told apart" in which
    assert "Pairwise (30%) finds fewer" in which
    assert "GRAM started from the linear closed form have the right one among the first 10 in 60%" in align
    assert "GRAM finds more than" in gain


def test_validation_names_choose_and_test_names_are_reported():
    found = {m: method(0.03) for m in METHODS}
    found |= {"pairwise": method(0.2, validation=0.5), "gram": method(0.6, validation=0.4)}
    assert chosen(found) == "pairwise"
    which = verdict(found, [f"row {i}" for i in range(N)], range(N), AUDIT)[1][1]
    assert which.startswith("Pairwise, which finds most on validation rows. On test rows it finds 20%")
    assert "GRAM (60%) finds more on them" in which


def test_variants_of_one_concept_are_one_draw():
    """Sixty variants that GRAM alone finds by name are a clear difference as rows, and two concepts of 300 names are not."""
    found = {m: method(0.03) for m in METHODS}
    found["inputs"] = [Found({"linear": 0.9}, *[np.zeros(0, np.int64)] * 4)]
    first = found["gram"][0]
    ranks = np.where(np.arange(N) < 60, 1, first.ranks)
    found["gram"] = [Found({"linear": 0.5, "validation": 0.9}, ranks, ranks, first.top, first.whole)]
    names, concepts = [f"row {i}" for i in range(N)], np.maximum(np.arange(N) - 59, 0)
    concepts[30:60] = N
    assert "By a typed name alone it finds more than it" in verdict(found, names, range(N), AUDIT)[2][1]
    assert "By a typed name alone it cannot be told apart from it" in verdict(found, names, concepts, AUDIT)[2][1]


def test_the_first_answer_follows_both_measures():
    """Best from all others, and no better by a typed name: both are said, and the start of the one that won."""
    found = {m: method(0.2) for m in METHODS} | {"random": method(0.03)}
    found["inputs"] = [Found({"linear": 0.9}, *[np.zeros(0, np.int64)] * 4)]
    names = [f"row {i}" for i in range(N)]
    for winner, begun in (
        ("cone", "Cone (ours) started from the linear"),
        ("scratch", "Pairwise from scratch from random"),
    ):
        plain, best = method(0.2)[0], method(0.7)[0]
        now = found | {winner: [replace(plain, numbers=best.numbers, whole=best.whole)]}
        said = verdict(now, names, range(N), AUDIT)
        assert len(told(said)) + 1 < 25
        align, _, gain, _ = (answer for _, answer in said)
        assert align.startswith("Yes, to search")
        assert begun in align
        assert "in 70%, the closed form alone, searched by the cone, in 20%" in align
        assert "finds more than regularised linear CCA" in gain
        assert "By a typed name alone it cannot be told apart from it: 20% against 20%" in gain


def test_a_closed_form_that_wins_and_alignment_without_gain_are_said():
    align, _, gain, _ = answers(linear=0.9)
    assert align.startswith("No gain was found")
    assert "finds fewer than" in gain
    assert "try the closed form first" in gain


def test_ranks_count_ties_against_the_method():
    assert _ranks(np.zeros((4, 4))).tolist() == [4] * 4
    assert _ranks(np.eye(4)).tolist() == [1] * 4


def test_search_finds_the_row_that_was_typed():
    rng = np.random.default_rng(0)
    words = [f"{a} {b}" for a in ("red", "blue", "green", "old", "new") for b in ("cup", "ball", "box", "hat")] * 5
    codes = {w: rng.normal(size=12) for w in sorted(set(words))}
    x = np.array([codes[w] for w in words]) + 0.01 * rng.normal(size=(len(words), 12))
    source = from_arrays({"text": words, "picture": x}, scaling={"picture": "none"})
    model, rows = linear_baseline(source, dim=8), source.split.test
    found = search(model, source, {"text": [words[i] for i in rows]}, embed(model, source.test), ("picture",))
    best = [words[rows[i]] for i in found.argmax(dim=1)]
    assert np.mean([a == words[i] for a, i in zip(best, rows, strict=True)]) > 0.9
    assert torch.isfinite(found).all()


def test_fresh_removes_a_demo_and_nothing_else(tmp_path):
    for name in ("demo.json", "report.html", "records/gram-0.json", "models/gram-0-8/train.jsonl", "audit/audit.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "models" / "mine.txt").write_text("")
    with pytest.raises(InputError, match=r"models/mine\.txt, which tuplet did not write"):
        fresh(tmp_path)
    (tmp_path / "models" / "mine.txt").unlink()
    fresh(tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.name != ".lock"] == []


def test_a_folder_that_is_not_tuplets_is_never_emptied(tmp_path):
    for number, files in enumerate(
        (
            ("config.json", "model.safetensors", "README.md"),  # what other libraries write
            ("run.json", "photo.png"),
            ("run.json", "cells/a/b/mine.json"),
            ("suite.json", "cells/a/notes.jsonl"),
        )
    ):
        folder = tmp_path / str(number)
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
        with pytest.raises(InputError):
            fresh(folder)
        assert all((folder / name).exists() for name in files)


def test_pictures_are_shown_best_first_and_the_share_that_chooses_is_of_validation_names(monkeypatch, tmp_path):
    """Each validation name finds its own picture first, each test name its own last."""
    parts = {"train": range(5), "val": range(5, 20), "test": range(20, 35)}
    source = SimpleNamespace(modalities=dict.fromkeys(("english", "noto", "twemoji")), split=SimpleNamespace(**parts))
    source.val, source.test = parts["val"], parts["test"]
    names = [f"name {i}" for i in range(35)]

    def found(model, source, query, candidates, into, score):
        assert query["english"] == [names[i] for i in candidates]
        n = len(candidates)
        away = (np.arange(n)[None] - np.arange(n)[:, None]) % n  # 0 for a name's own picture
        return torch.from_numpy((-away if candidates is source.val else -((away - 1) % n)).astype(float))

    monkeypatch.setattr(study, "linear_baseline", lambda source: None)
    monkeypatch.setattr(study, "embed", lambda model, rows: rows)
    monkeypatch.setattr(study, "search", found)
    whole = [Result("retrieval/own/R@10", 0.25, "mean", items=(0.5, 0.0))]
    monkeypatch.setattr(study, "evaluate", lambda *a, **k: whole)
    seen = lambda rows, scores: [replace(whole[0], value=0.75)] if rows is source.val else []  # noqa: E731
    monkeypatch.setattr(study, "retrieval_results", seen)
    made = _measured("linear", 0, source, names, tmp_path, 1, lambda seed: None)
    assert made["numbers"] == {"own": 0.25, "validation": 0.75}
    assert made["whole"] == [0.5, 0.0]
    assert made["ranks"] == made["cosine_ranks"] == [15] * 15
    assert made["top"] == [[(row + k) % 15 for k in range(1, 11)] for row in range(15)]


def test_a_training_that_a_signal_ended_is_never_measured(monkeypatch, tmp_path):
    source, names = small()
    monkeypatch.setattr(study, "TRAINED", {"scratch": study.Pairwise})
    monkeypatch.setattr(study, "METHODS", {"scratch": "Pairwise from scratch"})
    monkeypatch.setattr(study, "fit", lambda model, *a, **k: SimpleNamespace(model=model, stopped=True))
    with pytest.raises(KeyboardInterrupt):
        measure(source, names, out=tmp_path, epochs=1)
    assert not list(tmp_path.glob("records/*"))


@pytest.mark.whole
def test_a_demo_that_was_killed_goes_on_with_the_same_digits(tmp_path):
    """Killed after its first record, it computes the others only, and ends as one that nobody disturbed."""
    torch.set_num_threads(1)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = started(measured, killed)
    until = time.monotonic() + 120
    while not list(killed.glob("records/*.json")) and time.monotonic() < until:
        assert process.is_alive()
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in killed.glob("records/*.json")}
    assert 1 <= len(before) < 5
    again = measured(killed)
    after = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in killed.glob("records/*.json")}
    assert len(after) == 5
    assert {k: after[k] for k in before} == before  # finished pieces are read, not computed
    once = measured(whole)
    for name in after:
        assert (killed / "records" / name).read_bytes() == (whole / "records" / name).read_bytes(), name
    assert {m: [r.numbers for r in runs] for m, runs in again.items()} == {
        m: [r.numbers for r in runs] for m, runs in once.items()
    }
