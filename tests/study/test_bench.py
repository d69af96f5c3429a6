"""The bench: resumes to the same digits, survives failures, refuses unequal budgets and damaged files."""

import html
import json
import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.starter import forking, started
from tests.study import toy
from tuplet import AlignmentModel, InputError
from tuplet.evaluate import embed, linear_probe, mean_cosine
from tuplet.evaluate.evaluation import retrieval_results
from tuplet.evaluate.subset import joined
from tuplet.io.files import locked
from tuplet.objectives import OneVsAll
from tuplet.processes import Workers
from tuplet.study import record
from tuplet.study._cell import _validated
from tuplet.study._ledger import Ledger
from tuplet.study._report import write_report
from tuplet.study._tables import as_csv, by_seed, latex, markdown, tables
from tuplet.study.record import Record, read_cell, write_cell
from tuplet.study.runner import check_budget, read_run, run_suite, unfinished
from tuplet.study.suite import Budget
from tuplet.suites.quickstart import quickstart


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, run_suite(toy.suite(), out=out, seeds=2, workers=1)


@pytest.mark.whole
def test_every_cell_has_its_records(run):
    out, records = run
    assert len(list(out.glob("cells/toy task/*.jsonl"))) == 2 * (5 + 3) + 3 * 2
    assert {(r.entry, r.variant) for r in records} == {
        *((e, "default") for e in ("raw", "none", "pairwise", "ova", "fragile")),
        *((e, "tuned") for e in ("pairwise", "ova", "fragile")),
    }
    linear = by_seed(records, "ova", "default", "probe/linear")
    assert list(linear) == [0, 1]
    first = linear[0]
    assert len(first.items) == first.pool == 24
    assert sum(first.items) / 24 == pytest.approx(first.value, abs=1e-4)
    assert first.budget == {**first.budget, "batch_size": 20, "steps": 6, "trials": 1}
    assert first.environment["torch"]
    assert first.settings == {"tau": 0.1}
    assert first.memory > 10
    assert first.data == toy.load().select(["a", "b", "c"]).fingerprint


def test_tuning_sees_validation_rows_only_and_its_own_seed(run):
    out, _ = run
    trials = [read_cell(p) for p in out.glob("cells/*/*.trial-*.jsonl")]
    assert len(trials) == 6
    assert all([r.metric for r in cell] == ["tuning/score", "tuning/mAP"] for cell in trials)
    assert {cell[0].seed for cell in trials}.isdisjoint({0, 1})
    for entry in ("pairwise", "ova"):
        scores = {c[0].variant: c[0] for c in trials if c[0].entry == entry}
        best = max(scores.values(), key=lambda r: r.value)
        assert read_cell(out / f"cells/toy task/{entry}.tuned.s0.jsonl")[0].settings == best.settings


def test_the_tuning_score_is_probe_own_and_cosine_on_validation_rows():
    source = toy.load().select(["a", "b", "c"])
    torch.manual_seed(0)
    model = AlignmentModel.mlp({k: m.shape for k, m in source.modalities.items()}, dim=8, hidden=8)

    untouchable = replace(source.split, test=np.array([10**9]))  # reading a test row would fail
    blind = replace(source, split=untouchable)
    score = _validated(model, OneVsAll(), blind, "label")[0].value
    val, train = embed(model, source.val), embed(model, source.train)
    names = list(val.modalities)
    probe = linear_probe((joined(train.h, names), train.target["label"]), (joined(val.h, names), val.target["label"]))
    found = retrieval_results(val, {"own": OneVsAll().score, "cosine": mean_cosine})
    own, cosine = (r.value for r in found if r.metric.endswith("/mAP") and r.detail == "mean")
    assert own != cosine
    assert score == pytest.approx((probe.value + own + cosine) / 3)


def test_two_runs_never_share_a_folder(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="in use by another run"):
        run_suite(toy.suite(), out=tmp_path, seeds=1)


