"""The papers' protocol: it measures what it says, on data whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.fixtures import mujoco_push as push_files
from tests.fixtures import multibench as affect_files
from tests.fixtures import objectfolder as object_files
from tests.fixtures import vision_touch as touch_files
from tests.fixtures import wesad as wesad_files
from tuplet import Embeddings, InputError
from tuplet.data import Pairs, Split, from_arrays, hide, pair_parts, ungroup
from tuplet.datasets import vision_touch
from tuplet.evaluate import PredictorConfig, Result
from tuplet.evaluate._units import by_group
from tuplet.objectives import OneVsAll, Pairwise, Structure
from tuplet.study._cell import _results
from tuplet.study._figures import curves, weight_bars
from tuplet.study._tables import markdown, overview, tables
from tuplet.study.record import Record
from tuplet.study.suite import Budget, Cell, Entry, Suite, Task, load_suite
from tuplet.suites.downstream import PAIR, Downstream, _of_pairs
from tuplet.suites.ova_ib import ova_ib_sim
from tuplet.suites.uni_oma import uni_oma_sim

NAMES = ("a", "b", "c")


def recordings(seed: int = 0):
    """Forty trajectories of ten rows: a place per trajectory that all modalities see, and a real target."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), 10)
    place = rng.normal(size=(40, 4))[group]
    views = {k: place @ rng.normal(size=(4, 6)) + 0.1 * rng.normal(size=(400, 6)) for k in NAMES}
    return from_arrays(views, targets={"place": place[:, :2], "side": (place[:, 0] > 0).astype(int)}, group=group, seed=0)


def task(**options):
    protocol = Downstream(counts=(400, 100, 100), **options)
    budget = Budget(dim=16, batch_size=60, epochs=3, lr=3e-3, trials=0)
    columns = protocol.columns(NAMES, {"side": "Side"}, {"place": "m^2"})
    return Task("toy", "Toy", recordings, NAMES, "side", 2, budget, protocol=protocol, columns=columns, negatives="all")


def results(which: Task, entry: Entry):
    found, _ = _results(
        which, entry, which.load().select(which.modalities), Cell(which.name, entry.name, "default", 0, entry.defaults)
    )
    return {(r.metric, r.detail): r for r in found}


def test_frozen_encoders_are_measured_on_targets_pairs_and_directions(monkeypatch):
    toy, seen, retrieved = task(targets=("side", "place", PAIR), directions=((("a", "b"), ("c",)),)), [], Downstream._retrieved
    monkeypatch.setattr(Downstream, "_retrieved", lambda self, emb, *more: seen.append(emb) or retrieved(self, emb, *more))
    found = results(toy, Entry("pairwise", "P", lambda s, t: Pairwise()))
    assert torch.equal(seen[0].index, recordings().test[:].index)
    two = replace(toy.protocol, directions=((("a",), ("b",)),))._retrieved(seen[0], Pairwise())
    assert {r.metric.split("/")[1] for r in two} == {"own", "cosine"}
    assert found["predict/side/accuracy", "a+b+c"].value > 0.85 > found["predict/side/accuracy", "a+b+c"].chance
    groups = recordings().test.group.numpy()
    side = found["predict/side/accuracy", "a+b+c"]
    assert len(side.items) == len(np.unique(groups))  # rows of one trajectory are one outcome
    assert np.mean(side.items) == pytest.approx(side.value, abs=1e-4)
    assert found["predict/place/mse", "a+b+c"].value < 0.5 * found["predict/place/mse", "a+b+c"].chance
    assert found["predict/pair/accuracy", "a+b+c"].value > 0.6
    assert found["retrieval/own/mAP", "a+b->c"].value > 2 * found["retrieval/own/mAP", "a+b->c"].chance
    subsets = {d for m, d in found if m == "predict/side/accuracy"}
    assert subsets == {"a", "b", "c", "a+b", "a+c", "b+c", "a+b+c", "no input"}
    assert {(c.metric, c.detail) for c in toy.columns} <= set(found)


