"""A model of towers on disk: every method loads bit for bit, and the frozen base is named, not copied."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import tuplet
from tuplet import InputError, TrainConfig, fit
from tuplet.data import from_arrays
from tuplet.methods import any_touch, tlv_core, tlv_link, uni_touch, vit_lens
from tuplet.model import read_weights
from tuplet.nets import clip, tokeniser
from tuplet.nets.towers import DEVIATION, MEAN

SMALL = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
BASE = {
    "vision_config": SMALL | {"image_size": 8, "patch_size": 4},
    "text_config": SMALL | {"vocab_size": 40, "max_position_embeddings": 7, "eos_token_id": 2},
    "projection_dim": 4,
}
WORDS = tokeniser("words", length=7, vocabulary=40)
METHODS = {
    "tlv_core": (tlv_core, {"sensors": 2, "rank": 2, "levels": 2, "init": "torch", "blocks": "last"}),
    "tlv_link": (tlv_link, {"rank": 2, "scale": 4}),
    "vit_lens": (vit_lens, {"blocks": 1}),
    "uni_touch": (uni_touch, {"sensors": 2, "tokens": 3}),
    "any_touch": (any_touch, {"sensors": 2, "matching": 0.0, "rank": 2, "decoder": (8, 1, 2), "variant": "lora"}),
}


def touches(n=30):
    rng = np.random.default_rng(0)
    pictures = {k: rng.integers(0, 256, size=(n, 3, 8, 8), dtype=np.uint8) for k in ("touch", "vision")}
    texts = [f"{a} {b}" for a, b in rng.choice(["rough", "soft", "hard", "even", "wood"], size=(n, 2))]
    sensor = np.arange(n) % 2
    source = from_arrays({**pictures, "text": WORDS(texts).numpy()}, targets={"sensor": sensor}, scaling={"text": "none"})
    return replace(source, aux=("sensor",)), {**pictures, "text": texts}, sensor


def trained(base, out, method="tlv_core", **changes):
    build, options = METHODS[method]
    torch.manual_seed(0)
    towers = {k: clip(base, "text" if k == "text" else "vision", unit=True) for k in ("text", "touch", "vision")}
    model, objective, _ = build(towers, **options | changes)
    model.words["text"] = WORDS
    source = touches()[0]
    fit(model, objective, train=source.train, config=TrainConfig(epochs=1, batch_size=9, lr=1e-2, out=out))
    return model


def encoded(model):
    _, raw, sensor = touches()
    return model.encode(raw, aux={"sensor": sensor})


@pytest.fixture
def base(tmp_path):
    from transformers import CLIPConfig, CLIPModel  # seconds

    torch.manual_seed(3)
    folder = tmp_path / "base"
    CLIPModel(CLIPConfig(**BASE)).save_pretrained(folder)
    return folder


@pytest.mark.whole
def test_every_method_loads_bit_for_bit(tmp_path, base):
    """From a configuration everything is stored; from a folder, what is trained."""
    for method in METHODS:
        for start in (BASE, base) if method in ("tlv_core", "any_touch") else (BASE,):
            out = tmp_path / f"{method}{start is base}"
            one = trained(start, out, method)
            two = tuplet.load(out)
            for k, z in encoded(one).items():
                assert np.array_equal(z, encoded(two)[k]), f"{method} {k}"
            stored = read_weights(out)
            assert two.encoders["touch"].tower.source == one.encoders["touch"].tower.source
            lent = set(one.state_dict()) - set(stored)
            assert lent == set(two.based)
            assert not lent & {k for k, p in one.named_parameters() if p.requires_grad}
            assert not lent & {k for k, p in two.named_parameters() if p.requires_grad}
            share = {"any_touch": 0.75}.get(method)  # the share of universal tokens has risen
            assert share is None or one.encoders["touch"].sensors.share == share
            assert bool(lent) == (start is base)
            if start is base and method == "tlv_core":
                assert {k.rpartition(".tower.")[0] for k in lent} == {f"encoders.{k}" for k in one.encoders}
                assert not any("tower" in k for k in stored)


def test_towers_without_adapters_are_clip(base):
    """Bit for bit, whether the adapters are left out or begin with nothing added; so are low-rank updates."""
    from transformers import CLIPModel

    whole, inputs = CLIPModel.from_pretrained(base), touches(6)[0].train[:]
    x, ids = inputs.inputs["vision"], inputs.inputs["text"]
    picture = whole.vision_model(normalised(x)).pooler_output
    text = whole.text_model(ids.long(), attention_mask=torch.ones_like(ids)).pooler_output
    for build, options in ((tlv_core, {"sensors": 1, "levels": 0}), (tlv_core, {"sensors": 2, "levels": 3}), (tlv_link, {})):
        towers = {k: clip(base, "text" if k == "text" else "vision", unit=True) for k in ("text", "touch", "vision")}
        h = build(towers, **options)[0](inputs).h
        assert torch.equal(h["vision"], picture)
        assert torch.equal(h["text"], text)
        if options.get("sensors") != 2:  # or touch is scaled by its sensor
            assert torch.equal(h["touch"], whole.vision_model(normalised(inputs.inputs["touch"])).pooler_output)


def normalised(x):
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def test_a_base_that_is_gone_or_changed_is_one_line(tmp_path, base):
    out = tmp_path / "run"
    one = encoded(trained(base, out))
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"base, which is not there; restore it, or say where it lies now"):
        tuplet.load(out)
    assert all(np.array_equal(z, one[k]) for k, z in encoded(tuplet.load(out, base=moved)).items())
    file = moved / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"was trained on other weights than .*moved holds now"):
        tuplet.load(out, base=moved)
    with pytest.raises(InputError, match="holds a run with data ="):  # nor is such a run continued
        trained(moved, out)
    file.rename(moved / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled weights \(pytorch_model.bin\), which can run code"):
        clip(moved)


def test_frozen_weights_that_were_changed_are_stored(tmp_path, base):
    """Whatever differs from the base is stored; a run is continued without what the base holds."""
    torch.manual_seed(0)
    towers = {k: clip(base, "text" if k == "text" else "vision", unit=True) for k in ("text", "touch", "vision")}
    model, objective, _ = tlv_core(towers, sensors=2, rank=2, levels=2)
    towers["vision"].body.post_layernorm.bias.data[0] += 1
    source, config = touches()[0], TrainConfig(epochs=2, batch_size=9, lr=1e-2, out=tmp_path / "run")
    fit(model, objective, train=source.train, config=config)
    assert [k for k in read_weights(config.out) if ".tower." in k] == ["encoders.vision.tower.body.post_layernorm.bias"]
    again, objective, _ = tlv_core(
        {k: clip(base, "text" if k == "text" else "vision", unit=True) for k in towers}, sensors=2, rank=2, levels=2
    )
    fit(again, objective, train=source.train, config=config)  # a finished run: read back
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())


def test_a_damaged_description_is_one_line(tmp_path):
    out = tmp_path / "run"
    trained(BASE, out)
    config = json.loads((out / "config.json").read_text())
    for change, said in (
        (lambda c: c["modalities"]["touch"]["encoder"]["tower"]["config"].update(auto_map="x.py"), "auto_map"),
        (lambda c: c["modalities"]["touch"]["encoder"]["tower"]["config"].update(hidden_size=2**40), "hidden_size"),
        (lambda c: c["modalities"]["touch"]["encoder"]["tower"]["config"].update(num_attention_heads=3), "cannot be made"),
        (lambda c: c["modalities"]["touch"]["encoder"]["tower"]["config"].update(hidden_act="eval"), "cannot be made"),
        (lambda c: c["modalities"]["touch"]["encoder"]["tower"].update(order=[0, 1]), "expected 3 numbers below 3"),
        (lambda c: c["modalities"]["touch"]["encoder"].update(bridge="other"), "'other' is not there"),
        (lambda c: c["modalities"]["touch"]["encoder"]["modulator"].update(sensors=3), "of shape"),
        (lambda c: c["bridges"]["bridge"].update({"class": "custom"}), "bridge"),
        (lambda c: c["bridges"]["bridge"]["arguments"].update(rank=3), "of shape"),
    ):
        wrong = json.loads(json.dumps(config))
        change(wrong)
        (out / "config.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError) as error:
            tuplet.load(out)
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_sensor_ids_and_texts_of_raw_rows(tmp_path):
    model = trained(BASE, tmp_path / "run", init="zero_up")
    _, raw, sensor = touches()
    with_ids, without = (model.encode(raw, aux=aux)["touch"] for aux in ({"sensor": sensor}, None))
    assert np.array_equal(without, model.encode({"touch": raw["touch"]}, aux={"sensor": np.full(30, -1)})["touch"])
    assert not np.allclose(with_ids, without)
    in_parts = model.encode({"touch": raw["touch"]}, aux={"sensor": sensor}, batch_size=7)["touch"]
    np.testing.assert_allclose(in_parts, with_ids, atol=1e-5)
    few = model.encode({"text": ["rough", None], "touch": raw["touch"]}, aux={"sensor": sensor})  # texts have no sensor
    assert few["text"].any(axis=1).tolist() == [True, False]
    for change, said in (
        ({"aux": {"sensor": sensor + 1}}, "ids [1, 2], expected (30,) with ids from 0 to 1, or -1 for unknown"),
        ({"aux": {"sensor": sensor[:5]}}, "one per row: 30 of 'touch'"),
        ({"aux": {"sensor": sensor * 0.5}}, "expected whole numbers"),
        ({"text": ["one two three four five six seven"]}, "has 9 tokens, expected at most 7; shorten it"),
        ({"touch": raw["touch"][:, :, :4]}, "expected (n, 3, 8, 8) as in training"),
        ({"touch": raw["touch"] / 255}, "give whole numbers from 0 to 255"),
    ):
        aux = change.pop("aux", None)
        with pytest.raises(InputError) as error:
            model.encode(raw | change, aux=aux)
        assert said in str(error.value), str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="pictures have values from 0 to 2, expected 0 to 1"):
        model.encoders["vision"](2 * torch.rand(1, 3, 8, 8).round())
