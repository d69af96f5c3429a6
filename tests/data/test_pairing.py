"""Rules of pairing against mutual information computed from first principles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuplet import InputError
from tuplet.data._pairing import draw_cells, draw_members, joint
from tuplet.information import discrete


def bits(p):
    """I(row; column) of a matrix of probabilities."""
    outer = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log2(p[seen] / outer[seen])).sum())


def informations(table):
    n1, n2, k = table.shape
    return bits(table.sum(axis=1)), bits(table.sum(axis=0)), bits(table.reshape(n1 * n2, k))


@pytest.mark.parametrize("classes", [2, 5, 10])
@pytest.mark.parametrize(
    ("rule", "side", "wanted"),
    [
        ("redundancy", "first", (1, 1, 1)),
        ("uniqueness", "first", (1, 0, 1)),
        ("uniqueness", "second", (0, 1, 1)),
        ("synergy", "first", (0, 0, 1)),
    ],
)
def test_a_rule_puts_all_of_the_label_where_it_says(classes, rule, side, wanted):
    table = joint(rule, classes=classes, side=side)
    assert np.allclose(table.sum(axis=(1, 2)), 0.1)
    assert np.allclose(table.sum(axis=(0, 2)), 0.1)
    assert np.allclose(table.sum(axis=(0, 1)), 1 / classes)
    assert np.allclose(informations(table), np.log2(classes) * np.array(wanted), atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "side", "wanted"),
    [
        ("redundancy", "first", (1, 0, 0, 0)),
        ("uniqueness", "first", (0, 1, 0, 0)),
        ("uniqueness", "second", (0, 0, 1, 0)),
        ("synergy", "first", (0, 0, 0, 1)),
    ],
)
def test_a_rule_is_what_it_is_called_in_the_decomposition(rule, side, wanted):
    found = discrete(joint(rule, classes=2, side=side))
    assert np.allclose([found.redundancy, found.unique1, found.unique2, found.synergy], wanted, atol=1e-5)


@given(share=st.floats(0.01, 0.99))
def test_a_mixture_is_the_mean_of_its_tables(share):
    mixed = joint({"redundancy": share, "synergy": 1 - share}, classes=2)
    assert np.allclose(mixed, share * joint("redundancy", classes=2) + (1 - share) * joint("synergy", classes=2))
    first, second, both = informations(mixed)
    assert np.isclose(first, second)
    assert 0 <= first <= both <= 1


@settings(deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(1, 500), shape=st.tuples(*[st.integers(1, 4)] * 3))
def test_cells_are_drawn_as_often_as_their_share(seed, n, shape):
    rng = np.random.default_rng(seed)
    table = rng.random(shape) * rng.integers(0, 2, shape) + 1e-9
    table /= table.sum()
    cells = draw_cells(table, n, rng)
    counts = np.zeros(shape)
    np.add.at(counts, cells, 1)
    assert np.abs(counts - n * table).max() <= 1 + 1e-6


@given(seed=st.integers(0, 99), n=st.integers(1, 200))
def test_members_are_chosen_equally_often_from_their_pool(seed, n):
    rng = np.random.default_rng(seed)
    values = np.arange(30) % 3
    pool = np.sort(rng.permutation(30)[:20])
    wanted = rng.integers(0, 3, n)
    chosen = draw_members(wanted, values, pool, rng)
    assert (values[chosen] == wanted).all()
    assert np.isin(chosen, pool).all()
    for value in np.unique(wanted):
        assert np.ptp(np.bincount(chosen[wanted == value], minlength=30)[pool[values[pool] == value]]) <= 1


def test_what_is_no_rule_is_refused():
    for structure in ("xor", {"synergy": 0.5}, {"synergy": -1.0, "redundancy": 2.0}, {}):
        with pytest.raises(InputError, match="structure"):
            joint(structure)
    with pytest.raises(InputError, match="classes is 3"):
        joint("synergy", classes=3)
    with pytest.raises(InputError, match="no member with value 7 to choose"):
        draw_members(np.array([7]), np.arange(3), np.arange(3), np.random.default_rng(0))