@pytest.mark.parametrize("kind", ["inputs", "random", "fusion"])
def test_rows_without_alignment_fill_the_same_columns(kind):
    toy = task(targets=("side",))
    found = results(toy, Entry(kind, kind, kind=kind))
    assert found["predict/side/accuracy", "a+b+c"].value > 0.6


def test_single_stands_for_all_with_the_best_on_validation():
    found = results(task(targets=("side",)), Entry("single", "S", kind="single"))
    best = found["predict/side/accuracy", "a+b+c"].value
    assert best in {found["predict/side/accuracy", k].value for k in NAMES}


def test_pairs_are_the_same_for_every_entry_and_harder_with_poses():
    toy, source = task(targets=(PAIR,), hard="a"), recordings()
    one, two = (toy.protocol._pairs(source, toy) for _ in range(2))
    assert one == two
    plain = task(targets=(PAIR,)).protocol._pairs(source, toy)
    whole = np.zeros((400, 6))
    for part in ("train", "val", "test"):
        whole[getattr(source.split, part)] = getattr(source, part)[:].inputs["a"].numpy()

    def apart(pairs):
        far = np.linalg.norm(whole[pairs["test"].left] - whole[pairs["test"].right], axis=1)
        return far[~pairs["test"].same].mean()

    assert apart(one) < 0.8 * apart(plain)


def test_outcomes_are_gathered_by_the_groups_of_test_rows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), rng.integers(2, 9, 40))
    x = rng.normal(size=(len(group), 3))
    source, toy = from_arrays({"a": x, "b": x}, group=group), task(targets=("side",))
    items = tuple(np.arange(len(source.test), dtype=float).tolist())
    made = Result("predict/accuracy", 0.5, "a", items=items)
    (found,) = toy.protocol._of_targets(source, toy, lambda target, pairs: [made])
    assert found.metric == "predict/side/accuracy"
    assert found.items == by_group(items, source.test.group)
    assert len(found.items) < len(items)


def test_learned_weights_are_recorded_and_drawn():
    toy = task(targets=("side",))

    def make(settings, which):
        return Pairwise() + Structure(weights="learned", modalities=NAMES)

    found = results(toy, Entry("gw", "GW", make))
    weights = [found[f"weight/{k}", ""].value for k in NAMES]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    suite = Suite("toy", "", (toy,), (Entry("gw", "GW", make),), "gw")
    records = [Record("toy", "toy", "gw", "default", 0, {}, f"weight/{k}", w) for k, w in zip(NAMES, weights, strict=True)]
    assert weight_bars(suite, records).startswith("<svg")


def test_overview_knows_which_way_is_better():
    toy = task(targets=("place",))
    columns = toy.protocol.columns(NAMES, {"place": "Place"}, {"place": "m^2"})
    toy = Task("toy", "Toy", recordings, NAMES, "place", 0, protocol=toy.protocol, columns=columns)
    entries = tuple(Entry(k, k.upper(), lambda s, t: Pairwise()) for k in ("x", "y"))
    suite = Suite("toy", "", (toy,), entries, "x")
    metric = columns[0].metric
    records = [
        Record("toy", "toy", name, "default", seed, {}, metric, value + 0.01 * seed, "a+b+c", False, 9.0)
        for name, value in (("x", 1.0), ("y", 2.0))
        for seed in range(3)
    ]
    found = overview(tables(suite, records))
    assert found is not None
    found, meanings = found
    assert meanings == {"Place": f"Toy: {columns[0].meaning}"}
    assert found.head == ["objective", "Place ↓"]
    assert [m[1] for m in found.marks] == ["best", "down", ""]
    assert found.lines[-1] == ["chance", "9.00000"]
    assert "| X | **1.01000 ± 0.01000** |" in markdown(tables(suite, records))
    assert "| Y | 2.01000 ± 0.01000 ▼ |" in markdown(tables(suite, records))


