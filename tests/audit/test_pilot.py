"""The pilot is `strategic`, computed side by side."""

import sys

import numpy as np
import pytest
import torch
from scipy.special import stdtrit

from tuplet import InputError
from tuplet.audit.pilots import Pilots, _bar, crossed, pilot
from tuplet.data import from_arrays
from tuplet.model.embedding import embed
from tuplet.simulators import blocks
from tuplet.train import TrainConfig, strategic


def test_judging_in_blocks_changes_nothing(monkeypatch):
    source = blocks.load(rows=200)
    whole = pilot(source, ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=3)
    monkeypatch.setattr(sys.modules["tuplet.train._many"], "BLOCK", 7)
    assert pilot(source, ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=3).scores == whole.scores


def test_of_a_missing_row_the_other_modality_counts():
    x = np.random.default_rng(0).normal(size=(90, 4))
    hidden = x.copy()
    hidden[::5] = np.nan
    source = from_arrays({"a": hidden, "b": x, "c": x}, targets={"label": np.arange(90) % 3})
    found = pilot(source, ("a", "b"), strengths=(1.0,), seeds=(0, 1), steps=2, folds=1)
    assert sorted(found.scores) == ["a", "b"]
    assert np.isfinite(found.gain).all()
    assert found.rows == len(source.val)
    assert found.groups is None


def grouped(repeats, groups=20, seed=0):
    """Rows of a group are one row, repeated."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(groups, 4))
    y = (x[:, 0] + rng.normal(size=groups) > 0).astype(int)
    ids = np.repeat(np.arange(groups), repeats)
    return from_arrays({"a": x[ids], "b": x[ids][:, ::-1] ** 3}, targets={"label": y[ids]}, group=ids)


def test_groups_are_the_unit_of_noise():
    source = grouped(10, groups=60)
    config = TrainConfig(lr=3e-3, epochs=4, batch_size=120)
    steps = 4 * (len(source.train) // 120)
    found = pilot(source, ("a", "b"), strengths=(3.0,), seeds=(0, 1), steps=steps, config=config, folds=1)
    runs = [strategic(source, strength=level, config=config, seed=seed) for level in (0.0, 3.0) for seed in (0, 1)]
    y = runs[0].embeddings["val"].target["label"]
    right = torch.stack([run.task.predict(run.embeddings["val"])[k].argmax(1) == y for run in runs for k in "ab"])
    both = right.view(2, 2, 2, -1).double().mean(dim=2).numpy()  # (strengths, seeds, rows)
    change = 100 * (both[1] - both[0])  # (seeds, rows)
    ids = source.group[source.split.val].numpy()
    means = np.array([change[:, ids == g].mean() for g in np.unique(ids)])  # groups are of one size
    assert (found.rows, found.groups) == (len(ids), len(means))
    table = np.stack([change[:, ids == g].mean(axis=1) for g in np.unique(ids)], axis=1)  # (seeds, groups)
    squares = 2 * means.var(ddof=1), len(means) * table.mean(axis=1).var(ddof=1)
    rest = ((table - means - table.mean(axis=1, keepdims=True) + table.mean()) ** 2).sum() / (len(means) - 1)
    drawn = (squares[0] * (1 + len(ids) / len(source.train)) + max(squares[1] - rest, 0)) / table.size
    expected = drawn + (50 / len(ids)) ** 2
    assert found.covariance[1][1] == pytest.approx(expected, rel=1e-4)
    trained = [(run.task, embed(run.model, source.train)) for run in runs[:2]]  # at strength 0
    right = [float((task.predict(e)["a"].argmax(1) == e.target["label"]).float().mean()) for task, e in trained]
    assert found.fitted["a"] == pytest.approx(sum(right) / 2, abs=1e-3)
    assert found.fitted["a"] != pytest.approx(np.mean(found.scores["a"][0]), abs=1e-3)


def test_at_most_some_rows_are_trained_on_and_judged_by(monkeypatch):
    monkeypatch.setattr(sys.modules["tuplet.train._rows"], "ROWS", 40)
    source = blocks.load(rows=400)
    of = Pilots(
        source,
        folds=1,
        target="label",
        strengths=(1.0,),
        seeds=(0, 1),
        steps=10,
        config=TrainConfig(batch_size=8),
    )
    ((train, held),) = of.judging.parts
    assert (len(train), len(held), of.config.epochs) == (40, 40, 2)


def test_seeds_and_units_are_crossed():
    """Mean squares of a two-way table written out; over many tables, the variance of the mean and a t interval's share."""
    rng, seeds, units = np.random.default_rng(0), 3, 40
    held, found = [], []
    for _ in range(300):
        own = (rng.normal(size=(2, seeds, 1)), rng.normal(size=(2, 1, units)), rng.normal(size=(2, seeds, units)))
        table = own[0] + 2 * own[1] + 4 * own[2]
        covariance, freedom = crossed(torch.from_numpy(table))
        found.append(covariance[0, 0])
        held.append(abs(table[0].mean()) < stdtrit(freedom, 0.9) * found[-1] ** 0.5)
        squares = seeds * table[1].mean(0).var(ddof=1), units * table[1].mean(1).var(ddof=1)
        rest = table[1] - table[1].mean(0) - table[1].mean(1, keepdims=True) + table[1].mean()
        rest = (rest**2).sum() / (seeds - 1) / (units - 1)
        expected = (squares[0] + max(squares[1] - rest, 0)) / seeds / units
        assert float(covariance[1, 1]) == pytest.approx(expected)
        apart = table[:, :1].repeat(seeds, 1)  # seeds that do nothing: only rows are drawn
        by_row, many = crossed(torch.from_numpy(apart), 0.25)
        np.testing.assert_allclose(by_row, 1.25 * np.cov(apart[:, 0]) / units)
        assert many == pytest.approx(units - 1)
        few = np.cov(apart[:, 0, :5]) / 5
        few[0, 1] = few[1, 0] = few[0, 1] / 2  # of few, what strengths have in common is halved
        np.testing.assert_allclose(crossed(torch.from_numpy(apart[..., :5]))[0], few)
        assert np.linalg.eigvalsh(covariance).min() > -1e-12
    assert np.mean(found) == pytest.approx(1 / seeds + 2**2 / units + 4**2 / seeds / units, rel=0.15)
    assert 0.77 < np.mean(held) < 0.9
    still, many = crossed(torch.zeros(2, seeds, units))
    assert (still.abs().sum(), many) == (0, units - 1)


