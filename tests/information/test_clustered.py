"""Decompositions from samples: nothing where nothing is, what is there where it is, and the identities throughout."""

from functools import partial

import numpy as np
import pytest
import torch

from tuplet.information import clustered, components, counted
from tuplet.information._codes import classes, clusters_of
from tuplet.information._draws import holm, relabelled, resampled, tables
from tuplet.information.counts import TERMS, _corrected
from tuplet.information.pid import PARTS
from tuplet.types import InputError

CLEAR = 1 + (0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))  # bits of a fair bit seen through 10 % of flips
quick = partial(counted, permutations=80, bootstrap=40)


def bits(rng, n, part):
    """Two sources and a target that share ``CLEAR`` bits, all of them in one part."""
    a, b = rng.integers(0, 2, (2, n))
    x1, x2, y = {
        "nothing": (a, b, rng.integers(0, 2, n)),
        "redundancy": (a, a, a),
        "unique1": (a, b, a),
        "unique2": (a, b, b),
        "synergy": (a, b, a ^ b),
    }[part]
    return x1, x2, y ^ (rng.random(n) < 0.1)


def hidden(rng, bit, states):
    """States that tell a bit and nothing else."""
    return bit * (states // 2) + rng.integers(0, states // 2, len(bit))


@pytest.mark.parametrize("part", PARTS)
def test_a_real_part_is_found_and_no_other(part):
    rng = np.random.default_rng(1)
    x1, x2, y = bits(rng, 2000, part)
    found = quick(hidden(rng, x1, 12), hidden(rng, x2, 12), y)
    assert [k for k, v in found.significant.items() if v] == [part]
    assert getattr(found, part) == pytest.approx(CLEAR, abs=0.1)
    assert all(getattr(found, k) < 0.08 for k in PARTS if k != part)
    low, high = found.interval[part]
    assert low <= getattr(found, part) <= high


def test_two_unique_bits_are_no_redundancy_and_no_synergy():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 2, (2, 2000))
    found = quick(hidden(rng, a, 8), hidden(rng, b, 8), 2 * a + b)
    assert [k for k, v in found.significant.items() if v] == ["unique1", "unique2"]
    assert found.unique1 == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_equally_informative_sources_have_no_unique_part():
    """AND: where I1 - I2 swings by its sampling error, relabelling alone would call it unique."""
    rng = np.random.default_rng(3)
    called = np.zeros(4)
    for _ in range(8):
        a, b = rng.integers(0, 2, (2, 500))
        found = quick(hidden(rng, a, 6), hidden(rng, b, 6), a & b)
        called += [found.significant[k] for k in PARTS]
    assert called[0] == called[3] == 8
    assert called[1] + called[2] <= 2


@pytest.mark.slow
def test_independent_samples_read_zero_where_the_plain_count_does_not():
    rng = np.random.default_rng(4)
    best, raw, called = [], [], 0
    for seed in range(5):
        x1, x2 = rng.integers(0, 20, (2, 690))
        found = counted(x1, x2, rng.integers(0, 2, 690), permutations=80, bootstrap=10, seed=seed)
        best.append([getattr(found, k) for k in PARTS])
        raw.append(found.null["synergy"]["raw"])
        called += any(found.significant.values())
    assert np.mean(raw) == pytest.approx(0.45, abs=0.06)  # bits that nobody put there
    assert np.mean(best, axis=0).max() < 0.03
    assert called <= 2
    assert any("per cell" in w for w in found.warnings)


def test_identical_sources_that_say_nothing_share_nothing():
    rng = np.random.default_rng(5)
    called = 0
    for _ in range(12):
        x = rng.integers(0, 10, 300)
        called += any(quick(x, x, rng.integers(0, 2, 300)).significant.values())
    assert called <= 2


