"""The words on a paper's claims follow from the numbers, whichever way these fall."""

from __future__ import annotations

import numpy as np
import pytest

from tuplet.study._report import write_report
from tuplet.study._show import print_claims
from tuplet.study.record import Record
from tuplet.suites.claims import ova_ib_claims, uni_oma_claims
from tuplet.suites.ova_ib import ova_ib_sim
from tuplet.suites.uni_oma import uni_oma_sim

OVA, UNI = ova_ib_sim(), uni_oma_sim()


def records(suite, value):
    """Three seeds of every headline column; ``value`` gives an entry's gain from task and entry, higher is better."""
    rng = np.random.default_rng(0)
    found = []
    for task in suite.tasks:
        for column in (c for c in task.columns if c.headline):
            for entry in suite.of(task):
                for seed in range(3):
                    gain = value(task, entry.name) + 1e-6 * rng.random()
                    shown = 0.5 + gain if column.higher else 0.5 - gain
                    common = (suite.name, task.name, entry.name, "default", seed, {}, column.metric, shown)
                    found.append(Record(*common, column.detail, column.higher, data=task.name))
    return found


def words(claims, suite, value):
    return {v.claim: v.word for v in claims(suite, records(suite, value))}


def test_a_run_as_the_paper_says():
    found = words(ova_ib_claims, OVA, lambda t, e: 0.02 * len(t.modalities) * (e == "one_vs_all"))
    assert set(found.values()) == {"seen"}
    assert len(found) == 4


def test_a_run_that_says_the_opposite():
    found = words(ova_ib_claims, OVA, lambda t, e: -0.02 * len(t.modalities) * (e == "one_vs_all"))
    assert set(found.values()) == {"not seen"}


def test_structure_is_judged_for_every_base():
    found = words(uni_oma_claims, UNI, lambda t, e: 0.1 * (e.endswith("_gw") and not e.startswith("gram")))
    gains = {k: v for k, v in found.items() if k.startswith("The structure term")}
    assert len(gains) == 6  # the five of the papers, and the cone
    assert {k for k, v in gains.items() if v == "not seen"} == {"The structure term improves GRAM"}


def weight(task, name, value, seed=0):
    return Record("uni-oma-sim", task, "pairwise_gw", "default", seed, {}, f"weight/{name}", value)


def alone(task, name, value):
    return Record("uni-oma-sim", task, "pairwise_gw", "default", 0, {}, "predict/contact/accuracy", value, name)


@pytest.mark.parametrize(("heavy", "word"), [("force", "seen"), ("vision", "not seen")])
def test_weights_are_compared_with_what_each_modality_predicts_alone(heavy, word):
    names = ("force", "pose", "vision")
    made = [weight("VFP", k, 0.6 if k == heavy else 0.2) for k in names]
    made += [alone("VFP", k, 0.9 if k == "force" else 0.7) for k in names]
    (verdict,) = uni_oma_claims(UNI, made)
    assert verdict.word == word
    assert "best alone force (90.0)" in str(verdict)


@pytest.mark.parametrize(("heavy", "word"), [("pose", "seen"), ("vision", "not seen")])
def test_the_smallest_error_is_the_best_alone(heavy, word):
    made = [weight("Push", k, 0.6 if k == heavy else 0.2) for k in ("force", "pose", "vision")]
    for k, error in (("force", 0.3), ("pose", 0.1), ("vision", 0.9)):
        made.append(Record("uni-oma-sim", "Push", "pairwise_gw", "default", 0, {}, "predict/position/mse", error, k, False))
    (verdict,) = uni_oma_claims(UNI, made)
    assert verdict.word == word
    assert "best alone pose" in str(verdict)


@pytest.mark.parametrize(("after", "word"), [(0.1, "seen"), (0.35, "not seen")])
def test_unequal_sampling_is_judged_by_the_scarce_modality(after, word):
    made = []
    for task, share in (("Push", 0.33), ("Push, unequal", after)):
        for seed in range(3):
            made += [weight(task, "vision", share + 0.001 * seed, seed), weight(task, "force", 1 - share, seed)]
    (verdict,) = uni_oma_claims(UNI, made)
    assert verdict.word == word
    assert "vision 0.331" in str(verdict)


def test_subsets_are_ranked_without_the_whole():
    made = []
    for entry, value in (("one_vs_all", 0.9), ("pairwise", 0.8), ("gram", 0.7), ("symile", 0.6), ("bottleneck", 0.5)):
        for detail in ("force", "force+pose", "force+pose+vision", "no input"):
            at = 1 - value if detail == "force+pose+vision" else value
            made.append(Record("x", "VFP", entry, "default", 0, {}, "predict/contact/accuracy", at, detail))
    found = {v.claim: v for v in ova_ib_claims(OVA, made)}
    verdict = found["Highest or near-highest whichever modalities are there"]
    assert verdict.word == "seen"
    assert "over 2 targets and subsets" in verdict.summary
    assert verdict.details[0] == "OVA-IB 1.00, best in 2"


def test_the_note_is_printed_and_in_the_report(tmp_path, capsys):
    made = records(OVA, lambda t, e: 0.02 * (e == "one_vs_all"))
    print_claims(OVA, made)
    assert "Minimality helps on 7 of 8 tasks: seen. better in " in capsys.readouterr().out
    assert "Minimality helps on 7 of 8 tasks: seen" in write_report(OVA, made, tmp_path).read_text()
