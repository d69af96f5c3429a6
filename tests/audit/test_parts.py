"""Parts that models and clusters agree on: what codes lose of something shared is no part."""

import numpy as np
import pytest

from tuplet.audit._parts import AXES, Labels, Side
from tuplet.audit._parts import decompose as of_sides
from tuplet.information import clustered
from tuplet.simulators import blocks


def sample(counts, seed):
    source = blocks.load(*counts, private=6, noise=0.0, rows=1500, seed=seed, view_seed=seed)
    rows = [part[slice(0, len(part))] for part in (source.train, source.val)]
    x1, x2 = (np.concatenate([b.inputs[k].numpy() for b in rows]) for k in ("x1", "x2"))
    return x1, x2, np.concatenate([b.target["label"].numpy() for b in rows])


def decompose(x1, x2, y, **options):
    labels = Labels(y)
    return of_sides(Side(x1, labels), Side(x2, labels), **options)


def called(pid):
    return [part for part, there in pid.significant.items() if there]


def test_a_shared_bit_is_shared_though_codes_lose_different_samples():
    data = sample((1, 0, 0, 0), 1)
    assert "synergy" in called(clustered(*data, permutations=100, bootstrap=60))  # of the codes
    found = decompose(*data)
    assert called(found) == ["redundancy"]
    assert found.redundancy == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "there"),
    [((0, 1, 0, 0), ["unique1"]), ((0, 1, 1, 0), ["unique1", "unique2"]), ((0, 0, 0, 1), ["synergy"])],
)
def test_true_parts_are_found(counts, there):
    assert called(decompose(*sample(counts, 0))) == there


def test_wide_modalities_are_narrowed_and_rare_classes_leave_codes_only():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    wide = np.repeat(2.0 * y[:, None], 3 * AXES, axis=1) + rng.normal(size=(300, 3 * AXES))
    found = decompose(wide, wide[:, :2], y, bootstrap=20)
    assert found.estimator == "batch"
    assert found.significant["redundancy"]
    y[:2] = 2
    alone = decompose(wide, wide[:, :2], y, bootstrap=20)
    assert alone.estimator == "clustered"
    assert "too few rows" in alone.warnings[-1]