def test_a_task_without_retrieval_draws_no_curves():
    toy = task(targets=("side",))
    suite = Suite("toy", "", (toy,), (Entry("x", "X", lambda s, t: Pairwise()),), "x")
    record = Record("toy", "toy", "x", "default", 0, {}, "predict/side/accuracy", 0.9, "a+b+c")
    assert curves(suite, toy, [record], variant="default") == ""
    found = [replace(record, metric=f"retrieval/cosine/R@{k}", detail="mean", pool=80) for k in (1, 5, 10)]
    assert curves(suite, toy, found, variant="default").startswith("<svg")


def test_ungrouped_rows_lose_their_groups_only():
    rows = recordings().val
    free = ungroup(rows)[:3]
    assert free.group is None
    assert rows[:3].group is not None
    assert torch.equal(free.index, rows[:3].index)
    assert torch.equal(free.inputs["a"], rows[:3].inputs["a"])


def test_unequal_sampling_thins_one_modality():
    thin = hide(recordings(), 0.75, modalities=["b"])
    present = thin.train[:].present
    assert bool(present["a"].all())
    assert 0.15 < float(present["b"].float().mean()) < 0.35
    with pytest.raises(InputError, match="modalities names"):
        hide(recordings(), 0.5, modalities=["z"])


def test_suites_travel_with_their_options():
    for build in (ova_ib_sim, uni_oma_sim):
        suite = build(preset="paper")
        again = load_suite(suite.factory)
        assert again.factory == suite.factory
        assert again.tasks[0].budget.dim == 256
    assert ova_ib_sim(preset="paper").seeds(4) == [42, 0, 1, 2]  # OVA-IB, appendix B.2
    assert uni_oma_sim(preset="paper").seeds(10) == ova_ib_sim().seeds(10) == list(range(10))
    with pytest.raises(InputError, match="preset is 'tiny'"):
        load_suite("tuplet.suites.ova_ib:ova_ib_sim?preset=tiny")
    with pytest.raises(InputError, match="takes no root"):
        load_suite("tuplet.suites.ova_ib:ova_ib_sim?root=x")
    with pytest.raises(InputError, match="needs root"):
        load_suite("tuplet.suites.ova_ib:ova_ib")
    with pytest.raises(InputError, match="has none of"):
        load_suite("tuplet.suites.ova_ib:ova_ib?root=nowhere")


def test_every_base_objective_has_a_regularised_row():
    names = [e.name for e in uni_oma_sim().entries if e.aligned]
    assert {f"{n}_gw" for n in names if not n.endswith("_gw") and n not in ("comm", "transport")} <= set(names)
    rows, toy = {e.name: e for e in uni_oma_sim().entries}, task(targets=("side",))
    emb = Embeddings.of({k: torch.nn.functional.normalize(torch.randn(6, 4), dim=1) for k in NAMES})
    base, without, with_it = (
        rows[name].make(settings, toy)(emb).total.item()
        for name, settings in (
            ("gram", rows["gram"].defaults),
            ("gram_gw", rows["gram_gw"].defaults | {"weight": 0.0}),
            ("gram_gw", rows["gram_gw"].defaults),
        )
    )
    assert base == pytest.approx(without)
    assert with_it > base


def test_a_learned_projector_scores_in_double():
    objective = OneVsAll(projector="mlp", modalities=3, dim=4)
    z = {k: torch.nn.functional.normalize(torch.randn(5, 4, dtype=torch.float64), dim=1) for k in NAMES}
    scores = objective.score({"a": z["a"]}, {"b": z["b"], "c": z["c"]})
    assert scores.dtype == torch.float64
    single = objective.score({"a": z["a"].float()}, {"b": z["b"].float(), "c": z["c"].float()})
    assert torch.allclose(scores.float(), single, atol=1e-6)


