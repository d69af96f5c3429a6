"""Both starts side by side: the same data and budget, one answer, chosen on validation rows of both."""

from dataclasses import replace

import numpy as np
import pytest

from tests.study.test_answer import cell
from tests.study.toy import suite as toy
from tuplet import InputError
from tuplet.cli import main
from tuplet.evaluate import embed, linear_baseline
from tuplet.study._answer import answers
from tuplet.study._cell import run_cell
from tuplet.study._regimes import LR, joined, regimes, together
from tuplet.study._report import write_report
from tuplet.study._tables import Table, tables
from tuplet.study.runner import check_budget
from tuplet.study.suite import Cell
from tuplet.suites.own import comparison
from tuplet.suites.quickstart import quickstart

SUITE = comparison(
    lambda: None,
    factory="",
    title="mine",
    modalities=("a", "b"),
    target="label",
    kind="class",
    size=2,
    rows=100,
    start="both",
)


def begun(records):
    return [replace(r, task="data started") for r in records]


def ask(*records, scores):
    found = answers(tables(SUITE, [r for c in records for r in c]), scores)
    assert len(found) == 1
    return found[0]


BASE = [*cell("linear", 0.4), *cell("none", 0.01)]


def test_the_tasks_differ_in_start_and_learning_rate_only():
    one, two = SUITE.tasks
    assert (one.label, two.label) == ("mine, from scratch", "mine, started from the closed form")
    assert replace(two.budget, start="random", lr=one.budget.lr) == one.budget
    assert (two.budget.start, two.budget.lr) == ("gcca", LR)
    assert [e.name for e in SUITE.of(one) if e not in SUITE.of(two)] == ["none"]
    assert [t.name for t in quickstart().tasks] == ["six views", "three views"]
    assert all(t.budget.start == "random" and not t.joint for t in quickstart().tasks)
    (only,) = regimes(toy().tasks[0], "gcca")
    assert (only.budget.start, only.joint) == ("gcca", "")
    with pytest.raises(InputError, match="start is 'cca'"):
        regimes(toy().tasks[0], "cca")


def test_validation_rows_choose_the_start_too_and_test_rows_are_what_is_reported():
    """Best on test rows: pairwise started; best on validation rows: GRAM from scratch."""
    records = (BASE, begun(cell("linear", 0.4)), cell("gram", 0.2), begun(cell("pairwise", 0.9)))
    found = ask(*records, scores={("data", "gram"): 0.9, ("data started", "pairwise"): 0.8})
    assert found.task == "mine"
    assert found.first.startswith("Nothing is gained for certain: GRAM from scratch, chosen on validation rows")
    assert "Better than it: the linear closed form" in found.first
    assert any("worse than Pairwise CLIP started" in d for d in found.details)
    other = ask(*records, scores={("data", "gram"): 0.7, ("data started", "pairwise"): 0.8})
    assert other.first.startswith("Use Pairwise CLIP started, chosen on validation rows: it beats")
    assert "the linear closed form" in other.first
    assert any("better than GRAM from scratch" in d for d in other.details)
    assert other.covers == tuple(t.label for t in SUITE.tasks)


def test_one_objective_from_scratch_is_told_from_the_same_one_started():
    records = (BASE, begun(cell("linear", 0.4)), cell("pairwise", 0.2), begun(cell("pairwise", 0.6)))
    found = ask(*records, scores={("data", "pairwise"): 0.3, ("data started", "pairwise"): 0.5})
    assert found.chosen.cells["R@1 cos"].mean == pytest.approx(0.6, abs=0.02)
    assert any("Pairwise CLIP started is better than Pairwise CLIP from scratch" in d for d in found.details)
    labels = [r.entry.label for r in found.rows]
    assert len(labels) == len(set(labels))
    assert labels.count("Linear closed form") == 1


def test_a_tie_with_the_closed_form_is_no_gain_and_a_gain_over_it_alone_is_said():
    scores = {("data started", "pairwise"): 0.5}
    tie = ask(BASE, begun(cell("pairwise", 0.4)), scores=scores)
    assert tie.first.startswith("Nothing is gained for certain")
    assert "It beats the linear closed form" not in tie.first
    inputs = cell("raw", 0.9, metric=("retrieval/cosine/R@1", "mean"))
    part = ask(BASE, inputs, begun(cell("pairwise", 0.6)), scores=scores)
    assert part.first.startswith("Nothing is gained for certain")
    assert "It beats the linear closed form in retrieval by cosine (R@1)." in part.first


def test_a_doubt_needs_both_starts():
    made = tables(SUITE, [*BASE, *cell("pairwise", 0.2), *begun(cell("pairwise", 0.6))])
    scores = {("data", "pairwise"): 0.3, ("data started", "pairwise"): 0.5}
    assert answers(made, scores, {"data": "check"})[0].first.startswith("Use Pairwise CLIP started")
    assert answers(made, scores, {"data": "check", "data started": "check"})[0].first == "check"


