"""The strategic suite: stacked training equals one training at a time, cells resume, verdicts follow the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from tuplet import InputError
from tuplet.processes import Inline
from tuplet.simulators import redundancy
from tuplet.study import _run
from tuplet.study.record import Record
from tuplet.suites import strategic as suite
from tuplet.suites.strategic import read_strategic
from tuplet.suites.strategic_plan import Plan, Regime
from tuplet.suites.strategic_reading import claims, drivers, sections
from tuplet.suites.strategic_report import write_strategic
from tuplet.suites.strengths import Curve, curve, judge

PLAN = Plan(
    shared=(0, 8),
    regimes=(Regime("all", None, 2, 100), Regime("few", 100, 4, 50)),
    strengths=(0.0, 0.4, 4.0),
    lrs=(1e-2, 5e-2),
    trainings=2,
    rows=600,
    similar=80,
    queries=40,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run in this process: cells as workers write them."""
    out = tmp_path_factory.mktemp("strategic")
    patch = pytest.MonkeyPatch()
    patch.setattr(_run, "Workers", lambda number: Inline())
    records = suite.run_strategic(out, plan=PLAN, seeds=2)
    yield out, records
    patch.undo()


@pytest.mark.whole
def test_records_are_complete_paired_and_resumed(made):
    out, records = made
    files = sorted(out.glob("cells/*/*.jsonl"))
    assert len(files) == 2 * 2 * 2
    before = {f: f.stat().st_mtime_ns for f in files}
    files[0].unlink()
    told = []
    again = suite.run_strategic(out, plan=PLAN, seeds=2, report=lambda *line: told.append(line))
    assert told[0] == (7, 8, "kept from before")
    assert told[-1][0] == 8
    assert [f for f in files if f.stat().st_mtime_ns == before[f]] == files[1:]
    strip = [(r.task, r.entry, r.variant, r.seed, r.metric, r.detail, r.value) for r in records]
    assert strip == [(r.task, r.entry, r.variant, r.seed, r.metric, r.detail, r.value) for r in again]
    plan, read = read_strategic(out)
    assert (plan, len(read)) == (PLAN, len(records))
    with pytest.raises(InputError, match="choose another folder"):
        suite.run_strategic(out, plan=Plan(), seeds=1)


def test_sections_hold_the_tasks_exact_numbers(made):
    _, records = made
    for section in sections(records, plan=PLAN):
        for i, r in enumerate(section.shared):
            tasks = [redundancy.Task(r, features_seed=1 + 2 * d, weights_seed=2 + 2 * d) for d in range(2)]
            for k in ("x1", "x2"):
                assert section.ceilings[i][k] == pytest.approx(np.mean([t.ceilings[k] for t in tasks]))
                assert section.test[i][k].values.shape == (3, 4)
                name = f"{'all' if section.rows == 420 else 'few'}, R = {r}"
                for curves, metric, variant in (
                    (section.val, "accuracy/val", "default"),
                    (section.tuned, "accuracy/test", "tuned"),
                    (section.tuned_val, "accuracy/val", "tuned"),
                ):
                    wanted = (name, metric, k, variant, "0.4")
                    seen = [x for x in records if (x.task, x.metric, x.detail, x.variant, x.entry) == wanted]
                    assert sorted(curves[i][k].at(0.4)) == sorted(x.value for x in seen)
            free = tasks[0].conditional.reshape(2**r, -1, 4).sum(1).max(1).sum() / 256  # unique bits are uniform
            other = tasks[1].conditional.reshape(2**r, -1, 4).sum(1).max(1).sum() / 256
            assert section.common[i] == pytest.approx((free + other) / 2)
            p = section.pid[i]
            assert p["information12"] == pytest.approx(
                sum(p[k] for k in ("redundancy", "unique1", "unique2", "synergy")), abs=1e-6
            )
        assert section.pid[0]["synergy"] > section.pid[0]["redundancy"]
        assert section.pid[1]["synergy"] == pytest.approx(0, abs=1e-6)
        assert section.common[0] < 0.27  # nothing of the label, up to the balance of classes
        assert section.common[1] == pytest.approx(section.ceilings[1]["x1"])  # all of it


