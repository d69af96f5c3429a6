"""The pilot is `strategic`, computed side by side."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.audit.pilots import _covariance, _one_by_one, _side_by_side, _stackable, pilot
from tuplet.data import from_arrays
from tuplet.simulators import blocks
from tuplet.train import TrainConfig, strategic
from tuplet.train._rows import some


def real_source(seed=0, n=120):
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return from_arrays({"a": x, "b": x[:, ::-1] ** 2}, targets={"label": x[:, :2].sum(1) + 0.1})


@pytest.mark.parametrize(
    "source", [blocks.load(rows=200, views=("image", "sequence")), blocks.load(rows=200), real_source()]
)
def test_side_by_side_is_one_after_the_other(source):
    config = TrainConfig(lr=3e-3, epochs=2, batch_size=32)
    train, val = some(source.train), some(source.val)
    assert _stackable(source, "label", train)
    arguments = (source, "label", (0.0, 0.7), (0, 3), config, train, val)
    fitted, outcomes = _side_by_side(*arguments)
    expected_fit, expected = _one_by_one(*arguments)
    for name in source.modalities:
        assert outcomes[name].shape == (2, 2, len(val))
        torch.testing.assert_close(outcomes[name], expected[name], rtol=1e-3, atol=1e-3)
        assert fitted[name] == pytest.approx(expected_fit[name], abs=1e-3)
    for i, level in enumerate((0.0, 0.7)):
        run = strategic(source, strength=level, config=config, seed=3)
        for name, score in run.scores["val"].items():
            assert expected[name][i, 1].double().mean() == pytest.approx(score, abs=1e-6)


def test_judging_in_blocks_changes_nothing(monkeypatch):
    source = blocks.load(rows=200)
    whole = pilot(source, ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=3)
    monkeypatch.setattr(sys.modules["tuplet.audit.pilots"], "BLOCK", 7)
    assert pilot(source, ("x1", "x2"), strengths=(1.0,), seeds=(0, 1), steps=3).scores == whole.scores


def test_missing_rows_are_trained_one_after_the_other():
    x = np.random.default_rng(0).normal(size=(90, 4))
    hidden = x.copy()
    hidden[::5] = np.nan
    source = from_arrays({"a": hidden, "b": x, "c": x}, targets={"label": np.arange(90) % 3})
    assert not _stackable(source.select(("a", "b")), "label", some(source.train))
    found = pilot(source, ("a", "b"), strengths=(1.0,), seeds=(0, 1), steps=2)
    assert sorted(found.scores) == ["a", "b"]
    assert np.isfinite(found.gain).all()
    assert found.rows == len(source.val)  # of a missing row, the other modality counts
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
    train, val = some(source.train), some(source.val)
    assert not _stackable(source, "label", train)
    config = TrainConfig(lr=3e-3, epochs=4, batch_size=120)
    steps = 4 * (len(train) // 120)
    found = pilot(source, ("a", "b"), strengths=(3.0,), seeds=(0, 1), steps=steps, config=config)
    _, outcomes = _one_by_one(source, "label", (0.0, 3.0), (0, 1), config, train, val)
    both = torch.stack(list(outcomes.values())).mean(dim=0).double().numpy()
    change = 100 * (both[1] - both[0])  # (seeds, rows)
    ids = source.group[source.split.val].numpy()
    means = np.array([change[:, ids == g].mean() for g in np.unique(ids)])  # groups are of one size
    assert (found.rows, found.groups) == (len(ids), len(means))
    expected = means.var(ddof=1) / len(means) + change.mean(axis=1).var(ddof=1) / 2
    assert found.covariance[1][1] == pytest.approx(expected, rel=1e-4)


def test_both_ways_train_on_the_same_rows(monkeypatch):
    for module in ("tuplet.audit.pilots", "tuplet.train._rows"):
        monkeypatch.setattr(sys.modules[module], "ROWS", 40)
    seen = []

    def fit(*_, train, config):
        seen.append((train, config))
        return SimpleNamespace(stopped=False)

    monkeypatch.setattr(sys.modules["tuplet.audit.pilots"], "fit", fit)
    source = grouped(5)
    pilot(source, ("a", "b"), strengths=(1.0,), seeds=(0, 1), steps=10, config=TrainConfig(batch_size=8))
    assert {len(train) for train, _ in seen} == {40}
    assert {config.epochs * (len(train) // config.batch_size) for train, config in seen} == {10}


@pytest.mark.parametrize("n", [3, 200])
def test_covariance_of_the_mean(n):
    samples = np.random.default_rng(0).normal(size=(2, n)) * [[1.0], [3.0]] + [[5.0], [0.0]]
    samples[1] += samples[0]
    expected = np.cov(samples) / n
    if n == 3:
        expected[0, 1] = expected[1, 0] = expected[0, 1] / 2
    np.testing.assert_allclose(_covariance(torch.from_numpy(samples)), expected)


def test_gain_is_paired_and_zero_without_alignment():
    found = pilot(blocks.load(rows=300), ("x1", "x2"), strengths=(0.5,), seeds=(0, 1), steps=4)
    scores = np.array([found.scores[k] for k in ("x1", "x2")])
    assert found.gain[0] == 0
    assert found.gain[1] == pytest.approx(100 * (scores[:, 1] - scores[:, 0]).mean(), abs=1e-4)
    covariance = np.array(found.covariance)
    assert (covariance[0] == 0).all()
    assert np.linalg.eigvalsh(covariance).min() > -1e-12
    with pytest.raises(InputError, match="seeds has 1 entry"):
        pilot(blocks.load(rows=300), ("x1", "x2"), seeds=(0,), steps=4)


def test_test_rows_do_not_matter():
    source = blocks.load(rows=300)
    changed = blocks.load(rows=300)
    for name in ("x1", "x2"):
        changed.inputs[name][changed.split.test] = 7.0
    changed.values["label"][changed.split.test] = 0
    options = {"strengths": (1.0,), "seeds": (0, 1), "steps": 3}
    assert pilot(source, ("x1", "x2"), **options) == pilot(changed, ("x1", "x2"), **options)