@pytest.mark.whole
def test_the_whole_protocol_runs_on_recorded_data(tmp_path):
    for name, write in (
        ("mujoco_push", push_files.write),
        ("wesad", wesad_files.write),
        ("objectfolder", object_files.write),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    (tmp_path / "mosei").mkdir()
    affect_files.write(tmp_path / "mosei" / "mosei_senti_data.pkl")
    suite = load_suite(f"tuplet.suites.ova_ib:ova_ib?root={tmp_path}&preset=small")
    assert [t.name for t in suite.tasks] == ["Push", "MOSEI", "WESAD"]
    entry = next(e for e in suite.entries if e.name == "one_vs_all")
    for which in suite.tasks:
        cell = Cell(which.name, entry.name, "default", 0, entry.defaults)
        found, _ = _results(which, entry, which.load().select(which.modalities), cell)
        assert {(c.metric, c.detail) for c in which.columns} <= {(r.metric, r.detail) for r in found}
    other = load_suite(f"tuplet.suites.uni_oma:uni_oma?root={tmp_path}&preset=small")
    assert [t.name for t in other.tasks] == ["Push", "VAT", "Push, unequal"]
    assert "Vis-Aud" in {c.headline for c in other.tasks[1].columns}


@pytest.mark.whole
def test_the_robot_tasks_run_on_recorded_data_converted_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(PredictorConfig.__init__, "__defaults__", (4, 16, 1, 8, 64, 1e-3, 0, "cpu"))  # one short epoch
    touch_files.write(tmp_path / "vision_touch")
    suite = load_suite(f"tuplet.suites.ova_ib:ova_ib?root={tmp_path}&preset=small")
    assert [t.name for t in suite.tasks] == ["VFP", "VFD", "VFPD", "VFPDO"]
    before = suite.tasks[0].load()
    vision_touch.READER.convert(tmp_path / "vision_touch", tmp_path / "vision_touch.safetensors")
    for which in suite.tasks[::3]:
        assert torch.equal(which.load().test[:4].inputs["force"], before.test[:4].inputs["force"])
    which = suite.tasks[-1]  # with all modalities
    quick = replace(which, budget=replace(which.budget, epochs=1))
    found = results(quick, Entry("one_vs_all", "O", lambda s, t: OneVsAll(tau=0.1)))
    assert {(c.metric, c.detail) for c in which.columns} <= set(found)


def test_outcomes_of_pairs_are_gathered_by_the_groups_at_both_ends():
    """Pseudo-values have the mean of the pairs, and its spread over draws of groups: 65 % of ties were called clear before."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(14), 20)
    pairs = pair_parts(group, Split.of(np.where(group < 2, 0, np.where(group < 4, 1, 2))), counts=(9, 9, 600), seed=0)["test"]
    source, ends = SimpleNamespace(group=torch.from_numpy(group)), group[np.stack([pairs.left, pairs.right])]
    spreads, means = [], []
    for _ in range(300):
        luck = rng.normal(size=14)
        values = luck[ends].mean(axis=0) + 0.1 * rng.normal(size=len(pairs))
        found = np.array(_of_pairs(Result("predict/pair/accuracy", 0.0, items=tuple(values)), source, pairs).items)
        assert len(found) == 10
        assert found.mean() == pytest.approx(values.mean())
        spreads.append(found.var(ddof=1) / len(found))
        means.append(values.mean())
    assert np.mean(spreads) == pytest.approx(np.var(means), rel=0.25)
    left = np.array([0, 2, 20, 22, 40, 42])  # pairs within groups: their means
    own = _of_pairs(Result("predict/pair/accuracy", 0.0, items=tuple(left)), source, Pairs(left, left + 1, left >= 0))
    assert own.items == pytest.approx((1, 21, 41))
    few = Result("predict/pair/accuracy", 0.0, items=(1.0,))
    assert _of_pairs(few, source, pairs) == few