def test_finished_cells_are_not_run_twice(run):
    out, records = run
    before = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*")}
    again = run_suite(toy.suite(), out=out, seeds=2, workers=2)
    assert again == records
    assert {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*")} == before


@pytest.mark.whole
def test_killed_it_ends_in_the_same_table(run, tmp_path):
    _, records = run
    process = started(toy.run, tmp_path)
    while len(list(tmp_path.glob("cells/*/*.jsonl"))) < 4:
        time.sleep(0.02)
        assert process.is_alive()
    process.kill()
    process.join()
    again = run_suite(toy.suite(), out=tmp_path, seeds=1, workers=1)
    undisturbed = [r for r in records if r.seed != 1]
    assert len(again) == len(undisturbed)
    for form in (markdown, as_csv, latex):
        assert form(tables(toy.suite(), again)) == form(tables(toy.suite(), undisturbed))


def test_a_stopped_run_names_no_winner(run, tmp_path):
    suite, (done, records) = toy.suite(), run
    (tmp_path / "cells").symlink_to(done / "cells")
    assert unfinished(suite, done) == ("", set())
    ledger = Ledger(tmp_path)
    assert ledger.claim(suite.name, suite.factory)
    assert not ledger.claim(suite.name, suite.factory)
    ledger.note_asked(2, ())
    assert unfinished(suite, tmp_path) == ("", set())
    ledger.note_asked(3, ("ova", "none"))
    left, tasks = unfinished(suite, tmp_path)
    assert tasks == {"toy task"}
    assert left.startswith("Not finished: 22 of 25 done; not compared yet: Random, OVA.")
    page = write_report(suite, records, tmp_path).read_text()
    assert left.partition("`")[0] in html.unescape(page)  # the command is set as code
    assert 'class="answer"' not in page
    assert "At the papers' settings" not in html.unescape(page)
    assert (tmp_path / "table.md").read_text().startswith(left)


def test_a_failing_cell_is_recorded_and_tried_again(run, tmp_path):
    lines = []
    records = run_suite(
        toy.fail(), out=tmp_path, seeds=1, only=["ova", "fragile"], workers=1, report=lambda *a: lines.append(a[2])
    )
    assert {r.entry for r in records} == {"ova"}
    error = json.loads((tmp_path / "cells/toy task/fragile.default.s0.error.json").read_text())
    assert error["error"] == "RuntimeError: told to fail"
    assert "Traceback" in error["details"]
    assert sum("FAILED" in line for line in lines) == 3
    records = run_suite(toy.suite(), out=tmp_path, seeds=1, only=["ova", "fragile"], workers=1)
    assert {r.entry for r in records} == {"ova", "fragile"}
    assert not list(tmp_path.glob("cells/*/*.error.json"))


@pytest.mark.slow
def test_a_worker_that_dies_does_not_stop_the_others_and_results_do_not_depend_on_workers(run, tmp_path, monkeypatch):
    given, submit = Counter(), Workers.submit
    monkeypatch.setattr(Workers, "submit", lambda pool, f, *args: (given.update([args[-1].title]), submit(pool, f, *args))[1])
    with forking():
        records = run_suite(toy.die(), out=tmp_path, seeds=1, only=["none", "fragile"], workers=2)
    assert {(r.entry, r.variant) for r in records} == {("none", "default"), ("fragile", "default")}
    assert [p.name for p in tmp_path.rglob("*.error.json")] == ["fragile.trial-1.s1000.error.json"]
    assert "died" in next(tmp_path.rglob("*.error.json")).read_text()
    assert next(n for title, n in given.items() if "fragile / trial-1" in title) == 2  # it may only have been beside the one
    assert max(given.values()) == 2
    alike = [r for r in run[1] if r.seed == 0 and r.variant == "default" and r.entry in ("none", "fragile")]
    assert [(r.entry, r.metric, r.detail, r.value, r.items) for r in records] == [
        (r.entry, r.metric, r.detail, r.value, r.items) for r in alike
    ]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:-5], lambda b: b[: len(b) // 2], lambda b: b"\x80\xff", lambda b: b"{}\n"]
)
def test_a_damaged_cell_is_named_and_nothing_is_deleted(run, tmp_path, damage):
    out, _ = run
    file = tmp_path / "cells" / "toy task" / "ova.default.s0.jsonl"
    write_cell(file, read_cell(out / "cells/toy task/ova.default.s0.jsonl"))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"ova\.default\.s0\.jsonl.*remove"):
        run_suite(toy.suite(), out=tmp_path, seeds=1, only=["ova"])
    assert file.exists()


def test_records_of_a_newer_schema_or_another_suite_are_refused(run, tmp_path):
    out, records = run
    file = tmp_path / "cell.jsonl"
    write_cell(file, [replace(records[0], schema=record.SCHEMA + 1)])
    with pytest.raises(InputError, match="schema is 2, this tuplet reads up to 1; upgrade"):
        read_cell(file)
    write_cell(file, [replace(records[0], value="high")]) if False else file.write_text(
        json.dumps({**json.loads((out / "cells/toy task/raw.default.s0.jsonl").read_text().splitlines()[0]), "value": "high"})
        + "\n"
    )
    with pytest.raises(InputError, match="value is 'high', expected a number"):
        read_cell(file)
    with pytest.raises(InputError, match="holds the suite 'toy'"):
        run_suite(quickstart(), out=out)
    with pytest.raises(InputError, match="expected one of"):
        read_run(out, {"quickstart": "tuplet.suites.quickstart:quickstart"})
    with pytest.raises(InputError, match="not the folder of a bench run"):
        read_run(tmp_path, {})
    with pytest.raises(InputError, match="expected a finite number"):
        write_cell(file, [replace(records[0], value=float("nan"))])


