"""What people hand in on the way to the first array: padding, names that say what they are, odd containers, paths as text."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

import tuplet
from tuplet import InputError
from tuplet.audit.relation import relation_report
from tuplet.catalog import READERS
from tuplet.data import from_arrays, hide, read, write_table
from tuplet.data._padding import lengths, nan_ends_only

N = 60
rng = np.random.default_rng(0)
X, B, Y = rng.normal(size=(N, 5)), rng.normal(size=(N, 3)), np.arange(N) % 2
LENGTH = np.where(np.arange(N) % 3 == 0, 5 + np.arange(N) % 7, 12)
WALK = np.where((np.arange(12) < LENGTH[:, None])[..., None], rng.normal(2, 1, size=(N, 12, 3)), 0.0)
GAPS = np.where(WALK == 0, np.nan, WALK)


def rows(source, name):
    """Return all rows of a modality, in order."""
    parts = [part[:] for part in (source.train, source.val, source.test)]
    order = np.argsort(np.concatenate([p.index.numpy() for p in parts]))
    return np.concatenate([p.inputs[name].numpy() for p in parts])[order]


def test_padding_is_noticed_and_the_advice_works(tmp_path):
    file = write_table(tmp_path / "t.safetensors", {"input.walk": WALK, "input.b": B})
    for given in ({"walk": WALK, "b": B}, file):
        (note,) = (n for n in read(given).provenance.notes if "padding" in n)
        assert "20 of 60 rows" in note
        assert "5 to 12 steps long, median 12" in note
        assert "--kind walk=padded (kinds={'walk': 'padded'})" in note
        source = read(given, kinds={"walk": "padded"})
        assert not source.provenance.notes
        assert ((rows(source, "walk") != 0).any(axis=2).sum(axis=1) == LENGTH).all()
    turned = read({"walk": WALK.swapaxes(1, 2), "b": B}).provenance.notes
    assert any(".swapaxes(1, 2)" in n for n in turned)
    sparse = np.where(rng.random(WALK.shape[:2])[..., None] < 0.3, WALK, 0)  # silence between events is no padding
    for quiet in (read({"walk": WALK + 0.1, "b": B}), read({"walk": sparse, "b": B}), read({"a": X, "b": B})):
        assert not any("padding" in n for n in quiet.provenance.notes)
    with pytest.raises(InputError, match=r"NaN at the ends of 20 of 60 rows .* give kinds=\{'walk': 'padded'\}"):
        read({"walk": GAPS, "b": B})
    inside = GAPS.copy()
    inside[0, 1, 0] = np.nan
    for bad, kinds in ((inside, {}), (inside, {"walk": "padded"})):
        with pytest.raises(InputError, match="NaN inside"):
            read({"walk": bad, "b": B}, kinds=kinds)
    zeros, nan = (read({"walk": w, "b": B}, kinds={"walk": "padded"}) for w in (WALK, GAPS))
    assert zeros.fingerprint == nan.fingerprint


def test_absent_rows_and_silence_are_no_ends():
    nan = np.nan
    assert nan_ends_only(np.array([[[1.0], [nan]], [[nan], [nan]]]))
    steps, silent = lengths(np.array([[[1.0], [0.0], [2.0], [0.0]]]))
    assert (steps.tolist(), silent) == ([3], pytest.approx(1 / 3))
    assert lengths(np.zeros((2, 3, 1)))[1] == 0


def test_new_rows_that_do_not_fit_say_what_does():
    image = rng.integers(0, 256, size=(N, 6, 6, 3), dtype=np.uint8)
    source = read({"walk": GAPS, "a": X, "image": image, "note": ["cup", "ball"] * 30}, kinds={"walk": "padded"})
    model = tuplet.AlignmentModel.for_source(source, dim=4)
    short = WALK[LENGTH == 5][:2]
    z = model.encode({"walk": short[:, :5], "a": X[:9]})
    np.testing.assert_allclose(z["walk"], model.encode({"walk": short})["walk"], atol=1e-6)
    assert len(z["a"]) == 9
    lists = [row[:n] for row, n in zip(WALK, LENGTH, strict=True)]
    assert np.array_equal(model.encode({"walk": lists})["walk"], model.encode({"walk": WALK})["walk"])
    absent = np.where(np.arange(N)[:, None] < 3, np.nan, X)
    z = model.encode({"a": absent})
    assert (z["a"].any(axis=1) == (np.arange(N) >= 3)).all()
    for raw, message in (
        ({"a": X[0]}, r"shape \(5,\), expected \(n, 5\) as in training; give row\[None\]"),
        ({"image": image[0]}, r"row\[None\]"),
        ({"image": image.swapaxes(1, 3)}, r"shape \(60, 3, 6, 6\), expected \(n, 6, 6, 3\)"),
        ({"image": image / 255}, "whole numbers from 0 to 255"),
        ({"a": B}, r"raw\['a'\] has shape \(60, 3\)"),
        ({"walk": np.concatenate([WALK, WALK], axis=1)}, "cut them to 12 steps"),
        ({"a": [row[: 1 + i % 3] for i, row in enumerate(X)]}, "; give every row the shape of the training rows$"),
        ({"note": "cup"}, r"\[text\]"),
        ({"q": X}, "expected some of"),
        ("new.npz", "expected a dict such as"),
    ):
        with pytest.raises(InputError, match=message):
            model.encode(raw)


def test_names_say_what_arrays_and_columns_are():
    ids = [f"r{i}" for i in range(N)]
    order = rng.permutation(N)
    plain = read({"a": X, "b": B, "label": Y, "group": np.arange(N) // 3})
    assert read({"a": X, "b": B, "label": Y, "group": np.arange(N) // 3, "id": order}).fingerprint == plain.fingerprint
    frame, other = pd.DataFrame(X).assign(id=ids, label=Y), pd.DataFrame(B).assign(id=ids, label=Y).iloc[order]
    joined = read({"a": frame, "b": other})
    assert {k: m.shape for k, m in joined.modalities.items()} == {"a": (5,), "b": (3,)}
    assert np.allclose(rows(joined, "b"), rows(read({"a": X, "b": B, "label": Y}), "b"))
    assert read({"a": X, "b": B, "id": np.arange(N) // 3}, group="id").group is not None
    assert read({"a": X, "b": B, "id": Y}, target="id").targets["id"].size == 2
    assert "id" in read({"a": X, "b": B, "id": ids}, modalities=["a", "id"]).modalities
    for arrays, options, message in (
        ({"a": X, "b": B, "id": np.arange(N) // 3}, {}, r"id 'id' has 0 more than once.*--group"),
        ({"a": X, "b": B, "id": ids[1:]}, {}, "id 'id' has shape"),
        ({"a": X, "b": B, "y": Y}, {"modalities": ["a", "y"], "target": "y"}, "modalities names as a modality"),
        ({"a": frame, "b": other.assign(label=1 - Y[order])}, {}, "in modalities"),
        ({"a": X, "b": B}, {"kinds": "vector"}, "expected a dict"),
        ({"a": X, "b": B}, {"split": (0.6, 0.2, 0.2)}, r"tuplet.data.Split\("),
        ({"a": X, "b": B, "times": np.arange(7)}, {}, r"has 7 rows.*--modalities a b\)"),
        ({"a": X, "b": B}, {"target": Y}, "dict such as"),
        (pd.DataFrame(X, columns=["a", "b", "c", "d", "a"]), {}, "two columns called 'a'"),
    ):
        with pytest.raises(InputError, match=message):
            read(arrays, **options)


def test_columns_of_frames_are_found_by_name():
    frame = pd.DataFrame(X, columns=list("uvwxy"))
    source = read({"a": frame.assign(label=Y), "b": B})
    model = tuplet.AlignmentModel.for_source(source, dim=4)
    how = source.preprocessing["a"]
    model.preprocessing["a"] = type(how).from_json(how.to_json())
    z = model.encode({"a": frame})["a"]
    for same in (frame[list("yxwvu")], frame.assign(label=Y), X):
        np.testing.assert_array_equal(model.encode({"a": same})["a"], z)
    with pytest.raises(InputError, match=r"raw\['a'\] lacks the columns \['v'\]"):
        model.encode({"a": frame.rename(columns={"v": "V"})})
    for columns in (["u"], [1] * 5, "uvwxy"):
        with pytest.raises(InputError, match="columns"):
            type(how).from_json({**how.to_json(), "columns": columns})


def test_odd_containers_are_read_or_say_how(tmp_path):
    gone = np.arange(N) % 10 == 0
    mask = np.repeat(gone[:, None], 5, axis=1)
    holes = [None if g else row for g, row in zip(gone, X, strict=True)]
    expected = read({"a": np.where(mask, np.nan, X), "b": B})
    tensors = [torch.tensor(row, requires_grad=True) for row in X]
    extra = read({"a": tensors, "b": B, "rate": 100.0, "note": "run 5"})
    assert extra.fingerprint == read({"a": X, "b": B}).fingerprint
    assert any("rate holds one value" in note for note in extra.provenance.notes)
    for same in (np.ma.masked_array(X, mask), pd.Series(holes), pd.DataFrame(X).astype("Float64").mask(mask)):
        assert read({"a": same, "b": B}).fingerprint == expected.fingerprint
    np.savez(tmp_path / "objects.npz", a=X, b=B, note=np.array(["cup", None] * 30, dtype=object))
    with pytest.raises(InputError, match=r"save \.astype\(str\).*--modalities"):
        read(tmp_path / "objects.npz")
    assert sorted(read(tmp_path / "objects.npz", modalities=["a", "b"]).modalities) == ["a", "b"]
    words = np.array([b"cup", b"ball"] * 30, dtype=object)
    assert read({"a": words, "b": B}).fingerprint == read({"a": words.astype("U"), "b": B}).fingerprint
    for given, message in (
        ([datetime.datetime(2020, 1, 1)] * N, "seconds since the first"),
        (np.full(N, "2020-01-01", dtype="M8[D]"), "seconds since the first"),
        (X.astype(str), r"call \.astype\(float\)"),
        ([None] * N, "no value in any row"),
    ):
        with pytest.raises(InputError, match=message):
            read({"a": given, "b": B})
    uneven = [row[: 1 + i % 3] for i, row in enumerate(X)]
    for given in (uneven, pd.Series(uneven)):
        short = read({"a": given, "b": B})
        assert (short.modalities["a"].kind, short.modalities["a"].shape) == ("padded", (3, 1))
        assert (rows(short, "a")[np.arange(N) % 3 == 0, 1:] == 0).all()
    assert sorted(read(pd.DataFrame(X).assign(label=Y)).modalities) == ["0", "1", "2", "3", "4"]
    hot = np.eye(2)[Y]
    with pytest.raises(InputError, match=r"one-hot.*target_kind"):
        read({"a": X, "b": B}, target={"y": hot})
    assert read({"a": X, "b": B}, target={"y": hot}, target_kind="real").targets["y"].size == 2


def test_reprs_are_short():
    many = {f"m{i}": np.where(np.arange(N)[:, None] < 6 * (i == 1), np.nan, X) for i in range(9)}
    for source in (
        read(many, target={"y": Y}, group=np.arange(N) // 3),
        from_arrays({"a": X, "b": B}),
        hide(read(many), 0.5),
    ):
        for shown in (source, source.train, tuplet.AlignmentModel.for_source(source, dim=4)):
            assert len(repr(shown).splitlines()) <= 11
            assert max(map(len, repr(shown).splitlines())) <= 120
    text = repr(read(many, target={"y": Y}, group=np.arange(N) // 3))
    parts = (
        "36 train, 12 val, 12 test",
        "5 (vector)",
        "absent in 6 of 60",
        "6 more",
        "y (2 classes)",
        "groups: 20",
    )
    assert all(part in text for part in parts)
    batch = read({"a": X, "b": B}, target={"y": Y}).test[:]
    assert repr(batch) == "Batch(12 rows; a 5, b 3; target: y)"
    z = tuplet.Embeddings.of({"a": X, "b": X}, present={"b": Y}, group=Y)
    assert repr(z) == "Embeddings(60 rows; a 5, b 5 (absent in 30); with groups)"


def test_readers_take_paths_as_text(tmp_path):
    assert relation_report(read({"a": X, "b": B}), [], str(tmp_path)).is_file()
    for name, reader in READERS.items():
        for call in (
            reader.load,
            reader.verify,
            lambda root, r=reader: r.convert(root, str(tmp_path / "out.safetensors")),
        ):
            with pytest.raises(InputError, match=r"nothing|no ") as as_text:
                call(str(tmp_path / "nothing"))
            with pytest.raises(InputError) as as_path:
                call(tmp_path / "nothing")
            assert str(as_text.value) == str(as_path.value), name
