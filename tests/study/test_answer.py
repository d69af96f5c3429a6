"""The verdict says no more than paired comparisons on test rows do, and chooses on validation rows."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tuplet.evaluate._paired import Difference, told_apart
from tuplet.report import Grid
from tuplet.study._answer import answer, doubtful, trial_scores
from tuplet.study._figures import ladder
from tuplet.study._reading import reading
from tuplet.study._show import narrow, print_answers, print_tables
from tuplet.study._tables import mark, tables
from tuplet.study.record import Record, write_cell
from tuplet.suites.own import comparison

R1, PROBE = ("retrieval/cosine/R@1", "mean"), ("probe/linear", "")
SUITE = comparison(
    lambda: None, factory="", title="mine", modalities=("a", "b"), target="label", kind="class", size=2, rows=100
)


def cell(entry, share, *, metric=R1, seeds=3, variant="default", n=400):
    """Records whose first rows are right, nearly the same ones for each seed."""
    rng = np.random.default_rng(len(entry))
    found = []
    for seed in range(seeds):
        items = (np.arange(n) < share * n + rng.integers(-2, 3)).astype(float)
        found.append(
            Record("own", "data", entry, variant, seed, {}, metric[0], float(items.mean()), metric[1], items=tuple(items))
        )
    return found


def ask(*cells, scores=None):
    records = [r for c in cells for r in c]
    (table,) = tables(SUITE, records)
    entries = {r.entry for r in records} - {"raw", "none", "linear", "supervised"}
    chosen = scores or {e: float(e == "pairwise") for e in entries}
    return table, answer(table, {("data", k): v for k, v in chosen.items()})


def test_the_entry_is_chosen_on_validation_rows_not_by_its_test_value():
    table, found = ask(cell("pairwise", 0.5), cell("gram", 0.9), cell("linear", 0.2), cell("none", 0.01))
    assert found.chosen.entry.name == "pairwise"
    assert found.first.startswith("Use Pairwise CLIP, chosen on validation rows: it beats")
    assert any("worse than GRAM" in d for d in found.details)
    _, other = ask(cell("pairwise", 0.5), cell("gram", 0.9), cell("linear", 0.2), scores={"pairwise": 0.1, "gram": 0.2})
    assert other.first.startswith("Use GRAM")
    assert "<svg" in "".join(ladder(table, found))


def test_nothing_is_gained_where_the_closed_form_is_better():
    _, found = ask(cell("pairwise", 0.3), cell("gram", 0.35), cell("linear", 0.6), cell("none", 0.01))
    assert found.first.startswith("Nothing is gained for certain")
    assert "Better than it: the linear closed form in retrieval" in found.first
    assert "No objective beats the linear closed form in retrieval by cosine (R@1)." in found.details
    _, one = ask(cell("pairwise", 0.3), cell("gram", 0.9), cell("linear", 0.6))
    assert not [d for d in one.details if d.startswith("No objective")]  # GRAM does


def test_ties_and_single_seeds_claim_nothing():
    _, tie = ask(cell("pairwise", 0.5), cell("ab_dummy".replace("ab_dummy", "gram"), 0.5), cell("linear", 0.5))
    assert tie.first.startswith("Nothing is gained for certain")
    assert any("not told apart from GRAM" in d for d in tie.details)
    table, near = ask(cell("pairwise", 0.5, seeds=2), cell("gram", 0.51, seeds=2), cell("linear", 0.1, seeds=2))
    (why,) = [d for d in near.details if d.startswith("Where rows are not told apart, 2 seeds")]
    first, second = (next(r for r in table.rows if r.entry.name == name) for name in ("pairwise", "gram"))
    apart = table.apart(first, second, next(c for c in table.task.columns if c.metric == R1[0]))
    assert f"gaps above about {50 * (apart.high - apart.low):.1f} points in retrieval by cosine (R@1)." in why
    _, single = ask(cell("pairwise", 0.9, seeds=1), cell("linear", 0.1, seeds=1), cell("gram", 0.1, seeds=1))
    assert single.first.startswith("Nothing can be told from one seed")
    assert not any(" better than" in d or "worse" in d for d in single.details)


def test_a_gain_in_one_measure_does_not_hide_a_loss_in_another():
    _, found = ask(
        cell("pairwise", 0.5),
        cell("pairwise", 0.39, metric=PROBE),
        cell("raw", 0.53, metric=PROBE),
        cell("linear", 0.2),
        cell("linear", 0.2, metric=PROBE),
    )
    assert found.first.startswith("Use Pairwise CLIP")
    assert found.first.endswith("But it loses to plain inputs in the linear probe.")


def test_missing_cells_and_missing_rows_of_records_are_survived():
    short = cell("gram", 0.9, seeds=3)[:1]  # two seeds failed
    _, found = ask(cell("pairwise", 0.5), short, cell("linear", 0.2))
    assert any("not told apart from GRAM" in d for d in found.details)
    bare = [Record("own", "data", "linear", "default", s, {}, R1[0], 0.2, R1[1]) for s in range(3)]
    _, found = ask(cell("pairwise", 0.5), bare)
    assert found is not None
    _, alone = ask(cell("pairwise", 0.5))
    assert "No baseline has run" in alone.first
    assert ask(cell("linear", 0.5), cell("none", 0.1))[1] is None
    assert answer(tables(SUITE, cell("pairwise", 0.5))[0], {}) is None  # nothing to choose by


def test_marks_sentences_and_verdict_follow_one_comparison():
    """Whatever the numbers: who is called not told apart carries no arrow, who is called worse carries one."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        shares = dict(zip(("pairwise", "gram", "cmc", "symile"), 0.5 + rng.normal(0, 0.02, 4), strict=True))
        table, found = ask(*(cell(k, v) for k, v in shares.items()), cell("linear", 0.1))
        column = next(c for c in table.task.columns if c.metric == R1[0])
        line = next(d for d in found.details if d.startswith("In retrieval"))
        for row in table.rows:
            if row.entry.aligned and row.entry.name != "pairwise":
                arrows = mark(row, [r for r in table.rows if r.entry.aligned], column).split()
                part = next(p for p in line.split("; ") if row.entry.label in p)
                assert ("better than" in part) == ("down" in arrows)
                assert ("not told apart" in part) == (not {"up", "down"} & set(arrows))
        best = next(s for s in reading(SUITE, table) if "best retrieval" in s)
        first = max((r for r in table.rows if r.entry.aligned), key=lambda r: r.cells[column.label].mean)
        for row in table.rows:
            if row.entry.aligned and row is not first:
                named = "not told apart" in best and f"{row.entry.label} (" in best.split("apart")[-1]
                assert (table.sign(first, row, column) == 0) == named


