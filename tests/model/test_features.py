"""Features of frozen towers: the same bits from the cache, computed once, and raw rows for a model that was trained on them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import tuplet
from tests.fixtures.towers import onnx_file, sound_folder, text_folder
from tuplet import InputError, TrainConfig, features, fit, load
from tuplet.cli import main
from tuplet.data import from_arrays, read
from tuplet.nets import Pretrained, pretrained
from tuplet.objectives import Pairwise

WORDS = np.array([f"{a} {b} {c}" for a in ("red", "blue") for b in ("soft", "hard") for c in ("cup", "ball")])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path / "cache"))
    text_folder("words", sentence={"pooling_mode": "mean"})


def arrays(n=60):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, n)
    touch = np.eye(8)[codes] @ rng.normal(size=(8, 5)) + 0.1 * rng.normal(size=(n, 5))
    return {"text": WORDS[codes], "touch": touch.astype(np.float32), "label": codes % 2}


def joined(source, name):
    return source.read(name, torch.arange(len(source.present[name]))).numpy()


def test_the_cache_gives_the_same_bits_and_computes_once(monkeypatch):
    data, calls, encode = arrays(), [], Pretrained.encode

    def counted(self, raw, **options):
        calls.append(len(raw))
        return encode(self, raw, **options)

    monkeypatch.setattr(Pretrained, "encode", counted)
    plain = features(data, {"text": "words"}, cache=False)
    first, again = (features(data, {"text": pretrained("words")}) for _ in range(2))
    assert calls == [60, 60]
    for one in (first, again):
        assert np.array_equal(joined(one, "text"), joined(plain, "text"))
        assert one.fingerprint == plain.fingerprint
    assert [s.provenance.notes[-1].count("read from the cache") for s in (plain, first, again)] == [0, 0, 1]
    z = pretrained("words").encode(list(data["text"]))
    assert np.array_equal(again.preprocessing["text"].apply(z)[0], joined(again, "text"))

    features(data | {"text": data["text"][::-1]}, {"text": "words"})
    features(data | {"touch": data["touch"] * 2}, {"text": "words"})  # not its rows
    assert len(calls) == 4
    dense = Path("words/2_Dense/config.json")
    dense.write_text(dense.read_text().replace("Tanh", "ReLU"))
    other = features(data, {"text": "words"})
    assert len(calls) == 5
    assert other.fingerprint != first.fingerprint


def test_rows_are_joined_before_and_absent_ones_stay_absent():
    data = arrays(40)
    text = pd.Series(data["text"], index=range(40)).iloc[::-1].drop([3, 9, 20, 21, 30])
    touch = pd.DataFrame(data["touch"], index=range(40))
    source = features({"words": text, "touch": touch}, {"words": "words"})
    plain = read({"words": text, "touch": touch})
    assert torch.equal(source.present["words"], plain.present["words"])
    assert int(source.present["words"].sum()) == 35
    how = plain.preprocessing["touch"]
    values = how.scale.undo(joined(plain, "touch"))
    order = [int(((data["touch"] - row) ** 2).sum(axis=1).argmin()) for row in values]
    wanted = pretrained("words").encode(list(data["text"]))[order]
    here = source.present["words"].numpy()
    got, _ = source.preprocessing["words"].apply(np.where(here[:, None], wanted, np.nan))
    np.testing.assert_allclose(joined(source, "words"), got, atol=1e-5)
    assert not joined(source, "words")[~here].any()


def test_a_model_takes_raw_rows_and_finds_its_tower(tmp_path):
    data = arrays()
    source = features(data, {"text": "words"})
    run = fit(None, Pairwise(), train=source.train, config=TrainConfig(epochs=2, batch_size=16, out=tmp_path / "run"))
    features_of = pretrained("words").encode(list(data["text"]))
    rows, _ = source.preprocessing["text"].apply(features_of)
    wanted = run.model.embed_one("text", torch.from_numpy(rows), torch.ones(60, dtype=torch.bool)).detach().numpy()
    assert np.array_equal(run.model.encode({"text": data["text"]})["text"], wanted)
    back = load(tmp_path / "run")
    assert np.array_equal(back.encode({"text": [*data["text"][:3], None]})["text"][:3], wanted[:3])
    assert not back.encode({"text": ["", None]})["text"].any()  # a block of rows without a text
    assert back.preprocessing == run.model.preprocessing
    (tmp_path / "words").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"which is not there.*--tower text=PATH"):
        load(tmp_path / "run").encode({"text": ["red"]})
    moved = load(tmp_path / "run", towers={"text": tmp_path / "moved"})
    assert np.array_equal(moved.encode({"text": data["text"]})["text"], wanted)
    text_folder(tmp_path / "words")
    with pytest.raises(InputError, match="other weights"):
        load(tmp_path / "run").encode({"text": ["red"]})
    with pytest.raises(InputError, match="towers names"):
        load(tmp_path / "run", towers={"smell": "moved"})


def test_other_rows_than_texts(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, size=(40, 3, 4, 4), dtype=np.uint8)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 6))
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    source = features(from_arrays({"eye": pictures, "x": x}), {"eye": module})
    both = features({"eye": pictures, "x": x}, {"eye": module, "x": onnx_file(tmp_path / "a.onnx", weight)})
    assert np.array_equal(joined(source, "eye"), joined(both, "eye"))
    assert source.fingerprint != from_arrays({"eye": pictures, "x": x}).fingerprint
    assert both.modalities["x"].shape == (3,)
    assert module[1].weight.requires_grad
    assert "not kept on disk" in both.provenance.notes[-2]
    run = fit(None, Pairwise(), train=both.train, config=TrainConfig(epochs=1))
    with pytest.raises(InputError, match=r"^'eye' was trained on features of a module that no file holds"):
        run.model.encode({"eye": pictures})
    run.model.towers["eye"] = module
    assert run.model.encode({"eye": pictures})["eye"].shape == (40, 64)
    sound = sound_folder(tmp_path / "ears")
    for call, match in (
        (lambda: features({"eye": pictures, "x": x}, {"ear": module}), r"names \['ear'\], expected some of"),
        (lambda: features(from_arrays({"eye": pictures, "x": x}), {"x": module}), "holds scaled rows of 'x'"),
        (lambda: features({"eye": pictures, "x": x}, {"x": "words"}), r"modalities\['x'\].*reads texts"),
        (lambda: features({"eye": pictures, "x": x}, {"eye": sound}), r"modalities\['eye'\].*reads sound"),
    ):
        with pytest.raises(InputError, match=match):
            call()


def test_commands(capsys, monkeypatch):
    monkeypatch.setattr("tuplet.model.frozen.EVERY", 0.0)
    np.savez("my.npz", **arrays())
    assert main(["train", "my.npz", "--tower", "text=words", "--epochs", "1", "--start", "random", "--out", "run"]) == 0
    seen = capsys.readouterr()
    assert "text has 6 features by the frozen tower" in seen.out
    assert "text: 32 of 60 rows through the tower" in seen.err
    assert main(["embed", "run", "my.npz", "--out", "emb.npz"]) == 0
    emb, model = tuplet.store.read("emb.npz"), load("run")
    assert np.array_equal(emb.z["text"].numpy(), model.encode({"text": arrays()["text"]})["text"])
    capsys.readouterr()
    assert main(["search", "emb.npz", "--text", arrays()["text"][0], "-k", "2", "--json"]) == 0  # words pass the tower, too
    found = json.loads(capsys.readouterr().out)
    others = {k: z[None] for k, z in emb.z.items() if k != "text"}
    expected = torch.stack([z[0] @ emb.z["text"][0] for z in others.values()]).mean(dim=0).topk(2)
    assert [i["row"] for i in found["found"]] == expected.indices.tolist()
    for words, match in (
        (["--tower", "words"], "such as --tower text=PATH;"),
        (["--tower", "words=words"], "names ['words']"),
        (["--tower", "text=words", "--method", "tlv_core"], "one CLIP for all"),
    ):
        assert main(["train", "my.npz", *words, "--out", "other"]) == 2
        assert match in capsys.readouterr().err
