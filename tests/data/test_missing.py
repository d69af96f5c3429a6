"""Hidden entries: how many, which, and that nothing else changes."""

import pytest
import torch

from tests.train.toys import source
from tuplet import InputError
from tuplet.data import hide


def test_hidden_entries_are_zero_and_the_rest_is_as_it_was():
    whole = source(400, missing=True)
    half = hide(whole, 0.5, seed=1)
    for part, share in (("train", (0.4, 0.6)), ("val", (0.25, 0.75))):
        before, after = getattr(whole, part)[:], getattr(half, part)[:]
        for k in "abc":
            kept = after.present[k]
            assert share[0] < float(kept.sum() / before.present[k].sum()) < share[1]
            assert not (kept & ~before.present[k]).any()
            assert torch.equal(after.inputs[k][kept], before.inputs[k][kept])
            assert not after.inputs[k][~kept].any()
            assert torch.equal(getattr(half, part).present[k], kept)  # known without reading inputs
            assert torch.equal(getattr(half, part).take([5, 2]).present[k], kept[[5, 2]])
    for k in "abc":
        assert torch.equal(half.test[:].inputs[k], whole.test[:].inputs[k])
        assert torch.equal(half.test[:].present[k], whole.test[:].present[k])
    after = half.train[:]
    together = torch.stack([after.present[k].float() for k in "ac"])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 0.15  # modalities are hidden independently


def test_what_is_hidden_depends_on_the_seed_only():
    whole = source(100)
    rows, again = hide(whole, 0.3, seed=1).train, hide(whole, 0.3, seed=1).train
    assert torch.equal(rows[:].present["a"], again[:].present["a"])
    assert torch.equal(rows[[5, 2]].present["a"], rows[:].present["a"][[5, 2]])
    assert not torch.equal(rows[:].present["a"], hide(whole, 0.3, seed=2).train[:].present["a"])
    selected = hide(whole, 0.3, seed=1).select(("a", "b"))
    assert torch.equal(selected.train[:].present["a"], rows[:].present["a"])
    assert len({hide(whole, r, seed=s).fingerprint for r in (0.3, 0.4) for s in (0, 1)}) == 4
    again, fewer = hide(whole, 0.3, seed=1).redrawn(2), hide(whole, 0.1, seed=2)
    assert torch.equal(again.train[:].present["a"], hide(whole, 0.3, seed=2).train[:].present["a"])
    assert float(fewer.train[:].present["a"].float().mean()) > 0.7
    assert (again.whole.name, again.whole.fingerprint) == (whole.name, whole.fingerprint) != (again.name, again.fingerprint)


def test_some_rows_are_those_rows():
    for of in (source(100), hide(source(100), 0.5)):
        some, one = of.train.take([5, 2, 9]), of.train.take([5, 2, 9]).take([1])
        for rows, at in ((some[:], [5, 2, 9]), (some[[2, 0]], [9, 5]), (one[:], [2])):
            wanted = of.train[at]
            assert torch.equal(rows.index, wanted.index)
            assert torch.equal(rows.present["a"], wanted.present["a"])
            assert torch.equal(rows.inputs["a"], wanted.inputs["a"])
        assert len(one) == 1


def test_rates_out_of_range_are_refused():
    with pytest.raises(InputError, match="rate is 1"):
        hide(source(), 1.0)
