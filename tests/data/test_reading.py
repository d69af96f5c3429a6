"""What people hand in, and how it comes out of `read`: joined, scaled, labelled, and noted."""

import numpy as np
import pandas as pd
import pytest
import torch

from tuplet import InputError
from tuplet.catalog import SOURCES
from tuplet.data import from_arrays, from_columns, hide, read, write_table

rng = np.random.default_rng(0)
N = 120
X = rng.normal(3, 2, size=(N, 5))
Z = X[:, :3] + 0.1 * rng.normal(size=(N, 3))


def whole(source, name):
    """Rows, presence and classes of one modality in the order of the source's row numbers."""
    batches = [getattr(source, part)[:] for part in ("train", "val", "test")]
    order = torch.cat([b.index for b in batches]).argsort()
    found = [torch.cat([b.inputs[name] for b in batches]), torch.cat([b.present[name] for b in batches])]
    found += [torch.cat([v for b in batches for v in b.target.values()])] if source.targets else []
    return [v[order].numpy() for v in found]


def test_frames_are_joined_by_id():
    ids = np.array([f"s{i}" for i in range(N)])
    frame = pd.DataFrame(X, index=ids)
    label = pd.Series(np.where(X[:, 0] > 3, "high", "low"), index=ids).sample(frac=1, random_state=2)
    other = pd.DataFrame(X[10:], index=ids[10:]).sample(frac=1, random_state=1)
    source = read(
        {"a": frame, "b": other},
        target={"y": label},
        group=pd.Series(np.arange(N) // 2, index=ids)[::-1],
        scaling="none",
    )
    a, _, classes = whole(source, "a")
    b, here, _ = whole(source, "b")
    np.testing.assert_array_equal(a, X.astype("f4"))
    assert not here[:10].any()
    np.testing.assert_array_equal(b[here], X[10:].astype("f4"))
    assert ((classes == source.targets["y"].names.index("high")) == (X[:, 0] > 3)).all()
    assert (source.group.numpy() == np.arange(N) // 2).all()
    assert f"rows joined by id: a {N}, b {N - 10}, both {N - 10}" in source.provenance.notes
    same = read(
        {"a": frame.assign(key=ids).reset_index(drop=True), "b": other.assign(key=other.index)},
        id="key",
        scaling="none",
    )
    np.testing.assert_array_equal(whole(same, "b")[0], b)
    for bad, message in (
        ({"a": frame, "b": pd.DataFrame(X, index=[f"t{i}" for i in range(N)])}, "no id in common"),
        ({"a": frame, "b": pd.DataFrame(X, index=np.arange(N))}, r"'s0' \(text\)"),
        ({"a": frame, "b": pd.DataFrame(X, index=["s0", *ids[:-1]])}, "'s0' more than once"),
        ({"a": frame, "b": other, "c": X}, r"modalities\['c'\] has no ids"),
        ({"a": frame.assign(word="x"), "b": other}, "column 'word'"),
    ):
        with pytest.raises(InputError, match=message):
            read(bad)
    with pytest.raises(InputError, match=r"target 'y' .* no id in common|has ids such as"):
        read({"a": frame, "b": other}, target={"y": label.reset_index(drop=True)})
    named = read({"a": frame.assign(kind=np.where(X[:, 1] > 3, 1.0, 0.0)), "b": other}, target="kind")
    assert named.targets["kind"].names == ("0", "1")
    assert named.modalities["a"].shape == (5,)


def test_labels_as_people_have_them():
    high = X[:, 0] > 3
    words = np.where(high, "yes", "no")
    for label in (
        words,
        words.tolist(),
        words.astype(object),
        pd.Series(words),
        pd.Series(words).astype("category"),
        pd.Series(words, dtype="string"),
    ):
        assert read({"a": X, "b": Z}, target={"y": label}).targets["y"].names == ("no", "yes")
    for label in (
        high,
        high.astype(float),
        high.astype(object),
        pd.Series(high).astype("boolean"),
        pd.Series(high * 1).astype("Int64"),
    ):
        codes = whole(read({"a": X, "b": Z}, target={"y": label}), "a")[2]
        assert (codes == high).all()
    assert read({"a": X, "b": Z}, target={"y": high.astype(float)}, target_kind="real").targets["y"].kind == "real"
    gaps = np.where(np.arange(N) % 4 == 0, None, words.astype(object))
    source = read({"a": X, "b": Z}, target={"y": gaps})
    assert (whole(source, "a")[2] == np.where(np.arange(N) % 4 == 0, -1, high)).all()
    fewer = source.labelled("y")
    assert all((getattr(fewer, p)[:].target["y"] >= 0).all() for p in ("train", "val", "test"))
    assert len(fewer.train) + len(fewer.val) + len(fewer.test) == N - N // 4
    assert len(hide(source, 0.5).labelled("y").test) == len(fewer.test)
    lacking = np.where(np.isin(np.arange(N), source.split.val), None, words.astype(object))
    with pytest.raises(InputError, match="no label in the val rows"):
        from_arrays({"a": X, "b": Z}, targets={"y": lacking}, split=source.split).labelled("y")
    rare = np.where(np.arange(N) == 7, "rare", words)
    for seed in range(10):
        assert 7 in from_arrays({"a": X, "b": Z}, targets={"y": rare}, seed=seed).split.train
    hot = np.eye(2, dtype=int)[high.astype(int)]
    with pytest.raises(InputError, match="one-hot"):
        read({"a": X, "b": Z}, target={"y": hot})
    assert read({"a": X, "b": Z}, target={"y": hot.argmax(axis=1)}).targets["y"].size == 2
    with pytest.raises(InputError, match="multi-label"):
        read({"a": X, "b": Z}, target={"y": (X[:, :3] > 3).astype(int)})
    mixed = np.array([1, "a"] * (N // 2), dtype=object)
    with pytest.raises(InputError, match=r"use \.astype\(str\) on the array"):
        read({"a": X, "b": Z}, group=mixed)
    with pytest.raises(InputError, match="2 groups"):  # the advice was followed: now only the number of groups is wrong
        read({"a": X, "b": Z}, group=mixed.astype(str))


def test_scaling_keeps_what_must_stay():
    walk = np.zeros((N, 20, 2))
    length = rng.integers(3, 20, N)
    for i, k in enumerate(length):
        walk[i, :k] = rng.normal(5, 2, size=(k, 2))
        walk[i, 1] = 0  # a step of silence inside
    held = np.arange(20) < length[:, None]
    stored = from_columns({"walk": walk, "b": X}, checksum="x", kinds={"walk": "padded"})
    for source in (from_arrays({"walk": walk, "b": X}, kinds={"walk": "padded"}), stored):
        seen = whole(source, "walk")[0]
        assert (np.abs(seen).sum(axis=2) > 0).astype(int).sum() == held.sum()
        assert not seen[~held].any()
        train = walk[source.split.train][held[source.split.train]]
        np.testing.assert_allclose(seen[held], ((walk - train.mean()) / train.std())[held], rtol=1e-4, atol=1e-5)
    still = np.c_[X, np.full(N, 1_764_000_000_123_456_789), np.full(N, 1e30), np.full(N, 5e-324), np.zeros(N)]
    still[rng.permutation(N)[:1], 8] = 0
    source = from_arrays({"a": still, "b": X})
    assert not whole(source, "a")[0][:, 5:].any()
    assert any("4 of 9 columns that never change" in note for note in source.provenance.notes)
    late = np.zeros((N, 2))
    late[:, 0] = X[:, 0]
    late[source.split.test, 1] = 7.0
    assert not whole(from_arrays({"a": late, "b": X}), "a")[0][:, 1].any()
    tiny = from_arrays({"a": X * 1e-310, "c": X * 1e-200, "b": X})
    np.testing.assert_allclose(whole(tiny, "c")[0], whole(tiny, "b")[0], rtol=1e-4, atol=1e-5)
    assert np.isfinite(whole(tiny, "a")[0]).all()
    ready = X @ rng.normal(size=(5, 16))
    ready /= np.linalg.norm(ready, axis=1, keepdims=True)
    for source in (read({"a": ready, "b": X}), from_columns({"a": ready, "b": X}, checksum="x")):
        np.testing.assert_allclose(whole(source, "a")[0], ready, atol=1e-6)
        assert "unit length" in " ".join(source.provenance.notes)
    asked = read({"a": ready, "b": X}, scaling={"a": "standard", "b": "none"})
    assert abs(asked.train[:].inputs["a"].std(0, correction=0) - 1).max() < 1e-5
    np.testing.assert_array_equal(whole(asked, "b")[0], X.astype("f4"))


def test_pictures():
    pictures = rng.integers(0, 256, size=(N, 12, 10, 3), dtype=np.uint8)
    for given, most in ((pictures, 255), (pictures.astype(np.uint16) * 257, 65535), (pictures.astype(np.int64), 255)):
        source = read({"p": given, "b": X}, kinds={"p": "image"})
        assert source.modalities["p"].shape == (3, 12, 10)
        np.testing.assert_allclose(whole(source, "p")[0], np.moveaxis(given, 3, 1) / most, rtol=1e-6)
        assert "channels were put first" in " ".join(source.provenance.notes)
        again, _ = source.preprocessing["p"].apply(given[:4])
        np.testing.assert_array_equal(again, whole(source, "p")[0][:4])
    assert read({"p": pictures, "b": X}).columns["p"].values.dtype == torch.uint8


def test_new_raw_rows_are_treated_as_the_source_did(tmp_path):
    words = [f"cup {i % 7} of {'tea' if i % 2 else 'milk'}" if i % 9 else None for i in range(N)]
    raw = {
        "force": np.where(np.arange(N)[:, None] % 11 == 0, np.nan, X),
        "walk": np.where(np.arange(9)[None, :, None] < (3 + np.arange(N) % 6)[:, None, None], 2.5, 0.0) * X[:, None, :2],
        "image": rng.integers(0, 256, size=(N, 3, 6, 6), dtype=np.uint8),
        "word": words,
        "one": X[:, 0].astype("f4"),
    }
    source = read(raw, kinds={"walk": "padded"})
    columns = {f"input.{k}": np.asarray(raw[k]) for k in ("walk", "image", "one")}
    table = read(write_table(tmp_path / "t.safetensors", columns), kinds={"walk": "padded"})
    for s, names in ((source, list(raw)), (table, ["walk", "image", "one"])):
        for name in names:
            seen, here = whole(s, name)
            again, present = type(s.preprocessing[name]).from_json(s.preprocessing[name].to_json()).apply(raw[name])
            np.testing.assert_array_equal(again, seen)
            np.testing.assert_array_equal(present, here)
            few, _ = s.preprocessing[name].apply(raw[name][5:8])
            np.testing.assert_array_equal(few, seen[5:8])
    assert source.modalities["word"].kind == "text"
    text = whole(source, "word")[0]
    assert abs(np.linalg.norm(text[1]) - 1) < 1e-6
    assert text[1] @ text[15] > text[1] @ text[2]  # "cup 1 of tea" is "cup 1 of tea", not "cup 2 of milk"
    with pytest.raises(InputError, match=r"shape \(\d+, 4\), expected \(n, 5\)"):
        source.preprocessing["force"].apply(X[:, :4])


def test_every_kind_of_source_says_how_rows_are_prepared():
    source = SOURCES["digits"]().select(["pixels", "zernike"])
    for s in (source, hide(source, 0.3)):
        assert set(s.preprocessing) == {"pixels", "zernike"}
        assert s.train.source.fingerprint == s.fingerprint


def test_hints_come_when_they_should_and_only_then():
    t = np.cumsum(rng.normal(size=(2000, 3)), axis=0)
    windows = np.stack([t[5 * i : 5 * i + 60] for i in range(300)])
    stream = rng.normal(size=(2000, 2))
    shifted = np.stack([stream[2 * i : 2 * i + 50] for i in range(300)])

    def said(*words, **given):
        notes = " ".join(read(**given).provenance.notes)
        return [word in notes for word in words]

    words = ("windows that overlap", "exact copies", "only ", "tells y")
    assert said(*words, x={"a": windows, "b": windows[:, :, :2] + 0.1}) == [True, False, False, False]
    assert said(*words, x={"a": shifted, "b": shifted * 2}) == [True, False, False, False]
    assert said(*words, x={"a": windows, "b": windows * 2}, group=np.arange(300) // 60) == [False] * 4
    assert said(*words, x={"a": X, "b": Z}, target={"y": X[:, 0] > 3}) == [False] * 4
    assert said(*words, x={"a": np.r_[X, X[:9]], "b": np.r_[Z, Z[:9]]}) == [False, True, False, False]
    assert said(*words, x={"a": X[:40], "b": Z[:40]}) == [False, False, True, False]
    missing = np.where((X[:, :1] > 3), np.nan, Z)
    assert said(*words, x={"a": X, "b": missing}, target={"y": X[:, 0] > 3}) == [False, False, False, True]
    random = np.where(rng.random((N, 1)) < 0.5, np.nan, Z)
    assert said("tells y", x={"a": X, "b": random}, target={"y": X[:, 0] > 3}) == [False]
    x = {"a": X, "b": Z, "Subject_ID": np.arange(N) // 10}
    assert said("use --group Subject_ID", x=x) == [True]
    assert said("--group", x=x, group="Subject_ID") == [False]
    assert said("--group session", x={"a": X, "b": Z, "session": [f"s{i // 10}" for i in range(N)]}) == [True]
    for words, noted in ((["walk", "run", "idle"], True), ([f"walk {i}" for i in range(N // 2)], False)):
        assert said("use --target act", x={"a": X, "act": [words[i % len(words)] for i in range(N)]}) == [noted]


def test_a_typo_in_a_target_offers_targets_and_no_modality():
    x = {
        "force": X,
        "b": Z,
        "label": np.arange(N) % 2,
        "code": np.arange(N) % 5,
        "text": [f"word {i}" for i in range(N)],
    }
    for given, message in (
        ({"target": "lable"}, r"target is 'lable', did you mean 'label'\? Expected one of .'label', 'code'.$"),
        ({"target": "forse"}, r"target is 'forse', expected one of .'label', 'code'.$"),
        ({"target": "force", "modalities": ["force", "b"]}, "'force', which modalities names as a modality"),
    ):
        with pytest.raises(InputError, match=message):
            read(x, **given)
    with pytest.raises(InputError, match="nothing in the data has one value per row"):
        read({"force": X, "b": Z}, target="label")


def test_rows_in_another_order_are_never_paired_by_position():
    n = 60
    rng = np.random.default_rng(0)
    x, order = rng.normal(size=(n, 4)), rng.permutation(n)
    force, sound, label = pd.DataFrame(x), pd.DataFrame(x[:, :3]), np.arange(n) % 2
    moved = force.iloc[order]
    for given, words in (
        ({"force": moved, "sound": sound, "label": label}, "has no ids"),
        ({"force": moved, "sound": x}, "has no ids"),
        ({"force": moved, "sound": sound.iloc[order], "label": label}, "has no ids"),
    ):
        with pytest.raises(InputError, match=words):
            read(given)
    with pytest.raises(InputError, match="'force' and 'sound' have different indexes"):
        from_arrays({"force": moved, "sound": sound})
    with pytest.raises(InputError, match="different indexes"):
        from_arrays({"force": force, "sound": sound}, targets={"y": pd.Series(label)[::-1]})
    # what the messages advise works
    joined = read({"force": moved, "sound": sound, "label": pd.Series(label)})
    assert joined.values["label"].tolist() == label[order].tolist()
    from_arrays({"force": moved.to_numpy(), "sound": sound.to_numpy()})
    # frames in one order, and ids that say nothing about an order, stand beside plain arrays
    named = force.set_index(np.array([f"s{i}" for i in order]))
    for given in ({"force": force, "sound": x, "label": label}, {"force": named, "sound": x, "label": label}):
        assert read(given).values["label"].tolist() == label.tolist()
