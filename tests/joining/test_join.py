"""A sensor joins a space: the space does not move by a bit, rows meet by id, and the numbers stand beside ridge regression."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

import tuplet
from tuplet import AlignmentModel, InputError, TrainConfig, join, load, store
from tuplet.cli import main
from tuplet.data import read
from tuplet.joining import _ridge
from tuplet.joining.adding import recipe
from tuplet.nets import MLP, Projection

SHORT = TrainConfig(epochs=2, batch_size=32)


def world(n=120):
    """Six hidden numbers; text sees them in unit vectors, touch and sound bent."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(n, 6))
    text = h @ rng.normal(size=(6, 16)) + 0.1 * rng.normal(size=(n, 16))
    text = (text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float32)
    touch, sound = (np.tanh(h @ rng.normal(size=(6, d))).astype(np.float32) for d in (12, 8))
    ids = np.array([f"item {i}" for i in range(n)])
    return ids, text, touch, sound, h[:, 0] > 0


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_ready_vectors_of_every_form_meet_by_id_and_stay(tmp_path):
    ids, text, touch, _, label = world()
    some = np.random.default_rng(1).permutation(120)[:100]
    emb = tuplet.Embeddings.of({"text": torch.from_numpy(text)})
    data = {"id": ids[some], "touch": touch[some], "label": label[some]}
    spaces = {
        "dict": {"id": ids, "text": text},
        "parquet": store.write("s.parquet", emb, ids=ids),
    }
    found = {k: join(s, data, modality="touch", config=SHORT, out=tmp_path / k) for k, s in spaces.items()}
    frame = {"touch": pd.DataFrame(touch[some], index=ids[some])}
    found["frames"] = join(
        {"text": pd.DataFrame(text, index=ids)}, frame, target={"label": pd.Series(label, ids)}, modality="touch", config=SHORT
    )
    for k, one in found.items():
        held = one.source.read("text", torch.arange(100)).numpy()
        assert held.tobytes() == text[some].tobytes(), k
        assert one.run.model.encode({"text": text})["text"].tobytes() == text.tobytes(), k
        assert np.array_equal(one.source.values["label"].numpy(), label[some].astype(np.int64)), k
        assert one.reached.pool == 20
        assert one.reached.ridge["touch -> text"].values["R@1"] > 0.8  # chance is 0.05: rows do belong together
        assert one.reached.joined["text -> touch"].values["R@1"] > 0.8
    back = load(tmp_path / "parquet")
    assert back.encode({"text": text})["text"].tobytes() == text.tobytes()
    again = {"touch": touch}
    assert np.array_equal(back.encode(again)["touch"], found["parquet"].run.model.encode(again)["touch"])
    assert "began as ridge regression onto the space" in (tmp_path / "parquet/README.md").read_text()


def test_a_model_keeps_its_bits_while_another_sensor_joins():
    _, text, touch, sound, _ = world()
    frozen = {"text": nn.Sequential(MLP(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)), "touch": MLP(12, 8)}
    old = AlignmentModel(frozen, {k: Projection(8, 8) for k in frozen})
    source = read({"text": text, "touch": touch}, scaling="standard")
    old.preprocessing = dict(source.preprocessing)
    before, z = {k: v.clone() for k, v in old.state_dict().items()}, old.eval().encode({"text": text, "touch": touch})
    raw = {"text": text, "touch": touch.copy(), "sound": sound}
    raw["touch"][7] = np.nan
    found = join(old, raw, modality="sound", config=SHORT)
    model = found.run.model
    for k, v in model.state_dict().items():
        assert k not in before or torch.equal(before[k], v), k
    assert set(before) <= set(model.state_dict())
    now = model.encode({"text": text, "touch": touch})
    assert all(now[k].tobytes() == z[k].tobytes() for k in z)
    assert model.preprocessing["touch"] == old.preprocessing["touch"]
    assert not bool(found.source.present["touch"][7])
    assert set(found.reached.joined) == {"sound -> text", "text -> sound", "sound -> touch", "touch -> sound"}
    assert all(p.requires_grad for p in old.parameters())  # the caller's own model is left alone
    own = join({"text": text}, {"sound": sound}, modality="sound", encoder=nn.Linear(8, 5), config=SHORT)
    assert isinstance(own.run.model.encoders["sound"], nn.Linear)
    ours, theirs = (side["sound -> text"].values["mAP"] for side in (own.reached.joined, own.reached.ridge))
    assert ours < theirs
    assert own.reached.better == -1  # two epochs from random weights, against ridge regression
    assert "worse than ridge" in " ".join(str(own.reached).split())


