"""The decoder of our own: what it learns, what a style and a vector change, and what is refused."""

import pytest
import torch

from tuplet import InputError
from tuplet.generate import Decoder, DecoderConfig, EmbeddingAdapter, between, fit_decoder, load_decoder

TINY = {"side": 8, "widths": (8, 8, 8)}


def test_a_vector_and_a_style_decide_what_is_drawn(tmp_path):
    """Two vectors are dark and bright, two styles red and blue: each sample has the colour and brightness that were asked."""
    torch.manual_seed(0)
    z = torch.eye(4)[[0, 1] * 32]
    style = (torch.arange(64) // 2) % 2
    bright = torch.tensor([0.25, 0.9])[torch.arange(64) % 2]
    pictures = torch.zeros(64, 3, 8, 8)
    pictures[torch.arange(64), style * 2] = bright[:, None, None]
    decoder = Decoder(4, styles=2, side=8, widths=(16, 16, 16))
    losses = fit_decoder(decoder, z, pictures, style, config=DecoderConfig(steps=70, batch_size=32, lr=1e-2, decay=0.9))
    assert len(losses) == 20
    assert losses[-1] < 0.6 * losses[0]
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
    assert not torch.allclose(decoder.sample(z[:2], steps=2, seed=3, guidance=3), few)
    (tmp_path / "d/decoder.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="does not hold the weights"):
        load_decoder(tmp_path / "d")


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
        torch.testing.assert_close(between(a, b, 0, along=along), a)
        torch.testing.assert_close(between(3 * a, b, 1, along=along), b)
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
        (lambda: DecoderConfig(steps=0), "steps is 0"),
        (lambda: DecoderConfig(drop=1.0), "drop is 1.0"),
        (lambda: decoder.sample(z[:, :3]), r"z has shape \(4, 3\)"),
        (lambda: decoder.sample(0 * z), "zero or not finite"),
        (lambda: decoder.sample(z, style=2), "style has shape"),
        (lambda: decoder.sample(z, steps=0), "steps is 0"),
        (lambda: fit_decoder(decoder, z, pictures[:, :, :4]), r"pictures have shape \(4, 3, 4, 8\)"),
        (lambda: fit_decoder(decoder, z, 2 + pictures), "outside 0 to 1"),
        (lambda: between(z, z, along="line"), "along is 'line'"),
        (lambda: between(z, -z), "opposite"),
        (lambda: EmbeddingAdapter.fit(z, z[:, :2]), "choose how='ridge'"),
        (lambda: EmbeddingAdapter.fit(z, z[:2]), "same two or more pictures"),
        (lambda: load_decoder(__import__("pathlib").Path("no")), "has no decoder.json"),
    ):
        with pytest.raises(InputError, match=said):
            call()
