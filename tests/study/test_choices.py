"""Numbers that would mislead a careless report: validation and test disagree, scores tie, are NaN or come in another order."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from tuplet import InputError
from tuplet.evaluate._paired import paired_difference
from tuplet.study._answer import Answer, trial_scores
from tuplet.study._cell import CRITERION
from tuplet.study._columns import Column
from tuplet.study._figures import ladder
from tuplet.study._ledger import Ledger
from tuplet.study._stats import compare, spread
from tuplet.study._tables import mark, number, tables
from tuplet.study.record import Record, write_cell
from tuplet.study.runner import Comparison as Compared
from tuplet.study.runner import best_of, check_budget
from tuplet.study.suite import Entry, Suite, Task
from tuplet.suites.claims import Comparison, Run, against, counted, mean_ranks
from tuplet.suites.strengths import Curve, curve, judge

UP, DOWN = Column("up", "", "Up", "", headline="U"), Column("down", "", "Down", "", higher=False, headline="D")
SHOWN = Column("shown", "", "Shown", "", ranked=False)
TASK = Task("t", "T", lambda: None, ("a", "b"), "label", 2, columns=(UP, DOWN, SHOWN))
TRIALS = ({"tau": 1.0}, {"tau": 2.0})


def make(settings, task):
    return None


ENTRIES = (Entry("raw", "Raw", kind="inputs"), Entry("base", "Base", make), Entry("ours", "Ours", make))
SUITE = Suite("s", "none:none", (TASK,), ENTRIES, "base")


def records(entry, metric, values, *, seeds=None, **more):
    seeds = range(len(values)) if seeds is None else seeds
    return [Record("s", "t", entry, "default", s, {}, metric, v, **more) for s, v in zip(seeds, values, strict=True)]


def flat(means, noise=1e-3, seeds=6, step=1.0):
    """A curve over strengths 0, step, 2 step, ..: given means, small differences between seeds."""
    apart = noise * np.random.default_rng(len(means)).normal(size=(len(means), seeds))
    return Curve(tuple(step * i for i in range(len(means))), np.array(means)[:, None] + apart, np.arange(seeds) % 2)


def test_the_strength_is_the_validations_and_the_value_the_tests():
    val, test = flat([0.5, 0.8, 0.6, 0.5]), flat([0.4, 0.3, 0.9, 0.6])
    found = judge(test, val)
    assert found.best == 1.0
    assert (found.gain.mean, found.end.mean) == pytest.approx((-0.1, 0.2), abs=5e-3)
    assert found.kind == "flat"  # test is best at 2, which nobody may know
    found = judge(val, test)
    assert (found.best, found.kind) == (2.0, "inner")
    assert found.gain.mean == pytest.approx(0.1, abs=5e-3)
    assert found.largest == 3.0


def test_equal_strengths_go_to_the_weaker_and_nan_is_no_best():
    still = Curve((0.0, 1.0, 2.0), np.full((3, 4), 0.5), np.zeros(4, dtype=int))
    assert judge(flat([0.5, 0.6, 0.7]), still).best == 0.0
    broken = replace(still, values=np.array([[0.5] * 4, [np.nan] * 4, [0.7] * 4]))
    assert judge(flat([0.5, 0.6, 0.7]), broken).best == 2.0


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        ([0.5, 0.45, 0.6], "uneven"),
        ([0.5, 0.7, 0.6], "inner"),
        ([0.5, 0.4, 0.45], "decline"),
        ([0.5, 0.5, 0.5], "flat"),
    ],
)
def test_kinds_are_of_the_test_curve_whatever_validation_would_say(means, kind):
    chooser = flat([0.0, 1.0, 0.5] if means[1] > means[2] else [0.0, 0.5, 1.0])
    assert judge(flat(means), chooser).kind == kind


def test_a_fall_on_test_rows_counts_though_validation_stays_up():
    level = Curve((0.0, 1.0, 2.0), np.array([[0.1] * 6, [0.9] * 6, [0.9] * 6]), np.arange(6) % 2)
    assert judge(flat([0.5, 0.7, 0.6]), level).kind == "inner"
    falls = Curve((0.0, 1.0, 2.0), np.array([[0.1] * 6, [0.9] * 6, [0.2] * 6]), np.arange(6) % 2)
    assert judge(flat([0.5, 0.7, 0.7]), falls).kind == "gain"


def test_a_curve_is_cut_at_a_strength_that_stays_in():
    c = flat([0.1, 0.2, 0.3, 0.4])
    assert c.upto(2.0).strengths == (0.0, 1.0, 2.0)
    assert np.array_equal(c.upto(2.0).values, c.values[:3])
    assert c.upto(1.5).strengths == (0.0, 1.0)
    assert (c.change(2.0, 1.0).mean, c.change(1.0).mean) == pytest.approx((0.1, 0.1), abs=5e-3)
    assert c.trend().mean == pytest.approx(1)
    assert replace(c, values=-c.values).trend().mean == pytest.approx(-1)
    assert (c.clear(3.0), replace(c, values=-c.values).clear(3.0)) == (1, -1)


def test_curves_do_not_depend_on_the_order_of_records():
    made = [
        Record("s", "t", f"{x:g}", "default", seed, {"strength": x}, "m", 10 * x + seed)
        for x in (2.0, 0.0, 1.0)
        for seed in (3, 0, 1)
    ]
    decoys = [replace(made[0], detail="other", value=99.0), replace(made[0], variant="tuned", value=99.0)]
    for order in (made, made[::-1], decoys + made, made + decoys):
        found = curve(order, "m", per_data=2)
        assert found.values.tolist() == [[0, 1, 3], [10, 11, 13], [20, 21, 23]]
        assert found.blocks.tolist() == [0, 0, 1]


def test_seeds_are_paired_by_number_not_by_place():
    ours, theirs = records("ours", "up", [0.1, 0.5, 0.9]), records("base", "up", [0.0, 0.4, 0.8])
    aligned = compare(ours, theirs)
    assert compare(ours[::-1], [theirs[1], theirs[2], theirs[0]]) == aligned
    assert (aligned.mean, aligned.low, aligned.high) == pytest.approx((0.1, 0.1, 0.1))
    assert compare(ours, theirs[:2]).mean == pytest.approx(0.1)
    assert compare(ours[:1], theirs[1:]) is None
    with_rows = [replace(r, items=(r.value, r.value)) for r in ours]
    assert compare(with_rows, theirs).mean == pytest.approx(0.1)  # rows on one side only: the seeds' values


def test_the_interval_adds_seeds_and_rows():
    delta = np.random.default_rng(5).normal(size=(4, 30)) + 0.3
    d = paired_difference(delta, np.zeros_like(delta))
    seeds, rows = spread(delta.mean(axis=1)), spread(delta.mean(axis=0))
    half = np.hypot(seeds.high - seeds.mean, rows.high - rows.mean)
    assert (d.mean - d.low, d.high - d.mean) == pytest.approx((half, half))


def test_tables_take_differences_to_the_baseline_and_know_which_way_is_better():
    made = [
        *records("base", "up", [0.5, 0.51, 0.52]),
        *records("ours", "up", [0.6, 0.61, 0.62]),
        *records("base", "down", [0.5, 0.51, 0.52], chance=0.7),
        *records("ours", "down", [0.6, 0.61, 0.62], chance=0.7),
        *records("raw", "up", [0.9, 0.9, 0.9]),
        *records("raw", "down", [0.1, 0.1, 0.1]),
        *records("ours", "shown", [0.9, 0.9, 0.9]),
    ]
    (table,) = tables(SUITE, made)
    rows = {r.entry.name: r for r in table.rows}
    assert rows["ours"].differences["Up"].mean == pytest.approx(0.1)
    assert rows["ours"].differences["Down"].mean == pytest.approx(0.1)
    assert rows["base"].differences == {}
    peers = [rows["base"], rows["ours"]]
    assert [mark(rows["ours"], peers, c) for c in (UP, DOWN, SHOWN)] == ["best up", "down", ""]
    assert [mark(rows["base"], peers, c) for c in (UP, DOWN)] == ["", "best"]
    assert mark(rows["raw"], table.rows, UP) == ""  # a reference is not ranked, however good
    assert (rows["raw"].rank, rows["ours"].rank, rows["base"].rank) == (None, 1.5, 1.5)
    assert table.chance == {"Down": 0.7}
    assert number(rows["base"].cells["Up"], UP) == "51.0 ± 1.0"


def test_comparisons_count_gains_in_the_direction_of_the_column():
    made = [
        *records("base", "up", [0.5, 0.51, 0.52]),
        *records("ours", "up", [0.6, 0.61, 0.62]),
        *records("base", "down", [0.5, 0.51, 0.52]),
        *records("ours", "down", [0.6, 0.61, 0.62]),
    ]
    found = against(Run(SUITE, made), "ours", "base")
    assert (found.better, found.clear, found.clearly_worse, found.columns) == (1, 1, 1, 2)
    swapped = against(Run(SUITE, made), "base", "ours")
    assert (swapped.better, swapped.clear, swapped.clearly_worse) == (1, 1, 1)
    noisy = [replace(r, value=r.value + 0.4 * (-1) ** r.seed * (r.entry == "ours")) for r in made]
    assert against(Run(SUITE, noisy), "ours", "base").clear == 0
    tuned = [replace(r, variant="tuned", value=9.0) for r in made]
    assert against(Run(SUITE, made + tuned), "ours", "base").cells == found.cells


def test_words_change_exactly_at_their_shares():
    words = [counted("c", Comparison(n, 0, 0, 8, ()), share=7 / 8)[0].word for n in range(9)]
    assert words == ["not seen"] * 5 + ["partly seen"] * 2 + ["seen"] * 2


def test_ranks_over_subsets_prefer_small_errors_and_share_first_places():
    columns = (Column("predict/accuracy", "", "A", ""), Column("predict/mse", "", "M", "", higher=False))
    suite = replace(SUITE, tasks=(replace(TASK, columns=columns),))
    made = []
    for name, accuracy, error in (("base", 0.5, 0.2), ("ours", 0.7, 0.9)):
        for detail, bonus in (("a", 0.0), ("b", 0.0), ("a+b", 9.0), ("no input", 9.0), ("best single: a", 9.0)):
            made += [replace(r, detail=detail) for r in records(name, "predict/accuracy", [accuracy + bonus])]
            made += [replace(r, detail=detail) for r in records(name, "predict/mse", [error])]
    means, best, count = mean_ranks(Run(suite, made), ["base", "ours"])
    assert (means, best, count) == ({"base": 1.5, "ours": 1.5}, {"base": 2, "ours": 2}, 4)
    even = [replace(r, value=0.3) for r in made]
    assert mean_ranks(Run(suite, even), ["base", "ours"])[1] == {"base": 4, "ours": 4}


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [((0.1, 0.2, 0.9), 2), ((0.1, 0.9, 0.3), 1), ((0.5, 0.9, 0.9), 1), ((0.5, 0.5, 0.5), 0), ((np.nan, 0.2, 0.1), 1)],
)
def test_tuning_takes_the_best_validation_score_and_the_first_among_equals(tmp_path, scores, chosen):
    entry = replace(ENTRIES[2], defaults={"tau": 0.5}, trials=TRIALS)
    task = replace(TASK, budget=replace(TASK.budget, trials=2))
    plan = Compared(Suite("s", "none:none", (task,), (entry,), "ours"), 1)
    ledger, options = Ledger(tmp_path), (entry.defaults, *entry.trials)
    trials = [c for c in plan.planned() if c.variant.startswith("trial")]
    for k, score in enumerate(scores):
        assert best_of(trials, ledger) is None  # not before all are known
        assert [c.settings for c in plan.cells(ledger) if c.variant == "tuned"] == [None]
        found = Record("s", "t", "ours", f"trial-{k}", 1000, options[k], CRITERION, score)
        ledger.kept[trials[k].file] = [replace(found, metric="test/accuracy", value=-score), found]
    assert best_of(trials, ledger) == options[chosen]
    tuned = [c.settings for c in plan.cells(ledger) if c.variant == "tuned"]
    assert tuned == [options[chosen] if chosen else None]  # the default's records serve as those of the same settings


def test_a_comparison_of_unequal_budgets_is_refused():
    def spent(entry, variant="default", **budget):
        return [Record("s", "t", entry, variant, 0, {}, "up", 0.5, budget={"steps": 10} | budget, data="d")]

    check_budget(spent("base") + spent("ours"))
    check_budget(spent("base", trials=3) + spent("ours", trials=0))  # trials bind tuned rows only
    for other in (spent("ours", steps=11), [replace(spent("ours")[0], data="e")]):
        with pytest.raises(InputError, match="new out folder"):
            check_budget(spent("base") + other)
    with pytest.raises(InputError, match="trials is 3"):
        check_budget(spent("base", "tuned", trials=3) + spent("ours", "tuned", trials=2))


def test_one_seed_is_never_clear():
    one = spread([0.7])
    assert (one.mean, one.n) == (0.7, 1)
    assert np.isnan([one.sd, one.low, one.high]).all()
    assert not compare(records("a", "up", [0.9]), records("b", "up", [0.1])).clear
    assert judge(flat([0.5, 0.9], seeds=1), flat([0.5, 0.9], seeds=1)).kind == "flat"


@pytest.mark.parametrize("values", [(0.2, 0.9, 0.4), (0.9, 0.2, 0.4), (0.2, 0.4, 0.9)])
def test_an_entry_is_worth_its_best_trial_wherever_that_is(tmp_path, values):
    folder = tmp_path / "cells" / "t"
    folder.mkdir(parents=True)
    for k, value in enumerate(values):
        (record,) = records("ours", CRITERION, [value])
        write_cell(folder / f"ours.trial-{k}.jsonl", [replace(record, metric="test/accuracy", value=5.0), record])
    write_cell(folder / "base.trial-0.jsonl", records("base", CRITERION, [-0.3]))
    write_cell(folder / "ours.default.jsonl", records("ours", CRITERION, [7.0]))
    assert trial_scores(SUITE, tmp_path) == {("t", "ours"): 0.9, ("t", "base"): -0.3}


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_entry_is_on_top_of_the_ladder(monkeypatch, higher):
    column = Column("retrieval/cosine/R@1", "", "R", "", higher=higher, headline="R")
    suite = replace(SUITE, tasks=(replace(TASK, columns=(column,)),))
    shares = {"raw": 0.5, "base": 0.1, "ours": 0.9}
    made = [r for k, v in shares.items() for r in records(k, column.metric, [v, v + 0.01, v + 0.02])]
    (table,) = tables(suite, made)
    rows, drawn = tuple(table.rows), []
    monkeypatch.setattr(sys.modules[ladder.__module__], "svg", lambda figure: drawn.append(figure) or "")
    for order in (rows, rows[::-1]):
        ladder(table, Answer("T", "", (), next(r for r in rows if r.entry.name == "ours"), order))
        axis = drawn[-1].axes[0]
        height = axis.transData.transform([(0, y) for y in axis.get_yticks()])[:, 1]
        labels = [t.get_text() for t in axis.get_yticklabels()]
        from_top = [labels[i] for i in np.argsort(-height)]
        assert from_top == (["Ours", "Raw", "Base"] if higher else ["Base", "Raw", "Ours"])
