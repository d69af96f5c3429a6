"""No decomposition answers bad rows, labels or groups with a traceback of its own, a warning or a silent NaN."""

import numpy as np
import pytest

from tests.hostile import CLASSES, GOOD, LABELS, ROWS, faults
from tuplet import information as room

SHORT = {"bootstrap": 4, "permutations": 4}
THIN = GOOD[:, :1], GOOD[:, 1:2]  # decomposed in a moment
SURE = np.eye(2)[CLASSES] * 0.8 + 0.1


def models(x1, x2, y, group=None):
    return room.batch(x1, x2, y, model="logistic", folds=2, bootstrap=4, group=group)


def ranked(x1, x2, y, group=None):
    return room.pointwise(x1, x2, y, model="logistic", folds=2, group=group)


def coupled(x1, x2, y):
    return room.neural_batch(x1, x2, y, epochs=1, coupling_epochs=1, batch_size=12)


def codes(x1, x2, y, group=None):
    return room.clustered(x1, x2, y, group=group, **SHORT)


def several(x1, x2, y):
    return room.pairs({"a": x1, "b": x2}, y, estimator=codes)


@pytest.mark.slow  # hands in wrong types on purpose, which a run with types checked refuses itself
def test_hostile_input_is_refused_in_one_line_or_decomposed():
    found = []
    estimators = (models, ranked, coupled, codes, several)
    for turn, (kind, x) in enumerate(ROWS.items()):
        for k, f in enumerate((*estimators, lambda a, b, y: room.gaussian(a, b, GOOD))):
            sides = (x, GOOD) if (turn + k) % 2 else (GOOD, x)
            found += faults(f"{f.__name__}({kind})", lambda f=f, s=sides: f(*s, CLASSES), undefined=("gap",))
        for name, f in (
            ("discrete", lambda x: room.discrete(x)),
            ("components", lambda x: room.components(x)),
            ("gaussian", lambda x: room.gaussian(GOOD, GOOD, x)),
            ("gaussian_copula", lambda x: room.gaussian_copula(x, *THIN, permutations=1, bootstrap=1)),
            ("gaussian_covariance", lambda x: room.gaussian_covariance(x, sizes=(1, 1, 1))),
            ("union_information", lambda x: room.union_information(x, x)),
            ("from_posteriors", lambda x: room.from_posteriors(x, SURE, SURE, CLASSES, bootstrap=4)),
        ):
            found += faults(f"{name}({kind})", lambda f=f, x=x: f(x))
    for kind, y in LABELS.items():
        for f in estimators:
            found += faults(f"{f.__name__}(y {kind})", lambda f=f, y=y: f(GOOD, GOOD, y), undefined=("gap",))
        for f in (models, ranked, codes):
            found += faults(f"{f.__name__}(group {kind})", lambda f=f, y=y: f(GOOD, GOOD, CLASSES, y))
        for place in range(3):
            given = [CLASSES] * 3
            given[place] = y
            found += faults(f"counted({place} {kind})", lambda g=given: room.counted(*g, **SHORT))
        for name, options in (("y", {"y": y}), ("group", {"y": CLASSES, "group": y})):
            call = {"bootstrap": 4, **options}
            found += faults(f"from_posteriors({name} {kind})", lambda c=call: room.from_posteriors(SURE, SURE, SURE, **c))
    for kind, table in {
        "negative": -np.ones((2, 2, 2)),
        "nan": np.full((2, 2, 2), np.nan),
        "zero": np.zeros((2, 2, 2)),
        "huge": np.full((2, 2, 2), 1e308),
        "tiny": np.full((2, 2, 2), 1e-310),
        "one class": np.ones((2, 2, 1)),
        "text": np.ones((2, 2, 2)).astype(str),
    }.items():
        found += faults(f"discrete({kind})", lambda t=table: room.discrete(t))
    assert not found, found
