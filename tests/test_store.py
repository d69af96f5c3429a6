"""Embeddings on disk: what is read is what was written, and what is damaged is one line."""

import contextlib

import anndata
import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError, store
from tuplet.store.tables import open_store

FORMATS = (".safetensors", ".npz", ".parquet")


def space(n=40, dim=8, *, dtype=torch.float32, absent=True):
    g = torch.Generator().manual_seed(0)
    z = {k: torch.nn.functional.normalize(torch.randn(n, dim, generator=g, dtype=dtype), dim=1) for k in "abc"}
    present = {k: torch.rand(n, generator=g) > 0.4 for k in "ab"} if absent else None
    target = {
        "label": torch.arange(n) % 5,
        "part": torch.arange(n),
        "id": torch.randn(n, 2, generator=g),
        "flag": torch.arange(n) > 3,
    }
    return Embeddings.of(z, present=present, group=torch.arange(n) // 2, target=target)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_read_is_what_was_written(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    emb = space()
    emb.present["c"][:] = emb.present["a"]  # so that some items are absent throughout
    emb.z["c"][~emb.present["c"]] = 0
    assert not torch.stack(list(emb.present.values())).any(dim=0).all()
    for given in (emb, space(dtype=torch.float64), space(dtype=torch.float16, absent=False)):
        back = store.read(store.write(tmp_path / f"emb{suffix}", given))
        assert back.modalities == ("a", "b", "c")
        for field in ("z", "present", "target"):
            one, two = getattr(given, field), getattr(back, field)
            assert one.keys() == two.keys()
            for k, v in one.items():
                assert v.dtype == two[k].dtype, (field, k)
                assert torch.equal(v, two[k]), (field, k)
        assert torch.equal(given.group, back.group)
        assert torch.equal(given.index, back.index)
    words = np.array(["", "dög", "cat"])[np.arange(40) % 3]
    ids = [f"item {i}" for i in range(40)]
    opened = open_store(store.write(tmp_path / f"emb{suffix}", emb, ids=ids, columns={"animal": words}))
    assert opened.ids.tolist() == ids
    assert opened.columns["animal"].tolist() == words.tolist()
    assert store.read(tmp_path / f"emb{suffix}").target["animal"].tolist() == [(-1, 1, 0)[i % 3] for i in range(40)]


def test_a_table_of_another_program(tmp_path):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    table = {"id": ["y", "x", "x"], "modality": ["text", "text", "image"], "vector": [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]}
    parquet.write_table(pa.table(table), tmp_path / "their.parquet")
    opened = open_store(tmp_path / "their.parquet")
    assert opened.ids.tolist() == ["y", "x"]
    assert opened.present["image"].tolist() == [False, True]
    assert opened.vectors()["text"].tolist() == [[1, 0], [0, 1]]


def test_damaged_stores_are_one_line(tmp_path):
    pytest.importorskip("pyarrow")
    for suffix in FORMATS:
        file = store.write(tmp_path / f"emb{suffix}", space())
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], content[:-1], content[:3], b"", b"PAR1" + content[9:]):
            file.write_bytes(damaged)
            with pytest.raises(InputError) as error:
                store.read(file)
            assert "\n" not in str(error.value)
            assert "emb" in str(error.value)
        rng = np.random.default_rng(0)
        store.write(file, space(), ids=[f"item {i}" for i in range(40)])
        content = file.read_bytes()
        for place in rng.integers(0, len(content), 80):
            file.write_bytes(content[:place] + bytes([content[place] ^ 0xF0]) + content[place + 1 :])
            with contextlib.suppress(InputError):  # some bytes are numbers, which may be any
                store.read(file)
    emb = space(4, absent=False)
    emb.z["a"][1, 2] = torch.nan
    narrow = space(4, absent=False)
    narrow.z["b"] = narrow.z["b"][:, :3]
    for given, options, message in (
        (emb, {}, "NaN"),
        (narrow, {}, "^vectors of 'b' have shape"),
        (space(4), {"ids": [1, 1, 2, 3]}, "each once"),
        (space(4), {"columns": {"x": [1, 2]}}, "'x'"),
        (space(4), {"model": tmp_path}, "model.safetensors"),
    ):
        with pytest.raises(InputError, match=message):
            store.write(tmp_path / "new.npz", given, **options)
    with pytest.raises(InputError, match=r"\.parquet"):
        store.write(tmp_path / "new.txt", space(4))
    with pytest.raises(InputError, match="folder"):
        store.write(tmp_path, space(4))
    assert not list(tmp_path.glob("new*"))


def test_other_programs_read_the_vectors_as_cells(tmp_path):
    emb = space()
    ids = [f"cell {i}" for i in range(40)]
    file = store.write(tmp_path / "emb.h5ad", emb, ids=ids, columns={"type": np.array(["B", "T"] * 20)})
    cells = anndata.read_h5ad(file)
    assert cells.obs_names.tolist() == ids
    assert cells.obs["type"].tolist() == ["B", "T"] * 20
    for k, z in emb.z.items():
        here = emb.present[k].numpy()
        np.testing.assert_array_equal(cells.obsm[f"X_{k}"][here], z.numpy()[here])
        assert np.isnan(cells.obsm[f"X_{k}"][~here]).all()
    back = open_store(file)
    assert back.ids.tolist() == ids
    assert back.columns["type"].tolist() == ["B", "T"] * 20
    for k, z in emb.z.items():
        assert back.present[k].tolist() == emb.present[k].tolist()
        np.testing.assert_array_equal(back.vectors()[k], z.numpy())
