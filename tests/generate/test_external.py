"""Pipelines of others, tiny and with random weights, saved to a folder and opened from it."""

import pytest
import torch

from tuplet import InputError
from tuplet.generate import EmbeddingAdapter, external


@pytest.fixture(scope="module")
def kandinsky(tmp_path_factory):
    from diffusers import DDPMScheduler, KandinskyV22Pipeline, UNet2DConditionModel, VQModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=8,  # mean and variance
        sample_size=8,
        addition_embed_type="image",
        encoder_hid_dim=12,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=16,
        block_out_channels=(16, 32),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        class_embed_type=None,
    )
    movq = VQModel(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        num_vq_embeddings=12,
        vq_embed_dim=4,
        norm_type="spatial",
    )
    scheduler = DDPMScheduler(prediction_type="epsilon", thresholding=False, clip_sample=False)
    folder = tmp_path_factory.mktemp("external") / "kandinsky"
    KandinskyV22Pipeline(unet=unet, scheduler=scheduler, movq=movq).save_pretrained(folder)
    return folder


def test_kandinsky_draws_with_and_without_guidance(kandinsky):
    decoder = external(kandinsky, "kandinsky")
    assert decoder.dim == 12
    raw = 2 + torch.randn(20, 12)
    adapter = EmbeddingAdapter.fit(raw, raw)
    z = adapter(raw[:3])
    options = {"steps": 2, "side": 32}
    plain = decoder.sample(z, guidance=1, **options)
    assert plain.shape == (3, 3, 32, 32)
    assert 0 <= float(plain.min()) < float(plain.max()) <= 1
    torch.testing.assert_close(decoder.sample(z, guidance=1, **options), plain)
    guided = decoder.sample(z, guidance=3, without=torch.zeros(1, 12), **options)
    assert not torch.allclose(guided, plain)
    for bad, options in ((z[:, :5], {"guidance": 1}), (z, {"guidance": 3})):
        with pytest.raises(InputError, match=r"Adapter before it|guidance needs without"):
            decoder.sample(bad, **options)


def test_folders_that_are_none_are_one_line(kandinsky, tmp_path):
    (tmp_path / "pickled/unet").mkdir(parents=True)
    (tmp_path / "pickled/model_index.json").write_text("{}")
    (tmp_path / "pickled/unet/model.bin").write_bytes(b"x")
    for folder, kind, said in (
        (tmp_path, "kandinsky", "no folder of a diffusers pipeline"),
        (tmp_path / "pickled", "kandinsky", "pickled weights"),
        (kandinsky, "unclip", "does not open as StableUnCLIPImg2ImgPipeline"),
        (kandinsky, "ip-adapter", "needs adapter"),
        (kandinsky, "other", "kind is 'other'"),
    ):
        with pytest.raises(InputError, match=said):
            external(folder, kind)
