"""Decompositions from posteriors, against exact ones; the published and the pointwise estimators beside them."""

from functools import partial

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy.special import xlogy
from sklearn.model_selection import StratifiedKFold

from tuplet.information import (
    PID,
    batch,
    clustered,
    consistency,
    discrete,
    from_posteriors,
    neural_batch,
    pairs,
    pointwise,
)
from tuplet.information._posteriors import calibrated, cross_fitted
from tuplet.information.pid import PARTS
from tuplet.types import InputError

GATES = {"and": lambda a, b: a & b, "xor": lambda a, b: a ^ b, "copy": lambda a, b: 2 * a + b}


def features(rng, bit):
    return np.column_stack([bit + 0.05 * rng.standard_normal(len(bit)), rng.standard_normal((len(bit), 2))])


@pytest.mark.slow
@pytest.mark.parametrize("gate", GATES)
def test_gates_come_out_as_the_exact_decomposition_of_the_sample(gate):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 400))
    y = GATES[gate](a, b)
    table = np.zeros((2, 2, y.max() + 1))
    np.add.at(table, (a, b, y), 1)
    exact = discrete(table)
    found = batch(features(rng, a), features(rng, b), y, folds=3, bootstrap=0)
    for k in PARTS:
        assert getattr(found, k) == pytest.approx(getattr(exact, k), abs=0.15)


@pytest.mark.parametrize("seed", [0, 2])
def test_two_unique_bits_are_no_synergy(seed):
    """Better together than each alone is no synergy; weak, noisy models of few rows must not make it one."""
    rng = np.random.default_rng([seed, 400])
    a, b = rng.integers(0, 2, (2, 400))
    y = 2 * (a ^ (rng.random(400) < 0.1)) + (b ^ (rng.random(400) < 0.1))
    views = [np.column_stack([2 * v - 1 + 0.15 * rng.normal(size=400), rng.normal(size=(400, 4))]) for v in (a, b)]
    found = batch(*views, y, bootstrap=40, seed=seed)
    assert [k for k, v in found.significant.items() if v] == ["unique1", "unique2"]
    assert found.synergy < 0.05
    assert found.unique1 == pytest.approx(0.53, abs=0.1)


def exact_posteriors(table, rng, n):
    """Samples of a table with the posteriors that a perfect model would give them."""
    flat = rng.choice(table.size, size=n, p=table.ravel())
    x1, x2, y = np.unravel_index(flat, table.shape)
    p1, p2 = table.sum(1), table.sum(0)
    both = table / table.sum(2, keepdims=True)
    return (p1 / p1.sum(1, keepdims=True))[x1], (p2 / p2.sum(1, keepdims=True))[x2], both[x1, x2], y


@pytest.mark.parametrize("seed", [0, 1])
def test_perfect_posteriors_give_the_decomposition_of_the_table(seed):
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(4 * 5 * 3, 0.4)).reshape(4, 5, 3)
    exact = discrete(table)
    found = from_posteriors(*exact_posteriors(table, rng, 8000), bootstrap=10)
    for k in PARTS:
        assert getattr(found, k) == pytest.approx(getattr(exact, k), abs=0.03)
        low, high = found.interval[k]
        assert low <= high
    assert found.gap <= 1e-5
    assert not found.warnings


def test_posteriors_that_know_nothing_read_zero():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 400)
    noise = [rng.dirichlet([1, 1], 400) for _ in range(3)]
    found = from_posteriors(*noise, y, bootstrap=20)
    assert not any(found.significant.values())
    assert found.information12 < 0.02


def test_models_that_are_sure_and_right_of_every_sample_are_significant():
    y = np.array([0, 1] * 100)
    sure, none = np.eye(2)[y], np.full((200, 2), 0.5)
    found = from_posteriors(none, none, sure, y, bootstrap=20)
    assert [k for k, v in found.significant.items() if v] == ["synergy"]


@pytest.mark.parametrize(("right", "called"), [(0.62, []), (0.66, ["unique1"])])
def test_a_part_is_called_from_a_twentieth_of_the_entropy_of_the_target(right, called):
    y = np.arange(8000) % 2
    said = np.where(np.arange(8000) // 2 % 100 < 100 * right, y, 1 - y)  # right so often, of both classes
    first, none = np.eye(2)[said] * (2 * right - 1) + 1 - right, np.full((8000, 2), 0.5)
    found = from_posteriors(first, none, first, y, bootstrap=20)
    assert found.unique1 == pytest.approx(1 + right * np.log2(right) + (1 - right) * np.log2(1 - right))  # 4 and 7.5 % of a bit
    assert found.null["unique1"]["p_holm"] < 1e-6  # it is there, but models err as much
    assert [k for k, v in found.significant.items() if v] == called


@pytest.mark.slow
def test_merging_posteriors_loses_little_and_says_so():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 20000)
    sharp = 1 / (1 + np.exp(-2 * (2 * y - 1 + rng.standard_normal(20000))))
    p = np.column_stack([1 - sharp, sharp])
    fine, coarse, poor = (from_posteriors(p, p, p, y, atoms=k, bootstrap=0) for k in (64, 24, 2))
    assert coarse.redundancy == pytest.approx(fine.redundancy, rel=0.02)
    assert not coarse.warnings
    assert "lost" in poor.warnings[0]


