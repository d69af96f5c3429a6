"""Towers of raw rows: what each library would give, frozen in `fit`, and what is refused."""

import copy
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.fixtures.clip_folder import clip_folder
from tests.fixtures.towers import WORDS, onnx_file, onnx_text, siglip_folder, sound_folder, text_folder
from tuplet import AlignmentModel, InputError, TrainConfig, fit
from tuplet.data import from_arrays
from tuplet.nets import MLP, Projection, pretrained
from tuplet.objectives import Pairwise

PICTURES = np.random.default_rng(0).integers(0, 256, size=(5, 3, 20, 20), dtype=np.uint8)
TEXTS = ["red cup", "blue", "soft ball hard ball red cup blue cup soft", None, "hard"]


def test_texts_are_pooled_as_their_folder_says(tmp_path):
    """Written out once more, from the states of the library's model, one text at a time."""
    from transformers import BertModel, BertTokenizer

    folder = text_folder(tmp_path / "bert")
    body, words = BertModel.from_pretrained(folder).eval(), BertTokenizer.from_pretrained(folder)
    with torch.no_grad():
        states = [
            body(**words(t or "", return_tensors="pt", truncation=True, max_length=8)).last_hidden_state[0] for t in TEXTS
        ]
    pools = {"mean": lambda h: h.mean(0), "cls": lambda h: h[0], "max": lambda h: h.amax(0), "lasttoken": lambda h: h[-1]}
    for name, pool in pools.items():
        old = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}.get(name, name)
        tower = pretrained(text_folder(tmp_path / name, sentence={f"pooling_mode_{old}": True, "word_embedding_dimension": 8}))
        dense = tower.after[0][0]
        wanted = torch.stack([nn.functional.normalize(torch.tanh(dense(pool(h))), dim=0) for h in states]).detach().numpy()
        z = tower.encode(TEXTS, batch_size=2)
        here = [i for i, t in enumerate(TEXTS) if t]
        np.testing.assert_allclose(z[here], wanted[here], atol=2e-6, err_msg=name)
        assert np.isnan(z[3]).all()
        assert z.shape == (5, tower.width) == (5, 6)
    plain = pretrained(folder).encode(TEXTS[:2])
    np.testing.assert_allclose(plain, [states[0].mean(0).numpy(), states[1].mean(0).numpy()], atol=2e-6)


def test_models_of_two_kinds_of_rows(tmp_path):
    clip_folder(tmp_path / "clip")
    siglip_folder(tmp_path / "siglip")
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    size = {"height": 16, "width": 16}
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size).save_pretrained(tmp_path / "clip")
    CLIPTokenizer.from_pretrained(tmp_path / "clip").save_pretrained(tmp_path / "clip")
    model = CLIPModel.from_pretrained(tmp_path / "clip").eval()
    words, eyes = (pretrained(tmp_path / "clip", part=part) for part in ("text", "vision"))
    ids = CLIPTokenizer.from_pretrained(tmp_path / "clip")(["ab c", "d"], padding=True, return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(tmp_path / "clip")(list(PICTURES), return_tensors="pt").pixel_values
    with torch.no_grad():
        wanted = model(pixel_values=pixels, **ids)
        same = [wanted.text_embeds.numpy(), wanted.image_embeds.numpy()]
    for tower, raw, want in ((words, ["ab c", "d"], same[0]), (eyes, PICTURES, same[1])):
        z = tower.encode(raw)
        np.testing.assert_allclose(z / np.linalg.norm(z, axis=1, keepdims=True), want, atol=1e-5)
    siglip = pretrained(tmp_path / "siglip", part="vision")
    z = siglip.encode(PICTURES)
    assert z.shape == (5, siglip.width)
    assert np.array_equal(z, siglip.encode(np.moveaxis(PICTURES, 1, -1)))  # channels last
    with pytest.raises(InputError, match="part='text' or part='vision'"):
        pretrained(tmp_path / "siglip")


def test_sound_is_read_over_its_own_length(tmp_path):
    from transformers import Wav2Vec2Model

    tower, wave = pretrained(sound_folder(tmp_path / "s")), np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32)
    wave[1, 200:] = 0
    body = Wav2Vec2Model.from_pretrained(tmp_path / "s").eval()
    z = tower.encode(wave)
    for i, n in enumerate((400, 200, 400)):
        x = torch.from_numpy((wave[i, :n] - wave[i, :n].mean()) / np.sqrt(wave[i, :n].var() + 1e-7))[None]
        np.testing.assert_allclose(z[i], body(x).last_hidden_state[0].mean(0).detach(), atol=1e-5)
    assert (tower.rate, tower.width) == (16000, 8)
    assert np.array_equal(z, tower.encode(wave[:, None]))
    assert np.array_equal(z, tower.encode(wave[..., None]))


