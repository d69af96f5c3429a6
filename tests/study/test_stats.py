"""Statistics against scipy and known cases."""

import numpy as np
import pytest
from scipy import stats

from tuplet import InputError
from tuplet.evaluate._paired import paired_difference, told_apart
from tuplet.evaluate._units import by_group
from tuplet.study._stats import average_ranks, compare, spread
from tuplet.study.record import Record


def test_the_interval_is_the_t_interval():
    x = [0.5, 0.7, 0.65, 0.8]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(x), scale=stats.sem(x))
    s = spread(x)
    assert (s.low, s.high) == pytest.approx((low, high))
    assert s.sd == pytest.approx(np.std(x, ddof=1))
    assert spread([0.4]).mean == 0.4
    assert np.isnan([spread([0.4]).sd, spread([0.4]).low]).all()


def test_pairing_finds_what_is_common_to_both():
    rng = np.random.default_rng(0)
    hard = rng.random((3, 400)) < 0.5
    base = hard.astype(float)
    better = np.clip(base + (rng.random((3, 400)) < 0.05), 0, 1)
    d = paired_difference(better, base)
    assert d.clear
    assert d.low <= d.mean <= d.high
    assert d.mean == pytest.approx((better - base).mean())
    assert not paired_difference(base, base).clear
    reverse = paired_difference(base, better)
    assert (reverse.mean, reverse.low, reverse.high) == pytest.approx((-d.mean, -d.high, -d.low))
    assert paired_difference(better, base) == d
    with pytest.raises(InputError, match="shape"):
        paired_difference(base, base[:, :10])


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_no_effect_is_seldom_clear_whatever_the_number_of_seeds(seeds):
    """Seeds that differ by more than rows do: intervals over rows alone, or a bootstrap of a few seeds, err far more often."""
    rng = np.random.default_rng(1)

    def outcomes():
        return (rng.random((seeds, 2000)) < 0.8 + 0.01 * rng.standard_normal((seeds, 1))).astype(float)

    clear = sum(paired_difference(outcomes(), outcomes()).clear for _ in range(200))
    assert clear <= (0 if seeds == 1 else 18)


def test_rows_widen_the_interval_where_seeds_agree():
    rng = np.random.default_rng(3)
    delta = np.tile(rng.random(100) < 0.3, (4, 1)).astype(float)
    d = paired_difference(delta, np.zeros_like(delta))
    low, high = stats.t.interval(0.95, 99, loc=delta[0].mean(), scale=stats.sem(delta[0]))
    assert (d.low, d.high) == pytest.approx((low, high))


def test_two_models_as_they_are_are_judged_over_rows_or_groups_of_them():
    rng = np.random.default_rng(4)
    a, b, group = rng.random(90) + 0.2, rng.random(90), np.repeat(np.arange(18), 5)
    low, high = stats.t.interval(0.95, 89, loc=(a - b).mean(), scale=stats.sem(a - b))
    d = paired_difference(a, b)
    assert (d.mean, d.low, d.high) == pytest.approx(((a - b).mean(), low, high))
    means = (a - b).reshape(18, 5).mean(axis=1)
    low, high = stats.t.interval(0.95, 17, loc=means.mean(), scale=stats.sem(means))
    d = paired_difference(a, b, group=group)
    assert (d.low, d.high) == pytest.approx((low, high))
    assert paired_difference(a, b, group=np.arange(90)) == paired_difference(a, b)
    both = paired_difference(np.stack([a, a]), np.stack([b, b]), group=group)  # seeds that agree add nothing
    assert (both.low, both.high) == pytest.approx((low, high))
    assert told_apart(paired_difference(a, b)) == -told_apart(paired_difference(b, a)) == 1
    assert not paired_difference([a], [b]).clear  # a method with one seed
    assert not paired_difference([1.0], [0.0]).clear
    assert not paired_difference(a, b, group=np.zeros(90)).clear
    for wrong in (np.zeros((2, 3, 4)), np.zeros(()), np.zeros((2, 0))):
        with pytest.raises(InputError, match="expected outcomes of"):
            paired_difference(wrong, wrong)


def test_ranks_follow_the_direction_and_share_ties():
    columns = [{"a": 0.9, "b": 0.5, "c": 0.5}, {"a": 3.0, "b": 1.0, "c": 2.0}]
    assert average_ranks(columns, [True, False]) == {"b": 1.75, "a": 2.0, "c": 2.25}
    assert average_ranks([{"a": 1.0, "b": 2.0}, {"a": 1.0}], [True, True]) == {"a": 1.0}
    assert average_ranks([], []) == {}
    with pytest.raises(InputError, match="one direction each"):
        average_ranks(columns, [True])


def test_groups_keep_the_mean_and_are_drawn_whole():
    """Rows of one trajectory fail together: taken one by one they claim differences that are not there."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(30), 10)
    wrong = {"rows": 0, "groups": 0}
    for _ in range(200):
        a, b = (np.tile(rng.random(30)[group], (2, 1)) for _ in range(2))
        wrong["rows"] += paired_difference(a, b).clear
        a, b = ([by_group(x, group) for x in side] for side in (a, b))
        wrong["groups"] += paired_difference(a, b).clear
    assert wrong["groups"] < 0.12 * 200 < wrong["rows"]
    uneven, outcomes = rng.integers(0, 7, 50), rng.random(50)
    assert np.mean(by_group(outcomes, uneven)) == pytest.approx(outcomes.mean())
    with pytest.raises(InputError, match="one group id per row"):
        by_group([1.0], [1, 2])


def test_three_seeds_that_agree_in_sign_are_not_yet_clear():
    def of(values, items=()):
        return [Record("s", "t", "e", "default", i, {}, "m", v, items=items) for i, v in enumerate(values)]

    d = compare(of([0.51, 0.60, 0.70]), of([0.5, 0.5, 0.5]))
    assert not d.clear
    assert d.mean == pytest.approx(0.31 / 3)
    assert d.low == pytest.approx(stats.t.interval(0.95, 2, loc=d.mean, scale=stats.sem([0.01, 0.10, 0.20]))[0])
    assert compare(of([0.6, 0.61, 0.62]), of([0.5, 0.5, 0.5])).clear
    rows = compare(of([0.5] * 3, items=(0.0, 1.0)), of([0.5] * 3, items=(0.0, 1.0)))
    assert (rows.mean, rows.low, rows.high) == (0, 0, 0)
    assert not compare(of([0.6]), of([0.5])).clear
