"""Probes read what is there, use test rows once, and repeat."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.train.toys import model, source
from tuplet import InputError
from tuplet.evaluate import evaluate, evaluate_inputs, few_shot_probe, linear_probe, mlp_probe, subset_probes, subsets, summary
from tuplet.evaluate.evaluation import probe_results
from tuplet.objectives import OneVsAll


def task(n=300, kind="class", seed=0, informative=True):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=g)
    hidden = x[:, 0] + 0.5 * x[:, 1] if informative else torch.randn(n, generator=g)
    y = (hidden > 0).long() + (hidden > 1).long() if kind == "class" else torch.stack([hidden, -hidden], 1)
    return x, y


@pytest.mark.parametrize("kind", ["class", "real"])
def test_probes_beat_chance_only_where_there_is_information(kind):
    for informative in (True, False):
        parts = [task(kind=kind, seed=s, informative=informative) for s in (0, 1, 2)]
        for probe in (linear_probe(parts[0], parts[2]), mlp_probe(*parts), few_shot_probe(parts[0], parts[2])):
            assert probe.metric == ("accuracy" if kind == "class" else "mse")
            assert probe.value == pytest.approx(probe.items.mean())
            assert len(probe.items) == 300
            gain = probe.value - probe.chance if kind == "class" else probe.chance - probe.value
            assert gain > 0.05 if informative else gain < 0.06


def test_the_linear_probe_of_real_targets_is_ridge_regression():
    train, test = ((x, y + torch.randn(y.shape)) for x, y in (task(kind="real"), task(kind="real", seed=1)))
    mean, deviation = train[0].mean(0), train[0].std(0, correction=0)
    x, x_test = ((v - mean) / deviation for v in (train[0], test[0]))
    w = torch.linalg.solve(x.T @ x + 0.01 * len(x) * torch.eye(6), x.T @ (train[1] - train[1].mean(0)))
    errors = ((x_test @ w + train[1].mean(0) - test[1]) ** 2).mean()
    assert linear_probe(train, test).value == pytest.approx(float(errors), rel=1e-4)


def test_the_linear_probe_of_classes_is_at_the_optimum_of_the_penalised_likelihood():
    (x, y), test = task(), task(seed=1)
    mean, deviation = x.mean(0), x.std(0, correction=0)
    u, u_test = (((v - mean) / deviation).double() for v in (x, test[0]))
    w, b = (
        torch.zeros(6, 3, dtype=torch.float64, requires_grad=True),
        torch.zeros(3, dtype=torch.float64, requires_grad=True),
    )
    newton = torch.optim.LBFGS([w, b], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        newton.zero_grad()
        loss = torch.nn.functional.cross_entropy(u @ w + b, y, reduction="sum") + w.square().sum() / 2
        loss.backward()
        return loss

    newton.step(closure)
    expected = ((u_test @ w + b).argmax(1) == test[1]).double().mean()
    assert linear_probe((x, y), test).value == pytest.approx(float(expected), abs=0.01)


def test_chance_is_the_majority_class():
    x, _ = task()
    y = (torch.arange(300) % 4 == 0).long()
    assert linear_probe((x, y), (x, y)).chance == 0.75


def test_probes_repeat_and_leave_global_randomness_alone():
    parts = [task(seed=s) for s in (0, 1, 2)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    first = mlp_probe(*parts), few_shot_probe(parts[0], parts[2])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(10)
    second = mlp_probe(*parts), few_shot_probe(parts[0], parts[2])
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.items, b.items)


def test_the_mlp_probe_does_not_see_test_labels():
    parts = [task(seed=s) for s in (0, 1, 2)]
    value = mlp_probe(*parts)
    flipped = (parts[2][0], 2 - parts[2][1])
    again = mlp_probe(parts[0], parts[1], flipped)
    predicted_same = (value.items == 1) & (parts[2][1].numpy() != 1)
    assert not (again.items[predicted_same] == 1).any()


def test_subsets_are_all_of_them():
    assert len(subsets("abcdef")) == 63
    assert subsets(["b", "a", "c"], sizes=[2]) == [("a", "b"), ("a", "c"), ("b", "c")]
    with pytest.raises(InputError, match="sizes is"):
        subsets("ab", sizes=[5])
    x, y = task()
    found = subset_probes(
        ({"a": x[:, :1], "b": x[:, 1:2], "c": x[:, 2:]}, y), ({"a": x[:, :1], "b": x[:, 1:2], "c": x[:, 2:]}, y)
    )
    assert len(found) == 7
    assert found["a", "b"].value > found["a",].value > found["c",].value


def test_bad_labels_are_named():
    x, y = task()
    with pytest.raises(InputError, match="one class only"):
        linear_probe((x, y * 0), (x, y * 0))
    with pytest.raises(InputError, match="class 7 is in the test targets"):
        linear_probe((x, y), (x, y * 0 + 7))
    with pytest.raises(InputError, match="shots is 500"):
        few_shot_probe((x, y), (x, y), shots=500)


def test_evaluate_reports_every_number_with_its_chance_and_pool():
    s = source(200)
    results = evaluate(model(), OneVsAll(), s)
    by = {(r.metric, r.detail): r for r in results}
    assert {d for m, d in by if m == "subset"} == {"a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"}
    assert by["subset", "a+b+c"].value == by["probe/linear", ""].value
    for kind in ("own", "cosine"):
        directions = {d for m, d in by if m == f"retrieval/{kind}/R@1"}
        assert directions == {"b+c->a", "a+c->b", "a+b->c", "a->b+c", "b->a+c", "c->a+b", "mean"}
        mean = by[f"retrieval/{kind}/R@1", "mean"]
        assert mean.value == pytest.approx(np.mean([by[f"retrieval/{kind}/R@1", d].value for d in directions - {"mean"}]))
        assert mean.value == pytest.approx(np.mean(mean.items), abs=1e-4)
        assert (mean.pool, mean.chance) == (40, pytest.approx(1 / 40))
    assert all(r.chance is not None for r in results if not r.metric.startswith("space"))
    assert not any(r.metric.startswith("retrieval/own") for r in evaluate(model(), lambda emb: None, s))
    assert {r.metric for r in evaluate_inputs(s)} == {"probe/linear", "probe/mlp", "probe/few_shot", "subset"}
    with pytest.raises(InputError, match="target is 'nope'"):
        evaluate(model(), None, s, target="nope")


def test_unequal_classes_have_measures_that_a_large_class_cannot_flatter():
    rng = np.random.default_rng(0)
    y = torch.from_numpy(np.repeat([0, 1, 2], [140, 40, 20]))
    x = torch.from_numpy(rng.normal(size=(200, 4)) + 0.8 * np.eye(3, 4)[y]).float()
    train, test = (x[::2], y[::2]), (x[1::2], y[1::2])
    probe = linear_probe(train, test)
    hits = torch.from_numpy(probe.items)
    assert np.isclose(probe.beside["balanced"], np.mean([hits[test[1] == c].mean() for c in range(3)]))
    assert probe.beside["balanced"] < probe.value
    standard = (test[0] - train[0].mean(dim=0)) / train[0].std(dim=0, correction=0)
    scaled = (train[0] - train[0].mean(dim=0)) / train[0].std(dim=0, correction=0)
    scores = LogisticRegression(C=1 / (0.01 * 100), max_iter=5000).fit(scaled, train[1]).predict_proba(standard)
    areas = []
    for c in range(3):
        own, rest = scores[test[1] == c, c], scores[test[1] != c, c]
        areas.append((own[:, None] > rest).mean() + 0.5 * (own[:, None] == rest).mean())
    assert np.isclose(probe.beside["auroc"], np.mean(areas), atol=2e-3)
    found = {r.metric: r for r in probe_results(*[({"a": a}, b) for a, b in (train, test, test)])}
    assert found["probe/linear/balanced"].value == probe.beside["balanced"]
    assert found["probe/linear/balanced"].chance == 1 / 3
    assert (found["probe/mlp/auroc"].chance, found["probe/mlp/auroc"].pool) == (0.5, 100)
    assert "linear probe, AUROC" in summary(list(found.values()))
    for even in (torch.arange(200) % 2, (torch.arange(200) % 5 < 3).long()):  # 120 to 80 is not yet unequal
        assert linear_probe((x, even), (x, even)).beside == {}
