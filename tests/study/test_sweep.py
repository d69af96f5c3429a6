"""Sweeps over the strength of alignment on any source."""

import numpy as np
import pytest

from tuplet import InputError, TrainConfig
from tuplet.audit.pilots import STEPS
from tuplet.cli import main
from tuplet.data import from_arrays
from tuplet.report.words import SENTENCES
from tuplet.study.record import Record
from tuplet.suites.strength_figures import draw_curve
from tuplet.suites.strengths import Curve
from tuplet.suites.sweep import Sweep, run_sweep
from tuplet.suites.sweep_decision import answer, decide
from tuplet.suites.sweep_report import markdown, reading, summary, table, write_sweep
from tuplet.train import strategic


def source(missing=False, grouped=False):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 150)
    x = {k: rng.normal(size=(150, 4)) + y[:, None] for k in ("left", "right", "other")}
    if missing:
        x["left"][::7] = np.nan
    return from_arrays(
        x, targets={"label": y, "score": y + 0.1 * rng.normal(size=150)}, group=np.arange(150) // 5 if grouped else None
    )


SWEEP = Sweep(("right", "left"), strengths=(1.0,), seeds=2, config=TrainConfig(epochs=2, batch_size=30))


def test_cells_hold_what_strategic_measures_and_resume(tmp_path):
    data = source()
    records = run_sweep(data, SWEEP, out=tmp_path)
    run = strategic(data, modalities=("left", "right"), strength=1.0, config=SWEEP.config, dim=64, seed=1)
    test = {r.detail: r for r in records if r.metric == "score/test" and r.entry == "1" and r.seed == 1}
    for k, v in run.scores["test"].items():
        assert test[k].value == pytest.approx(v)
        assert np.mean(test[k].items) == pytest.approx(v)
        assert test[k].chance == run.chance[k]
    files = {f: f.stat().st_mtime_ns for f in tmp_path.glob("cells/*")}
    more = Sweep(("left", "right"), strengths=(1.0, 2.0), seeds=2, config=SWEEP.config)
    assert {r.entry for r in run_sweep(data, more, out=tmp_path)} == {"0", "1", "2"}
    assert all(f.stat().st_mtime_ns == then for f, then in files.items())
    with pytest.raises(InputError, match="choose another folder"):
        run_sweep(data, Sweep(("left", "other"), config=SWEEP.config), out=tmp_path)
    cut = tmp_path / "cells" / "1.s0.jsonl"
    cut.write_text(cut.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="remove it to compute it again"):
        run_sweep(data, more, out=tmp_path)
    cut.unlink()
    assert len(run_sweep(data, more, out=tmp_path)) > len(records)


@pytest.mark.parametrize("options", [{"missing": True}, {"grouped": True}])
def test_report_table_and_sentences(tmp_path, options):
    data = source(**options)
    records = run_sweep(data, SWEEP, out=tmp_path)
    grid = table(records)
    assert grid.head[:3] == ["strength", "left", "change [95 %]"]
    assert [line[0] for line in grid.lines] == ["0", "1", "chance"]
    assert len(reading(records)) == 2
    text = write_sweep(records, SWEEP, data, tmp_path).read_text()
    assert text.count("<svg") == 1
    assert (tmp_path / "table.md").read_text() == markdown(records, "accuracy")
    if "grouped" in options:
        groups = len(np.unique(data.test[:].group))
        assert {len(r.items) for r in records if r.metric == "score/test"} == {groups}


def test_real_targets_are_swept_too(tmp_path):
    sweep = Sweep(("left", "right"), target="score", strengths=(1.0,), seeds=1, threshold=0.5, config=SWEEP.config)
    records = run_sweep(source(), sweep, out=tmp_path)
    assert all(0 <= r.value <= 1 for r in records if r.metric == "score/test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pair": ("a", "a")}, "pair is"),
        ({"pair": ("a", "b"), "objective": "best"}, "objective is 'best'"),
        ({"pair": ("a", "b"), "seeds": 0}, "seeds is 0"),
        ({"pair": ("a", "b"), "strengths": (-1.0,)}, "strengths is"),
    ],
)
def test_bad_options_are_one_line(options, message):
    with pytest.raises(InputError, match=message):
        Sweep(**options)


def test_command_sweeps_a_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez(tmp_path / "my.npz", a=rng.normal(size=(60, 3)) + y[:, None], b=rng.normal(size=(60, 2)), label=y)
    short = ["--lambdas", "0.5", "--seeds", "1", "--epochs", "1", "--batch-size", "10", "--out", str(tmp_path / "out")]
    assert main(["sweep", str(tmp_path / "my.npz"), "--pair", "a", "b", *short]) == 0
    shown = capsys.readouterr().out
    assert "report:" in shown
    assert shown.startswith("Whether to align a and b is unknown.")
    assert main(["sweep", str(tmp_path / "my.npz"), "--pair", "a", "c", *short]) == 2
    assert "pair names ['c']" in capsys.readouterr().err


