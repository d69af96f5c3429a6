"""Encoders: shapes, sizes against torchvision, padding, places and times that are kept, and the choice by kind."""

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from tuplet import AlignmentModel, InputError
from tuplet.data import from_arrays
from tuplet.nets import LSTM, MLP, ResNet18, SequenceCNN, SmallCNN, encoders

G = torch.Generator().manual_seed(0)


def count(module):
    return sum(p.numel() for p in module.parameters())


def source(**kinds):
    shapes = {"depth": (1, 16, 16), "ecg": (1, 200), "force": (32, 6), "pose": (7,), "words": (9, 12)}
    views = {k: torch.randn(20, *shape, generator=G).numpy() for k, shape in shapes.items()}
    return from_arrays(views, kinds={"words": "padded"} | kinds)


def test_a_resnet_is_torchvisions():
    assert count(ResNet18(3, 1000)) == 11_689_512  # as published
    torch.manual_seed(0)
    from torchvision.models import resnet18  # half a second

    theirs = resnet18(num_classes=16).eval()
    ours = ResNet18(3, 16).eval()
    ours.layers.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=G)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("channels", [1, 2, 32])
def test_only_the_first_layer_of_a_resnet_knows_the_channels(channels):
    whole, adapted = count(ResNet18(3, 256)), ResNet18(channels, 256, single="adapt", norm="group")
    assert count(adapted) - whole == (channels - 3) * 64 * 49
    assert adapted(torch.randn(2, channels, 32, 32, generator=G)).shape == (2, 256)


def test_one_channel_repeated_is_the_same_as_a_gray_picture():
    net = ResNet18(1, 8).eval()
    x = torch.randn(2, 1, 32, 32, generator=G)
    assert count(net) == count(ResNet18(3, 8))
    torch.testing.assert_close(net(x), net.layers(torch.cat([x, x, x], dim=1)))


@pytest.mark.parametrize("make", [ResNet18, SmallCNN])
def test_rows_influence_each_other_with_batch_norm_only(make):
    x = torch.randn(4, 3, 32, 32, generator=G)
    for norm in ("group", "batch"):
        torch.manual_seed(0)
        net = make(3, 8, norm=norm).train()
        alone, beside = net(x)[:2], net(torch.cat([x[:2], 5 * x[2:] + 1]))[:2]
        assert torch.allclose(alone, beside, atol=1e-5) == (norm == "group")


def test_the_small_net_knows_where_something_is():
    x = torch.zeros(2, 1, 32, 32)
    x[0, 0, 4:8, 4:8] = x[1, 0, 20:24, 20:24] = 1
    torch.manual_seed(0)
    features = SmallCNN(1, 8).layers[:-1](x)  # before the linear layer
    assert not torch.allclose(features[0].view(-1, 16).argmax(1), features[1].view(-1, 16).argmax(1))


@pytest.mark.parametrize(("front", "back"), [(0, 9), (5, 0), (3, 4)])
def test_an_lstm_ignores_padding_and_minds_silence(front, back):
    net = LSTM(5, 8)
    x = torch.randn(3, 6, 5, generator=G)
    x[:, 2] = 0  # silence
    padded = torch.cat([torch.zeros(3, front, 5), x, torch.zeros(3, back, 5)], dim=1)
    assert torch.allclose(net(padded), net.layers(x)[1][0][0], atol=1e-6)
    assert not torch.allclose(net(padded), net(x[:, [0, 1, 3, 4, 5]]), atol=1e-4)


def test_an_lstm_takes_rows_of_different_lengths_and_empty_ones():
    net = LSTM(5, 8)
    x = torch.zeros(3, 7, 5)
    x[0, :4], x[1, 2:] = torch.randn(4, 5, generator=G), torch.randn(5, 5, generator=G)
    together = net(x)
    torch.testing.assert_close(together[:1], net(x[:1, :4]))
    torch.testing.assert_close(together[1:2], net(x[1:2, 2:]))
    torch.testing.assert_close(together[2:], net(torch.zeros(1, 1, 5)))
    net(x)[0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_convolutions_take_any_length_and_both_layouts():
    torch.manual_seed(0)
    steps, signal = SequenceCNN(6, 8), SequenceCNN(6, 8, layout="signal")
    signal.load_state_dict(steps.state_dict())
    for length in (1, 3, 32, 50):
        x = torch.randn(2, length, 6, generator=G)
        torch.testing.assert_close(steps(x), signal(x.mT))
    x = torch.randn(2, 32, 6, generator=G)
    assert not torch.allclose(steps(x), steps(x.flip(1)), atol=1e-4)


def test_each_kind_has_its_encoder():
    small = encoders(source())
    paper = encoders(source(), preset="paper", dim=16)
    kinds = [type(m) for m in small.values()]
    assert list(small) == ["depth", "ecg", "force", "pose", "words"]
    assert kinds == [SmallCNN, SequenceCNN, SequenceCNN, MLP, LSTM]
    assert [type(m) for m in paper.values()] == [ResNet18, *kinds[1:]]
    assert any(isinstance(m, nn.LeakyReLU) for m in paper["pose"].modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in paper["depth"].modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for k in small for m in small[k].modules())
    assert (small["force"].layout, small["ecg"].layout) == ("sequence", "signal")
    mine = nn.Flatten()
    assert encoders(source(), overrides={"depth": mine})["depth"] is mine
    assert type(encoders(source(), kinds={"force": "vector"})["force"]) is MLP


def test_a_model_comes_of_a_source():
    found = source()
    for preset, dim in (("small", 64), ("paper", 256)):
        emb = AlignmentModel.for_source(found, preset=preset).eval()(found.train[:4])
        assert {v.shape for v in emb.h.values()} == {v.shape for v in emb.z.values()} == {(4, dim)}


@pytest.mark.parametrize("shape", [(6, 32), (28, 28), (32, 32, 3), (2, 3, 4, 5)])
def test_shapes_that_may_mean_several_things_are_refused(shape):
    views = {"a": torch.randn(10, *shape, generator=G).numpy(), "b": torch.randn(10, 3, generator=G).numpy()}
    with pytest.raises(InputError, match=r"modalities\['a'\] has shape .* give kinds="):
        encoders(from_arrays(views))
    assert encoders(from_arrays(views, kinds={"a": "vector"}))["a"](torch.randn(2, *shape)).shape == (2, 64)


def test_bad_input_is_named():
    for match, call in {
        "preset is 'large'": lambda: encoders(source(), preset="large"),
        r"kinds names \['x'\]": lambda: encoders(source(), kinds={"x": "image"}),
        r"kinds\['pose'\] is 'photo'": lambda: encoders(source(), kinds={"pose": "photo"}),
        "expected 3 dimensions for kind 'image'": lambda: encoders(source(), kinds={"pose": "image"}),
        "norm is 'none'": lambda: SmallCNN(1, 8, norm="none"),
        "expected positive": lambda: LSTM(0, 8),
        "layout is 'row'": lambda: SequenceCNN(1, 8, layout="row"),
        "activation is": lambda: MLP(1, 8, activation="tanh"),
    }.items():
        with pytest.raises((InputError, TypeCheckError), match=f"{match}|Type-check error"):
            call()
