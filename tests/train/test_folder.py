"""A run folder is a model: it loads anywhere, gives the same bits, and a damaged one is one line."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import tuplet
from tests.starter import started
from tests.train.test_fit import same
from tuplet import AlignmentModel, InputError, TrainConfig, fit
from tuplet.data import read
from tuplet.model.embedding import embed
from tuplet.nets import LSTM, MLP, Projection, ResNet18, SequenceCNN, SmallCNN
from tuplet.nets._described import build, describe
from tuplet.objectives import CoMM, Pairwise, Temperature
from tuplet.train._folder import read_progress


def encoded(model, file, out):
    with np.load(file) as raw:
        np.savez(out, **tuplet.load(model).encode(dict(raw)))


def rows(n=40):
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(n, 12, 3)) + 5
    for i in range(n):
        walk[i, 4 + i % 8 :] = 0
    return {
        "a.b": np.c_[rng.normal(3, 10, size=(n, 4)), np.full(n, 7.0)],
        "walk": walk.astype("f4"),
        "image": rng.integers(0, 255, size=(n, 3, 16, 16), dtype=np.uint8),
        "signal": rng.normal(size=(n, 1, 200)),
        "hand": rng.normal(size=(n, 20, 2)),
        "text": np.array([f"word {i % 7} and {i % 3}" for i in range(n)]),
    }


KINDS = {"walk": "padded", "image": "image", "text": "text"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "run"
    raw = rows()
    raw["a.b"][5] = np.nan
    s = read(raw, kinds=KINDS)
    config = TrainConfig(epochs=2, batch_size=12, out=out, keep="best")
    return fit(None, Pairwise(tau=Temperature(0.1)), train=s.train, val=s.val, config=config), out, raw, s


def test_raw_rows_give_the_same_bits_in_another_process(trained, tmp_path):
    run, out, raw, s = trained
    here = run.model.encode(raw)
    assert {k: (v.shape, v.dtype) for k, v in here.items()} == dict.fromkeys(raw, ((40, 64), np.float32))
    np.savez(tmp_path / "raw.npz", **raw)
    process = started(encoded, out, tmp_path / "raw.npz", tmp_path / "z.npz")  # its hashes have a seed of their own
    process.join(120)
    assert process.exitcode == 0
    there = dict(np.load(tmp_path / "z.npz"))
    for k in raw:
        assert np.array_equal(here[k], there[k]), k
        norms = np.linalg.norm(here[k], axis=1)
        assert np.allclose(norms, [0.0 if k == "a.b" and i == 5 else 1.0 for i in range(40)], atol=1e-5)
    seen = embed(run.model, s.test)  # what evaluation sees of the same rows
    for k in raw:
        assert np.allclose(seen.z[k].numpy(), here[k][seen.index.numpy()], atol=1e-5), k


def test_subsets_sizes_and_wrong_rows(trained):
    run, out, raw, _ = trained
    model = tuplet.load(out)
    whole = model.encode(raw)
    some = model.encode({"text": raw["text"][:3], "hand": torch.from_numpy(raw["hand"])}, batch_size=7)
    assert np.allclose(some["text"], whole["text"][:3], atol=1e-6)
    assert np.allclose(some["hand"], whole["hand"], atol=1e-6)
    for wrong, words in (
        ({"no": raw["hand"]}, "no"),
        ({"hand": raw["hand"][:, :, :1]}, "hand"),
        ({"hand": np.full((2, 20, 2), np.inf)}, "hand"),
        ({"a.b": raw["text"]}, "a.b"),
        ({"hand": raw["hand"][:0]}, "hand"),
        ({}, "expected a dict"),
        ([1], "expected a dict"),
    ):
        with pytest.raises(InputError, match=words):
            model.encode(wrong)
    with pytest.raises(InputError, match="batch_size"):
        model.encode(raw, batch_size=0)
    with pytest.raises(InputError, match="how the inputs"):
        AlignmentModel.mlp({"a": (2,), "b": (2,)}).encode({"a": np.ones((2, 2))})
    assert not model.training
    assert run.model.train().encode({"hand": raw["hand"]})["hand"].shape == (40, 64)
    assert run.model.training
    run.model.eval()


def test_the_folder_says_what_it_is(trained):
    run, out, _, s = trained
    about = json.loads((out / "config.json").read_text())
    assert about["modalities"]["walk"]["encoder"] == {"class": "LSTM", "arguments": {"channels": 3, "out_features": 64}}
    assert about["modalities"]["walk"]["kind"] == "padded"
    assert about["objective"]["name"] == "Pairwise"
    assert about["data"]["fingerprint"] == s.train.fingerprint
    assert about["training"]["epochs"] == 2
    card = (out / "README.md").read_text()
    assert "2 of 2 epochs" in card
    assert f"`{'a.b'}`" in card
    assert "| `a.b` | `[5]` | `vector` |" in card
    assert read_progress(out) == {
        "schema": 1,
        "done": 2,
        "epochs": 2,
        "step": run.steps,
        "kept": run.best,
        "finished": True,
    }


def test_networks_are_made_again_from_their_description():
    nets = [
        MLP(3, 2, layers=3, activation="leaky_relu", norm="none"),
        Projection(4, 2, hidden=5),
        SmallCNN(2, 3, width=8),
    ]
    nets += [
        SequenceCNN(3, 4, layout="signal", width=8, stride=2),
        LSTM(3, 4),
        nn.Identity(),
        nn.Linear(3, 2, bias=False),
    ]
    nets += [ResNet18(1, 4, norm="group"), torch.compile(MLP(3, 2), backend="eager")]
    for net in nets:
        again = build(json.loads(json.dumps(describe(net))))
        assert {k.removeprefix("_orig_mod."): v.shape for k, v in net.state_dict().items()} == {
            k: v.shape for k, v in again.state_dict().items()
        }
        assert describe(again) == describe(net)
        assert all(p.is_meta for p in again.parameters())
    assert describe(nn.Sequential(nn.Linear(2, 1)))["class"] == "custom"
    changed = MLP(3, 2)
    changed.layers[1] = nn.Linear(3, 77)
    assert describe(changed)["class"] == "custom"

    class Mine(MLP):
        pass

    assert describe(Mine(3, 2))["class"] == "custom"


def test_foreign_descriptions_are_one_line():
    good = {"class": "MLP", "arguments": {"in_features": 3, "out_features": 2}}
    build(good)
    for wrong in (
        {},
        {"class": "custom"},
        {"class": ["MLP"]},
        {"class": "Sequential", "arguments": {}},
        {"class": "os.system", "arguments": {"command": "x"}},
        {**good, "arguments": None},
        {**good, "arguments": []},
        {**good, "arguments": {}},
        *({**good, "arguments": good["arguments"] | odd} for odd in (
            {"in_features": 0}, {"in_features": -1}, {"in_features": 2**40}, {"in_features": 1.5}, {"in_features": "3"},
            {"in_features": None}, {"in_features": [3]}, {"layers": 10**6}, {"norm": "batch"}, {"device": "cuda"},
            {"self": 1}, {"hidden": 2**22, "layers": 64},
        )),
        {"class": "Linear", "arguments": {"in_features": 3, "out_features": 2, "device": "cpu"}},
        {"class": "Identity", "arguments": {"x": 1}},
    ):  # fmt: skip
        with pytest.raises(InputError):
            build(wrong)


def small(tmp_path, encoders=None, projections=None, objective=None, **settings):
    rng = np.random.default_rng(0)
    raw = {"a": rng.normal(size=(40, 4)), "b": rng.normal(size=(40, 4))}
    s = read(raw)
    model = AlignmentModel.for_source(s, dim=8)
    if encoders or projections:
        model = AlignmentModel(encoders or dict(model.encoders.items()), projections or dict(model.projections.items()))
    config = TrainConfig(**{"epochs": 1, "batch_size": 12, "out": tmp_path / "run"} | settings)
    return fit(model, objective or Pairwise(), train=s.train, val=s.val, config=config), raw, tmp_path / "run"


def test_towers_of_your_own_are_passed_and_shared_ones_stay_shared(tmp_path):
    mine = lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8))  # noqa: E731
    shared = Projection(8, 8)
    run, raw, out = small(tmp_path, {"a": mine(), "b": MLP(4, 8)}, {"a": shared, "b": shared})
    with pytest.raises(InputError, match=r"encoders=\{'a': module\}"):
        tuplet.load(out)
    again = tuplet.load(out, encoders={"a": mine()})
    assert again.projections["a"] is again.projections["b"]
    for k, v in run.model.encode(raw).items():
        assert np.array_equal(v, again.encode(raw)[k])
    with pytest.raises(InputError, match="of shape"):
        tuplet.load(out, encoders={"a": nn.Linear(4, 8)})
    with pytest.raises(InputError, match="names"):
        tuplet.load(out, encoders={"a": mine(), "c": mine()})


def test_other_precisions_compiled_towers_and_objectives_with_weights(tmp_path):
    run, raw, out = small(tmp_path / "bf16", precision="bf16", objective=CoMM(("a", "b"), 8))
    assert np.array_equal(run.model.encode(raw)["a"], tuplet.load(out).encode(raw)["a"])
    run, raw, out = small(tmp_path / "compiled", {k: torch.compile(MLP(4, 8), backend="eager") for k in "ab"})
    assert same({k.replace("._orig_mod.", "."): v for k, v in run.model.state_dict().items()}, tuplet.load(out).state_dict())
    frozen = MLP(4, 8).requires_grad_(False)
    run, raw, out = small(tmp_path / "frozen", {"a": frozen, "b": MLP(4, 8)})
    assert same(frozen.state_dict(), tuplet.load(out).encoders["a"].state_dict())


def test_a_damaged_folder_is_one_line(tmp_path):
    _, _, out = small(tmp_path)
    config, weights = (out / "config.json").read_text(), (out / "model.safetensors").read_bytes()
    about = json.loads(config)

    def changed(*path, value):
        copy = json.loads(config)
        at = copy
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return json.dumps(copy)

    entry = ("modalities", "a")
    forms = ["", "null", "[]", "{}", "[" * 5000, config.replace('"MLP"', '"Evil"'), config.replace("64", "65", 1)[:-3]]
    forms += [changed("schema", value=v) for v in (2, "1", None)]
    known = about["modalities"]["a"]["preprocessing"]
    forms += [changed(*entry, "preprocessing", value=v) for v in ([], {}, 3, {**known, "mean": "x"})]
    shared = [{"class": "shared", "with": v} for v in ("zz", [], None)]
    forms += [changed(*entry, "encoder", value=v) for v in (None, [], {}, *shared)]
    forms += [changed(*entry, "encoder", "arguments", "in_features", value=v) for v in (5, 2**21, 2**80, "x", None, True)]
    forms += [changed("modalities", value=v) for v in ({}, {"a": about["modalities"]["a"]}, None)]
    for form in forms:
        (out / "config.json").write_text(form)
        with pytest.raises(InputError) as caught:
            tuplet.load(out)
        assert "\n" not in str(caught.value), form[:60]
    (out / "config.json").write_text(config)
    for content in (b"", weights[:40], weights[:-7], b"\xff" * 200):
        (out / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError):
            tuplet.load(out)
    (out / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no model"):
        tuplet.load(out)