def test_gain_is_paired_and_zero_without_alignment():
    found = pilot(blocks.load(rows=300), ("x1", "x2"), strengths=(0.5,), seeds=(0, 1), steps=4)
    scores = np.array([found.scores[k] for k in ("x1", "x2")])
    assert found.gain[0] == 0
    assert found.gain[1] == pytest.approx(100 * (scores[:, 1] - scores[:, 0]).mean(), abs=1e-4)
    covariance = np.array(found.covariance)
    assert (covariance[0] == 0).all()
    assert np.linalg.eigvalsh(covariance).min() > -1e-12
    with pytest.raises(InputError, match=r"seeds is \(0,\), expected two or more"):
        pilot(blocks.load(rows=300), ("x1", "x2"), seeds=(0,), steps=4)


def test_test_rows_do_not_matter():
    source = blocks.load(rows=300)
    changed = blocks.load(rows=300)
    for name in ("x1", "x2"):
        changed.columns[name].values[changed.split.test] = 7.0
    changed.values["label"][changed.split.test] = 0
    options = {"strengths": (1.0,), "seeds": (0, 1), "steps": 3}
    assert pilot(source, ("x1", "x2"), **options) == pilot(changed, ("x1", "x2"), **options)


def test_what_must_be_exceeded_is_a_share():
    """Two groups of which one predicts all and one nothing: the interval ends above 1, the bar at 1."""
    scores = {"a": torch.tensor([[[1.0, 0.2]]]), "b": torch.tensor([[[0.5, 0.5]]])}
    assert _bar(scores, torch.tensor([0.5, 0.5])) == 1.0
    assert 0.5 < _bar({"a": torch.rand(1, 1, 400) / 10 + 0.55}, torch.full((400,), 0.5)) < 0.51
    with pytest.raises(InputError, match=r"seeds is \(0, 0\), expected two or more, each once"):
        pilot(blocks.load(rows=200), ("x1", "x2"), seeds=(0, 0))
