"""Exact decompositions: against recorded tables, closed forms and what must not change them."""

import json

import numpy as np
import pytest

from tests.conftest import REFERENCE
from tuplet.information import discrete

FOLDER = REFERENCE / "information"
TABLES = [(f"s{s}", name) for s in (0, 1) for name in json.loads((FOLDER / f"pid_tables_s{s}.json").read_text())]


def parts(pid):
    return np.array([pid.redundancy, pid.unique1, pid.unique2, pid.synergy])


@pytest.mark.parametrize(("seed", "name"), TABLES)
def test_recorded_tables(seed, name):
    with np.load(FOLDER / f"pid_tables_{seed}.npz") as tables:
        found = discrete(tables[name])
    recorded = json.loads((FOLDER / f"pid_tables_{seed}.json").read_text())[name]["pid_bits"]
    np.testing.assert_allclose(parts(found), [recorded[k] for k in ("R", "U1", "U2", "S")], atol=1e-5)
    assert found.gap <= 1e-6
