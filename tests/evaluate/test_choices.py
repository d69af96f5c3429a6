"""What is chosen is chosen on validation rows, what is fitted on training rows, and test rows are only counted."""

import sys

import numpy as np
import pytest
import torch

from tuplet.data import from_arrays
from tuplet.data.splits import Split, split_rows
from tuplet.evaluate import (
    PredictorConfig,
    Result,
    baselines,
    evaluate,
    few_shot_probe,
    late_fusion,
    linear_baseline,
    linear_probe,
    mlp_probe,
    summary,
)
from tuplet.evaluate._paired import told_apart
from tuplet.evaluate.predictor import Examples, fit_predictor
from tuplet.evaluate.screen import _apart
from tuplet.model import linear_maps
from tuplet.nets import MLP

PARTS = {"train": 200, "val": 100, "test": 100}


def lying(knows):
    """A source whose modality k tells the label in the parts of `knows[k]`, and tells the opposite in the others."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, sum(PARTS.values()))
    part = np.repeat(list(PARTS), list(PARTS.values()))
    x = {}
    for name, parts in knows.items():
        sign = np.where(np.isin(part, parts), 1, -1) * (2 * y - 1)
        x[name] = np.stack([sign, np.zeros_like(sign)], axis=1) + 0.3 * rng.normal(size=(len(y), 2))
    split = Split(*(np.flatnonzero(part == k) for k in PARTS))
    return from_arrays(x, targets={"label": y}, split=split)


def test_the_best_single_modality_is_the_validations_and_its_value_the_tests():
    data = lying({"a": ("train", "val"), "b": ("train", "test")})
    quick = PredictorConfig(layers=2, hidden=16, epochs=12, lr=1e-2)
    results = late_fusion(data, lambda: {k: MLP(2, 8) for k in "ab"}, target="label", config=quick)
    found = {r.detail: r.value for r in results if r.metric.endswith("/accuracy")}
    assert found["a"] < 0.1 < 0.9 < found["b"]
    assert found["best single: a"] == found["a"]


def test_the_epoch_is_the_validations():
    """Validation rows say the opposite of training rows: the less is learned, the better, and only the first epoch counts."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2, generator=g)
    y = (x[:, 0] > 0).long()
    train, against = Examples(lambda r: x[r], y), Examples(lambda r: x[r], 1 - y)

    def outputs(epochs, val, patience=100):
        config = PredictorConfig(layers=1, epochs=epochs, patience=patience, lr=0.05)
        fitted = fit_predictor(lambda: torch.nn.Linear(2, 2), train, val, config=config)
        return fitted, fitted.outputs(train)

    one, long = outputs(1, against), outputs(20, against)
    assert torch.equal(one[1], long[1])
    assert one[0].loss == long[0].loss
    assert long[0].epochs == 20
    assert outputs(20, against, patience=3)[0].epochs == 4
    last, kept = outputs(20, train), outputs(20, against)
    assert (last[1].argmax(1) == y).float().mean() > 0.95  # with honest validation rows it learns
    assert last[1].std() > 2 * kept[1].std()
    pairs = (x, y), (x, 1 - y)
    early, late = (mlp_probe(*pairs, (x, y), epochs=n) for n in (1, 10))
    assert np.array_equal(early.items, late.items)


@pytest.mark.parametrize("kind", ["class", "real"])
def test_test_rows_change_nothing_but_their_own_outcomes(kind):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(300, 3, generator=g)
    y = (x[:, 0] > 0).long() if kind == "class" else x[:, :1] * 2 + 1
    train, val, test = ((x[a:b], y[a:b]) for a, b in ((0, 150), (150, 200), (200, 300)))
    more = torch.cat([test[0], test[0] + 50]), torch.cat([test[1], test[1]])
    for probe in (lambda t: linear_probe(train, t), lambda t: mlp_probe(train, val, t, epochs=5)):
        alone, beside = probe(test), probe(more)
        assert np.allclose(alone.items, beside.items[:100])  # scaled by training rows, not by test rows
        assert np.mean(beside.items[:100]) != pytest.approx(np.mean(beside.items[100:]), abs=0.1)
    leak = linear_probe(test, test)
    assert (leak.value > 0.9) if kind == "class" else (leak.value < 0.1)


def test_chance_of_a_probe_is_of_training_rows():
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(2))
    y, y_test = torch.tensor([0] * 40 + [1] * 20), torch.tensor([0] * 10 + [1] * 50)
    assert linear_probe((x, y), (x, y_test)).chance == pytest.approx(10 / 60)  # says 0, which test rows seldom are


