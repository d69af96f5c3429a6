"""Tables, sparse matrices, series of different length and pictures: what `read` makes of them, and what it refuses."""

import json
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from PIL import Image

from tests.data.test_reading import whole
from tuplet import InputError
from tuplet.cli import main
from tuplet.cli.source import Reading, opened
from tuplet.data import Preprocessing, _arrow, _large, read

rng = np.random.default_rng(0)
N = 60
X = rng.normal(size=(N, 4))
Y = X[:, 0] > 0
IDS = [f"r{i}" for i in range(N)]


def frame():
    return pd.DataFrame(
        {
            "id": IDS,
            "imu.ax": X[:, 0],
            "imu.ay": X[:, 1],
            "level/raw": np.where(np.arange(N) == 3, np.nan, X[:, 2]),
            "note": [None if i == 5 else f"cup {i} of tea" for i in range(N)],
            "label": np.where(Y, "yes", "no"),
            "who": np.arange(N) // 5,
            "day": pd.date_range("2020", periods=N),
        }
    )


def refused(make, *words):
    with pytest.raises(InputError) as caught:
        make()
    text = str(caught.value)
    assert len(text.splitlines()) == 1, text
    assert all(w in text for w in words), (words, text)


def test_every_file_and_frame_of_one_table_gives_the_same_source(tmp_path):
    table = frame()
    table.to_csv(tmp_path / "a.CSV", index=False)
    table.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "c.csv", sep=";")  # with the index, as pandas writes it
    table.to_parquet(tmp_path / "d.parquet")
    feather.write_feather(table, tmp_path / "e.feather")
    arrow = pa.Table.from_pandas(table)
    with pa.ipc.new_stream(tmp_path / "f.arrow", arrow.schema) as out:
        out.write_table(arrow)
    (tmp_path / "g").mkdir()
    for i in range(3):
        table[20 * i : 20 * i + 20].to_parquet(tmp_path / "g" / f"part-{i:05d}.parquet")
    given = [*sorted(tmp_path.iterdir()), table, table.sample(frac=1, random_state=1).sort_values("who", kind="stable"), arrow]
    for x in given:
        source = read(x, group="who")
        assert sorted(source.modalities) == ["imu", "level", "note"], x
        assert source.modalities["note"].kind == "text"
        assert source.targets["label"].names == ("no", "yes")
        assert len(source.group.unique()) == N // 5
        assert "day holds dates or times and was left out" in " ".join(source.provenance.notes)
        rows, here, label = whole(source, "imu")
        assert here.all()
        assert not whole(source, "level")[1][(whole(source, "imu")[0] == whole(read(table), "imu")[0][3]).all(axis=1)].any()
        assert ((label == 1) == (source.preprocessing["imu"].scale.undo(rows)[:, 0] > 0)).all()
        assert source.preprocessing["imu"].columns == ("imu.ax", "imu.ay")
    chosen = read(table, modalities={"both": ["imu.ay", "who"], "note": "note"})
    np.testing.assert_allclose(chosen.preprocessing["both"].scale.undo(whole(chosen, "both")[0])[:, 0], X[:, 1], atol=1e-5)
    assert sorted(chosen.modalities) == ["both", "note"]
    moved = read(table.set_index("id"), target={"y": pd.Series(Y, index=IDS)[::-1]}, modalities=["imu", "note"])
    assert (whole(moved, "imu")[2] == Y).all()
    source = opened(str(tmp_path / "d.parquet"), Reading(modalities=("both=imu.ay,who", "text=note")))
    assert source.preprocessing["both"].columns == ("imu.ay", "who")
    refused(
        lambda: opened(str(tmp_path / "d.parquet"), Reading(modalities=("both=imu.ay", "note"))), "'note' beside NAME=COLUMNS"
    )


