"""Episodes: the same numbers in any number of processes, one file per set of parameters, nothing half written."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tests.starter import forking
from tuplet.data import Table
from tuplet.data._cache import cached
from tuplet.simulators import simulate
from tuplet.simulators.episodes import episode_rows, episode_table
from tuplet.simulators.push import Push
from tuplet.types import InputError


@dataclass(frozen=True)
class Dice:
    """A scene without physics; one with a bad number where asked."""

    name: ClassVar[str] = "dice"
    version: ClassVar[int] = 1
    bad: float = 0.0
    about: ClassVar[dict[str, str]] = {"title": "dice", "unit.x": "points"}

    def episode(self, rng):
        n = int(rng.integers(1, 4))
        return {"input.x": rng.integers(1, 7, size=(n, 1)) / (1.0 if rng.random() >= self.bad else np.array(0.0))}


def test_each_episode_has_a_seed_of_its_own():
    many, few = episode_rows(Dice(), episodes=6, seed=4), episode_rows(Dice(), episodes=3, seed=4)
    rows = len(few["group"])
    assert sorted(set(many["group"].tolist())) == list(range(6))
    np.testing.assert_array_equal(many["input.x"][:rows], few["input.x"])
    other = episode_rows(Dice(), episodes=6, seed=5)
    assert len(other["group"]) != len(many["group"]) or (other["input.x"] != many["input.x"]).any()


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_an_episode_that_is_not_finite_is_named():
    with pytest.raises(ArithmeticError, match=r"dice episode 0 of seed 3: input\.x is not finite"):
        episode_rows(Dice(bad=1.0), episodes=2, seed=3)


def test_same_seed_same_file_in_any_number_of_processes(tmp_path):
    with forking():
        files = [simulate("push", episodes=3, seed=1, size=8, out=tmp_path / f"push{k}", workers=k) for k in (1, 2)]
    assert len({Table.open(f).sha256 for f in files}) == 1
    other = simulate("push", episodes=3, seed=2, size=8, out=tmp_path / "other")
    assert Table.open(other).sha256 != Table.open(tmp_path / "push1").sha256


def test_the_cache_makes_a_file_once_and_one_for_each_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    first = episode_table(Dice(), episodes=4)
    stamp = first.stat().st_mtime_ns
    assert episode_table(Dice(), episodes=4) == first
    assert first.stat().st_mtime_ns == stamp
    others = [
        episode_table(Dice(), episodes=5),
        episode_table(Dice(), episodes=4, seed=1),
        episode_table(Dice(bad=1e-9), episodes=4),
    ]
    assert len({first, *others}) == 4
    assert Table.open(first).about["unit.x"] == "points"


def test_what_fails_leaves_nothing_behind(tmp_path):
    def fail():
        yield np.zeros((2, 3))
        raise OSError("disk full")

    with pytest.raises(InputError, match="disk full"):
        cached("x", {"seed": 0}, lambda: {"a": fail()}, folder=tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob(".*part"))
    made = cached("x", {"seed": 0}, lambda: {"a": np.ones((2, 3))}, folder=tmp_path)
    assert (Table.open(made).columns["a"] == 1).all()


def test_a_cache_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="set TUPLET_CACHE"):
            cached("x", {"seed": 0}, lambda: {"a": np.ones((2, 3))}, folder=place)


def test_bad_input_is_named(tmp_path):
    for settings, text in (
        ({"episodes": 0}, "episodes is 0"),
        ({"episodes": 1, "seed": -1}, "seed is -1"),
        ({"episodes": 1, "workers": 0}, "workers is 0"),
        ({"episodes": 1, "size": 0}, "size is 0"),
    ):
        with pytest.raises(InputError, match=text):
            simulate("push", out=tmp_path / "never", **settings)
    with pytest.raises(InputError, match="name is 'pull'"):
        simulate("pull", episodes=1)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="steps is 20"):
        Push(steps=20)
