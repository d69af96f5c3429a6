"""Predictors find what is there and nothing else, read only what they may, and repeat."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from sklearn import metrics
from sklearn.linear_model import LinearRegression, LogisticRegression

from tests.train.toys import model, source
from tuplet import InputError
from tuplet.data import from_arrays, pair_parts
from tuplet.evaluate import (
    Features,
    PredictorConfig,
    encoded,
    late_fusion,
    pixels,
    predict_subsets,
    prediction_results,
)
from tuplet.evaluate.predictor import Examples, fit_predictor
from tuplet.nets import MLP

QUICK = PredictorConfig(hidden=32, epochs=25, patience=6)
SIZES = {"train": 400, "val": 150, "test": 300}


def rows(part, seed=0, noise=0.3, shuffled=False):
    """Two modalities that each know half of a label and of a place."""
    first = sum(list(SIZES.values())[: list(SIZES).index(part)])
    g = torch.Generator().manual_seed(seed + first)
    n = SIZES[part]
    hidden = torch.randn(n, 2, generator=g)
    x = {k: hidden[:, i : i + 1] + noise * torch.randn(n, 4, generator=g) for i, k in enumerate("ab")}
    order = torch.randperm(n, generator=g) if shuffled else torch.arange(n)
    label = (hidden.sum(dim=1) > 0).long() + (hidden.sum(dim=1) > 1).long()
    place = torch.stack([hidden[:, 0] + 5, 0.01 * hidden[:, 1]], dim=1)
    here = torch.ones(n, dtype=torch.bool)
    target = {"label": label[order], "place": place[order]}
    return Features(x, {"a": here, "b": here}, first + torch.arange(n), target)


def parts(**options):
    return [rows(k, **options) for k in SIZES]


def by(results, name="accuracy"):
    return {r.detail: r for r in results if r.metric.endswith("/" + name)}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_class_scores_are_sklearns(pairs):
    truth, guess = torch.tensor(pairs).T
    results = prediction_results(torch.eye(4)[guess], truth, truth)
    found = {r.metric: r.value for r in results}
    assert all(r.value == pytest.approx(np.mean(r.items)) for r in results if not r.metric.endswith("f1"))
    assert found["predict/accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess))
    assert found["predict/balanced"] == pytest.approx(
        np.mean([np.mean((guess == c)[truth == c].numpy()) for c in truth.unique()])
    )
    assert found["predict/f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro", zero_division=0))


def test_real_scores_are_sklearns():
    g = torch.Generator().manual_seed(0)
    truth, guess, seen = (torch.randn(40, 3, generator=g) * torch.tensor([1.0, 5.0, 0.1]) for _ in range(3))
    mse, r2 = prediction_results(guess, truth, seen)
    assert mse.value == pytest.approx(metrics.mean_squared_error(truth, guess), rel=1e-6)
    assert mse.value == pytest.approx(np.mean(mse.items))
    assert r2.value == pytest.approx(metrics.r2_score(truth, guess, multioutput="variance_weighted"), rel=1e-6)
    assert r2.value == pytest.approx(np.mean(r2.items))
    assert (mse.higher, r2.higher) == (False, True)
    mean = seen.mean(dim=0).expand(40, 3)
    assert mse.chance == pytest.approx(metrics.mean_squared_error(truth, mean), rel=1e-6)


def test_every_subset_beats_chance_and_together_they_know_more():
    found = by(predict_subsets(*parts(), target="label", config=QUICK))
    assert set(found) == {"no input", "a", "b", "a+b"}
    assert found["no input"].value == found["a"].chance
    assert min(found["a"].value, found["b"].value) > found["a"].chance + 0.05
    assert found["a+b"].value > max(found["a"].value, found["b"].value) + 0.1


def test_shuffled_labels_cannot_be_predicted():
    results = predict_subsets(*parts(shuffled=True), target="label", config=QUICK)
    assert max(r.value - r.chance for r in results if r.metric == "predict/accuracy") < 0.08
    results = predict_subsets(*parts(shuffled=True), target="place", config=QUICK)
    assert max(by(results, "r2")[k].value for k in ("a", "b", "a+b")) < 0.08


@pytest.mark.slow
def test_one_layer_is_logistic_and_linear_regression():
    train, _, test = parts(noise=0.5)
    steady = PredictorConfig(layers=1, epochs=150, patience=150, lr=3e-3)
    x, x_test = (torch.cat([f.x["a"], f.x["b"]], dim=1).numpy() for f in (train, test))
    logistic = LogisticRegression(C=np.inf, max_iter=1000).fit(x, train.target["label"])
    ours = by(predict_subsets(train, train, test, target="label", which=[("a", "b")], config=steady))["a+b"]
    assert ours.value == pytest.approx(logistic.score(x_test, test.target["label"]), abs=0.02)
    linear = LinearRegression().fit(x, train.target["place"])
    error = np.mean((linear.predict(x_test) - test.target["place"].numpy()) ** 2)
    ours = by(predict_subsets(train, train, test, target="place", which=[("a", "b")], config=steady), "mse")["a+b"]
    assert ours.value == pytest.approx(error, rel=0.03)


def test_errors_are_in_the_unit_of_the_target():
    def scaled(features, by):
        return replace(features, target={"place": by * features.target["place"] + 3})

    plain = predict_subsets(*parts(), target="place", which=[("a", "b")], config=QUICK)
    large = predict_subsets(*[scaled(f, 1000) for f in parts()], target="place", which=[("a", "b")], config=QUICK)
    for a, b in zip(plain, large, strict=True):
        assert b.value == pytest.approx(a.value * (1e6 if a.metric.endswith("mse") else 1), rel=1e-2, abs=1e-6)
    assert by(plain, "r2")["a+b"].value > 0.8


@pytest.mark.slow
def test_absent_modalities_are_replaced_by_zeros_or_by_their_mean():
    train, val, test = parts()
    full = {how: by(predict_subsets(train, val, test, target="label", absent=how, config=QUICK)) for how in ("zero", "mean")}
    assert full["zero"]["a+b"].items == full["mean"]["a+b"].items  # one and the same predictor
    mean = train.x["b"].mean(dim=0).expand_as(test.x["b"])
    for how, value in (("zero", 0 * mean), ("mean", mean)):
        blind = replace(test, x=test.x | {"b": value})
        expected = by(predict_subsets(train, val, blind, target="label", absent=how, which=[("a", "b")], config=QUICK))
        assert full[how]["a"].items == expected["a+b"].items
    gone = replace(test, present=test.present | {"b": torch.zeros(300, dtype=torch.bool)})
    missing = by(predict_subsets(train, val, gone, target="label", which=[("a", "b")], config=QUICK))
    assert missing["a+b"].items == full["mean"]["a"].items


def test_rows_without_a_modality_do_not_count_in_its_statistics():
    def spoilt(features):
        lost = torch.arange(len(features)) % 3 == 0
        x = features.x | {"b": torch.where(lost[:, None], 1e6, features.x["b"])}
        return replace(features, x=x, present=features.present | {"b": ~lost})

    found = by(predict_subsets(*[spoilt(f) for f in parts()], target="label", config=QUICK))
    assert found["a+b"].value > found["a"].value + 0.05


@pytest.mark.slow
def test_predictions_repeat_and_do_not_see_test_labels():
    train, val, test = parts()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = predict_subsets(train, val, test, target="label", which=[("a",)], config=QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert predict_subsets(train, val, test, target="label", which=[("a",)], config=QUICK) == first
    other = predict_subsets(train, val, test, target="label", which=[("a",)], config=replace(QUICK, seed=1))
    assert by(other)["a"].items != by(first)["a"].items
    moved = replace(test, target={"label": 2 - test.target["label"]})
    again = by(predict_subsets(train, val, moved, target="label", which=[("a",)], config=QUICK))["a"].items
    right = (np.array(by(first)["a"].items) == 1) & (test.target["label"].numpy() != 1)
    assert right.any()
    assert not np.array(again)[right].any()


def test_training_stops_at_the_best_validation_epoch():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 30, generator=g), torch.randint(2, (40,), generator=g)
    train, val = (Examples(lambda r, s=s: x[s][r], y[s]) for s in (slice(0, 20), slice(20, 40)))
    config = PredictorConfig(epochs=200, patience=5, batch_size=10, lr=1e-2)
    fitted = fit_predictor(lambda: MLP(30, 2), train, val, config=config)
    assert fitted.epochs < 200
    kept = torch.nn.functional.cross_entropy(fitted.outputs(val), y[20:])
    assert float(kept) == pytest.approx(fitted.loss, rel=1e-5)
    longer = fit_predictor(lambda: MLP(30, 2), train, val, config=replace(config, patience=200))
    assert longer.loss <= fitted.loss


def trajectories(n=600, length=6, leak=True):
    """Frames whose background belongs to the trajectory, and a force that tells nothing."""
    rng = np.random.default_rng(0)
    group = np.arange(n) // length
    tint = rng.normal(size=(n // length, 2, 1, 1))[group] if leak else 0
    frames = tint + 0.3 * rng.normal(size=(n, 2, 8, 8))
    return from_arrays({"image": frames, "force": rng.normal(size=(n, 3))}, group=group), group


@pytest.mark.slow
def test_pairs_are_told_apart_by_their_background_alone():
    data, group = trajectories()
    drawn = pair_parts(group, data.split, counts=(600, 200, 400), seed=0)
    small = [pixels(r, size=2) for r in (data.train, data.val, data.test)]
    assert small[0].x["image"].shape == (len(data.train), 8)
    for join, least in (("compare", 0.8), ("concatenate", 0.65)):
        found = by(predict_subsets(*small, pairs=drawn, join=join, config=QUICK))
        assert found["image"].value > least
        assert abs(found["force"].value - 0.5) < 0.1
        assert found["force"].chance == 0.5
    plain, group = trajectories(leak=False)
    small = [pixels(r, size=2) for r in (plain.train, plain.val, plain.test)]
    assert abs(by(predict_subsets(*small, pairs=drawn, join="compare", config=QUICK))["image"].value - 0.5) < 0.1


def test_pixels_are_averaged_inputs():
    data, _ = trajectories()
    batch = data.test[:]
    found = pixels(data.test, size=4, batch_size=7)
    expected = batch.inputs["image"].reshape(-1, 2, 4, 2, 4, 2).mean(dim=(3, 5)).flatten(1)
    torch.testing.assert_close(found.x["image"], expected)
    assert torch.equal(found.x["force"], batch.inputs["force"])
    assert torch.equal(found.index, batch.index)


def test_pairs_of_another_part_are_refused():
    data, group = trajectories()
    drawn = pair_parts(group, data.split, counts=(20, 20, 20), seed=0)
    small = [pixels(r) for r in (data.train, data.val, data.test)]
    with pytest.raises(InputError, match=r"pairs\['test'\] has row \d+, which is not in test"):
        predict_subsets(*small, pairs=drawn | {"test": drawn["train"]}, config=QUICK)


def test_encoded_features_are_the_models():
    data, net = source(100), model()
    h, z = encoded(net, data.test, batch_size=7), encoded(net, data.test, read="z")
    with torch.no_grad():
        emb = net(data.test[:])
    for k in "abc":
        torch.testing.assert_close(h.x[k], emb.h[k])
        torch.testing.assert_close(z.x[k], emb.z[k])
    assert torch.equal(h.index, data.test[:].index)
    assert len(by(predict_subsets(*[encoded(net, r) for r in (data.train, data.val, data.test)], target="label"))) == 8


def synergy(n=900, kind="class"):
    """A label that neither modality knows alone."""
    rng = np.random.default_rng(0)
    x = {k: rng.normal(size=(n, 3)) for k in "ab"}
    both = np.sign(x["a"][:, 0]) * np.sign(x["b"][:, 0])
    noise = 0.01 * rng.normal(size=n)  # whole numbers would be taken as classes
    return from_arrays(x, targets={"y": (both > 0).astype(int) if kind == "class" else 7 + both + noise})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["class", "real"])
def test_late_fusion_learns_what_no_single_modality_knows(kind):
    def fresh():
        return {k: MLP(3, 16, hidden=32) for k in "ab"}

    config = PredictorConfig(hidden=32, epochs=40, patience=10, lr=3e-3)
    found = by(late_fusion(synergy(kind=kind), fresh, target="y", config=config), "accuracy" if kind == "class" else "r2")
    best = next(v for k, v in found.items() if k.startswith("best single"))
    assert found["a+b"].value > (0.85 if kind == "class" else 0.5)
    assert best.value < (0.6 if kind == "class" else 0.1)
    assert best.value in (found["a"].value, found["b"].value)


def test_late_fusion_reads_pairs_and_repeats():
    data, group = trajectories()
    drawn = pair_parts(group, data.split, counts=(1000, 200, 200), seed=0)

    def run():
        make = lambda: {"image": MLP(128, 8), "force": MLP(3, 8)}  # noqa: E731
        return late_fusion(data, make, pairs=drawn, which=[("image",)], join="compare", config=replace(QUICK, epochs=6))

    torch.manual_seed(0)
    first = run()
    torch.manual_seed(1)
    assert run() == first
    assert by(first)["image"].value > 0.7


def test_bad_input_is_named():
    train, val, test = parts()
    data = synergy(100)
    small = Features({"a": train.x["a"]}, train.present, train.index, train.target)
    one = replace(train, target={"label": train.target["label"] * 0})
    more = replace(test, target={"label": test.target["label"] + 1})
    lost = replace(train, present=train.present | {"b": torch.zeros(400, dtype=torch.bool)})
    for match, call in {
        "target and pairs": lambda: predict_subsets(train, val, test),
        "target is 'x'": lambda: predict_subsets(train, val, test, target="x"),
        "absent is 'drop'": lambda: predict_subsets(train, val, test, target="label", absent="drop"),
        "join is 'sum'": lambda: predict_subsets(train, val, test, target="label", join="sum"),
        r"which names \['c'\]": lambda: predict_subsets(train, val, test, target="label", which=[("c",)]),
        "val has modalities": lambda: predict_subsets(train, small, test, target="label"),
        "one class only": lambda: predict_subsets(one, val, test, target="label"),
        "class 3 is in the test targets": lambda: predict_subsets(train, val, more, target="label"),
        "'b' is missing in every": lambda: predict_subsets(lost, val, test, target="label"),
        "pairs has": lambda: predict_subsets(train, val, test, pairs={}),
        "lr is 0.0": lambda: PredictorConfig(lr=0.0),
        "layers is 0": lambda: PredictorConfig(layers=0),
        "read is 'y'": lambda: encoded(model(), source().test, read="y"),
        "builds no encoder for": lambda: late_fusion(data, dict, target="y"),
        "size is 0": lambda: pixels(data.test, size=0),
    }.items():
        with pytest.raises((InputError, TypeCheckError), match=f"{match}|Type-check error"):
            call()