def test_a_folder_of_tables_and_frames_without_an_index_are_joined_by_id(tmp_path):
    force = frame()[["id", "imu.ax", "imu.ay", "label"]]
    text = frame()[["id", "note", "who"]][10:].sample(frac=1, random_state=1)
    force.to_parquet(tmp_path / "force.parquet")
    text.to_csv(tmp_path / "text.csv", index=False)
    for x in (tmp_path, {"force": pa.table(dict(force)), "text": pa.Table.from_pandas(text, preserve_index=False)}):
        source = read(x, group="who")
        assert {k: m.shape for k, m in source.modalities.items()} == {"force": (2,), "text": (1024,)}
        assert f"rows joined by id: force {N}, text {N - 10}, both {N - 10}" in source.provenance.notes
        assert not whole(source, "text")[1][:10].any()
        text5 = read({"a": X, "text": frame()["note"].tolist()})
        np.testing.assert_array_equal(whole(source, "text")[0][10:], whole(text5, "text")[0][10:])
        assert ((whole(source, "force")[2] == 1) == Y).all()
        assert (source.group.numpy()[10:] == np.arange(N)[10:] // 5 - 2).all()
    moved = frame()[["id", "imu.ax"]].assign(id=np.arange(N)).sample(frac=1, random_state=3)
    mixed = {"a": moved.reset_index(drop=True), "b": pa.table({"id": list(range(N)), "x": X[:, 0]})}
    for x, options in (
        (mixed, {}),
        (
            {k: v.rename(columns={"id": "k"}) if k == "a" else v.rename_columns(["k", "x"]) for k, v in mixed.items()},
            {"id": "k"},
        ),
    ):
        source = read(x, scaling="none", **options)
        np.testing.assert_array_equal(whole(source, "a")[0], whole(source, "b")[0])
    pair = {"a": pa.table({"x": X[:, 0]}), "b": pa.table({"t": IDS, "label": Y})}
    assert ((whole(read(pair), "a")[2] == 1) == Y).all()  # by position
    refused(lambda: read({**pair, "b": pair["b"][:50]}), "a 60, b 50", "no column 'id'")
    one = pa.table({"id": list(range(N)), "x": X[:, 0]})
    refused(lambda: read({"a": one, "b": pa.table({"id": IDS, "t": IDS})}), "(text)", "(number)")
    refused(lambda: read({"a": one, "b": pa.table({"id": list(range(N, 2 * N)), "t": IDS})}), "no id in common")
    refused(lambda: read({"a": one, "b": pa.table({"id": [0] * N, "t": IDS})}), "id 0 more than once")
    refused(lambda: read({"a": one, "b": pair["b"]}, id="id"), "id is 'id', which 'b' does not have")


def test_series_of_different_length_keep_their_length():
    steps = rng.integers(1, 7, N)
    walk = [rng.normal(3, 1, size=(k, 2)) for k in steps]
    walk[7][-1] = 0  # a silent step is no padding
    walk[int(np.argmax(steps))][0] = 0
    walk[2] = None
    lists = pd.DataFrame({"x.a": X[:, 0], "x.b": X[:, 1], "walk": [None if w is None else w.tolist() for w in walk]})
    sources = [read({"walk": walk, "x": X}), read(lists), read(pa.Table.from_pandas(lists))]
    for source in sources:
        seen, here, *_ = whole(source, "walk")
        assert source.modalities["walk"].kind == "padded"
        assert np.flatnonzero(~here).tolist() == [2]
        held = (np.abs(seen).sum(axis=2) > 0).sum(axis=1)
        assert held.tolist() == [0 if i == 2 else k for i, k in enumerate(steps)]
        assert "rows of different lengths (1 to 6 steps" in " ".join(source.provenance.notes)
        for some in (slice(0, 5), slice(7, 8)):
            again, _ = source.preprocessing["walk"].apply(walk[some])
            np.testing.assert_array_equal(again, seen[some])
    flat = read({"a": [np.arange(k, dtype=int) + 1 for k in steps], "x": X})
    assert flat.modalities["a"].shape == (6, 1)
    refused(lambda: read({"a": [np.ones((k, k)) for k in steps], "x": X}), "'a'", "give every series the same channels")
    refused(lambda: read({"a": [np.ones((k, 4, 4)) for k in steps], "x": X}), "'a'", "resize pictures")
    refused(lambda: read({"a": [["a"] * k for k in steps], "x": X}), "expected numbers in every row")
    refused(lambda: read({"a": walk, "x": X}, kinds={"a": "image"}), "kinds['a'] is 'image'")


def test_sparse_counts_are_normalised_row_by_row(monkeypatch):
    counts = rng.poisson(0.4, size=(N, 30)) * 2
    counts[4] = 0
    normal = np.log1p(counts * (1e4 / np.maximum(counts.sum(axis=1, keepdims=True), 1)))
    for given in (sp.csr_matrix(counts), sp.coo_array(counts), sp.csc_matrix(counts.astype("f4"))):
        source = read({"rna": given, "b": X})
        train = normal[source.split.train]
        scale = train.std(axis=0)
        np.testing.assert_allclose(whole(source, "rna")[0], (normal - train.mean(axis=0)) / scale, rtol=1e-4, atol=1e-4)
        assert "total of 10,000, then log1p" in " ".join(source.provenance.notes)
        how = source.preprocessing["rna"]
        for raw in (given, counts):
            again, here = Preprocessing.from_json(how.to_json()).apply(raw)
            np.testing.assert_array_equal(again, whole(source, "rna")[0])
            assert here.all()
        assert source.fingerprint == read({"rna": sp.csr_matrix(counts), "b": X}).fingerprint
    assert source.fingerprint != read({"rna": sp.csr_matrix(counts + np.eye(N, 30)), "b": X}).fingerprint
    for other, scaling in ((np.maximum(X, 0), {"s": "none"}), (X > 0, {"s": "none"}), (counts, {"s": "none"})):
        plain = read({"s": sp.csr_matrix(other), "b": X}, scaling=scaling)
        np.testing.assert_array_equal(whole(plain, "s")[0], other.astype("f4"))
    assert "log1p were left out" in " ".join(read({"s": sp.csr_matrix(np.maximum(X, 0)), "b": X}).provenance.notes)
    joined = read({"rna": sp.csr_matrix(counts), "b": X}, id={"rna": IDS, "b": IDS[::-1]})
    np.testing.assert_allclose(whole(joined, "rna")[0][0], whole(joined, "rna")[0][0])
    np.testing.assert_array_equal(whole(joined, "rna")[1], True)
    refused(lambda: read({"rna": sp.csr_matrix(np.where(counts == 2, np.inf, counts)), "b": X}), "NaN or infinite")
    refused(lambda: read({"rna": sp.csr_matrix(counts), "b": X}, kinds={"rna": "image"}), "whose rows are vectors")
    refused(lambda: read({"rna": sp.csr_matrix(counts)[:9], "b": X}), "rows")
    monkeypatch.setattr("tuplet.io.memory.free_memory", lambda: 1000)
    refused(lambda: how.apply(counts), "more than half of the free memory")


def test_pictures_by_their_paths(tmp_path):
    pixels = rng.integers(0, 256, size=(N, 5, 6, 3), dtype=np.uint8)
    for i, p in enumerate(pixels):
        Image.fromarray(p).save(tmp_path / f"{i}.PNG")
    names = [None if i == 4 else f"{i}.PNG" for i in range(N)]
    pd.DataFrame({"photo": names, "x": X[:, 0]}).to_csv(tmp_path / "t.csv", index=False)
    paths = [None if n is None else tmp_path / n for n in names]
    content = pa.array([None if p is None else {"bytes": p.read_bytes(), "path": None} for p in paths])
    for x in (tmp_path / "t.csv", {"photo": paths, "x": X}, pa.table({"photo": content, "x": X[:, 0]})):
        seen, here, *_ = whole(read(x), "photo")
        assert np.flatnonzero(~here).tolist() == [4]
        np.testing.assert_allclose(seen[here], np.moveaxis(pixels, 3, 1)[here] / 255, rtol=1e-6)
    refused(lambda: read({"photo": [*paths[:-1], tmp_path / "no.png"], "x": X}), "1 of 59 pictures do not exist", "no.png")
    Image.fromarray(pixels[0][:, :4]).save(tmp_path / "7.PNG")
    refused(lambda: read(tmp_path / "t.csv"), "0.PNG has 6 x 5 pixels", "7.PNG 4 x 5", "resize")
    (tmp_path / "7.PNG").write_bytes(b"no picture")
    refused(lambda: read(tmp_path / "t.csv"), "7.PNG is no readable picture")
    # Pillow would hand it to a program of the system
    (tmp_path / "7.PNG").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\n")
    refused(lambda: read(tmp_path / "t.csv"), "7.PNG is no readable picture (UnidentifiedImageError")
    Image.fromarray(np.full((5, 6), 300, np.uint16)).save(tmp_path / "7.PNG")
    refused(lambda: read(tmp_path / "t.csv"), "7.PNG is a picture of mode I;16", "save it as RGB")
    gone = [f"a{i}.png" for i in range(N)]
    assert read({"photo": gone, "x": X}, kinds={"photo": "text"}).modalities["photo"].kind == "text"
    for given in (gone, [Path(file) for file in gone]):
        refused(lambda given=given: read({"photo": given, "x": X}), "60 of 60 pictures do not exist", "kind text")
    series = pd.Series(paths[8:], index=IDS[8:])
    assert whole(read({"photo": series, "x": pd.DataFrame(X, index=IDS)}), "photo")[1].sum() == N - 8


def test_bad_tables_are_refused_in_one_line(tmp_path, monkeypatch):
    good = tmp_path / "good.parquet"
    frame().to_parquet(good)
    content = good.read_bytes()
    numbers = "".join(f"{v}\n" for v in range(N))
    files = {
        "cut.parquet": (content[:-30], "cannot be read"),
        "cut2.parquet": (content[:60], "cannot be read"),
        "none.csv": (b"", "is empty"),
        "head.csv": (b"a,b\n", "0 rows"),
        "two.csv": (b"a,b,a\n1,2,3\n4,5,6\n", "two columns called 'a'"),
        "long.csv": (b"a,b\n1,2,3\n4,5,6,7\n", "cannot be read"),
        "mixed.csv": (
            ("a,b\n" + numbers.replace("\n", ",1\n").replace("7,1", "x7,1", 1)).encode(),
            "59 of 60 values of the column 'a'",
        ),
        "comma.csv": (("a;b\n" + numbers.replace("\n", ",5;1\n")).encode(), "with a decimal point"),
        "wide.csv": (
            (",".join("abcdefghijklmnop") + "\n" + (",".join("1" * 16) + "\n") * N).encode(),
            "--modalities NAME=a,b,c",
        ),
        "latin.csv": (b"a,b,t\n" + b"1,2,caf\xe9\n" * N, "no UTF-8 in the column 't'"),
        "utf16.csv": ("a,b\n1,2\n".encode("utf-16"), "UTF-8"),
        "cut.feather": (b"ARROW1" + bytes(50), "cannot be read"),
        "junk.arrow": (b"\xff" * 90, "cannot be read"),
    }
    for name, (bytes_, word) in files.items():
        (tmp_path / name).write_bytes(bytes_)
        refused(lambda name=name: read(tmp_path / name), word)
    codes = pd.DataFrame({"x": X[:, 0], "flag": [None, True] * (N // 2), "code": [f"0{i}" for i in range(N)], "bad": [{}] * N})
    refused(lambda: read(codes, modalities=["x", "code"]), "60 of 60 values of the column 'code'", "--kind code=text")
    source = read(codes, modalities=["x", "code", "flag"], kinds={"code": "text"})
    assert source.modalities["code"].kind == "text"
    assert whole(source, "flag")[1].tolist() == [False, True] * (N // 2)
    refused(lambda: read(codes), "'bad' holds struct")
    refused(lambda: read(pd.DataFrame(X[:, :2], columns=["a", "a"])), "the table", "a")
    odd = frame()
    odd["note"] = [1 if i % 2 else "x" for i in range(N)]
    refused(lambda: read(odd), "the table cannot be read", "give every column values of one type")
    refused(
        lambda: read(pa.table({"a": X[:, 0], "b": pa.array([[[1.0], [1.0, 2.0]]] * N)})), "lists of lists of different length"
    )
    refused(lambda: read(pa.table({"a": X[:, 0], "b": pa.array([["x"]] * N)})), "lists of string")
    refused(lambda: read(frame(), target="lable"), "did you mean 'label'?", "'imu.ax'")
    refused(lambda: read(frame(), modalities={"a": ["imu.az"], "b": ["note"]}), "the column 'imu.az'")
    refused(lambda: read(frame(), modalities={"a": ["imu.ax", "note"], "b": ["imu.ay"]}), "its column 'note' holds text")
    refused(lambda: read({"a": X, "b": X}, modalities={"a": ["x"]}), "needs one table")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: read(empty), "directory without a table")
    assert main(["data", "info", str(empty)]) == 2
    monkeypatch.setattr("tuplet.io.memory.free_memory", lambda: len(content) * 2 + 100)
    claim = tmp_path / "claim.parquet"
    pq.write_table(pa.table({"a": np.zeros(200_000, dtype=bool), "b": np.zeros(200_000, dtype=bool)}), claim)
    refused(lambda: read(claim), "more than half of the free memory")
    for module, extra, make in (
        ("pyarrow", "tables", lambda: read(good)),
        ("PIL", "media", lambda: read({"p": [good.with_name("a.png")], "x": X})),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        good.with_name("a.png").write_bytes(b"")
        refused(make, f"tuplet[{extra}]")


def test_columns_are_named_by_a_pattern_as_the_message_says(tmp_path, capsys):
    rng = np.random.default_rng(0)
    columns = {f"{k}_{i}": rng.normal(size=60) for k, n in (("force", 6), ("audio", 30)) for i in range(n)}
    pd.DataFrame({**columns, "label": np.arange(60) % 2}).to_csv(tmp_path / "my.csv", index=False)
    assert main(["data", "info", str(tmp_path / "my.csv")]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    given = re.findall(r"'(\w+=\w+\*)'", said)
    assert given == ["force=force_*", "audio=audio_*"]
    source = opened(str(tmp_path / "my.csv"), Reading(modalities=tuple(given)))
    assert {k: m.shape for k, m in source.modalities.items()} == {"audio": (30,), "force": (6,)}


def test_repeated_values_count_as_what_they_unpack_to(tmp_path, monkeypatch):
    """A value and how often it comes take a few bytes in a file, and all of its rows in memory."""
    same = pa.table({"a": np.zeros(200_000), "b": np.zeros(200_000)})
    for name, write in (("r.parquet", pq.write_table), ("r.feather", feather.write_feather)):
        write(same, tmp_path / name, compression="zstd")
        assert (tmp_path / name).stat().st_size < 100_000
        monkeypatch.setattr("tuplet.io.memory.free_memory", lambda: 4_000_000)
        refused(lambda name=name: read(tmp_path / name), "more than half of the free memory")
    monkeypatch.setattr(_large, "LARGE", 1_000_000)  # read a few rows at a time, of which a column may still be kept
    refused(lambda: read(tmp_path / "r.parquet"), "more than half of the free memory")


def test_a_damaged_batch_is_refused_before_its_size_is_asked_for(tmp_path):
    """Arrow follows offsets that lead out of the file to tell a size, and the process ends; so it is played here."""

    class Damaged:
        def validate(self, *, full):
            raise pa.ArrowInvalid(f"offsets, {full}")

        @property
        def nbytes(self):
            pytest.fail("the process would have ended")

    with pytest.raises(pa.ArrowInvalid, match="offsets, True"):
        _arrow._unpacked_batches(tmp_path, iter([Damaged()]))


def Cells(x, names, obs, features, kinds=None):  # noqa: N802
    var = pd.DataFrame({} if kinds is None else {"feature_types": kinds}, index=features)
    obsm = {"protein": X[: len(names)], "X_pca": X[: len(names)]}
    return anndata.AnnData(x, obs=obs.set_index(pd.Index(names)), var=var, obsm=obsm)


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
def test_cells_are_joined_by_their_names(tmp_path, monkeypatch):
    counts = rng.poisson(1.0, size=(N, 6)) * 2
    genes = list("abcdef")
    rna = Cells(sp.csr_matrix(counts), IDS, pd.DataFrame({"kind": np.where(Y, "B", "T"), "donor": np.arange(N) // 6}), genes)
    protein = Cells(X[:35][::-1], IDS[:35][::-1], pd.DataFrame(index=range(35)), list("wxyz"))
    multi = type(
        "Multi", (), {"obs_names": IDS, "X": None, "mod": {"rna": rna, "protein": protein}, "obs": rna.obs[["kind"]]}
    )()
    for x in ({"rna": rna, "protein": protein}, multi, {"rna": rna, "protein": pd.DataFrame(X[:35], index=IDS[:35])}):
        source = read(x, target="kind", scaling={"protein": "none"})
        order = np.argsort(
            [*range(34, -1, -1), *range(35, N)] if x is not multi and isinstance(x["protein"], anndata.AnnData) else range(N)
        )
        order = order if x is not multi else np.argsort([*range(34, -1, -1), *range(35, N)])
        seen, here, label = whole(source, "protein")
        assert here[order].tolist() == [i < 35 for i in range(N)]
        np.testing.assert_array_equal(seen[order][:35], X[:35].astype("f4"))
        assert ((label[order] == 0) == Y).all()
        assert "protein 35, rna 60, both 35" in " ".join(source.provenance.notes)
        turned = rna[:, list("fedcba")]
        np.testing.assert_array_equal(source.preprocessing["rna"].apply(turned)[0], whole(source, "rna")[0][order])
    refused(lambda: source.preprocessing["rna"].apply(rna[:, list("abc")]), "lacks the columns ['d', 'e', 'f']")
    assert sorted(read(rna, target="kind").modalities) == ["X", "protein"]
    two = Cells(sp.csr_matrix(counts), IDS, rna.obs, genes, np.array(["Gene", "Gene", "Peak", "Peak", "Gene", "Gene"]))
    assert {k: m.shape for k, m in read(two, group="donor").modalities.items()} == {"Gene": (4,), "Peak": (2,)}
    with warnings.catch_warnings(), pd.option_context("future.infer_string", False):  # mudata writes no strings of Arrow
        warnings.simplefilter("ignore")
        known = {"rna": pd.DataFrame({"kind": np.where(Y, "B", "T")}), "protein": pd.DataFrame(index=range(35))}
        parts = {k: Cells(v.X, list(v.obs_names), known[k], list(v.var_names)) for k, v in multi.mod.items()}
        mudata.MuData(parts).write_h5mu(tmp_path / "m.h5mu")
    files = read(tmp_path / "m.h5mu", target="kind", scaling={"protein": "none"})
    assert {k: int(v.sum()) for k, v in files.present.items()} == {"protein": 35, "rna": N}
    refused(lambda: read(rna, target="kinds"), "did you mean 'kind'?", "'donor'")
    refused(lambda: read({"rna": rna, "b": protein}, id="donor"), "joined by obs_names")
    with pytest.warns(UserWarning, match="not unique"):
        twice = Cells(X, ["a"] * N, rna.obs, list("abcd"))
    refused(lambda: read({"rna": rna, "b": twice}), "the id 'a' more than once")
    refused(lambda: read({"rna": rna, "b": Cells(None, IDS, rna.obs, genes)}), "'b'] is AnnData without X")
    for name in ("a.H5AD", "a.h5mu"):
        refused(lambda name=name: read(tmp_path / name), "does not exist")
        (tmp_path / name).write_bytes(b"\x89HDF")
        for module in ("anndata", "mudata"):
            monkeypatch.setitem(sys.modules, module, None)
        refused(lambda name=name: read(tmp_path / name), "tuplet[omics]")
    monkeypatch.setitem(sys.modules, "anndata", SimpleNamespace(read_h5ad=lambda path: rna))
    refused(lambda: read(tmp_path / "a.H5AD"), "cannot be read", "write it again with anndata")
    for shape in ((N, 6), (10**7, 10**7)):  # the second claims 800 TB
        with h5py.File(tmp_path / "a.H5AD", "w") as file:
            file.create_dataset("X", shape=shape, dtype="f8", chunks=(1, 1))
        if shape == (N, 6):
            assert sorted(read(tmp_path / "a.H5AD", target="kind").modalities) == ["X", "protein"]
    refused(lambda: read(tmp_path / "a.H5AD"), "more than half of the free memory")


def test_a_trained_model_embeds_tables_by_the_names_of_their_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = frame().drop(columns=["day", "who"])
    table.to_csv("a.csv", index=False)
    table[["note", "imu.ay", "level/raw", "imu.ax", "id"]].to_parquet("b.parquet")
    Path("c").mkdir()
    table[["imu.ay", "imu.ax", "id", "label"]].to_parquet("c/imu.parquet")
    table[["id", "note"]][10:].sample(frac=1, random_state=1).to_csv("c/note.csv", index=False)
    assert main(["train", "a.csv", "--objective", "pairwise", "--epochs", "1", "--out", "run"]) == 0
    found = {}
    for data in ("a.csv", "b.parquet", "c"):
        assert main(["embed", "run", data, "--out", f"{data}.npz"]) == 0
        with np.load(f"{data}.npz") as file:
            found[data] = dict(file)
    rows = {k: {(i, m): v for i, m, v in zip(e["id"], e["modality"], e["vector"], strict=True)} for k, e in found.items()}
    assert len(rows["a.csv"]) == 3 * N - 2
    for (i, m), vector in rows["a.csv"].items():
        np.testing.assert_array_equal(rows["b.parquet"][i, m], vector)
        if m != "level" and not (m == "note" and i in IDS[:10]):
            np.testing.assert_array_equal(rows["c"][i, m], vector)
    assert len(rows["c"]) == 2 * N - 10
    assert set(found["a.csv"]["part"]) == {"train", "val", "test"}
    assert found["c"]["label"][:3].tolist() == found["a.csv"]["label"][:3].tolist()


class Hub:
    """What `read` needs to see of a Hugging Face data set, where datasets is not installed."""

    features = None

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def with_format(self, form):
        assert form == "arrow"
        return self

    def __getitem__(self, rows):
        return self.table[rows]


def test_published_data_sets_bring_their_classes_and_parts(tmp_path):
    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = pa.table({"note": IDS, "spec": X.tolist(), "label": [-1 if i == 3 else int(y) for i, y in enumerate(Y)]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parts = {"train": table[:36], "validation": table[36:48], "test": table[48:]}
    for k, v in parts.items():
        (tmp_path / "saved" / k).mkdir(parents=True)
        (tmp_path / "hub").mkdir(exist_ok=True)
        with pa.ipc.new_stream(tmp_path / "saved" / k / "data-00000-of-00001.arrow", v.schema) as out:
            out.write_table(v)
        pq.write_table(v, tmp_path / "hub" / f"{k}-00000-of-00001.parquet")
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    for x in (Hub(table), {k: Hub(v) for k, v in parts.items()}, tmp_path / "saved", tmp_path / "hub"):
        source = read(x)
        assert source.targets["label"].names == ("no", "yes")
        seen, _, label = whole(source, "spec")
        back = source.preprocessing["spec"].scale.undo(seen)
        order = [int(np.abs(X - row).sum(axis=1).argmin()) for row in back]
        assert label.tolist() == [-1 if i == 3 else int(Y[i]) for i in order]
        if not isinstance(x, Hub):
            assert [len(p) for p in (source.train, source.val, source.test)] == [36, 12, 12]
            assert sorted(order[i] for i in source.split.train) == list(range(36))
    two = read({k: Hub(parts[k]) for k in ("train", "test")})
    assert [len(p) for p in (two.train, two.val, two.test)] == [29, 7, 12]
    assert "no val part: a fifth of the training rows" in " ".join(two.provenance.notes)
    (tmp_path / "saved" / "extra").mkdir()
    pq.write_table(table, tmp_path / "saved" / "extra" / "a.parquet")
    refused(lambda: read(tmp_path / "saved"), "part 'extra'", "validation")
    assert sorted(read({"a": Hub(table.select(["spec", "label"])), "b": Hub(table.select(["note"]))}).modalities) == ["a", "b"]


def test_a_checkup_names_what_is_wrong_with_the_fix(tmp_path, capsys):
    n = 200
    x = rng.normal(size=(n, 3))
    y = x[:, 0] > 0
    table = pd.DataFrame(
        {"imu.x": x[:, 0], "imu.t": np.arange(n) * 0.1, "snd.a": np.where(y, np.nan, x[:, 1]), "snd.b": x[:, 2]}
    )
    table["note"] = [f"word {i % 7}" for i in range(n)]
    table["label"] = np.where(np.arange(n) < 3, "rare", np.where(y, "yes", "no"))
    table["snd.b"] = table["snd.b"].where(table["snd.a"].notna())
    table["who"] = np.where(table["label"] == "yes", 0, 20) + np.arange(n) % 20
    table.to_csv(tmp_path / "a.csv", index=False)
    gone = int(table["snd.a"].isna().sum())

    def said(*options):
        assert main(["data", "info", str(tmp_path / "a.csv"), *options]) == 0
        return capsys.readouterr().out

    text = said("--group", "who")
    for line in (
        f"missing: snd in {gone} of {n} rows; {n - gone} have every modality; --modalities imu note would leave {n} ",
        f"classes of label: {'no' if gone < 100 else 'yes'} ",
        "check: 1 of 3 classes of label have fewer than 5 rows in a part of the split, such as 'rare'",
        "check: column 'imu.t' of imu changes in one direction",
        f"check: note has 7 different values in {n} rows",
        "which modalities are absent tells label",
        "groups hold one class of label",
    ):
        assert line in text, line
    assert "copies of training" not in text
    assert "column 'imu.x'" not in text
    groups = [line for line in text.splitlines() if line.startswith("groups: ")]
    assert sum(int(w.strip(",")) for w in groups[0].split()[2::2]) == 40
    table.loc[100:] = table.loc[:99].to_numpy()
    table.to_csv(tmp_path / "a.csv", index=False)
    assert "of the test rows, " in said()
    plain = pd.DataFrame({"a.x": x[:, 0], "b.x": x[:, 1], "b.y": x[:, 2]})
    plain.to_csv(tmp_path / "a.csv", index=False)
    text = said()
    assert "missing: nothing, each of 200 rows" in text
    assert "check:" not in text
    plain.assign(count=np.arange(n)).to_csv(tmp_path / "a.csv", index=False)
    assert "use --id count" in said()
