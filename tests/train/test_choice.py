"""The strength of alignment that validation rows choose."""

import sys

import numpy as np

from tuplet import TrainConfig
from tuplet.data import from_arrays
from tuplet.train import StrategicRun, strategic


def test_strategic_takes_the_strength_of_validation_rows_and_the_weakest_of_equals(monkeypatch):
    rng = np.random.default_rng(0)
    data = from_arrays({k: rng.normal(size=(80, 2)) for k in "ab"}, targets={"label": rng.integers(0, 2, 80)})
    config = TrainConfig(epochs=1, batch_size=50)
    val = {0.0: 0.6, 0.5: 0.9, 1.0: 0.9, 2.0: 0.7}
    test = {0.0: 0.6, 0.5: 0.5, 1.0: 0.9, 2.0: 0.99}

    def scored(run, task, source, about, threshold, strength):
        scores = {"val": {"a": val[strength], "b": val[strength]}, "test": {"a": test[strength], "b": test[strength]}}
        return StrategicRun(run, task, strength, "accuracy", scores, {}, {}, {})

    monkeypatch.setattr(sys.modules[StrategicRun.__module__], "_scored", scored)
    found = strategic(data, strength="validation", grid=(2.0, 1.0, 0.5, 0.0), config=config)
    assert (found.strength, found.scores["test"]["a"]) == (0.5, 0.5)
    assert found.tried == val