def test_picture_models_of_one_file_and_of_timm(tmp_path, monkeypatch):
    from torchvision.models import shufflenet_v2_x0_5

    torch.manual_seed(0)
    body = shufflenet_v2_x0_5()
    save_file(body.state_dict(), tmp_path / "shufflenet_v2_x0_5-abc.safetensors")
    tower = pretrained(tmp_path / "shufflenet_v2_x0_5-abc.safetensors")
    body.fc = nn.Identity()
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = torch.from_numpy(np.random.default_rng(1).random((2, 3, 224, 224), dtype=np.float32))
    with torch.no_grad():
        wanted = body.eval()((x - mean) / deviation).numpy()
    np.testing.assert_allclose(tower.encode(x.numpy()), wanted, atol=1e-5)

    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    small.num_features = 4
    made = {"create_model": lambda name, pretrained, num_classes: small, "is_model": lambda name: name == "small_net"}
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(**made))
    folder = tmp_path / "timm"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {"architecture": "small_net", "pretrained_cfg": {"input_size": [3, 10, 10], "mean": [0.5] * 3, "std": [0.5] * 3}}
        )
    )
    save_file({**small.state_dict(), "head.weight": torch.ones(2)}, folder / "model.safetensors")
    with torch.no_grad():
        half = torch.from_numpy(PICTURES / np.float32(255))
        half = nn.functional.interpolate(half, size=(10, 10), mode="bilinear", antialias=True)
        np.testing.assert_allclose(pretrained(folder).encode(PICTURES), small(half * 2 - 1), atol=1e-5)
    save_file({k: v for k, v in small.state_dict().items() if k != "0.bias"}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"lacks 0\.bias"):
        pretrained(folder)
    save_file(small.state_dict(), tmp_path / "no_net.safetensors")
    with pytest.raises(InputError, match=r"no_net.*rename it"):
        pretrained(tmp_path / "no_net.safetensors")


def test_onnx_files_and_modules(tmp_path):
    weight, x = (np.random.default_rng(i).normal(size=s).astype(np.float32) for i, s in enumerate(((4, 3), (70, 4))))
    x[5] = np.nan
    tower = pretrained(onnx_file(tmp_path / "a.onnx", weight))
    np.testing.assert_allclose(tower.encode(x), x @ weight, atol=1e-6)  # NaN in, NaN out
    assert copy.deepcopy(tower).width == 3
    module = nn.Linear(4, 3)
    out = pretrained(module).encode(x)
    np.testing.assert_allclose(np.delete(out, 5, 0), module(torch.from_numpy(np.delete(x, 5, 0))).detach(), atol=1e-6)
    assert np.isnan(out[5]).all()
    with pytest.raises(InputError, match=r"reads rows \(n, 4\)"):
        tower.encode(x[:, :2])
    with pytest.raises(InputError, match=r"expected a tensor \(2, width\)"):
        pretrained(nn.Unflatten(1, (2, 2))).encode(x[:2])


