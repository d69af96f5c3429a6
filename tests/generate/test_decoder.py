"""The decoder of our own: what it learns, what a style and a vector change, and what is refused."""

import sys

import pytest
import torch
from torch.nn.functional import normalize

from tuplet import InputError
from tuplet.generate import Decoder, DecoderConfig, EmbeddingAdapter, between, fit_decoder, load_decoder
from tuplet.generate import _closed_form as closed_form
from tuplet.generate._closed_form import kernel, left_out

TINY = {"side": 8, "widths": (8, 8, 8)}


def test_a_vector_and_a_style_decide_what_is_drawn(tmp_path):
    """Two vectors are dark and bright, two styles red and blue: each sample has the colour and brightness that were asked."""
    torch.manual_seed(0)
    z = torch.eye(4)[[0, 1] * 32]
    style = (torch.arange(64) // 2) % 2
    bright = torch.tensor([0.25, 0.9])[torch.arange(64) % 2]
    pictures = torch.zeros(64, 3, 8, 8)
    pictures[torch.arange(64), style * 2] = bright[:, None, None]
    decoder = Decoder(4, styles=2, side=8, widths=(8, 8, 8))
    assert len(fit_decoder(decoder, z, pictures, style, config=DecoderConfig(steps=20, batch_size=8))) == 20
    asked = torch.tensor([0, 0, 1, 1])
    made = decoder.sample(torch.eye(4)[[0, 1, 0, 1]], style=asked, steps=8).mean(dim=(2, 3))
    red, blue = made[:, 0], made[:, 2]
    assert red[1] > blue[1] + 0.2 and blue[3] > red[3] + 0.2, made  # noqa: PT018
    assert red[1] > red[0] + 0.2 and blue[3] > blue[2] + 0.2, made  # noqa: PT018
    decoder.save(tmp_path / "d")
    again = load_decoder(tmp_path / "d")
    torch.testing.assert_close(again.sample(z[:3], steps=2), decoder.sample(z[:3], steps=2), rtol=0, atol=0)
    few, many = decoder.sample(z[:2], steps=2, seed=3), decoder.sample(z[:5], steps=2, seed=3)
    torch.testing.assert_close(few, many[:2])
    torch.testing.assert_close(decoder.sample(5 * z[:2], steps=2, seed=3), few)
    assert not torch.allclose(decoder.sample(z[:2], steps=2, seed=3, guidance=3.0), few)
    (tmp_path / "d/decoder.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="does not hold the weights"):
        load_decoder(tmp_path / "d")
    (tmp_path / "d/decoder.json").write_text('{"dim": 4, "side": 8, "channels": 3, "styles": 2, "widths": [8, 8, 8]}')
    with pytest.raises(InputError, match=r"schema is missing.*fit the decoder anew"):
        load_decoder(tmp_path / "d")


def test_what_was_seen_is_recalled_and_the_rest_is_learned_from_what_was_left_out():
    torch.manual_seed(0)
    z, pictures = normalize(torch.randn(24, 12), dim=1), torch.rand(12, 3, 8, 8).repeat(2, 1, 1, 1)
    group = torch.arange(12).repeat(2)
    decoder = Decoder(12, **TINY)
    fit_decoder(decoder, z, pictures, group=group, config=DecoderConfig(steps=2, batch_size=4))
    far = torch.cdist(decoder.sample(z, steps=2).flatten(1), pictures[:12].flatten(1))
    assert torch.equal(far.argmin(dim=1), group)
    assert far.amin(dim=1).max() < 1  # of 14 between two pictures at random: the sharpest fit was chosen
    torch.testing.assert_close(decoder.sample(z, seed=1), decoder.sample(z, seed=2), rtol=0, atol=0.05)  # without noise
    other = decoder.sample(normalize(torch.randn(24, 12), dim=1), steps=2).flatten(1)
    assert far.amin(dim=1).max() < torch.cdist(other, pictures[:12].flatten(1)).min()  # a vector that is new is no copy
    components, near = decoder.closed.fit(z, 2 * pictures.flatten(1) - 1, torch.zeros(24).long(), group, 0)
    out = decoder.closed.picture(components, torch.zeros(24).long()) / 2 + 0.5
    assert (torch.cdist(out, pictures[:12].flatten(1)).argmin(dim=1) == group).float().mean() < 0.5  # the concept is left out
    assert near.max() < 0.999
    new = between(z[:2], z[2:4])
    assert not torch.allclose(decoder.sample(new, seed=1), decoder.sample(new, seed=2))
    assert fit_decoder(decoder, z, pictures, group=group) == []  # the closed form alone: no noise, guidance is contrast
    assert torch.equal(decoder.sample(new, seed=1), decoder.sample(new, seed=2))
    plain, grey = decoder.sample(new, steps=3), decoder.closed.means.view(1, 3, 8, 8) / 2 + 0.5
    torch.testing.assert_close(decoder.sample(new, guidance=2.0), (2 * plain - grey).clamp(0, 1), rtol=1e-3, atol=1e-3)


def test_the_closed_form_alone_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    z, pictures = torch.eye(4), torch.rand(4, 3, 8, 8)
    decoder = Decoder(4, **TINY)
    assert fit_decoder(decoder, z, pictures) == []
    decoder.save(tmp_path)
    assert torch.equal(load_decoder(tmp_path).sample(z), decoder.sample(z))
    with pytest.raises(InputError, match=r"tuplet\[generate\]"):
        fit_decoder(decoder, z, pictures, config=DecoderConfig(steps=1))


def test_leaving_out_is_fitting_again():
    torch.manual_seed(0)
    z, y, group = normalize(torch.randn(30, 4).double(), dim=1), torch.randn(30, 5).double(), torch.arange(30) % 7
    k = kernel(z, z, 0.6)
    weights, out = left_out(k, y, group, 0.1)
    torch.testing.assert_close(k @ weights + 0.1 * weights, y)
    for g in range(7):
        own, rest = group == g, group != g
        inner = torch.linalg.solve(k[rest][:, rest] + 0.1 * torch.eye(int(rest.sum())), y[rest])
        torch.testing.assert_close(out[own], kernel(z[own], z[rest], 0.6) @ inner)


def test_more_rows_than_the_closed_form_holds(monkeypatch):
    monkeypatch.setattr(closed_form, "ROWS", 10)
    torch.manual_seed(0)
    z, flat, style = normalize(torch.randn(30, 6), dim=1), torch.rand(30, 12), torch.arange(30) % 2
    form = closed_form.ClosedForm(6, 12, 2)
    components, near = form.fit(z, flat, style, torch.arange(30) // 2, 0)
    assert form.owner.bincount().tolist() == [10, 10]
    held = (form.predicted(z, style)[1] > 0.99).nonzero().squeeze(1)
    assert len(held) == 20
    assert near.max() < 0.99
    rest = torch.ones(30).index_fill(0, held, 0).nonzero().squeeze(1)
    torch.testing.assert_close(components[rest], form.predicted(z[rest], style[rest])[0])


def test_the_same_seed_gives_the_same_decoder():
    z, pictures = torch.eye(4), torch.rand(4, 3, 8, 8)
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        decoder = Decoder(4, **TINY)
        fit_decoder(decoder, z, (255 * pictures).byte(), config=DecoderConfig(steps=2, batch_size=3))
        made.append(decoder.sample(z, steps=2))
    assert torch.equal(*made)


def test_between_two_vectors():
    torch.manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(5, 6, dtype=torch.float64), dim=1) for _ in range(2))
    for along in ("mean", "slerp"):
        torch.testing.assert_close(between(a, b, 0.0, along=along), a)
        torch.testing.assert_close(between(3 * a, b, 1.0, along=along), b)
        torch.testing.assert_close(between(a, a, 0.3, along=along), a)
    torch.testing.assert_close(between(a, b), between(a, b, along="slerp"))  # both are the middle
    angle = torch.acos((a * b).sum(1))
    torch.testing.assert_close(torch.acos((a * between(a, b, 0.3, along="slerp")).sum(1)), 0.3 * angle)


def test_adapters_bring_back_scale_and_map():
    torch.manual_seed(0)
    own = torch.nn.functional.normalize(torch.randn(200, 5), dim=1)
    turned = own @ torch.randn(5, 7) + 3
    exact = EmbeddingAdapter.fit(own, turned, "ridge")
    torch.testing.assert_close(exact(7 * own), turned, rtol=1e-3, atol=1e-3)
    assert exact.error < 1e-6
    noisy = EmbeddingAdapter.fit(own, torch.randn(200, 7), "ridge")
    assert 0.85 < noisy.error <= 1 + 1e-9  # the penalty is large where nothing can be learned
    dead = EmbeddingAdapter.fit(own * torch.tensor([0.0, 1, 1, 1, 1]), torch.randn(200, 5))
    assert dead(torch.eye(5)).abs().max() < 20  # a dimension that pictures do not use is not blown up by words
    reference = 2 + 3 * torch.randn(200, 5)
    made = EmbeddingAdapter.fit(own, reference)(own)
    torch.testing.assert_close(made.mean(0), reference.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made.std(0), reference.std(0), rtol=1e-4, atol=1e-4)
    made = EmbeddingAdapter.fit(own, reference, "norm")(own)
    torch.testing.assert_close(made.norm(dim=1).mean(), reference.norm(dim=1).mean())


def test_bad_input_is_one_line():
    decoder, z, pictures = Decoder(4, styles=2, **TINY), torch.eye(4), torch.rand(4, 3, 8, 8)
    for call, said in (
        (lambda: Decoder(4, side=12), "side is 12"),
        (lambda: DecoderConfig(steps=-1), "steps is -1"),
        (lambda: DecoderConfig(drop=1.0), "drop is 1.0"),
        (lambda: decoder.sample(z[:, :3]), r"z has shape \(4, 3\)"),
        (lambda: decoder.sample(0 * z), "zero or not finite"),
        (lambda: decoder.sample(z, style=2), "style has shape"),
        (lambda: decoder.sample(z, steps=0), "steps is 0"),
        (lambda: fit_decoder(decoder, z, pictures[:, :, :4]), r"pictures have shape \(4, 3, 4, 8\)"),
        (lambda: fit_decoder(decoder, z, 2 + pictures), "outside 0 to 1"),
        (lambda: fit_decoder(decoder, z, pictures, group=z[0]), r"group has shape \(4,\) of torch.float32"),
        (lambda: between(z, z, along="line"), "along is 'line'"),
        (lambda: between(z, -z), "opposite"),
        (lambda: EmbeddingAdapter.fit(z, z[:, :2]), "choose how='ridge'"),
        (lambda: EmbeddingAdapter.fit(z, z[:2]), "same two or more pictures"),
        (lambda: load_decoder(__import__("pathlib").Path("no")), "has no decoder.json"),
    ):
        with pytest.raises(InputError, match=said):
            call()