def test_the_encoder_begins_as_ridge_regression(monkeypatch):
    _, text, touch, _, _ = world()
    monkeypatch.setattr(_ridge, "RIDGES", (0.1,))
    source = read({"text": text, "touch": touch}, scaling={"text": "none"})
    model = recipe(source, ["text"]).model.eval()
    batch = source.train[:]
    x, y = batch.inputs["touch"].numpy(), batch.inputs["text"].numpy()
    strength = 0.1 * ((x - x.mean(0)) ** 2).sum(axis=1).mean() / 12
    wanted = Ridge(alpha=strength * len(x)).fit(x, y).predict(x)
    got = model.projections["touch"](model.encoders["touch"](batch.inputs["touch"])).detach().numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert all(not p.requires_grad for k in ("encoders", "projections") for p in getattr(model, k)["text"].parameters())


def test_commands(capsys):
    ids, text, touch, sound, label = world()
    np.savez("all.npz", text=text, touch=touch, sound=sound, label=label, words=ids)
    np.savez("space.npz", id=ids, text=text)
    np.savez("touch.npz", id=ids[::-1][:100], touch=touch[::-1][:100], label=label[::-1][:100])
    short = ["--epochs", "1", "--batch-size", "32"]
    assert main(["train", "all.npz", "--modalities", "text", "touch", "--start", "random", "--out", "old", *short]) == 0
    for name, words in (
        ("named", ["all.npz", "--frozen", "text", "--modalities", "text", "touch"]),
        ("file", ["touch.npz", "--frozen", "space.npz"]),
        ("model", ["all.npz", "--frozen", "old", "--modalities", "sound"]),
    ):
        capsys.readouterr()
        for _ in range(1 + (name == "file")):  # the second time it continues, and is done
            assert main(["train", *words, "--out", name, *short]) == 0
        said = capsys.readouterr().out
        assert "stays as it is; only" in said
        assert "-> sound, R@1" in said or "-> touch, R@1" in said
        assert main(["embed", name, words[0], "--out", f"{name}.parquet"]) == 0
    assert load("named").encode({"text": text})["text"].tobytes() == text.tobytes()
    one, two = (load(k).encode({"touch": touch})["touch"] for k in ("old", "model"))
    assert one.tobytes() == two.tobytes()
    capsys.readouterr()
    assert main(["evaluate", "file"]) == 0
    assert "ridge regression" in " ".join(capsys.readouterr().out.split())
    emb = store.read("file.parquet")
    assert emb.modalities == ("touch",)
    capsys.readouterr()
    np.savez("wide.npz", id=ids, text=np.eye(120, 5, dtype=np.float32), other=np.ones((120, 4), np.float32))
    np.savez("strange.npz", id=np.arange(500, 620), text=text)
    for words, match in (
        (["touch.npz", "--frozen", "strange.npz"], "no id in common, such as 500 and 'item 119'"),
        (["touch.npz", "--frozen", "wide.npz"], "different widths"),
        (["all.npz", "--frozen", "smell"], "expected one of"),
        (["all.npz", "--frozen", "words"], "--tower words=PATH"),
        (["all.npz", "--frozen", "text", "--dim", "8"], "decides that itself"),
        (["touch.npz", "--frozen", "file"], "which the space has, too"),
        (["digits", "--frozen", "space.npz"], "give a file of yours"),
        (["touch.npz", "--frozen", "space.npz", "--modalities", "ear"], "modality is 'ear'"),
    ):
        assert main(["train", *words, "--out", "other"]) == 2, words
        assert match in capsys.readouterr().err, words
    changed = text[:, ::-1].copy()
    np.savez("space.npz", id=ids, text=changed[:, :8])
    assert main(["evaluate", "file"]) == 2
    assert "trained on other data" in capsys.readouterr().err


def test_what_cannot_be_joined_is_one_line():
    ids, text, touch, _, _ = world()
    for space, data, match in (
        ({"text": text, "more": text[:, :4]}, {"touch": touch}, "one width D"),
        ({"text": text[:50]}, {"touch": touch}, "50 vectors and the data 120 rows"),
        ({"id": ids, "text": text}, {"touch": touch}, "no id in common, such as 'item 0' and 0"),
        (
            {"id": ids[1:2], "text": text[1:2]},
            {"id": ids, "touch": touch},
            "'touch' has 1 training rows with an item of the space",
        ),
        ({"text": ids}, {"touch": touch}, "expected vectors"),
        (7, {"touch": touch}, "space is a int"),
        ("nowhere.npz", {"touch": touch}, "is not there"),
        (AlignmentModel.mlp({"a": (3,), "b": (3,)}), {"touch": touch}, "none that the model of the space reads"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            join(space, data, modality="touch", config=SHORT)
        assert "\n" not in str(caught.value)