def test_calibration_raises_the_likelihood_and_keeps_the_order():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 300)
    true = np.where(y == 1, 0.7, 0.3) + 0.1 * rng.standard_normal(300)
    over = 1 / (1 + np.exp(-20 * (true - 0.5)))
    p = np.column_stack([1 - over, over])
    better = calibrated(p, y)
    row = np.arange(300)
    assert np.log(better[row, y]).mean() >= np.log(p[row, y]).mean()
    assert np.array_equal(np.argsort(better[:, 1]), np.argsort(p[:, 1]))
    assert np.allclose(calibrated(p[:, ::-1], y), np.bincount(y) / 300)  # wrong each time: the frequencies


@pytest.mark.parametrize("model", ["mlp", "logistic"])
def test_posteriors_are_of_rows_left_out(model):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((200, 150)), rng.integers(0, 2, 200)
    p = cross_fitted(x, y, model=model)
    assert (p.argmax(1) == y).mean() < 0.65  # rows seen in fitting would be known by heart
    if model == "mlp":  # it stops before it is sure of noise
        assert np.log(p[np.arange(200), y]).mean() > -1.25
    group = np.repeat(np.arange(20), 10)
    told = cross_fitted(np.eye(20)[group], (group % 2).astype(np.int64), model=model, group=group.astype(np.int64))
    assert ((told.argmax(1) == group % 2).mean()) < 0.9


@pytest.mark.parametrize("model", ["mlp", "logistic"])
def test_a_row_left_out_says_nothing_about_the_others(model):
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    _, test = next(StratifiedKFold(2, shuffle=True, random_state=3).split(x, y))
    other = x.copy()
    other[test[0]] = 1e3
    one, two = (cross_fitted(v, y, model=model, folds=2, seed=3)[test[1:]] for v in (x, other))
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_the_published_estimator_sees_an_exclusive_or():
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 2, (2, 1200))
    found = neural_batch(features(rng, a), features(rng, b), a ^ b, epochs=30, coupling_epochs=5)
    assert found.synergy > 0.6
    assert abs(found.redundancy) < 0.15
    assert found.redundancy + found.unique1 == pytest.approx(found.information1)


def test_pointwise_turns_two_unique_bits_into_redundancy_and_synergy():
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 2, (2, 600))
    found = pointwise(features(rng, a), features(rng, b), 2 * a + b, folds=3)
    means = [v.mean() for v in (found.redundancy, found.unique1, found.unique2, found.synergy)]
    p = np.bincount(2 * a + b) / 600
    assert sum(means) == pytest.approx(-xlogy(p, p).sum(), abs=0.1)
    assert means[0] > 0.4
    assert means[3] > 0.4


def of(r, u1, u2, s, **more):
    return PID(
        redundancy=r,
        unique1=u1,
        unique2=u2,
        synergy=s,
        information1=r + u1,
        information2=r + u2,
        information12=r + u1 + u2 + s,
        gap=0.0,
        **more,
    )


def test_table_1_of_to_align_or_not_breaks_its_own_identity():
    mosei = {
        ("vision", "text"): of(0.123, 0.001, 0.163, 0.005),
        ("vision", "audio"): of(0.116, 0.010, 0.001, 0.012),
        ("audio", "text"): of(0.127, 0.001, 0.248, 0.002),
    }
    (found,) = consistency(mosei)
    assert found.modality == "text"
    assert found.information == pytest.approx({"vision": 0.286, "audio": 0.375})
    assert found.spread == pytest.approx(0.089)
    everyone = {d.modality for d in consistency(mosei, tolerance=0.001)}
    assert everyone == {"audio", "text", "vision"}  # beyond rounding, each does


def test_overlapping_intervals_are_no_disagreement():
    wide = {"information1": (0.1, 0.5), "information2": (0.1, 0.5)}
    found = {("a", "b"): of(0.2, 0.1, 0.1, 0.0, interval=wide), ("a", "c"): of(0.2, 0.0, 0.1, 0.0, interval=wide)}
    assert not consistency(found)
    assert consistency({k: of(v.redundancy, v.unique1, v.unique2, 0.0) for k, v in found.items()})[0].modality == "a"
    with pytest.raises(InputError, match="units"):
        consistency({("a", "b"): of(0.2, 0.1, 0.1, 0.0), ("a", "c"): of(0.2, 0.1, 0.1, 0.0, units="nats")})


@pytest.mark.slow
def test_three_modalities_make_three_pairs_and_three_rests():
    rng = np.random.default_rng(8)
    a, b = rng.integers(0, 2, (2, 1200))
    sources = {"third": features(rng, b), "first": features(rng, a), "second": features(rng, a)}
    found = pairs(sources, a ^ b, estimator=partial(clustered, clusters=6, permutations=80, bootstrap=30))
    assert list(found.pairs) == [("first", "second"), ("first", "third"), ("second", "third")]
    assert found.pairs["first", "second"].information12 < 0.05
    assert found.pairs["first", "third"].significant["synergy"]
    assert found.rest["third"].significant["synergy"]
    assert not found.disagreements
    with pytest.raises(InputError, match="two modalities"):
        pairs({"first": a}, a)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p, y: from_posteriors(p * 2, p, p, y), "p1 has rows that are no distributions"),
        (lambda p, y: from_posteriors(p, p[:5], p, y), "p2 has shape"),
        (lambda p, y: from_posteriors(p, p, p, y * 0), "y has no row of class 1"),
        (lambda p, y: batch(p, p[:5], y), "x2 has 5 rows"),
        (lambda p, y: batch(p, p, np.arange(len(y))), "merge rare classes"),
        (lambda p, y: batch(p, p, y, model="tree"), "model"),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises((InputError, TypeCheckError), match=said):  # the type-checked run refuses other words first
        call(np.full((20, 2), 0.5), np.arange(20) % 2)
