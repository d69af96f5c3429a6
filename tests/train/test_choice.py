"""The strength of alignment that validation rows choose."""

import sys

import numpy as np

from tuplet import TrainConfig
from tuplet.data import from_arrays
from tuplet.data.splits import Split
from tuplet.train import StrategicRun, strategic
from tuplet.train._validate import lacks_pairs


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


def test_a_row_with_one_modality_is_no_pair_and_one_pair_is_too_few():
    def held(paired, n=300):
        """Validation rows of which the last ones have both modalities, the others one of the two."""
        x = {k: np.ones((n + 4, 2)) for k in "ab"}
        alone = np.arange(n - paired)
        x["a"][alone[::2]] = x["b"][alone[1::2]] = np.nan
        split = Split(np.arange(n, n + 2), np.arange(n), np.arange(n + 2, n + 4))
        return from_arrays(x, split=split, scaling="none").val

    assert lacks_pairs(held(0)) == "0 of 300 validation rows with two modalities"
    assert lacks_pairs(held(1)) == "1 of 300 validation rows with two modalities"
    assert lacks_pairs(held(2)) == ""
