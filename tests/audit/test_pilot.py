"""The pilot is `strategic`, computed side by side."""

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.audit.pilot import _one_by_one, _side_by_side, _some, _stackable, pilot
from tuplet.data import from_arrays
from tuplet.data.sources import blocks
from tuplet.train import TrainConfig


def real_source(seed=0, n=120):
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return from_arrays({"a": x, "b": x[:, ::-1] ** 2}, targets={"label": x[:, :2].sum(1) + 0.1})


@pytest.mark.parametrize(
    "source", [blocks.load(rows=200, views=("image", "sequence")), blocks.load(rows=200), real_source()]
)
def test_side_by_side_is_one_after_the_other(source):
    config = TrainConfig(lr=3e-3, epochs=2, batch_size=32)
    train, val = _some(source.train), _some(source.val)
    assert _stackable(source, "label", train)
    arguments = (source, "label", (0.0, 0.7), (0, 3), config, train, val)
    fitted, outcomes = _side_by_side(*arguments)
    expected_fit, expected = _one_by_one(*arguments)
    for name in source.modalities:
        assert outcomes[name].shape == (2, 2, len(val))
        torch.testing.assert_close(outcomes[name], expected[name], rtol=1e-3, atol=1e-3)
        assert fitted[name] == pytest.approx(expected_fit[name], abs=1e-3)


def test_missing_rows_and_groups_are_trained_one_after_the_other():
    x = np.random.default_rng(0).normal(size=(90, 4))
    hidden = x.copy()
    hidden[::5] = np.nan
    source = from_arrays({"a": hidden, "b": x, "c": x}, targets={"label": np.arange(90) % 3})
    assert not _stackable(source.select(("a", "b")), "label", _some(source.train))
    found = pilot(source, ("a", "b"), strengths=(1.0,), seeds=(0, 1), steps=2)
    assert sorted(found.scores) == ["a", "b"]
    assert np.isfinite(found.gain).all()
    assert found.rows == len(source.val)  # of a missing row, the other modality counts


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
