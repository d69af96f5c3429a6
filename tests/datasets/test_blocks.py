"""Generated blocks: their distribution written out by hand, what rows show of it, seeds, leakage."""

from itertools import product

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from tuplet import InputError
from tuplet.catalog import SOURCES
from tuplet.simulators.blocks import Blocks, load


def by_hand(b):
    """The joint distribution by enumerating every bit, every misreading and every flip."""
    r, u1, u2, s = b.counts
    joint = np.zeros((2 ** (r + u1 + s), 2 ** (r + u2 + s), 2 ** (r + u1 + u2 + s)))
    number = lambda bits: int("".join(map(str, bits)) or "0", 2)  # noqa: E731

    def noisy(bits, chance):
        for flips in product((0, 1), repeat=len(bits)):
            weight = np.prod([chance if f else 1 - chance for f in flips] or [1.0])
            yield number([x ^ f for x, f in zip(bits, flips, strict=True)]), weight

    sources = r + u1 + u2 + 2 * s
    for bits in product((0, 1), repeat=sources):
        c, v1, v2 = bits[:r], bits[r : r + u1], bits[r + u1 : r + u1 + u2]
        a, bb = bits[r + u1 + u2 : r + u1 + u2 + s], bits[sources - s :]
        y = (*c, *v1, *v2, *(i ^ j for i, j in zip(a, bb, strict=True)))
        for (i, p), (j, q), (k, w) in product(
            noisy((*c, *v1, *a), b.misread[0]), noisy((*c, *v2, *bb), b.misread[1]), noisy(y, b.flip)
        ):
            joint[i, j, k] += p * q * w / 2**sources
    return joint


def entropy(p):
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def information(joint):
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)


CASES = [
    Blocks(),
    Blocks(2, 1, 0, 0),
    Blocks(0, 0, 2, 1, flip=0.1),
    Blocks(1, 1, 0, 1, flip=0.05, misread=(0.1, 0.2)),
    Blocks(1, 0, 0, 0, misread=(0.3, 0.3)),
]


@pytest.mark.parametrize("blocks", CASES)
def test_table_is_the_distribution_written_out(blocks):
    np.testing.assert_allclose(blocks.table, by_hand(blocks), atol=1e-14)


@pytest.mark.parametrize("blocks", CASES)
def test_decomposition_has_the_informations_of_the_table(blocks):
    pid, table = blocks.pid, blocks.table
    assert min(pid.values()) >= 0
    assert pid["redundancy"] + pid["unique1"] == pytest.approx(information(table.sum(1)), abs=1e-12)
    assert pid["redundancy"] + pid["unique2"] == pytest.approx(information(table.sum(0)), abs=1e-12)
    assert sum(pid.values()) == pytest.approx(information(table.reshape(-1, table.shape[2])), abs=1e-12)
    for name, p in (("x1", table.sum(1)), ("x2", table.sum(0)), ("joint", table)):
        assert blocks.ceilings[name] == pytest.approx(p.max(-1).sum())


@pytest.mark.parametrize("blocks", CASES)
def test_decomposition_is_what_the_exact_solver_finds(blocks):
    discrete = pytest.importorskip("tuplet.information").discrete
    found = discrete(blocks.table)
    for name, value in blocks.pid.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-5)


def test_without_noise_every_bit_is_one_bit():
    for counts in ((3, 0, 0, 0), (0, 2, 1, 0), (0, 0, 0, 4), (1, 2, 1, 2)):
        assert tuple(Blocks(*counts).pid.values()) == pytest.approx(counts, abs=1e-12)


def test_rows_follow_the_table():
    blocks = Blocks(1, 1, 1, 1, flip=0.1, misread=(0.05, 0.2))
    bits = blocks.draw(20_000, np.random.default_rng(0))
    seen = np.zeros_like(blocks.table)
    np.add.at(seen, tuple(b @ (1 << np.arange(b.shape[1])[::-1]) for b in bits), 1)
    expected = 20_000 * blocks.table
    assert ((seen - expected) ** 2 / (expected + 1)).sum() < expected.size + 6 * np.sqrt(2 * expected.size)


@pytest.mark.parametrize("view", ["bits", "vector", "image", "sequence"])
def test_each_side_shows_its_own_bits_and_no_others(view):
    source = load(1, 1, 1, 1, rows=2000, views=(view, view), noise=0.05)
    x = {k: v.values.flatten(1).numpy() for k, v in source.columns.items()}
    x["both"] = np.concatenate([x["x1"], x["x2"]], axis=1)
    train, test = source.split.train, source.split.test
    for target, high in (("shared", {"x1", "x2"}), ("unique1", {"x1"}), ("unique2", {"x2"}), ("joint", set())):
        y = source.values[target].numpy()
        for name in ("x1", "x2"):
            net = MLPClassifier(
                (32,), max_iter=40, early_stopping=True, n_iter_no_change=3, learning_rate_init=0.01, random_state=0
            ).fit(x[name][train], y[train])
            score = net.score(x[name][test], y[test])
            assert score > 0.9 if name in high else abs(score - 0.5) < 0.12, (target, name, score)
    y = source.values["joint"].numpy()
    net = MLPClassifier(
        (64, 64), max_iter=200, early_stopping=True, n_iter_no_change=5, learning_rate_init=0.005, random_state=0
    ).fit(x["both"][train], y[train])
    assert net.score(x["both"][test], y[test]) > 0.9


def test_views_are_one_to_one_without_noise():
    for view in ("vector", "image", "sequence"):
        source = load(2, 1, 0, 1, rows=800, private=0, noise=0, views=(view, view))
        for name, bits in (("x1", 4), ("x2", 3)):
            x = source.columns[name].values.flatten(1).numpy()
            assert len(np.unique(x.round(3), axis=0)) == 2**bits


def test_common_numbers_say_nothing_about_the_label():
    source = load(1, 0, 0, 0, rows=4000, common=2, private=0, views=("bits", "bits"), noise=0)
    x1, x2 = (source.columns[k].values.numpy() > 0 for k in ("x1", "x2"))
    assert (x1 == x2).all()
    y = source.values["label"].numpy() > 0
    assert (x1[:, 0] == y).all()
    assert np.abs((x1[:, 1:] == y[:, None]).mean(0) - 0.5).max() < 0.05


def test_seeds_change_what_they_name():
    a, same, other, seen = load(rows=300), load(rows=300), load(rows=300, seed=1), load(rows=300, view_seed=1)
    assert a.fingerprint == same.fingerprint
    assert len({a.fingerprint, other.fingerprint, seen.fingerprint}) == 3
    assert (a.values["label"] == seen.values["label"]).all()
    assert a.split == seen.split
    parts = np.concatenate([getattr(a.split, p) for p in ("train", "val", "test")])
    assert sorted(parts.tolist()) == list(range(300))
    assert SOURCES["blocks"]().targets["label"].size == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"redundancy": 7}, "redundancy is 7"),
        ({"redundancy": 3, "synergy": 3}, "8 label bits"),
        ({"flip": 0.6}, "flip is 0.6"),
        ({"misread": (0.0, -0.1)}, "misread is -0.1"),
        ({"views": ("image", "smell")}, "views is 'smell'"),
        ({"private": 40}, "at most 32"),
        ({"unique1": 2, "redundancy": 0, "unique2": 0, "synergy": 0, "private": 0}, "x2 would have no columns"),
        ({"noise": -1.0}, "noise is -1.0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        load(**options)
