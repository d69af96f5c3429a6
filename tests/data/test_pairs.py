"""Pairs: balanced, within one part, never of a row with itself, hard ones nearer, and the same again."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tuplet import InputError
from tuplet.data import Pairs, draw_pairs, pair_parts, split_rows
from tuplet.data.table import write_table


def trajectories(n=300, length=10, seed=0):
    rng = np.random.default_rng(seed)
    return np.arange(n) // length, rng.normal(size=(n, 3))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=40),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.integers(0, 5),
    st.booleans(),
)
def test_pairs_are_what_they_say(group, count, positives, seed, hard):
    group = np.array(group)
    rows = np.arange(0, len(group), 2)
    sizes = np.bincount(group[rows])
    poses = np.random.default_rng(0).normal(size=(len(group), 2)) if hard else None
    wanted = round(count * positives)
    per_row = -(-(count - wanted) // len(rows))
    if (wanted and sizes.max() < 2) or (wanted < count and np.count_nonzero(sizes) < 2):
        with pytest.raises(InputError, match="group"):
            draw_pairs(group, rows, count=count, seed=seed, positives=positives, hard=poses)
        return
    if hard and per_row > len(rows) - sizes.max():
        return  # refused or not, depending on who comes last
    pairs = draw_pairs(group, rows, count=count, seed=seed, positives=positives, hard=poses)
    assert len(pairs) == count
    assert pairs.same.sum() == wanted
    assert np.array_equal(group[pairs.left] == group[pairs.right], pairs.same)
    assert not (pairs.left == pairs.right).any()
    assert np.isin(pairs.left, rows).all()
    assert np.isin(pairs.right, rows).all()
    for same, possible in ((True, rows[sizes[group[rows]] > 1]), (False, rows)):
        used = [np.sum(pairs.left[pairs.same == same] == r) for r in possible]
        assert not used or max(used) - min(used) <= 1
    again = draw_pairs(group, rows, count=count, seed=seed, positives=positives, hard=poses)
    assert again == pairs
    assert hash(again) == hash(pairs)


def test_pairs_never_cross_parts():
    group, poses = trajectories()
    split = split_rows(300, group=group)
    for hard in (None, poses):
        pairs = pair_parts(group, split, counts=(200, 60, 60), seed=3, hard=hard)
        for part, drawn in pairs.items():
            inside = getattr(split, part)
            assert np.isin(drawn.left, inside).all()
            assert np.isin(drawn.right, inside).all()
            assert drawn.same.mean() == 0.5
    assert len({p.sha256 for p in pairs.values()}) == 3


def test_partners_are_drawn_evenly():
    group = np.repeat([0, 1, 2], [2, 3, 5])
    pairs = draw_pairs(group, count=40_000, seed=1)
    for left in range(10):
        for same in (True, False):
            right = pairs.right[(pairs.left == left) & (pairs.same == same)]
            possible = [r for r in range(10) if (group[r] == group[left]) == same and r != left]
            seen = np.array([np.mean(right == r) for r in possible])
            assert np.abs(seen - 1 / len(possible)).max() < 5 * np.sqrt(0.25 / len(right))


def test_the_order_says_nothing():
    group, _ = trajectories()
    same = draw_pairs(group, count=2000, seed=0).same
    assert abs(same[:1000].mean() - 0.5) < 0.06


def test_hard_negatives_are_the_nearest_poses_of_other_trajectories():
    group, poses = trajectories()
    distance = cdist(poses, poses)
    easy, hard = (draw_pairs(group, count=300, seed=0, positives=0.0, hard=p) for p in (None, poses))
    blocked = np.where(group[:, None] == group, np.inf, distance)
    assert np.array_equal(hard.right, blocked.argmin(axis=1)[hard.left])
    assert np.median(distance[hard.left, hard.right]) < 0.5 * np.median(distance[easy.left, easy.right])
    twice = draw_pairs(group, count=600, seed=0, positives=0.0, hard=poses)
    assert len(set(zip(twice.left, twice.right, strict=True))) == 600
    for row in (0, 17):
        nearest = np.argsort(blocked[row], kind="stable")[:2]
        assert set(twice.right[twice.left == row]) == set(nearest)
    far = draw_pairs(group, count=300, seed=0, positives=0.0, hard=poses, apart=0.8)
    gaps = distance[far.left, far.right]
    assert gaps.min() >= 0.8
    assert np.median(gaps) < 0.9


def test_equal_poses_go_by_row_number():
    group = np.arange(8) // 2
    pairs = draw_pairs(group, count=8, seed=0, positives=0.0, hard=np.zeros((8, 2)))
    assert np.array_equal(pairs.right, np.where(group[pairs.left] == 0, 2, 0))


def test_a_file_holds_the_pairs_or_is_refused(tmp_path):
    group, _ = trajectories()
    pairs = draw_pairs(group, count=50, seed=0)
    file = tmp_path / "deep" / "pairs.safetensors"
    pairs.save(file)
    assert Pairs.load(file) == pairs
    assert [p.name for p in file.parent.iterdir()] == [file.name]
    content = file.read_bytes()
    length = (50).to_bytes(8, "little")
    columns = [pairs.left, pairs.right, pairs.same.astype(np.int64)]
    assert pairs.sha256 == hashlib.sha256(length + b"".join(c.astype("<i8").tobytes() for c in columns)).hexdigest()
    for spoilt, match in (
        (content[:-5], str(file)),
        (content[:40], str(file)),
        (b"", str(file)),
        (content[:-1] + bytes([1 - content[-1]]), "differs from what was written"),
    ):
        file.write_bytes(spoilt)
        with pytest.raises(InputError, match=match):
            Pairs.load(file)
    with pytest.raises(InputError, match="cannot be read"):
        Pairs.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="expected the columns left, right and same"):
        Pairs.load(write_table(tmp_path / "other", {"left": pairs.left}))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    group, _ = trajectories()
    file = tmp_path / "pairs.safetensors"
    draw_pairs(group, count=10, seed=0).save(file)
    before = file.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        draw_pairs(group, count=10, seed=1).save(file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_bad_input_is_named():
    group, poses = trajectories()
    for match, call in {
        "one group only": lambda: draw_pairs(group, range(10), count=4, seed=0),
        "every group has one row": lambda: draw_pairs(group, range(0, 300, 10), count=4, seed=0),
        "rows has repeated": lambda: draw_pairs(group, [1, 1], count=4, seed=0),
        "rows has shape": lambda: draw_pairs(group, [True, False], count=4, seed=0),
        "count is 0": lambda: draw_pairs(group, count=0, seed=0),
        "seed is -1": lambda: draw_pairs(group, count=4, seed=-1),
        "positives is 2": lambda: draw_pairs(group, count=4, seed=0, positives=2.0),
        "apart is 0.1": lambda: draw_pairs(group, count=4, seed=0, apart=0.1),
        "apart is 99": lambda: draw_pairs(group, count=4, seed=0, hard=poses, apart=99.0),
        "hard has shape": lambda: draw_pairs(group, count=4, seed=0, hard=poses[:5]),
        "counts has 2": lambda: pair_parts(group, split_rows(300, group=group), counts=(4, 4), seed=0),
    }.items():
        with pytest.raises(InputError, match=match):
            call()