def test_an_onnx_file_with_its_tokeniser_reads_texts(tmp_path):
    table = np.random.default_rng(0).normal(size=(len(WORDS), 3)).astype(np.float32)
    file = onnx_text(tmp_path, table)
    tower = pretrained(file)
    texts = ["red cup", None, "blue", "a soft soft hard ball red red"]  # the last one is cut after five words
    words = [["red", "cup"], [], ["blue"], ["[UNK]", "soft", "soft", "hard", "ball"]]
    expected = [table[[WORDS.index(w) for w in row]].mean(axis=0) if row else [np.nan] * 3 for row in words]
    np.testing.assert_allclose(tower.encode(texts), expected, atol=1e-6)
    np.testing.assert_array_equal(pretrained(tmp_path).encode(texts), tower.encode(texts))
    assert (tower.takes, tower.width, copy.deepcopy(tower).width) == ("text", 3, 3)
    with pytest.raises(InputError, match="reads texts, but rows hold int"):
        tower.rows([1])
    before = tower.sha256
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text().replace("red", "rot"))
    assert pretrained(file).sha256 != before
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer.json' cannot be read"):
        pretrained(file)


def test_towers_that_are_frozen_stay_as_they_are_in_fit(tmp_path):
    """No gradient, no Dropout, no moving statistics, in each kind that has such layers."""
    torch.manual_seed(0)
    words = pretrained(text_folder(tmp_path / "t"))
    sound = pretrained(sound_folder(tmp_path / "s"))
    norm = pretrained(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)))
    rng = np.random.default_rng(0)
    raw = {
        "text": [TEXTS[i] for i in rng.integers(0, 3, 24)],
        "sound": rng.normal(size=(24, 100)),
        "n": rng.normal(size=(24, 4)),
    }
    towers = {"text": words, "sound": sound, "n": norm}
    rows = {k: t.rows(raw[k]) for k, t in towers.items()}
    source = from_arrays({**rows, "own": raw["n"]}, scaling=dict.fromkeys(rows, "none"))
    before = {k: copy.deepcopy(t.state_dict()) for k, t in towers.items()}
    model = AlignmentModel({**towers, "own": MLP(4, 8)}, {k: Projection(8, 8) for k in (*towers, "own")})
    modes = set()
    for tower in towers.values():
        tower.register_forward_hook(lambda m, *_: modes.update(x.training for x in m.modules()))
    fit(model, Pairwise(), train=source.train, config=TrainConfig(epochs=2, batch_size=8))
    assert modes == {False}
    for k, tower in towers.items():
        assert all(torch.equal(before[k][n], v) for n, v in tower.state_dict().items()), k
        assert tower.frozen
        assert not any(p.grad is not None for p in tower.parameters())
    assert not pretrained(tmp_path / "t", frozen=False).frozen


def test_what_is_no_tower_is_refused_in_one_line(tmp_path):
    folder = text_folder(tmp_path / "t", sentence={"pooling_mode": "mean"})

    def refused(match, path=folder, **options):
        with pytest.raises(InputError, match=match) as caught:
            pretrained(path, **options)
        assert "\n" not in str(caught.value)

    refused("is not there", tmp_path / "none")
    (tmp_path / "a.pt").write_bytes(b"x")
    refused("pickled weights, which can run code", tmp_path / "a.pt")
    (tmp_path / "b.onnx").write_bytes(b"x")
    refused("cannot be read as ONNX", tmp_path / "b.onnx")
    listed = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(listed.replace("models.Dense", "models.Evil"))
    refused("has a module 'Evil'")
    (folder / "modules.json").write_text(listed.replace("2_Dense", "../.."))
    refused("outside of the folder")
    (folder / "modules.json").write_text(listed)
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    refused(r"pickled weights \(pytorch_model.bin\)")
    (folder / "modules.json").unlink()
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"num_hidden_layers": 2}))
    refused("lacks the weights .*random")
    (folder / "config.json").write_text(json.dumps(about | {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}))
    (folder / "mine.py").write_text("raise SystemExit('executed')")
    refused("cannot be read")
    (folder / "config.json").write_text("[")
    refused("is damaged")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(about))
    refused(r"pickled weights \(pytorch_model.bin\)")
    with pytest.raises(InputError, match="go from 0 to 255; rescale"):
        pretrained(siglip_folder(tmp_path / "s"), part="vision").encode(PICTURES.astype(np.float32) // 255 * 255)
