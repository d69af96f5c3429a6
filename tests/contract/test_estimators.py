"""Every estimator of information parts from samples: nothing where nothing is, the truth where it is, and the identities.

A new estimator adds one line to `ESTIMATORS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from tuplet.information import PID, batch, clustered, counted, gaussian, gaussian_copula, neural_batch
from tuplet.information.pid import PARTS

CLEAR = 1 + (0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))  # bits of a fair bit seen through 10 % of flips
LINEAR = 0.5 * np.log2(1 + 1 / 0.25)  # bits of a number of unit variance seen through noise of variance 1/4


@dataclass(frozen=True)
class Case:
    estimate: Callable[..., PID]
    data: Callable[..., tuple]
    truth: float  # of the part that the data have
    rows: int = 600
    draws: int = 4
    bias: float = 0.1  # a part is within this of the truth, on average over draws
    tests: bool = True  # it says which parts are significant, and intervals


def bits(rng, n, part, *, noisy=False):
    """Two sources and a target; one part holds all, or none does."""
    a, b = rng.integers(0, 2, (2, n))
    found = {"redundancy": (a, a, a), "unique1": (a, b, a), "unique2": (a, b, b), "synergy": (a, b, a ^ b)}
    x1, x2, y = found.get(part, (a, b, rng.integers(0, 2, n)))
    y = y ^ (rng.random(n) < 0.1)
    if noisy:
        x1, x2 = (np.column_stack([2 * x - 1 + 0.1 * rng.normal(size=n), rng.normal(size=n)]) for x in (x1, x2))
    return x1, x2, y


def numbers(rng, n, part):
    """The same with normal variables; nothing linear is seen only jointly, so synergy has no case here."""
    a, b, other = rng.normal(size=(3, n, 1))
    y = {"redundancy": a, "unique1": a, "unique2": b}.get(part, other) + 0.5 * rng.normal(size=(n, 1))
    return a, a + 1e-3 * rng.normal(size=(n, 1)) if part == "redundancy" else b, y


features = partial(bits, noisy=True)
ESTIMATORS = {
    "counted": Case(partial(counted, permutations=80, bootstrap=60), bits, CLEAR),
    "clustered": Case(partial(clustered, permutations=80, bootstrap=30), features, CLEAR, rows=800, draws=3),
    "batch": Case(partial(batch, folds=2, bootstrap=40), features, CLEAR, rows=400, draws=2),
    "neural batch": Case(
        partial(neural_batch, epochs=15, coupling_epochs=4, batch_size=64),
        features,
        CLEAR,
        draws=1,
        bias=0.2,
        tests=False,
    ),
    "gaussian": Case(gaussian, numbers, LINEAR, tests=False),
    "gaussian copula": Case(partial(gaussian_copula, permutations=80, bootstrap=20), numbers, LINEAR, rows=300, draws=2),
}
named = pytest.mark.parametrize("name", ESTIMATORS)


def drawn(case, part):
    for seed in range(case.draws):
        yield case.estimate(*case.data(np.random.default_rng([seed, 7]), case.rows, part))


@named
def test_nothing_is_found_where_nothing_is(name):
    case = ESTIMATORS[name]
    found = list(drawn(case, "nothing"))
    for part in PARTS:
        assert abs(np.mean([getattr(p, part) for p in found])) < case.bias, part
    if case.tests:
        called = sum(p.significant[part] for p in found for part in PARTS)
        assert called <= 2, f"{called} of {4 * len(found)}"  # each at a level of 5 %, corrected for four


@named
def test_what_is_there_is_found_and_nothing_else(name):
    case = ESTIMATORS[name]
    for part in ("redundancy", "unique1", "unique2"):
        found = list(drawn(case, part))
        for other in PARTS:
            mean = np.mean([getattr(p, other) for p in found])
            assert abs(mean - (case.truth if other == part else 0)) < case.bias, (part, other)
        if case.tests:
            assert all(p.significant[part] for p in found)
            inside = [p.interval[part][0] - 1e-9 <= case.truth <= p.interval[part][1] + 1e-9 for p in found]
            assert sum(inside) >= len(found) - 2, (part, [p.interval[part] for p in found])


@named
def test_parts_add_up_and_swapping_sources_swaps_theirs(name):
    case = ESTIMATORS[name]
    x1, x2, y = case.data(np.random.default_rng(3), case.rows, "unique1")
    found, swapped = case.estimate(x1, x2, y), case.estimate(x2, x1, y)
    for p in (found, swapped):
        assert p.redundancy + p.unique1 == pytest.approx(p.information1, abs=2e-3)
        assert p.redundancy + p.unique2 == pytest.approx(p.information2, abs=2e-3)
        assert sum(getattr(p, k) for k in PARTS) == pytest.approx(p.information12, abs=2e-3)
    assert swapped.unique2 == pytest.approx(found.unique1, abs=case.bias)
    assert swapped.unique1 == pytest.approx(found.unique2, abs=case.bias)