def test_unequal_budgets_are_refused(run):
    _, records = run
    check_budget(records)
    trained = [r for r in records if r.budget]
    for name, value in (("steps", 7), ("batch_size", 21), ("parameters", 1), ("lr", 1.0)):
        with pytest.raises(InputError, match=f"unequal budget in toy task: {name}"):
            check_budget([*trained, replace(trained[-1], budget={**trained[-1].budget, name: value})])
    with pytest.raises(InputError, match="different data"):
        check_budget([*trained, replace(trained[-1], data="other")])
    s = toy.suite()
    with pytest.raises(InputError, match="1 trials, the budget"):
        replace(s, tasks=(replace(s.tasks[0], budget=Budget(trials=4)),))
    with pytest.raises(InputError, match="name twice"):
        replace(s, entries=(*s.entries, s.entries[0]))


def test_cells_of_other_settings_are_refused(run, tmp_path):
    (tmp_path / "cells").symlink_to(run[0] / "cells")
    made = toy.suite()
    entries = tuple(replace(e, defaults={"tau": 0.3}) if e.name == "ova" else e for e in made.entries)
    with pytest.raises(InputError, match=r"ova.* was run with {'tau': 0.1}, the suite now asks for {'tau': 0.3}"):
        run_suite(replace(made, entries=entries), out=tmp_path, seeds=2, only=["ova"])


def test_bad_options_are_named(tmp_path):
    with pytest.raises(InputError, match=r"only names \['nope'\]"):
        run_suite(toy.suite(), out=tmp_path, only=["nope"])
    with pytest.raises(InputError, match="seeds is 0"):
        run_suite(toy.suite(), out=tmp_path, seeds=0)


def test_the_report_stands_alone_and_escapes(run):
    out, records = run
    page = write_report(toy.suite(), records, out).read_text()
    outside = [u for u in re.findall(r"""(?:src|href)=["']?([^"' >]+)""", page) if not u.startswith(("#", "data:"))]
    assert outside == []
    assert "@import" not in page
    assert "<script" not in page
    assert "Pairwise &lt;b&gt;&amp;" in page
    assert "Pairwise <b>" not in page
    assert page.count("<svg") == 6
    assert "At the papers' settings" in html.unescape(page)
    assert "out of equally many trials (tuned)" in page
    assert "currentColor" in page
    assert "#010203" not in page


def test_tables_hold_what_the_records_say(run):
    _, records = run
    (table,) = tables(toy.suite(), records)
    values = [r.value for r in by_seed(records, "ova", "default", "probe/linear").values()]
    row = next(r for r in table.rows if r.entry.name == "ova" and r.variant == "default")
    assert row.cells["Linear"].mean == pytest.approx(sum(values) / 2)
    assert row.cells["Linear"].n == 2
    base = [r.value for r in by_seed(records, "pairwise", "default", "probe/linear").values()]
    assert row.differences["Linear"].mean == pytest.approx((sum(values) - sum(base)) / 2, abs=1e-4)
    assert sorted(r.rank for r in table.rows if r.rank and r.variant == "default")[0] >= 1
    raw = next(r for r in table.rows if r.entry.name == "raw")
    assert "R@1 own" not in raw.cells
    assert table.chance["R@1 cos"] == pytest.approx(1 / 24)
    text = markdown([table])
    assert "| OVA | default | tau 0.1 |" in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(table.rows) + 3  # head, rule, chance
    assert len(as_csv([table]).splitlines()) == 1 + sum(len(r.cells) for r in table.rows)
    assert latex([table]).count(r"\\") == len(table.rows) + 3


def test_records_round_trip(tmp_path):
    made = Record("s", "t", "e", "default", 0, {"tau": 0.1}, "m", 0.25, items=(0.0, 0.5), budget={"steps": 3})
    write_cell(tmp_path / "c.jsonl", [made, made])
    assert read_cell(tmp_path / "c.jsonl") == [made, made]
    assert [p.name for p in tmp_path.iterdir()] == ["c.jsonl"]