def test_the_ridge_is_the_validations(monkeypatch):
    """Few training rows with much noise: they themselves prefer the smallest ridge, rows not trained on the largest."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(240, 3))
    x = {k: shared @ rng.normal(size=(3, 30)) + 2 * rng.normal(size=(240, 30)) for k in "ab"}
    train, val, rest = np.arange(40), np.arange(40, 140), np.arange(140, 240)
    module = sys.modules[linear_maps.__module__]

    def weight(ridges, held):
        monkeypatch.setattr(module, "RIDGES", ridges)
        return linear_baseline(from_arrays(x, split=Split(train, held, rest)), dim=8).encoders["a"].layers[1].weight

    small, large = weight((0.001,), val), weight((10.0,), val)
    assert not torch.allclose(small, large)
    for ridges in ((0.001, 10.0), (10.0, 0.001)):
        assert torch.equal(weight(ridges, val), large)


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_and_the_worst_single_modality_are_not_mixed_up(higher):
    values = {"a": 0.5, "b": 0.9, "c": 0.1, "a+b": 0.99, "b+c": 0.01}
    lines = summary([Result("subset", v, k, higher) for k, v in values.items()]).splitlines()
    best, worst = ("b", "c") if higher else ("c", "b")
    said = [line.split() for line in lines if "modality alone" in line]
    assert said == [[w, "modality", "alone:", k, f"{values[k]:.3f}"] for w, k in (("best", best), ("worst", worst))]


@pytest.mark.slow
def test_groups_are_the_unit_of_every_comparison(monkeypatch):
    """A label that is chance per subject: rows of a subject agree, so rows as units would call noise a difference."""
    module = sys.modules[evaluate.__module__]  # the linear probe is compared; the others cost seconds
    monkeypatch.setattr(module, "mlp_probe", lambda train, val, test: linear_probe(train, test))
    monkeypatch.setattr(module, "few_shot_probe", lambda train, test, shots: linear_probe(train, test))
    monkeypatch.setattr(module, "retrieval_results", lambda *a, **k: [])
    called, pairs = 0, (("inputs", "random"), ("inputs", "linear"), ("random", "linear"))
    for seed in range(12):
        rng = np.random.default_rng(seed)
        subject = np.repeat(np.arange(30), 20)
        u = rng.normal(size=(30, 8)) * 2
        x = u[subject] + 0.3 * rng.normal(size=(600, 8))
        y = rng.integers(0, 2, 30)[subject]
        source = from_arrays({"a": x[:, :5], "b": x[:, 3:]}, targets={"y": y}, group=subject)
        rows = {k: next(r for r in v if r.metric == "probe/linear") for k, v in baselines(source).items()}
        assert {len(r.items) for r in rows.values()} == {len(set(subject[source.split.test]))}
        assert all(np.mean(r.items) == pytest.approx(r.value, abs=1e-4) for r in rows.values())
        called += sum(told_apart(_apart(rows[a], rows[b])) != 0 for a, b in pairs)
    assert called <= 5  # of 36; rows as units call about 12


def test_retrieval_and_unlabelled_rows_are_gathered_by_group_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    a = np.where((np.arange(200) % 7 == 0)[:, None], np.nan, x)
    y = np.where(np.arange(200) % 5 == 0, None, np.where(x[:, 0] > 0, "high", "low"))
    subject = np.arange(200) // 4
    source = from_arrays({"a": a, "b": x}, targets={"y": y}, group=subject)
    results = evaluate(linear_baseline(source, dim=4), None, source)
    test = source.split.test
    for metric, here in (("probe/linear", y[test] != None), ("retrieval/cosine/mAP", np.isfinite(a[test, 0]))):  # noqa: E711
        found = next(r for r in results if r.metric == metric and r.detail in ("", "mean"))
        assert len(found.items) == len(set(subject[test][here])) < here.sum() == found.pool
        assert np.mean(found.items) == pytest.approx(found.value, abs=1e-4)
    assert "groups of rows)" in summary(results, baselines(source))


def test_chance_does_not_depend_on_how_classes_are_numbered():
    x = np.random.default_rng(0).normal(size=(1000, 5))
    y = (np.random.default_rng(1).random(1000) < 0.9).astype(int)
    for labels in (y, 1 - y):
        x_, y_ = torch.from_numpy(x).float(), torch.from_numpy(labels)
        assert few_shot_probe((x_[:600], y_[:600]), (x_[600:], y_[600:])).chance == pytest.approx(0.5)
        full = linear_probe((x_[:600], y_[:600]), (x_[600:], y_[600:]))
        assert full.chance == pytest.approx(max(y[600:].mean(), 1 - y[600:].mean()))


def test_the_ridge_without_validation_pairs_is_the_stated_one(monkeypatch):
    from tuplet.model import closed_form

    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6))
    split = split_rows(150, seed=0)
    a = x.copy()
    a[split.val] = np.nan
    source = from_arrays({"a": a, "b": x[:, ::-1] + rng.normal(size=x.shape)}, split=split)
    untuned = linear_baseline(source, dim=4).encoders["a"].layers[1].weight
    for ridges, same in (((0.1,), True), ((0.01,), False)):
        monkeypatch.setattr(closed_form, "UNTUNED", ridges[0])
        again = linear_baseline(source, dim=4).encoders["a"].layers[1].weight
        assert torch.equal(untuned, again) == same