def test_terms_do_not_depend_on_names_of_states_nor_on_order_of_rows():
    rng = np.random.default_rng(6)
    x1, x2, y = bits(rng, 400, "redundancy")
    base, renamed = counted(x1, x2, y), counted(np.array(["b", "a"])[x1], x2 * 7 - 3, y)
    assert renamed.null["redundancy"]["raw"] == pytest.approx(base.null["redundancy"]["raw"], abs=1e-6)
    order = rng.permutation(400)
    moved = counted(x1[order], x2[order], y[order])
    assert moved.redundancy == pytest.approx(base.redundancy, abs=0.01)


def test_swapping_sources_swaps_their_parts():
    rng = np.random.default_rng(7)
    x1, x2, y = bits(rng, 800, "unique1")
    one, two = quick(x1, x2, y), quick(x2, x1, y)
    assert one.unique1 == pytest.approx(two.unique2, abs=0.01)
    assert one.significant["unique1"]
    assert two.significant["unique2"]


def test_units_are_a_factor():
    rng = np.random.default_rng(8)
    x1, x2, y = bits(rng, 300, "synergy")
    in_bits, in_nats = (quick(x1, x2, y, units=u) for u in ("bits", "nats"))
    assert in_nats.synergy == pytest.approx(in_bits.to("nats").synergy, abs=1e-5)
    assert in_nats.null["synergy"]["p"] == in_bits.to("nats").null["synergy"]["p"]


def test_features_of_any_shape_are_clustered_on_other_rows():
    rng = np.random.default_rng(9)
    x1, x2, y = bits(rng, 1200, "redundancy")
    images = torch.as_tensor(x1)[:, None, None] + 0.2 * torch.randn(1200, 4, 5, generator=torch.Generator().manual_seed(0))
    words = x2[:, None] * 1000.0 + 50 * rng.standard_normal((1200, 3))
    found = clustered(images, words, torch.as_tensor(y), clusters=8, permutations=80, bootstrap=40)
    assert found.samples == 600
    assert [k for k, v in found.significant.items() if v] == ["redundancy"]
    assert found.redundancy == pytest.approx(CLEAR, abs=0.1)
    half = (images[:600], words[:600])
    given = clustered(images[600:], words[600:], y[600:], fit=half, clusters=8, permutations=20, bootstrap=0)
    assert given.samples == 600
    assert given.significant is None
    assert given.redundancy == pytest.approx(CLEAR, abs=0.1)


def test_the_number_of_clusters_asked_for_is_used():
    rng = np.random.default_rng(10)
    x, fit = rng.standard_normal((2, 400, 6))
    assert len(set(clusters_of(x, fit, clusters=20, components=5))) == 20
    found = clustered(x, x, rng.integers(0, 2, 400), clusters=20, permutations=1, bootstrap=0)
    assert "for 800 cells" in found.warnings[0]
    assert clusters_of(x * 0, fit * 0, clusters=3, components=2).max() == 0


def test_real_targets_are_cut_into_equal_shares():
    y = np.random.default_rng(0).standard_normal(1000)
    assert np.bincount(classes(y, bins=5)).tolist() == [200] * 5
    assert classes(np.array([0.0, 1.0, 1.0])).tolist() == [0, 1, 1]


def test_groups_go_whole_into_a_part_and_widen_intervals():
    rng = np.random.default_rng(11)
    group = np.repeat(np.arange(40), 20)
    y = rng.integers(0, 2, 40)[group]
    x = rng.standard_normal((40, 3))[group] + 0.01 * rng.standard_normal((800, 3))  # tells the group, nothing of y
    alone = clustered(x, x, y, clusters=6, permutations=100, bootstrap=50)
    assert alone.significant["redundancy"]  # rows of a group look like 20 agreeing witnesses
    told = clustered(x, x, y, group=group, clusters=6, permutations=100, bootstrap=50)
    assert not any(told.significant.values())
    assert told.samples % 20 == 0


