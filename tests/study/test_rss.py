"""The touch comparison: its probes on data whose answer is known, its verdicts on made records, and one tiny run."""

import shutil
from dataclasses import replace

import pytest
import torch

from tuplet import AlignmentModel, InputError
from tuplet.study._ledger import Ledger
from tuplet.study.record import Record
from tuplet.suites.rss import read_rss, run_rss
from tuplet.suites.rss_measure import Head, Seen, heads, probe
from tuplet.suites.rss_plan import Plan
from tuplet.suites.rss_reading import Reading, findings, kinds, tables
from tuplet.suites.rss_report import _answer, write_rss
from tuplet.suites.rss_world import Simulated

TINY = Plan(
    world=Simulated(contacts=96, objects=24, size=24, base_contacts=96, base_epochs=1),
    methods=("clip", "tlv_core"),
    epochs=1,
    ablations=("no modulation",),
    batches=(8,),
    lrs=(1e-3, 3e-3),
    head=Head(epochs=2, lr=1e-2),
)


def test_a_probe_reports_the_last_epoch_the_chosen_one_and_says_which_one_leaks():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(90, 4, generator=g)
    y = (x[:, 0] > 0).long()
    y[60:] = 1 - y[60:]  # test rows turned round: the best epoch on them is the worst on the others
    y[0] = -1  # a row without a label
    parts = {"train": (x[:30], y[:30]), "val": (x[30:60], y[30:60]), "test": (x[60:], y[60:])}
    how = Head(epochs=12, batch_size=8, lr=0.05)
    told = {k: (a[b >= 0], b[b >= 0]) for k, (a, b) in parts.items()}
    curve = heads(told, how, 3)
    found = {n.metric: n.value for n in probe(parts, how, 3, "probe", "a")}
    assert found["probe"] == curve["test"][-1]
    assert found["probe/selected"] == curve["test"][curve["val"].index(max(curve["val"]))]
    assert found["probe/best on test"] == max(curve["test"]) > found["probe/selected"]
    assert curve["val"][-1] > 0.7 > 0.3 > curve["test"][-1]