def test_a_sweep_has_the_steps_of_an_audit_unless_epochs_are_given(tmp_path, monkeypatch):
    steps = []

    def begun(*_, config, **__):
        steps.append((config.epochs, config.lr))
        raise InputError("far enough")

    monkeypatch.setattr("tuplet.suites.sweep.strategic", begun)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez(tmp_path / "my.npz", a=rng.normal(size=(60, 3)) + y[:, None], b=rng.normal(size=(60, 2)), label=y)
    command = ["sweep", str(tmp_path / "my.npz"), "--pair", "a", "b", "--lambdas", "0", "--seeds", "1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert main([*command, "--epochs", "2", "--out", str(tmp_path / "two")]) == 2
    assert steps == [(STEPS, 3e-3), (2, 3e-3)]  # an epoch of so few rows is one step


def test_another_budget_is_refused_by_its_name(tmp_path):
    sweep = Sweep(("left", "right"), strengths=(), seeds=1, config=SWEEP.config)
    run_sweep(source(), sweep, out=tmp_path)
    other = Sweep(("left", "right"), strengths=(), seeds=1, config=TrainConfig(epochs=3, batch_size=30))
    with pytest.raises(InputError, match=r"run with epochs = 2; this run has epochs = 3; choose another folder"):
        run_sweep(source(), other, out=tmp_path)


def test_thin_evidence_is_named(tmp_path):
    data = source()
    records = run_sweep(data, Sweep(("left", "right"), strengths=(1.0,), seeds=1, config=SWEEP.config), out=tmp_path)
    assert all("one seed gives no verdict" in s for s in reading(records))
    text = markdown(records)
    assert "Only 30 test rows: one row is 3.3 points" in text
    assert "ask for --seeds 3" in text
    assert "±" not in text
    assert "Not shown" not in text
    fewer = [r for r in records if r.metric != "similarity/cka"]
    assert "Not shown: CKA. " in markdown(fewer)


def told(test, val, seeds=3, noise=0.001):
    """Records of two encoders, whose scores rise with the strength as given."""
    return [
        Record(
            "sweep", "a + b", f"{x:g}", "default", seed, {"strength": x}, f"score/{part}",
            base + noise * (seed + (x == 1) * seed), detail=name, chance=0.5, pool=100,
        )
        for part, by in (("test", test), ("val", val))
        for name, scores in by.items()
        for x, base in zip((0.0, 1.0, 2.0), scores, strict=True)
        for seed in range(seeds)
    ]  # fmt: skip


def test_the_first_line_answers_and_validation_rows_choose_the_strength():
    up, down, flat = (0.5, 0.6, 0.7), (0.7, 0.6, 0.5), (0.5, 0.5, 0.5)
    inner = (0.5, 0.7, 0.6)
    for a, b, val_a, val_b, word, strength in (
        (up, flat, up, flat, "yes", 2.0),
        (inner, up, inner, inner, "yes", 1.0),
        (inner, inner, up, up, "yes", 2.0),  # the best strength of test rows is 1: it must not be chosen
        (up, down, up, flat, "it depends", 2.0),
        (down, flat, down, flat, "no", 0.0),
        (down, flat, up, flat, "no", 2.0),
        (flat, flat, up, flat, "no clear difference", 2.0),
        (up, up, down, down, "no clear difference", 0.0),  # nor may test rows overrule the choice
    ):
        records = told({"a": a, "b": b}, {"a": val_a, "b": val_b})
        found = decide(records)
        assert (found.word, found.strength) == (word, strength)
        line = answer(records, "accuracy")
        begins = "Validation and test rows disagree about {}" if (a, strength) == (up, 0.0) else SENTENCES[word]
        assert line.startswith(begins.format("a and b"))
        assert f"{100 * (a[int(found.quoted)] - a[0]):+.0f}" in line.replace(".0", "").replace(".1", "")
        assert ("No strength above 2 was tried" in line) == (strength == 2.0)
        shown = summary(records, "accuracy").splitlines()
        assert shown[0] == line
        assert max(map(len, shown[1:6])) <= 80
    assert answer(told({"a": up, "b": up}, {"a": up, "b": up}, seeds=1)).startswith("Whether to align a and b is unknown.")
    (_, said) = reading(told({"a": up, "b": up}, {"a": up, "b": up}))
    assert "2, where its test score changes by +20" in said
    assert "the largest that was tried" in said
    assert "hundredths" in answer(records, "R2")
    assert "points" not in answer(records, "R2")


def test_no_band_exceeds_one():
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    curve = Curve((0.0, 1.0), np.array([[0.9, 1.0], [0.95, 1.0]]), np.zeros(2))
    draw_curve(axis, curve, colour="k", label="a")
    (band,) = axis.collections
    assert band.get_paths()[0].vertices[:, 1].max() <= 1