def test_report_says_what_was_measured(made, tmp_path):
    _, records = made
    text = write_strategic(records, tmp_path, plan=PLAN).read_text()
    assert text.count("<svg") == 1 + 4 * 2
    assert "420 training rows" in text
    assert "100 training rows" in text
    assert "synergy" in drivers(sections(records, plan=PLAN))[0]
    assert "R = 8" in (tmp_path / "table.md").read_text()
    assert "nan" not in text.lower().replace("nanum", "")


def made_curve(means, seeds=6, noise=0.001, blocks=2):
    rng = np.random.default_rng(0)
    shared = 0.02 * rng.normal(size=(1, seeds))  # what pairing takes out
    values = np.array(means)[:, None] + shared + noise * rng.normal(size=(len(means), seeds))
    return Curve(tuple(float(i) for i in range(len(means))), values, np.arange(seeds) % blocks)


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        ([0.5, 0.55, 0.6], "gain"),
        ([0.5, 0.6, 0.6], "gain"),
        ([0.5, 0.6, 0.45], "inner"),
        ([0.5, 0.45, 0.4], "decline"),
        ([0.5, 0.5, 0.5], "flat"),
    ],
)
def test_verdicts_follow_the_shape(means, kind):
    chooser = made_curve([0.0, 1.0, 0.9] if means[1] >= means[2] else [0.0, 0.9, 1.0])  # would call all of them a gain
    assert judge(made_curve(means), chooser).kind == kind


def test_a_change_that_data_sets_disagree_on_is_not_clear():
    values = np.array([[0.5] * 6, [0.62, 0.49] * 3])
    mixed = Curve((0.0, 1.0), values, np.array([0, 1] * 3))
    assert mixed.clear(1.0) == 0
    assert Curve((0.0, 1.0), np.array([[0.5] * 6, [0.6, 0.61] * 3]), np.array([0, 1] * 3)).clear(1.0) == 1
    assert Curve((0.0, 1.0), np.array([[0.5], [0.6]]), np.array([0])).clear(1.0) == 0  # one seed knows no spread


def test_claims_are_computed_not_written(made):
    _, records = made
    section = sections(records, plan=PLAN)[0]
    found = {c.claim: c.word for c in claims(section)}
    assert set(found) == {"All similarity metrics rise with λ at every R"}  # the others need R = 2, 4 and 6
    up, down, inner = (made_curve(m) for m in ([0.5, 0.55, 0.6], [0.6, 0.5, 0.4], [0.5, 0.6, 0.4]))
    shapes = {0: down, 2: down, 4: inner, 6: up, 8: up}
    values = [dict.fromkeys(("x1", "x2"), c) for c in shapes.values()]
    ideal = replace(section, shared=tuple(shapes), test=values, val=values, tuned=values[::-1], tuned_val=values[::-1])
    assert [c.word for c in claims(ideal)][:3] == ["holds", "holds", "holds"]
    assert [c.word for c in claims(ideal, "tuned")] == ["does not hold", "does not hold", "holds"]


def test_curves_keep_common_seeds_and_rows():
    def record(strength, seed, items=()):
        value = float(np.mean(items)) if items else strength
        return Record("s", "t", f"{strength}", "default", seed, {"strength": strength}, "m", value, items=items)

    made = [record(0.0, 0, (0.0, 1.0)), record(0.0, 1, (1.0, 1.0)), record(1.0, 0, (1.0, 1.0))]
    found = curve(made, "m")
    assert found.values.tolist() == [[0.5], [1.0]]
    assert found.items.shape == (2, 1, 2)
    assert curve([record(1.0, 0)], "m") is None
    with pytest.raises(InputError, match="at least one more"):
        judge(curve([record(0.0, 0)], "m"), curve([record(0.0, 0)], "m"))


def test_a_cell_tells_how_far_it_is(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(suite, "write_atomic", lambda file, text: said.append((file.name, text.decode())))
    suite.run_data_set(PLAN, suite.Strategic(PLAN, 1).cells(None)[0], told=tmp_path)
    assert {name for name, _ in said} == {f"{PLAN.regimes[0].name}.{PLAN.shared[0]}.0"}
    assert any("tuning" in text for _, text in said)
    assert any("training" in text and f"epoch {PLAN.regimes[0].epochs} of" in text for _, text in said)
