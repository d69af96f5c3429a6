"""Costs over M and B: measured once, kept, shown; and the suite of missing entries."""

from dataclasses import replace

import pytest
import torch

from tuplet import InputError
from tuplet.cli import main
from tuplet.study import _figures
from tuplet.study._figures import over_axis
from tuplet.study._report import write_report
from tuplet.study.record import Record
from tuplet.study.runner import run_suite
from tuplet.suites import scaling
from tuplet.suites.missing import missing
from tuplet.suites.ova_ib import ova_ib_sim
from tuplet.suites.scaling import peak_memory, run_scaling
from tuplet.suites.scaling_report import growth, write_scaling
from tuplet.suites.uni_oma import uni_oma_sim

POINTS = ((2, 16), (3, 512))


def test_finished_points_are_kept(tmp_path, monkeypatch):
    first = run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=1)
    monkeypatch.setattr(scaling, "_measured", lambda *_: pytest.fail("measured again"))
    assert run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=1) == first
    monkeypatch.undo()
    both = run_scaling(tmp_path, only=["gram", "triangle"], points=POINTS, repeats=1)
    assert [(p["entry"], p["M"]) for p in both] == [("gram", 2), ("gram", 3), ("triangle", 3)]
    assert both[0] == first[0]
    with pytest.raises(InputError, match="only names"):
        run_scaling(tmp_path, only=["nothing"])
    with pytest.raises(InputError, match="repeats is 0"):
        run_scaling(tmp_path, repeats=0)


def test_the_report_shows_every_point(tmp_path):
    points = run_scaling(tmp_path, only=["pairwise", "gram"], points=POINTS, repeats=3)
    assert all(p["low"] < p["ms"] < p["high"] for p in points)
    page = write_scaling(points, tmp_path, repeats=3).read_text()
    table = (tmp_path / "table.md").read_text()
    assert "Pairwise CLIP" in page
    assert "| GRAM |" in table
    assert "M = 3" in table
    assert page.count("<svg") == 2


def test_every_trained_row_of_the_papers_tables_is_measured():
    names = {e.name for e in scaling.rows()}
    trained = {e.name for s in (ova_ib_sim(), uni_oma_sim()) for e in s.entries if e.kind == "trained"}
    assert trained - names == {"one_vs_all_beta_0"}  # the same as one_vs_all_sufficiency
    assert {m for m, b in scaling.POINTS if b == scaling.PAPER_BATCH} >= set(range(3, 8))


def test_the_regularised_rows_stay_at_the_papers_batch(tmp_path):
    points = run_scaling(tmp_path, only=["gram", "gram_gw"], points=((3, 8), (3, 128)), repeats=1)
    assert [(p["entry"], p["B"]) for p in points] == [("gram", 8), ("gram_gw", 8), ("gram", 128)]


def test_growth_is_the_exponent():
    quadratic = [{"M": m, "low": 0.5 * m**2} for m in range(2, 8)]
    assert growth(quadratic, "M") == pytest.approx(2)
    assert growth(quadratic[:3], "M") is None


def test_peak_memory_sees_what_is_needed_and_not_what_was():
    big = torch.ones(2**25)  # 128 MiB
    del big
    extra = peak_memory(lambda: torch.ones(2**23).sum())
    if extra is None:
        pytest.skip("this system does not let a process reset its peak memory")
    assert 28 < extra < 64


def test_a_damaged_point_is_measured_again(tmp_path):
    run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=1)
    (file,) = tmp_path.glob("cells/*.jsonl")
    file.write_text(file.read_text()[:20])
    (found,) = run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=1)
    assert found["entry"] == "gram"
    assert found == run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=1)[0]
    assert run_scaling(tmp_path, only=["gram"], points=POINTS[:1], repeats=2) != [found]  # other turns are another number


def test_bands_reach_from_the_worst_seed_to_the_best(monkeypatch):
    suite, drawn = missing(), []
    monkeypatch.setattr(_figures, "svg", lambda figure: drawn.append(figure) or "")
    records = [
        Record("missing", t.name, "pairwise", "default", seed, {}, "probe/few_shot", value - t.at / 10)
        for t in suite.tasks
        for seed, value in enumerate((0.4, 0.9, 0.5))
    ]
    over_axis(suite, records)
    line, (band,) = drawn[0].axes[2].lines[0], drawn[0].axes[2].collections
    assert line.get_ydata()[0] == pytest.approx(0.6)
    edges = band.get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((0.325, 0.9))


@pytest.mark.whole
def test_quality_is_drawn_over_the_share_of_missing_entries(tmp_path, unlearned):
    suite = missing()
    few = replace(suite.tasks[0].budget, epochs=4)
    suite = replace(suite, tasks=tuple(replace(t, budget=few) for t in suite.tasks if t.at in (0, 0.75)))
    records = run_suite(suite, out=tmp_path, seeds=1, only=["pairwise"], workers=1)
    assert len(suite.tasks) == 2
    assert {r.task for r in records} == {t.name for t in suite.tasks}
    assert "3-shot accuracy" in over_axis(suite, records)
    assert "Over the share of training entries missing" in write_report(suite, records, tmp_path).read_text()
    retrieval = {
        r.task: r.value for r in records if (r.entry, r.metric, r.detail) == ("pairwise", "retrieval/cosine/R@1", "mean")
    }
    assert retrieval["0 percent missing"] > retrieval["75 percent missing"] > 1 / 400


def test_scaling_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "POINTS", POINTS)
    assert main(["bench", "scaling", "--only", "gram", "--seeds", "1", "--out", str(tmp_path)]) == 0
    assert "| GRAM |" in capsys.readouterr().out
    assert main(["bench", "scaling", "--seeds", "0", "--out", str(tmp_path)]) == 2
