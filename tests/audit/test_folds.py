"""Few groups or rows: each is judged once by models that did not see it, and groups are what an interval counts."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.audit import Pilot, advise, gain_curve, pilot
from tuplet.audit._folds import folds_for, judging
from tuplet.audit._question import asked, limits
from tuplet.audit.pilots import by_unit
from tuplet.data import Split, from_arrays
from tuplet.train import TrainConfig
from tuplet.train._many import Many, Member

SHORT = {"strengths": (1.0,), "seeds": (0, 1), "steps": 6, "config": TrainConfig(lr=3e-3, batch_size=32)}


def subjects(sizes, seed=0, label=None):
    """One modality sees the label; subjects differ."""
    rng = np.random.default_rng(seed)
    kin = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.integers(0, 2, len(kin)) if label is None else np.asarray(label)[kin]
    x = {k: y[:, None] + rng.normal(size=(len(kin), 3)) + rng.normal(size=(len(sizes), 3))[kin] for k in "ab"}
    return from_arrays(x, targets={"label": y}, group=kin)


def plain(n):
    return from_arrays(dict.fromkeys("ab", np.eye(n)), targets={"label": np.arange(n) % 2})


def test_folds_hold_whole_groups_once_and_no_test_row():
    cases = {
        "fifteen subjects": (subjects([20] * 15), 5, 12),
        "five donors": (subjects([60] * 5), 4, 4),
        "one holds half of the rows": (subjects([140] + [10] * 14), 5, None),
        "a label per subject": (subjects([20] * 15, label=np.arange(15) % 2), 5, None),
        "rows without groups": (plain(100), 5, None),
    }
    for name, (source, count, units) in cases.items():
        found = judging(source, "label")
        assert len(found.parts) == folds_for(source, "label") == count, name
        assert sorted(found.held.tolist()) == list(range(len(source.train) + len(source.val))), name
        assert not set(found.rows.index.tolist()) & set(source.split.test.tolist()), name
        kin = found.rows.index if found.units is None else found.units
        assert units is None or len(kin.unique()) == units, name
        for train, held in found.parts:
            assert len(train) + len(held) == len(found.rows), name
            assert not set(kin[train].tolist()) & set(kin[held].tolist()), name
            y = found.rows.target["label"]
            assert name.startswith("one") or abs(float(y[held].float().mean() - y.float().mean())) < 0.25, name
    for plenty in (subjects([20] * 60), plain(1000)):
        ((train, held),) = judging(plenty, "label").parts
        assert (len(train), len(held)) == (len(plenty.train), len(plenty.val))
    swamped = subjects([2, 300, 1, 1, 1])  # without its one large group a fold has nothing to train on
    assert folds_for(swamped, "label") == 1
    assert limits(swamped, asked(swamped))[0].startswith("No verdict is possible: ")
    for folds, words in ((6, "at most 4"), (0, "folds")):
        with pytest.raises(InputError, match=words):
            pilot(cases["five donors"][0], ("a", "b"), folds=folds, **SHORT)


def test_side_by_side_is_fold_after_fold_and_every_fold_is_a_training_of_its_own(monkeypatch):
    source = subjects([40, 20, 20, 20, 20])
    found = pilot(source, ("a", "b"), **SHORT)
    monkeypatch.setattr(sys.modules["tuplet.audit.pilots"], "WIDEST", 0)
    turns = pilot(source, ("a", "b"), **SHORT)
    np.testing.assert_allclose(found.gain, turns.gain, atol=1e-3)
    even = subjects([20] * 5)
    of = judging(even, "label")
    folds = [train for train, _ in of.parts]
    both = Many(even, [Member(("a", "b"), 1.0, seed, fold) for fold in (0, 1) for seed in (0, 1)])
    alone = Many(even, [Member(("a", "b"), 1.0, 1, 0)])
    both.fit(of.rows, SHORT["config"], folds=folds)
    alone.fit(of.rows, SHORT["config"], folds=folds[1:])
    out = [m.read(member, "a", of.rows.inputs["a"])[0] for m, member in ((both, both.members[3]), (alone, alone.members[0]))]
    torch.testing.assert_close(*out, rtol=1e-3, atol=1e-4)
    other = both.read(both.members[1], "a", of.rows.inputs["a"])[0]  # the same seed on other rows
    assert float((other - out[0]).abs().max()) > 1e-2
    assert (found.folds, found.groups, found.rows) == (4, 4, len(source.train) + len(source.val))


def test_test_rows_do_not_matter_and_both_other_parts_do():
    source = subjects([20] * 8)
    found = pilot(source, ("a", "b"), **SHORT)
    for part, same in (("test", True), ("val", False), ("train", False)):
        changed = subjects([20] * 8)
        rows = getattr(changed.split, part)
        for k in "ab":
            changed.columns[k].values[rows] = 7.0
        assert (pilot(changed, ("a", "b"), **SHORT).scores == found.scores) == same, part


def test_a_group_counts_once_however_many_rows_it_has():
    ids = torch.tensor([0, 0, 0, 0, 1, 2])
    x = torch.tensor([[1.0, 1, 0, 0, 4, torch.nan]])
    equal, rows = (by_unit(x, ids, equal=e) for e in (True, False))
    assert equal.tolist()[0][:2] == [0.5, 4.0]
    assert equal.isnan().tolist() == [[False, False, True]]  # no row of the third is there
    assert float(rows.nanmean()) == pytest.approx(float(x.nanmean()))
    assert by_unit(x, None, equal=True) is x


def drawn(units, level=0.9):
    """A pilot with these changes, ``(groups, strengths)``."""
    n = len(units)
    gain, covariance = units.mean(axis=0), np.cov(units.T) / n
    scores = {k: [[level, level]] * units.shape[1] for k in "ab"}
    return Pilot(
        (0.0, 0.3, 1.0), (0, 1), "accuracy", scores, gain.tolist(), covariance.tolist(), 400, {}, 0.5, n, 4, 0.6, n - 1
    )


def test_four_groups_are_enough_for_a_verdict_that_is_as_sure_as_it_says():
    """No effect but differences between groups: the 80 % interval holds 0 as often as it says, and signs stay rare."""
    rng = np.random.default_rng(0)
    held, firm, sign = [], 0, 0
    for _ in range(150):
        units = np.c_[np.zeros(4), np.repeat(8 * rng.normal(size=(4, 1)), 2, axis=1)]
        advice = advise(("a", "b"), None, None, drawn(units))
        at = advice.curve.strengths.index(1.0)
        held.append(advice.curve.low[at] <= 0 <= advice.curve.high[at])
        firm += advice.word in ("yes", "no")
        sign += advice.strength > 0
    assert np.mean(held) > 0.8
    assert firm / 150 < 0.2  # two tails of 10 %
    assert 0 < sign / 150 < 0.35
    sure = advise(("a", "b"), None, None, drawn(np.array([[0.0, 6, 8], [0, 7, 9], [0, 5, 8], [0, 6, 7]])))
    assert sure.word == "yes"
    assert sure.probability >= 0.9
    tried = drawn(np.random.default_rng(1).normal(size=(4, 3)))
    for freedom in (3, None):  # an audit of an earlier version has no number of its own
        curve = gain_curve(tried.gain, tried.covariance, tried.strengths, 3)
        assert advise(("a", "b"), None, None, replace(tried, freedom=freedom)).curve == curve
    assert curve.high[-1] > gain_curve(tried.gain, tried.covariance, tried.strengths).high[-1]
    three = drawn(np.array([[0.0, 6, 8], [0, 7, 9], [0, 5, 8]]))
    assert advise(("a", "b"), None, None, three).word == "unknown"
    low = drawn(np.array([[0.0, 6, 8], [0, 7, 9], [0, 5, 8], [0, 6, 7]]), level=0.59)  # the bar is 0.6
    assert "4 groups of rows can tell it only from 0.60" in " ".join(advise(("a", "b"), None, None, low).evidence)


def test_a_label_per_subject_that_nothing_tells_is_not_read_as_a_gain():
    source = subjects([30] * 10, label=np.arange(10) % 2)
    for k in "ab":
        source.columns[k].values[:] = torch.randn(source.columns[k].values.shape, generator=torch.Generator().manual_seed(0))
    found = pilot(source, ("a", "b"), **SHORT)
    assert found.bar > found.chance + 0.1
    assert advise(("a", "b"), None, None, found).word == "unknown"


def test_one_group_to_judge_by_says_nothing():
    x, part = np.random.default_rng(0).normal(size=(120, 4)), np.repeat([0, 1, 2], [60, 50, 10])
    group = np.where(part == 0, np.arange(120) % 8, 10 + part)
    views = {"a": x, "b": x[:, ::-1].copy()}
    source = from_arrays(views, targets={"label": (x[:, 0] > 0).astype(int)}, group=group, split=Split.of(part))
    found = pilot(source, ("a", "b"), folds=1, **SHORT)
    assert found.groups == 1
    assert np.isfinite(found.covariance).all()
    advice = advise(("a", "b"), None, None, found)
    assert advice.word == "unknown"
    assert advice.curve.low[-1] < -2 < 2 < advice.curve.high[-1]
