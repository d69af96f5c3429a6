"""Parquet files that are read in shares: the same source as at once, from a file on disk, in bounded memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import tuplet
from tuplet import TrainConfig, fit, load
from tuplet.data import _large, read
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
        "eye": [row.tolist() for row in rng.integers(0, 255, size=(n, 5), dtype=np.uint16)],
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