def test_features_are_standardised_by_the_training_rows_of_their_sensor():
    seen = Seen(AlignmentModel.mlp({"text": (2,), "touch": (2,)}, dim=2), TINY.world.across(0).source, known=())
    g = torch.Generator().manual_seed(0)
    x = {k: torch.randn(len(s), 3, generator=g) + 5 * s[:, None].float() for k, s in seen.sensor.items()}
    even = seen.even(x)
    for s in range(4):
        mine = even["train"][seen.sensor["train"] == s]
        torch.testing.assert_close(mine.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    one = {k: s == 1 for k, s in seen.sensor.items()}
    scale = x["train"][one["train"]].std(dim=0, unbiased=False)
    wanted = (x["test"][one["test"]] - x["train"][one["train"]].mean(dim=0)) / scale
    torch.testing.assert_close(even["test"][one["test"]], wanted)  # by statistics of training rows


def made(task, entry, variant, seed, metric, detail, value):
    return Record("rss-sim", task, entry, variant, seed, {}, metric, value, detail)


def read(records):
    return Reading(records, TINY.world)


def test_claims_follow_the_numbers():
    records = []
    for seed in range(3):
        for entry, value in (("clip", 0.5), ("tlv_core", 0.8), ("tlv_link", 0.6), ("any_touch", 0.9), ("vit_lens", 0.7)):
            for task in ("gelsight", "digit", "all"):
                shown = value + 0.001 * seed
                records += [made(task, entry, "default", seed, "probe", f"{k} family", shown) for k in ("gelsight", "digit")]
            records.append(made("all", entry, "default", seed, "sensor", "sensor", value))
            for batch in (8, 128):
                wide = {"tlv_core": 0.01, "any_touch": 0.02}.get(entry, 0.2)
                shown = value + wide * (batch == 8) + 0.001 * seed
                records.append(made("all", entry, f"batch {batch}", seed, "probe", "digit family", shown))
        records.append(made("all", "tlv_core", "no decoupling", seed, "sensor", "sensor", 0.95))
    pairs = kinds(TINY.world)
    assert pairs["intra"] == [("gelsight", "gelsight"), ("digit", "digit")]
    assert pairs["cross"] == [("gelsight", "digit"), ("digit", "gelsight")]
    assert pairs["multi"] == [("all", "gelsight"), ("all", "digit")]
    word = {f.claim: f.word for f in findings(read(records))}
    assert word["TLV-CoRe is more robust than baselines on the same base (cross)"] == "partly seen"  # AnyTouch is better
    assert word["The decoupling removes the sensor from touch features"] == "partly seen"  # less than without, more than CLIP
    assert word["TLV-CoRe depends less on the size of batches (range of accuracy)"] == "seen"
    worse = [replace(r, value=0.4) if r.entry == "tlv_core" and r.metric == "probe" else r for r in records]
    assert {f.claim: f.word for f in findings(read(worse))}[
        "TLV-CoRe is more robust than baselines on the same base (cross)"
    ] == "the reverse is seen"
    mixed = [
        replace(r, value=r.value + 0.5 * (r.seed == 0)) if r.entry == "tlv_core" and r.metric == "probe" else r for r in records
    ]
    assert {f.claim: f.word for f in findings(read(mixed))}[
        "TLV-CoRe is more robust than baselines on the same base (cross)"
    ] == "not told apart"
    grid = tables(read(records))["Robustness: accuracy of linear probes, %"]
    best = [line[0] for line, marks in zip(grid.lines, grid.marks, strict=True) if "best" in marks]
    assert best == ["AnyTouch"]
    assert _answer(read(records)).words.startswith("AnyTouch has the best probes, 90.1 % on average, clearly more")
    unsure = [replace(r, value=r.value - 0.6 * (r.seed == 0)) if r.entry == "any_touch" else r for r in records]
    unsure = [replace(r, value=0.69) if r.entry == "tlv_core" and r.metric == "probe" else r for r in unsure]
    assert _answer(read(unsure)).words.startswith("No method has clearly better probes than frozen CLIP (50.1 %")
    stable = tables(read(records))["Stability: accuracy of probes by the size of batches, %"]
    row = next(line for line in stable.lines if line[0] == "TLV-CoRe")
    assert row[-2].startswith("1.0")  # the range, in points


@pytest.mark.whole
def test_a_tiny_run_finishes_resumes_and_is_reported(tmp_path):
    with pytest.raises(InputError, match="only names"):
        run_rss(tmp_path, plan=TINY, only=["nobody"])
    told = []
    records = run_rss(tmp_path, plan=TINY, seeds=1, report=lambda done, total, line: told.append(line))
    again = run_rss(tmp_path, plan=TINY, seeds=1, report=lambda done, total, line: told.append(line))
    assert records == again
    assert told[-1] == "kept from before"
    assert {r.entry for r in records if r.metric == "probe"} == {"clip", "tlv_core"}
    trained = [r for r in records if r.entry == "tlv_core" and r.metric == "trainable" and r.variant == "default"]
    assert {r.task for r in trained} == {"gelsight", "digit", "all"}
    assert 0 < trained[0].value < 0.2
    chosen = {r.settings["lr"] for r in records if r.variant == "default" and r.entry == "tlv_core"}
    assert len(chosen) == 1
    assert chosen <= set(TINY.lrs)
    page = write_rss(read_rss(tmp_path, TINY), tmp_path, plan=TINY).read_text(encoding="utf-8")
    assert "% on average" in page
    assert "no modulation" in page
    assert page.count("data:image/png") == 30
    with pytest.raises(InputError, match="other settings"):
        read_rss(tmp_path)
    shutil.rmtree(tmp_path / "base")  # what has yet to run says so; what is finished stays
    assert run_rss(tmp_path, plan=TINY, seeds=2, only=["clip"]) == [r for r in records if r.entry == "clip"]
    assert "towers.safetensors is gone" in Ledger(tmp_path).errors()[0].read_text(encoding="utf-8")
