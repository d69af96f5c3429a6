"""The Gaussian copula: closed forms, rising maps, the Gaussian estimator on Gaussian data, groups, ties."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from tuplet import InputError
from tuplet.information import gaussian, gaussian_copula
from tuplet.information.pid import PARTS, TERMS
from tuplet.information.ranked import normal_scores

FEW = {"permutations": 20, "bootstrap": 10}


def all_of(pid):
    return np.array([getattr(pid, k) for k in (*PARTS, *TERMS)])


def linear(n, seed=0, rho=0.8, columns=1):
    """A source of known correlation with the target, and one that knows nothing."""
    rng = np.random.default_rng(seed)
    y, noise, other = rng.normal(size=(3, n, columns))
    return rho * y + np.sqrt(1 - rho**2) * noise, other, y


def test_two_columns_of_known_correlation():
    """I = -log(1 - rho^2) / 2 nats."""
    for rho in (0.0, 0.5, -0.9):
        x, other, y = linear(4000, rho=abs(rho))
        found = gaussian_copula(np.sign(rho or 1) * x, other, y, units="nats", **FEW)
        expected = -0.5 * np.log(1 - rho**2)
        assert found.information1 == pytest.approx(expected, abs=0.02), rho
        assert found.unique1 == pytest.approx(expected, abs=0.02), rho
        assert found.interval["unique1"][0] <= found.unique1 <= found.interval["unique1"][1]


@pytest.mark.slow
def test_rising_maps_of_any_column_change_nothing_and_falling_ones_neither():
    x, other, y = linear(300, columns=2)
    once = {"permutations": 1, "bootstrap": 0}
    wanted = gaussian_copula(x, other, y, **once)
    maps = [np.exp, lambda v: v**3, lambda v: 1e5 + np.arctan(v)]
    for f in maps:
        for moved in ((f(x), other, y), (x, f(other), y), (x, other, np.c_[y[:, 0], f(y[:, 1])])):
            np.testing.assert_array_equal(all_of(gaussian_copula(*moved, **once)), all_of(wanted))
    np.testing.assert_allclose(all_of(gaussian_copula(-x, other, y, **once)), all_of(wanted), atol=1e-6)
    assert abs(gaussian(np.exp(3 * x), other, y).unique1 - wanted.unique1) > 0.2  # the linear one sees less


def test_on_gaussian_data_it_is_the_gaussian_estimator():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(3000, 2))
    x1, x2 = (y @ rng.normal(size=(2, 2)) + rng.normal(size=(3000, 2)) for _ in range(2))
    wanted = gaussian(x1, x2, y)
    np.testing.assert_allclose(all_of(gaussian_copula(x1, x2, y, permutations=5, bootstrap=0)), all_of(wanted), atol=0.03)


def test_chance_is_taken_off():
    """Independent data of many columns: the plug-in estimate invents information, this does not."""
    rng = np.random.default_rng(2)
    x1, x2, y = rng.normal(size=(200, 6)), rng.normal(size=(200, 6)), rng.normal(size=200)
    plain, found = gaussian(x1, x2, y), gaussian_copula(x1, x2, y, permutations=80, bootstrap=20)
    assert plain.information12 > 0.035
    assert found.information12 < plain.information12 / 3
    assert found.null["information12"]["mean"] == pytest.approx(0.5 * 12 / 200 / np.log(2), abs=0.015)  # d / (2 n) nats
    assert not any(found.significant.values())


def test_what_a_source_says_stays_while_the_rest_is_permuted():
    """Given a source that explains the target, chance gives the other 1 / (2 n) nats; with all permuted, a third of that."""
    x, other, y = linear(500, seed=4)
    for given in ((x, other), (other, x)):
        found = gaussian_copula(*given, y, units="nats", permutations=80, bootstrap=0)
        assert found.null["synergy"]["mean"] == pytest.approx(1 / 1000, rel=0.3)


def test_rows_of_a_group_are_one_draw():
    """Fifteen subjects, each its own level: rows of one subject prove nothing about the next."""
    rng = np.random.default_rng(3)
    kin = np.repeat(np.arange(15), 20)
    x, y = (rng.normal(size=15)[kin] + 0.1 * rng.normal(size=300) for _ in range(2))
    noise = rng.normal(size=300)
    options = {"permutations": 80, "bootstrap": 40}
    alone, held = gaussian_copula(x, noise, y, **options), gaussian_copula(x, noise, y, group=kin, **options)
    assert held.null["information1"]["mean"] > 4 * alone.null["information1"]["mean"]
    wide = [p.interval["unique1"][1] - p.interval["unique1"][0] for p in (alone, held)]
    assert wide[1] > 2 * wide[0]
    assert not held.significant["unique1"]


def test_scores_ties_and_warnings():
    scores = normal_scores(torch.tensor([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]]).double()).numpy()
    np.testing.assert_allclose(scores[:, 0], ndtri([0.75, 0.25, 0.5]), atol=1e-12)
    assert scores[0, 1] == scores[1, 1] < scores[2, 1]
    assert np.abs(scores.mean(axis=0)).max() < 1e-12
    x, other, y = linear(200)
    few = gaussian_copula(x, np.ones(200), np.round(2 * y), permutations=5, bootstrap=0)
    assert np.isfinite(all_of(few)).all()
    assert few.significant is None
    assert few.interval is None
    assert "column of target has" in few.warnings[0]
    assert "take at least 80" in few.warnings[1]
    assert not gaussian_copula(x, other, y > 0, permutations=80, bootstrap=0).warnings  # two classes: one-hot up to scale
    for bad, words in (
        ({"group": np.zeros(200)}, "one value"),
        ({"group": np.zeros(3)}, "200"),
        ({"permutations": 0}, "permutations"),
        ({"level": 2.0}, "level"),
    ):
        with pytest.raises(InputError, match=words):
            gaussian_copula(x, other, y, **bad)
    with pytest.raises(InputError, match="rows of target"):
        gaussian_copula(x, other[:5], y)