def test_a_row_spared_some_seeds_is_not_the_best():
    table, _ = ask(cell("pairwise", 0.5), cell("gram", 0.9)[:1])
    column = next(c for c in table.task.columns if c.metric == R1[0])
    aligned = [r for r in table.rows if r.entry.aligned]
    assert {r.entry.name: "best" in mark(r, aligned, column) for r in aligned} == {"pairwise": True, "gram": False}


def test_told_apart_knows_the_direction_and_not_a_number():
    assert told_apart(Difference(-0.2, -0.3, -0.1), higher=False) == 1
    assert told_apart(Difference(0.2, np.nan, np.nan)) == 0
    assert told_apart(Difference(0.0, 0.0, 0.0)) == 0
    assert [told_apart(Difference(m, m - 0.1, m + 0.1)) for m in (0.2, 0.05, -0.2)] == pytest.approx([1, 0, -1])


def test_where_no_trial_retrieves_the_pairing_comes_first(tmp_path):
    def trial(entry, k, value):
        content = [
            Record("own", "data", entry, f"trial-{k}", 1000, {}, "tuning/score", 0.5),
            Record("own", "data", entry, f"trial-{k}", 1000, {}, "tuning/mAP", value, chance=0.1),
        ]
        write_cell(tmp_path / "cells" / "data" / f"{entry}.trial-{k}.s1000.jsonl", content)

    best = ("retrieval/cosine/mAP", "mean")
    records = [*cell("pairwise", 0.5), *cell("linear", 0.02), *cell("linear", 0.12, metric=best)]
    records = [replace(r, chance=0.1) if r.metric == best[0] else r for r in records]
    (table,) = tables(SUITE, records)
    assert doubtful(SUITE, [table], tmp_path) == {}  # nothing was tried
    trial("pairwise", 0, 0.11)
    trial("gram", 0, 0.12)
    doubts = doubtful(SUITE, [table], tmp_path)
    found = answer(table, {("data", "pairwise"): 1.0}, doubts)
    assert found.first.startswith("Retrieval on validation rows is near chance (mAP 0.120, chance 0.100). Check the pairing")
    assert found.details[0].startswith("Use Pairwise CLIP")
    trial("gram", 1, 0.4)  # one that retrieves is enough
    assert doubtful(SUITE, [table], tmp_path) == {}
    trial("gram", 1, 0.1)
    (good,) = tables(SUITE, [replace(r, value=0.9) if r.metric == best[0] else r for r in records])
    assert doubtful(SUITE, [good], tmp_path) == {}  # the closed form shows that rows belong together
    assert trial_scores(SUITE, tmp_path) == {("data", "pairwise"): 0.5, ("data", "gram"): 0.5}


def test_what_a_terminal_shows_is_80_wide_and_has_the_columns_of_the_verdict(capsys):
    cells = [c for e in ("pairwise", "gram", "linear", "one_vs_all_sufficiency") for c in cell(e, 0.5)]
    cells += [replace(r, metric="probe/linear", detail="") for r in cells]
    cells += [replace(r, metric="probe/mlp", detail="") for r in cells if r.metric == PROBE[0]]
    cells += [replace(r, variant="tuned", value=0.91234) for r in cells if r.entry == "gram"]
    (table,) = tables(SUITE, cells)
    found = answer(table, {("data", "pairwise"): 1.0})
    print_answers([found, found])
    print_tables(SUITE, [table], answered=[found.task])
    print_tables(SUITE, [table])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    (head, again) = (line for line in lines if line.startswith("objective"))
    assert head == again
    assert {"Linear", "R@1 cos"} <= set(re.split(r"\s{2,}", head))
    assert sum(line.startswith("GRAM ") for line in lines) == 2  # one line per entry, the tuned one
    assert all("91.2" in line for line in lines if line.startswith("GRAM "))
    assert "settings, " in " ".join(lines)  # the sentences, where nothing was answered
    for width in (30, 50, 80, 120):
        columns, grid = narrow(table, width)
        assert max(map(len, grid.text().splitlines())) <= width
        assert [c.label for c in columns] == grid.head[1:]


def test_blocks_keep_every_column_and_repeat_the_first():
    head, lines = ["name", *(f"column {i}" for i in range(9))], [["x" * 20, *"123456789"]]
    for width in (49, 50):
        parts = Grid(head, lines).blocks(width)
        assert [c for part in parts for c in part.head[1:]] == head[1:]
        assert [c for part in parts for c in part.lines[0][1:]] == list("123456789")
        assert all(part.head[0] == "name" and max(map(len, part.text().splitlines())) <= width for part in parts)
    assert Grid(head, lines).blocks(1000) == [Grid(head, lines)]