def test_labels_stay_within_their_stratum_and_group():
    rng = np.random.default_rng(12)
    x, y = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    new = relabelled(y, draws=30, rng=rng, within=x)
    for draw in new:
        assert np.array_equal(tables(x, x * 0, draw, (4, 1, 3)), tables(x, x * 0, y, (4, 1, 3)))
    assert len({tuple(d) for d in new}) > 20
    group = np.repeat(np.arange(6), 10)
    moved = relabelled(group, draws=30, rng=rng, group=group)
    assert all(len(set(draw[group == g])) == 1 for draw in moved for g in range(6))
    assert all(sorted(set(draw)) == list(range(6)) for draw in moved)


def test_resamples_of_groups_hold_whole_groups():
    rng = np.random.default_rng(13)
    group = np.repeat(np.arange(5), 3)
    counts = resampled(group, group * 0, group * 0, (5, 1, 1), draws=20, rng=rng, group=group)
    assert (counts % 3 == 0).all()
    assert (counts.sum((1, 2, 3)) == 15).all()


def test_raw_values_are_the_plain_decomposition():
    rng = np.random.default_rng(14)
    x1, x2, y = rng.integers(0, 3, (3, 100))
    found = counted(x1, x2, y, permutations=1, bootstrap=0)
    plain = components(torch.from_numpy(tables(x1, x2, y, (3, 3, 3))))
    for k in PARTS:
        assert found.null[k]["raw"] == pytest.approx(float(getattr(plain, k)[0]), abs=1e-5)


def test_holm_is_the_textbook_rule():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"b": 0.03, "c": 0.06, "a": 0.06})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x, y: counted(x, x[:5], y), "x2 has 5 rows"),
        (lambda x, y: counted(x, x, y * np.nan), "y has NaN"),
        (lambda x, y: counted(x, x, y, level=0.0), "level is 0"),
        (lambda x, y: counted(x, x, y, permutations=0), "permutations is 0"),
        (lambda x, y: clustered(x * np.nan, x, y), "x1 has NaN or infinite values in 10 of 10 rows"),
        (lambda x, y: clustered(x, x, np.eye(10)), "one value per sample"),
        (lambda x, y: clustered(x, x, y, held_out=1.5), "held_out is 1.5"),
        (lambda x, y: clustered(x, x, y, group=y * 0), "leaves a part empty"),
        (lambda x, y: clustered(x, x, y, fit=(x[:, None] * [1, 2], x)), "fit has 2 features, expected 1"),
        (lambda x, y: clustered(x, x, y, clusters=0), "clusters is 0"),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises(InputError, match=said):
        call(np.arange(10.0), np.arange(10) % 2)


def test_corrected_parts_stay_within_what_any_decomposition_obeys():
    """Chance is taken from each number on its own; what must hold between them is put back, whatever was drawn."""
    rng, met = np.random.default_rng(0), 0
    for _ in range(300):
        entropy = float(rng.uniform(0.2, 2))
        i1, i2 = rng.uniform(0, entropy, 2)
        together = rng.uniform(max(i1, i2), entropy)
        seen = dict(zip((*TERMS, "redundancy"), (i1, i2, together, rng.uniform(0, min(i1, i2))), strict=True))
        chance = {k: np.full(3, rng.uniform(0, 0.5 * entropy)) for k in seen}
        given = [np.sort(rng.uniform(0, 0.5 * entropy, 3))[:, None] for _ in range(2)]
        found = _corrected({k: np.array([v]) for k, v in seen.items()}, chance, given, entropy)
        r, u1, u2, s = (found[k] for k in PARTS)
        assert min(r, u1, u2, s) >= -1e-12
        assert r + u1 == pytest.approx(found["information1"])
        assert r + u2 == pytest.approx(found["information2"])
        assert r + u1 + u2 + s == pytest.approx(found["information12"])
        assert r <= min(found["information1"], found["information2"]) + 1e-12
        bound = found["information1"] + found["information2"] - entropy  # no more than the entropy is there to be said
        assert r >= bound - 1e-12
        met += abs(r - bound) < 1e-12
    assert met > 10  # it binds, so that a decomposition without it would not pass
