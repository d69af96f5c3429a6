"""Sweeps over the strength of alignment on any source."""

import numpy as np
import pytest

from tuplet import InputError, TrainConfig
from tuplet.bench.sweep import Sweep, markdown, reading, run_sweep, table, write_sweep
from tuplet.cli import main
from tuplet.data import from_arrays
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


@pytest.mark.parametrize("options", [{"missing": True}, {"grouped": True}])
def test_report_table_and_sentences(tmp_path, options):
    data = source(**options)
    records = run_sweep(data, SWEEP, out=tmp_path)
    head, lines = table(records)
    assert head[:3] == ["λ", "left", "change [95 %]"]
    assert [line[0] for line in lines] == ["0", "1", "chance"]
    assert len(reading(records)) == 2
    text = write_sweep(records, SWEEP, data, tmp_path).read_text()
    assert text.count("<svg") == 1
    assert (tmp_path / "table.md").read_text() == markdown(records)
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
    assert "report:" in capsys.readouterr().out
    assert main(["sweep", str(tmp_path / "my.npz"), "--pair", "a", "c", *short]) == 2
    assert "pair names ['c']" in capsys.readouterr().err
