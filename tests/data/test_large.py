"""Parquet files that are read in shares: the same source as at once, from a file on disk, in bounded memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import tuplet
from tuplet import TrainConfig, fit, load
from tuplet.data import _arrow, _large, read
from tuplet.data._mapped import Mapped
from tuplet.objectives import Pairwise


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_large, "SHARE", 2000)


def columns(n=150):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 16)).astype(np.float32)
    unit = rng.normal(size=(n, 12)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    x[7] = np.nan
    return {
        "id": [f"r{i}" for i in rng.permutation(n)],
        "text": [["soft", "hard", "cup"][i % 3] + f" {i}" for i in range(n)],
        "x": list(x),
        "unit": list(unit),
        "walk": [row.reshape(6, 3).tolist() for row in rng.normal(size=(n, 18))],
        "imu.a": rng.integers(0, 9, n),
        "imu.b": rng.normal(size=n),
        "eye": list(rng.integers(0, 2**16, size=(n, 5), dtype=np.uint16)),
        "ticks": list(rng.integers(0, 2**32, size=(n, 3), dtype=np.uint32)),
        "label": [["up", "down"][i % 2] for i in range(n)],
    }


def both(monkeypatch, table, **options):
    """Read a file at once and in shares."""
    parquet.write_table(pa.table(table), "my.parquet", row_group_size=40)
    monkeypatch.setattr(_large, "LARGE", 2**40)
    try:
        whole = read("my.parquet", **options)
    finally:
        monkeypatch.setattr(_large, "LARGE", 100)
    return whole, read("my.parquet", **options)


@pytest.mark.parametrize("options", [{}, {"modalities": {"imu": ["imu.a", "imu.b"], "other": ["x"]}}])
def test_the_same_source_as_at_once(monkeypatch, options):
    whole, shares = both(monkeypatch, columns(), **options)
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    held = [k for k, c in shares.columns.items() if isinstance(c, Mapped)]
    assert held == [k for k in shares.modalities if k != "text"]
    for k, m in whole.modalities.items():
        assert shares.modalities[k].shape == m.shape
        assert torch.equal(shares.present[k], whole.present[k])
        np.testing.assert_allclose(shares.read(k, rows), whole.read(k, rows), atol=1e-6, err_msg=k)
        assert shares.preprocessing[k].columns == whole.preprocessing[k].columns
    assert np.array_equal(shares.columns["imu"].take([9, 2]), np.stack([columns()["imu.a"], columns()["imu.b"]], 1)[[9, 2]])
    assert torch.equal(shares.values["label"], whole.values["label"])
    assert shares.split.sha256 == whole.split.sha256
    assert "a few rows at a time" in shares.provenance.notes[0]
    assert read("my.parquet", **options).fingerprint == shares.fingerprint
    run = fit(None, Pairwise(), train=shares.train, val=shares.val, config=TrainConfig(epochs=1, out=Path("run")))
    back = load("run")
    name = "other" if options else "x"
    raw = np.stack(columns()["x"])[:5]
    assert np.array_equal(back.encode({name: raw})[name], run.model.encode({name: raw})[name])


def test_what_changes_is_read_anew_and_no_share_stays_in_memory(monkeypatch, tmp_path):
    table = columns()
    _, first = both(monkeypatch, table)
    sizes, shares = [], _large.Large.shares

    def counted(self, names):
        for share in shares(self, names):
            sizes.append(share.num_rows)
            yield share

    monkeypatch.setattr(_large.Large, "shares", counted)
    table["x"][3] = table["x"][3] + 1
    _, other = both(monkeypatch, table)
    assert other.fingerprint != first.fingerprint
    assert max(sizes) < 20
    assert len(list((tmp_path / "cache").glob("rows-*.safetensors"))) == 2


def test_shares_that_differ_are_read_at_once(monkeypatch):
    table = columns()
    table["x"] = [row[: 3 + i // 100] for i, row in enumerate(table["x"])]  # the length changes late
    whole, shares = both(monkeypatch, table)
    assert shares.fingerprint == whole.fingerprint
    assert shares.modalities["x"].kind == "padded"
    table = columns()
    table["imu.a"], table["imu.b"] = [None] * 80 + [1.0] * 70, [1.0] * 80 + [None] * 70
    with pytest.raises(tuplet.InputError, match="NaN inside 150 of 150 rows"):  # whole; each share would look complete
        both(monkeypatch, table)
    with pytest.raises(tuplet.InputError, match="NaN inside 150 of 150 rows"):
        read("my.parquet")


def test_a_damaged_large_file_is_one_line(monkeypatch, tmp_path):
    both(monkeypatch, columns())
    content = bytearray((tmp_path / "my.parquet").read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (tmp_path / "my.parquet").write_bytes(content)
    with pytest.raises(tuplet.InputError, match=r"my.parquet") as caught:
        read("my.parquet")
    assert "\n" not in str(caught.value)


def test_a_folder_of_parts_is_one_large_file(monkeypatch, tmp_path):
    table = pa.table(columns())
    whole, _ = both(monkeypatch, columns())
    Path("parts").mkdir()
    for i, (first, rows) in enumerate(((0, 40), (40, 70), (110, 40))):
        parquet.write_table(table.slice(first, rows), f"parts/part-{i}.parquet", row_group_size=30)
    shares = read("parts")
    assert [k for k, c in shares.columns.items() if isinstance(c, Mapped)] == [k for k in shares.modalities if k != "text"]
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    for k in whole.modalities:
        np.testing.assert_allclose(shares.read(k, rows), whole.read(k, rows), atol=1e-6, err_msg=k)
    assert shares.split.sha256 == whole.split.sha256
    parquet.write_table(table.slice(110, 40).drop(["x"]), "parts/part-2.parquet")
    assert _large.large(Path("parts")) is None  # other columns: tables of their own


def test_a_share_is_not_judged_alone(monkeypatch):
    """Numbers as text in the first share and words in the others are text; the index that pandas wrote is one, too."""
    text = [str(i) for i in range(60)] + [f"word {i}" for i in range(90)]
    whole, shares = both(monkeypatch, {"x": np.arange(150.0), "text": text, "label": ["a", "b"] * 75}, target="label")
    assert {k: m.shape for k, m in shares.modalities.items()} == {k: m.shape for k, m in whole.modalities.items()}
    table = {"x": np.arange(150.0), "y": np.arange(150.0), "__index_level_0__": [f"r{i}" for i in range(150)]}
    whole, shares = both(monkeypatch, table)
    assert set(shares.modalities) == set(whole.modalities) == {"x", "y"}


class Hub:
    """What `read` needs to see of a Hugging Face data set, where datasets is not installed."""

    features = None

    def __init__(self, table):
        self.table = table

    def with_format(self, form):
        assert form == "arrow"
        return self

    def __len__(self):
        return len(self.table)

    def __getitem__(self, rows):
        return self.table[rows]


class Stream:
    """What it needs to see of one that is streamed."""

    features, with_format = None, Hub.with_format

    def __init__(self, table):
        self.table = table

    def iter(self, batch_size):
        return (self.table[i : i + batch_size] for i in range(0, len(self.table), batch_size))


def saved(folder, parts, *, kept=True):
    """Write Arrow files as a saved data set has them, or as Feather has."""
    for name, table in parts.items():
        Path(folder, name).mkdir(parents=True)
        for k, rows in enumerate((slice(0, 20), slice(20, None))):
            opened = pa.ipc.new_file if kept else pa.ipc.new_stream
            with opened(Path(folder, name, f"data-0000{k}-of-00002.arrow"), table.schema) as out:
                out.write_table(table[rows], max_chunksize=16)
    Path(folder, "dataset_dict.json").write_text("{}")
    return Path(folder)


def test_data_sets_and_streams_of_them_are_read_in_shares(monkeypatch, tmp_path):
    given = {k: v for k, v in columns().items() if k != "id"}
    table, (whole, _) = pa.table(given), both(monkeypatch, given)
    parts = {"train": table[:90], "validation": table[90:120], "test": table[120:]}
    forms = {
        "data set": Hub(table),
        "stream": Stream(table),
        "parts": {k: Hub(v) for k, v in parts.items()},
        "streams": {k: Stream(v) for k, v in parts.items()},
        "other names": {"training": Stream(table[:90]), "dev": Stream(table[90:120]), "testing": Stream(table[120:])},
        "files": saved("files", parts),
        "streamed files": saved("streamed", parts, kept=False),
    }
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    for form, x in forms.items():
        source = read(x)
        assert [k for k, c in source.columns.items() if isinstance(c, Mapped)] == [k for k in source.modalities if k != "text"]
        for k in ("x", "imu", "walk"):
            present = whole.present[k][rows].numpy()
            assert torch.equal(source.present[k], whole.present[k])
            found, wanted = (s.preprocessing[k].scale.undo(s.read(k, rows).numpy()) for s in (source, whole))
            np.testing.assert_allclose(found[present], wanted[present], atol=1e-5, err_msg=form)
        if form not in ("data set", "stream"):
            assert [len(p) for p in (source.train, source.val, source.test)] == [90, 30, 30]
            assert sorted(source.split.test.tolist()) == list(range(120, 150))
        assert read(x).fingerprint == source.fingerprint, form
    assert not list((tmp_path / "cache").glob("reading-*")), "copies are gone"
    every = sorted(Path("files").rglob("*.arrow"), key=lambda p: (["train", "validation", "test"].index(p.parent.name), p))
    assert read("files").provenance.sha256 == _arrow.checksum(every), "of the files, not of their copy"
    torn = Path("files/train/data-00001-of-00002.arrow")
    torn.write_bytes(torn.read_bytes()[:-700])
    for x, said in ((forms["files"], "files"), (Stream(table[:0]), "0 rows"), (Hub(pa.table({"a": [[1.0]] * 99})), "two")):
        with pytest.raises(tuplet.InputError, match=said) as caught:
            read(x)
        assert "\n" not in str(caught.value)
    with pytest.raises(tuplet.InputError, match="are parts without training rows"):
        read({k: Stream(v) for k, v in parts.items() if k != "train"})
    for x in ({"train": Hub(table), "extra": Hub(table)}, {"train": Stream(table), "extra": Stream(table)}):
        with pytest.raises(tuplet.InputError, match="has a part 'extra', expected some of train"):
            read(x)
    monkeypatch.setenv("TUPLET_CACHE", "/proc/nowhere")
    with pytest.raises(tuplet.InputError, match="TUPLET_CACHE"):
        read(Stream(table))


class Guessed(Stream):
    """A stream without features, whose tables have types of their own each."""

    def iter(self, batch_size):
        for i in range(0, len(self.table), batch_size):
            rows = self.table[i : i + batch_size].to_pydict()
            yield pa.table({k: v for k, v in reversed(rows.items()) if any(x is not None for x in v)})


def test_a_stream_may_guess_its_types_anew():
    n = 600
    rows = {"x": [[i % 7, 2] if i < 300 else [i % 7, 2.5] for i in range(n)], "y": [1.0 * i for i in range(n)]}
    rows |= {
        "label": [None if i < 300 else "ab"[i % 2] for i in range(n)],
        "z": [None if i < 256 else float(i % 5) for i in range(n)],
    }
    source = read(
        Guessed(
            pa.table({k: pa.array(v) for k, v in rows.items() if k != "x"} | {"x": pa.array(rows["x"], pa.list_(pa.float64()))})
        )
    )
    assert set(source.modalities) == {"x", "y", "z"}
    assert source.targets["label"].names == ("a", "b")
    assert int(source.present["z"].sum()) == n - 256


def test_a_part_that_is_not_there_takes_whole_groups():
    rng = np.random.default_rng(0)
    for groups, parts in ((70, ("train", "test")), (70, ("train", "validation")), (3, ("train", "test"))):
        clip = np.arange(280) * groups // 280
        table = pa.table(
            {"a": rng.normal(size=(280, 3)).tolist(), "b": rng.normal(size=(280, 2)).tolist(), "clip": clip.astype(str)}
        )
        cut = int(np.searchsorted(clip, clip[200]))
        source = read({parts[0]: Hub(table[:cut]), parts[1]: Hub(table[cut:])}, group="clip")
        held = [set(source.group[getattr(source, p).positions].tolist()) for p in ("train", "val", "test")]
        assert all(held)
        assert sum(map(len, held)) == len(set.union(*held)) == groups, "no group is in two parts"
        assert "in whole groups" in " ".join(source.provenance.notes)
    with pytest.raises(tuplet.InputError, match="no val part and too few training groups"):
        read({"train": Hub(table[:90]), "test": Hub(table[200:])}, group="clip")


def test_shares_are_small_checked_and_counted_in_memory(monkeypatch, tmp_path):
    table = pa.table({"x": list(np.arange(6400.0).reshape(400, 16)), "word": [f"cup {i}" for i in range(400)]})
    steps = list(_large._batches(Hub(table)))
    assert sum(map(len, steps)) == 400
    assert len(steps) > 20
    assert all(_large.SHARE / 2 < t.nbytes <= 2 * _large.SHARE for t in steps[:-1])
    monkeypatch.setattr(_large, "LARGE", 100)
    unsigned = [np.zeros(0, d) for d in (np.uint8, np.uint16, np.uint32, np.uint64)]
    assert [_large._stored([x]) for x in unsigned] == [np.uint8, np.int32, np.int64, np.int64]
    files = saved("words", {"train": table, "test": table})
    torn = files / "test" / "data-00000-of-00002.arrow"
    ends = np.cumsum([len(f"cup {i}") for i in range(16)], dtype=np.int32)
    outside = np.where(np.arange(16) == 7, 10**6, ends).astype(np.int32)
    assert torn.read_bytes().count(ends.tobytes())
    torn.write_bytes(torn.read_bytes().replace(ends.tobytes(), outside.tobytes()))
    with pytest.raises(tuplet.InputError, match="words") as caught:
        read(files)
    assert "\n" not in str(caught.value)
    parquet.write_table(table.append_column("y", table["x"].take(np.arange(400)[::-1])), "my.parquet")
    one, two = (read("my.parquet", modalities={"chosen": k, "word": "word"}) for k in "xy")  # each has its copy in the cache
    assert one.fingerprint != two.fingerprint
    first, last = (s.preprocessing["chosen"].scale.undo(s.read("chosen", torch.tensor([0])).numpy()) for s in (one, two))
    np.testing.assert_allclose(last - first, 6400.0 - 16, rtol=1e-5)
    monkeypatch.setattr("tuplet.io.memory.free_memory", lambda: 6000)  # 400 words take more than half of it
    with pytest.raises(tuplet.InputError, match=r"my\.parquet needs .* more than half of the free memory"):
        read("my.parquet")