def test_two_starts_make_one_table():
    made = tables(SUITE, [*BASE, *cell("pairwise", 0.2), *begun([*cell("linear", 0.4), *cell("pairwise", 0.6)])])
    (group,) = together(made)
    group = [replace(group[0], chance={"R@1 cos": 0.1}, pool=7), group[1]]
    table, scores, _ = joined(group, {("data", "pairwise"): 0.3, ("data started", "pairwise"): 0.5}, {})
    once = ["linear", "none"]
    assert sorted(r.entry.name for r in table.rows) == [*once, "pairwise from scratch", "pairwise started"]
    assert {(r.task, r.entry) for r in table.records} == {("data", r.entry.name) for r in table.rows}
    assert len(table.records) == 4 * 3  # seeds
    assert scores == {("data", "pairwise from scratch"): 0.3, ("data", "pairwise started"): 0.5}
    assert (table.task.label, table.chance, table.pool) == ("mine", {"R@1 cos": 0.1}, 7)
    alone, _, _ = joined(group[1:], {}, {})  # a run that has not got further
    assert [r.entry.name for r in alone.rows if r.entry.kind == "trained"] == ["pairwise started"]
    apart = [Table(t, [], {}, 0) for t in quickstart().tasks]
    assert together(apart) == [[t] for t in apart]


def test_pages_show_both_tables_and_one_answer(tmp_path):
    page = write_report(SUITE, [*BASE, *cell("pairwise", 0.2), *begun(cell("pairwise", 0.6))], tmp_path).read_text()
    assert page.count("mine, from scratch") >= 1
    assert page.count("mine, started from the closed form") >= 1


def test_started_cells_begin_as_the_linear_row_and_repeat():
    made = toy()
    both = replace(made, tasks=regimes(made.tasks[0], "both"))

    def values(entry, task, seed=0, settings=None):
        found = run_cell(both, Cell(task, entry, "default", seed, settings or {}))
        return {(r.metric, r.detail): r.value for r in found}, found[0].budget

    settings = {"tau": 0.07}
    for task, started in (("toy task", 0.0), ("toy task started", 1.0)):
        one, budget = values("pairwise", task, settings=settings)
        assert values("pairwise", task, settings=settings) == (one, budget)
        assert budget["started"] == started
    scratch, _ = values("pairwise", "toy task", settings=settings)
    assert one != scratch
    task, source = both.tasks[1], both.tasks[1].load()
    model = task.protocol.build(source, task.budget).started(source, dim=task.budget.dim)
    linear = linear_baseline(source, dim=task.budget.dim)
    first, second = embed(model, source.test), embed(linear, source.test)
    assert all(np.allclose(first.z[k], second.z[k], atol=1e-5) for k in first.z)


def test_one_start_is_part_of_one_budget():
    a, b = (replace(r, budget={"started": s}) for r, s in zip(cell("gram", 0.5, seeds=2), (0.0, 1.0), strict=True))
    with pytest.raises(InputError, match=r"unequal budget in data: started is 0\.0"):
        check_budget([a, b])
    check_budget([a, replace(b, task="data started")])


def save(folder, *, constant=False):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype("f4")
    sound = np.ones((60, 4), "f4") if constant else (x @ rng.normal(size=(5, 4))).astype("f4")
    np.savez(folder / "my.npz", force=x, sound=sound)


def test_the_command_compares_both_starts_where_the_data_allow_them(tmp_path, capsys, monkeypatch, undrawn, unlearned):
    monkeypatch.chdir(tmp_path)
    save(tmp_path)
    some = ["bench", "my.npz", "--only", "none", "--seeds", "1", "--workers", "1"]
    assert main([*some, "--out", "both"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "my, from scratch" in text
    assert "my, started from the closed form" in text
    assert "Random encoders" in text
    assert not list((tmp_path / "both/cells/data started").glob("none.*"))
    assert main([*some, "--start", "random", "--out", "both"]) == 2
    assert "start = both" in capsys.readouterr().err
    save(tmp_path, constant=True)
    assert main(["bench", "my.npz", "--start", "gcca"]) == 2
    assert "constant" in capsys.readouterr().err
    assert main(["bench", "missing", "--start", "gcca"]) == 2
    assert "missing has its own" in capsys.readouterr().err


def test_data_without_a_closed_form_are_compared_from_scratch(tmp_path, capsys):
    from tuplet.cli.own import described
    from tuplet.cli.source import Reading
    from tuplet.study.suite import load_suite

    save(tmp_path, constant=True)
    suite = load_suite(described(str(tmp_path / "my.npz"), Reading()))
    assert [t.budget.start for t in suite.tasks] == ["random"]
    assert "constant" in suite.left_out["started"]
    assert suite.left_out["started"].startswith("Started encoders are left out: ")
