"""The fusion of any subset of modalities, and random views."""

import pytest
import torch
from torch import nn

from tests.train.toys import source
from tuplet import InputError
from tuplet.nets import Augment, Fusion

NAMES = ("force", "sound", "touch")


def fusion(dim=8, heads=2):
    torch.manual_seed(0)
    made = Fusion(NAMES, dim, heads=heads).double()
    with torch.no_grad():
        made.offset.normal_()
    return made


def tokens(n=5, dim=8):
    g = torch.Generator().manual_seed(1)
    return {k: torch.randn(n, dim, generator=g, dtype=torch.float64) for k in NAMES}


def test_attention_is_that_of_torch():
    ours, x = fusion(), tokens()
    stacked = torch.stack([x[k] for k in NAMES], dim=1) * 8**0.5 + ours.offset
    theirs = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.queries_keys_values.weight,
            "in_proj_bias": ours.queries_keys_values.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    normed = ours.norm(stacked)
    y = stacked + theirs(normed, normed, normed)[0]
    expected = (y + ours.feed_forward(y)).mean(dim=1)
    torch.testing.assert_close(ours(x, {}), expected, rtol=1e-10, atol=1e-12)


def test_absent_modalities_count_for_nothing():
    ours, x = fusion(), tokens()
    present = {"sound": torch.tensor([True, False, True, False, True])}
    fused = ours(x, present)
    without = ours({k: v for k, v in x.items() if k != "sound"}, {})
    torch.testing.assert_close(fused[1::2], without[1::2])
    torch.testing.assert_close(fused[::2], ours(x, {})[::2])
    nobody = ours(x, dict.fromkeys(NAMES, torch.zeros(5, dtype=torch.bool)))
    assert torch.isfinite(nobody).all()


def test_bad_input_is_named():
    with pytest.raises(InputError, match="heads is 3 for dim = 8"):
        Fusion(NAMES, 8, heads=3)
    with pytest.raises(InputError, match="two or more different names"):
        Fusion(("a", "a"), 8)
    with pytest.raises(InputError, match=r"tokens has \['smell'\]"):
        fusion()({"smell": torch.zeros(2, 8)}, {})
    with pytest.raises(InputError, match="drop is 1"):
        Augment(drop=1.0)


def test_views_are_noisy_and_repeatable():
    batch = source(n=200).train[:]
    torch.manual_seed(0)
    first = Augment(noise=0.1, drop=0.25)(batch)
    second = Augment(noise=0.1, drop=0.25)(batch)
    torch.manual_seed(0)
    again = Augment(noise=0.1, drop=0.25)(batch)
    for k, x in batch.inputs.items():
        assert torch.equal(first.inputs[k], again.inputs[k])
        assert not torch.equal(first.inputs[k], second.inputs[k])
        dropped = first.inputs[k] == 0
        assert 0.15 < float(dropped.float().mean()) < 0.35
        assert float((first.inputs[k] - x)[~dropped].std()) == pytest.approx(0.1, rel=0.15)
    assert first.present is batch.present
