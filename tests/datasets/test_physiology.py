"""The physiology source: shapes, a split that keeps people whole, and a cache that is used."""

import numpy as np
import pytest

from tuplet import InputError
from tuplet.simulators import physiology
from tuplet.simulators.physiology import Physiology


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("TUPLET_CACHE", str(folder))
    return folder


def test_people_stay_in_one_part_and_are_contrasted():
    s = physiology.load(episodes=5, windows=3)
    people = [set(s.group[getattr(s.split, part)].tolist()) for part in ("train", "val", "test")]
    assert sum(map(len, people)) == len(set.union(*people)) == 5
    batch = s.train[:4]
    assert batch.group is None
    assert {k: tuple(v.shape[1:]) for k, v in batch.inputs.items()} == {
        "bvp": (1, 320),
        "ecg": (1, 3500),
        "respiration": (1, 3500),
    }
    assert s.targets["state"].names == ("baseline", "stress", "amusement")
    assert np.bincount(s.values["state"]).tolist() == [15, 15, 15]


def test_no_window_occurs_twice():
    s = physiology.load(episodes=5, windows=3)
    rows = np.concatenate([getattr(s, part)[:].inputs["ecg"][:, 0].numpy() for part in ("train", "val", "test")])
    rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    alike = rows @ rows.T / rows.shape[1]
    np.fill_diagonal(alike, 0)
    assert alike.max() < 0.9


def test_the_same_settings_are_simulated_once(cache, monkeypatch):
    first = physiology.load(episodes=3, windows=1, seed=7)
    monkeypatch.setattr(Physiology, "episode", None)
    again = physiology.load(episodes=3, windows=1, seed=7, workers=2)
    assert again.fingerprint == first.fingerprint
    with pytest.raises(TypeError):
        physiology.load(episodes=3, windows=1, seed=8)


def test_too_few_people_are_named():
    with pytest.raises(InputError, match="2 groups for three parts"):
        physiology.load(episodes=2, windows=1)
