"""The suite of search and generation: one small cell of every kind, its columns, and how claims are judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError
from tuplet.data import Table
from tuplet.evaluate import scorers
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.push import Push
from tuplet.study._cell import run_cell
from tuplet.study.record import Record
from tuplet.study.suite import Cell, load_suite
from tuplet.suites import _clips, generation
from tuplet.suites._clips import captioned_push
from tuplet.suites.uni_align import CLAIMS, WORDS, uni_align_claims, uni_align_sim


def small():
    """Shrink the suite to a third of the training rows, one epoch, two artists and six pictures a row."""
    suite = uni_align_sim()
    task = suite.tasks[0]

    def load():
        source = task.load()
        return replace(source, split=replace(source.split, train=source.split.train[::3]))

    protocol = replace(task.protocol, drawn=("noto", "twemoji"), count=6)
    few = ("english", "noto", "twemoji")
    return replace(
        suite, tasks=(replace(task, load=load, modalities=few, budget=replace(task.budget, epochs=1), protocol=protocol),)
    )


@pytest.mark.whole
def test_a_cell_has_every_column(monkeypatch):
    monkeypatch.setattr(generation, "EPOCHS", 1)
    suite = small()
    found = run_cell(suite, Cell("emoji", "cone_structure", "default", 0, {"tau": 0.1, "weight": 1.0}))
    there = {(r.metric, r.detail) for r in found}
    assert {(c.metric, c.detail) for c in suite.tasks[0].columns} <= there
    by = {(r.metric, r.detail): r for r in found}
    ceiling = by["generate/found again", WORDS.replace("words", "picture (ceiling)")]
    assert (ceiling.pool, ceiling.chance) == (6, 1 / 6)
    assert by["generate/kid", "real, unseen"].value < 0.5 * by["generate/kid", WORDS].value  # noise is far, real is near


def test_entries_are_tuned_alike_and_differ():
    suite = load_suite("tuplet.suites.uni_align:uni_align_sim")
    task = suite.tasks[0]
    emb = Embeddings.of({k: torch.nn.functional.normalize(torch.randn(12, 64), dim=1) for k in task.modalities})
    losses = {e.name: float(e.make(e.defaults, task)(emb).total.detach()) for e in suite.entries if e.make}
    assert len({round(v, 4) for v in losses.values()}) == len(losses) == 7
    assert {len(e.trials) for e in suite.entries if e.make} == {2}


def test_a_copy_is_nearest():
    known = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    assert generation.nearest(known, known) == 0
    assert generation.nearest(torch.full((5, 3, 4, 4), 0.75), known) == pytest.approx(0.25)


def test_scorers_know_what_they_score():
    torch.manual_seed(0)
    base = torch.randn(40, 16)
    emb = Embeddings.of({"a": base, "b": base + 0.1 * torch.randn(40, 16), "c": -base})
    found = {r.detail: r.value for r in scorers(emb, "a", ["b", "c"]) if r.metric == "scorer/R@1"}
    assert found["anchor cosine"] == 1
    assert found["projection"] == found["conditional volume"] == 1  # blind to the sign of c
    assert found["mean cosine"] < 0.5  # b and c cancel
    with pytest.raises(InputError, match="other than 'a'"):
        scorers(emb, "a", ["a"])


def test_claims_follow_the_numbers():
    suite = uni_align_sim()
    better, worse = ((0.9, 0.91, 0.92), (0.1, 0.12, 0.11))

    def records(entry, metric, detail, values):
        return [Record(suite.name, "emoji", entry, "tuned", s, {}, metric, v, detail) for s, v in enumerate(values)]

    for sign, word in ((1, "seen"), (-1, "the reverse is seen")):
        made = []
        for _, other, metric, detail, higher in CLAIMS:
            ours, theirs = (better, worse) if higher == (sign > 0) else (worse, better)
            made += records("uni_align", metric, detail, ours) + records(other, metric, detail, theirs)
        made = list({(r.entry, r.metric, r.detail, r.seed): r for r in made}.values())
        words = [f.word for f in uni_align_claims(suite, made)]
        assert words == [word] * len(CLAIMS)
    clips = [replace(r, task="push") for r in made]  # of the last turn, which is the reverse
    assert [f.word for f in uni_align_claims(suite, clips)] == ["the reverse is seen"] * len(CLAIMS)
    assert all(f.claim.endswith(", on push") for f in uni_align_claims(suite, clips))
    same = [r for _, o, m, d, _ in CLAIMS for e in ("uni_align", o) for r in records(e, m, d, better)]
    assert {f.word for f in uni_align_claims(suite, same)} == {"not told apart"}


def test_sentences_say_what_the_simulator_did(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    source, seen = captioned_push(8), []
    monkeypatch.setattr(_clips, "from_arrays", lambda arrays, **more: seen.append((arrays, more)))
    captioned_push(8)
    (arrays, more), columns = seen[0], Table.open(episode_table(Push(size=16), episodes=8)).columns
    for number, (sentence, way) in enumerate(zip(arrays["sentence"], more["targets"]["direction"], strict=True)):
        mine = np.flatnonzero(np.asarray(columns["group"]) == number)
        moved = np.subtract(*np.asarray(columns["target.position"])[mine[[-1, 0]]])
        assert {"left": -moved[0], "right": moved[0], "nearer": -moved[1], "away": moved[1]}[way] == abs(moved).max()
        assert f"It moves {way} by {round(100 * np.linalg.norm(moved))} cm" in sentence
        mass = float(columns["mass"][mine[0]])
        assert f"a {'light' if mass <= 0.23 else 'heavy' if mass > 0.37 else 'middling'} puck" in sentence
        assert np.array_equal(arrays["force"][number], columns["input.force"][mine[-1]])
    assert len(set(arrays["sentence"])) > 5
    assert source.modalities["sentence"].kind == "text"
    assert [t.name for t in uni_align_sim().tasks] == ["emoji", "push"]
    monkeypatch.setattr("tuplet.suites.uni_align.find_spec", lambda name: None)
    assert [t.name for t in uni_align_sim().tasks] == ["emoji"]
