"""Without a target: related pairs are told from shuffled ones, at the level that is promised."""

import numpy as np
import pytest

from tuplet import InputError
from tuplet.audit import related
from tuplet.audit.relation import _apart
from tuplet.cli import main
from tuplet.data import Split, from_arrays


def pair(seed, n=250, strength=1.0, group=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = strength * x[:, ::-1] + rng.normal(size=(n, 3))
    return from_arrays({"a": x, "b": y}, group=group, seed=seed)


def test_related_pairs_are_found_and_unrelated_ones_rarely():
    (found,) = related(pair(0))
    assert (found.word, found.rows, found.chance) == ("yes", 50, 1 / 50)
    assert found.interval[0] > found.chance
    assert found.interval[0] < found.recall < found.interval[1]
    called = [related(pair(seed, strength=0.0), shuffles=59)[0].word for seed in range(20)]
    assert called.count("yes") <= 3  # P(more than 3 of 20 at 5 %) is 1.6 %
    assert set(called) <= {"yes", "not found"}
    assert related(pair(1, n=40, strength=0.0))[0].word == "unknown"


def test_no_test_row_is_read():
    """With test rows that say the opposite, all numbers stay the same; and few training groups are no obstacle."""
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(300, 3)) for _ in "ab")
    part = np.arange(300) % 3
    for relation, word in ((x, "yes"), (y, "not found")):
        other = np.where((part == 2)[:, None], rng.normal(size=x.shape) if word == "yes" else x, relation)
        (found,) = related(from_arrays({"a": x, "b": other}, split=Split.of(part)))
        (same,) = related(from_arrays({"a": x, "b": relation}, split=Split.of(part)))
        assert found == same
        assert found.word == word
    few = np.where(part == 1, np.arange(300), -1 - part)  # one training group
    assert related(from_arrays({"a": x, "b": x}, group=few, split=Split.of(part)))[0].word == "yes"


def test_rows_of_a_group_count_once():
    """Rows repeated ten times each: without groups 10 copies look like evidence, with groups there are 25 rows."""
    rng = np.random.default_rng(2)
    x, y = (np.repeat(rng.normal(size=(125, 3)), 10, 0) for _ in "ab")
    (grouped,) = related(from_arrays({"a": x, "b": y}, group=np.repeat(np.arange(125), 10)))
    assert grouped.rows == 25
    assert grouped.word == "unknown"


def test_the_rows_that_choose_a_ridge_fit_nothing():
    source = pair(0)
    fit, chosen, judged = (getattr(_apart(source).split, k).tolist() for k in ("train", "val", "test"))
    assert sorted(fit + chosen) == sorted(source.split.train.tolist())
    assert judged == source.split.val.tolist()


def test_options_are_checked():
    for options, message in (
        ({"pairs": [("a", "c")]}, "pairs has"),
        ({"pairs": [("a", "a")]}, "pairs has"),
        ({"shuffles": 10}, "expected 59 or more"),
    ):
        with pytest.raises(InputError, match=message):
            related(pair(0), **options)
    with pytest.raises(InputError, match="training rows hold both"):
        related(pair(0, n=10))


def test_the_command_answers_without_a_target(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    np.savez(tmp_path / "two.npz", force=x, sound=x + rng.normal(size=x.shape))
    np.savez(tmp_path / "three.npz", **{"f" * 30: x, "sound": x + 1, "other": rng.normal(size=(300, 2))})
    assert main(["audit", str(tmp_path / "two.npz"), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("force and sound are related: ")
    assert "Aligned by a linear map" in " ".join(lines[:5])
    assert "Unaligned: CKA " in " ".join(lines[:5])
    assert any("needs a target" in line for line in lines)
    assert lines[0] in (tmp_path / "out" / "report.html").read_text()
    assert main(["audit", str(tmp_path / "three.npz"), "--out", str(tmp_path / "more")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 3 pairs are related. Yes: ")
    assert max(map(len, lines[1:5])) <= 80
