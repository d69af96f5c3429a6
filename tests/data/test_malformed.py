"""Some 200 malformed inputs: each is read rightly, or refused in one line that says what was seen."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.cli import main
from tuplet.cli.source import Reading, opened
from tuplet.data import read, write_table
from tuplet.data._arrow import read_table
from tuplet.io import hdf5

rng = np.random.default_rng(0)
N = 60
X, Z, Y = rng.normal(size=(N, 4)), rng.normal(size=(N, 3)), np.arange(N) % 3


def values():
    """Forms that a modality may have; half of them are nonsense."""
    wide = X.copy()
    yield from (
        X.astype(t) for t in ("f2", "f4", "f8", "g", "i1", "i2", "i8", "u1", "u2", "u8", "?", ">f8", ">i4", "c8", "c16")
    )
    yield from (X.astype("M8[s]"), X.astype("m8[s]"), X.astype("S8"), X.astype("U8"), X.astype(object), X.astype("V8"))
    yield from (
        X[:, 0],
        X[:, :1],
        X[:1],
        X[:2],
        X[:0],
        X[:, :0],
        X[0],
        X[0, 0],
        X[:, :, None],
        X[:, None, :, None, None],
    )
    for bad in (np.nan, np.inf, -np.inf, 1e39, 1e300, -1e308, 5e-324, 1e-310):
        yield np.full((N, 2), bad)
        wide = X.copy()
        wide[3, 1] = bad
        yield wide
        wide = X.copy()
        wide[5] = bad
        yield wide
    yield np.where(np.arange(N)[:, None] % 2, 1.7e308, -1.7e308) * np.ones((1, 2))
    yield np.full((N, 2), 2**63 - 1)
    yield np.full((N, 2), 2**64 - 1, dtype=np.uint64)
    yield np.zeros((N, 3), dtype=[("a", "f4")])
    yield from (np.zeros((N, 3)), np.zeros((N, 5, 2)), np.zeros((N, 3, 8, 8)), np.zeros((N, 8, 8, 3), np.uint8))
    yield from (
        ["text"] * N,
        [""] * N,
        ["a", None] * (N // 2),
        ["\ud800"] * N,
        ["\0"] * N,
        ["x" * 100_000, *["y"] * (N - 1)],
        [b"a"] * N,
    )
    yield from ([None] * N, [{}] * N, [[1], [1, 2]] * (N // 2), [object()] * N, [10**400] * N, ["a", 1] * (N // 2))
    yield from (
        np.ma.masked_array(X, X > 0),
        torch.tensor(X).to_sparse(),
        torch.tensor(X).half(),
        torch.eye(N).bfloat16(),
    )
    yield from (
        None,
        3,
        "abc",
        {},
        {"x": X},
        iter([1]),
        lambda: 0,
        np.array(object()),
        torch.tensor(1j),
        range(N),
        X.tolist(),
    )


def labels():
    """Forms that a target or a group may have."""
    yield from (
        Y,
        Y.astype(float),
        Y.astype(str),
        Y.astype(object),
        Y > 0,
        Y.tolist(),
        Y[:, None],
        Y.astype("S1"),
        Y.astype("u1"),
    )
    yield from (
        np.eye(3)[Y],
        np.eye(3, dtype=int)[Y],
        (X > 0).astype(int),
        X,
        X[:, 0],
        X[:, :0],
        Y[:0],
        Y[:-1],
        Y * 0,
        3,
        None,
    )
    yield from (
        np.arange(N),
        [f"r{i}" for i in range(N)],
        [["a"], ["b", "c"]] * (N // 2),
        [None] * N,
        ["a", None] * (N // 2),
    )
    yield from (["a", "b", None] * (N // 3), ["a", 1] * (N // 2), ["\ud800", "b"] * (N // 2), ["\n", "\0"] * (N // 2))
    yield from (
        ["x" * 100_001, "y"] * (N // 2),
        [True, None] * (N // 2),
        [1.5, None] * (N // 2),
        [{}] * N,
        [b"\xff", b"a"] * 30,
    )
    for bad in (np.nan, np.inf, 1e39, -1e39, 1e300, 5e-324):
        yield np.where(np.arange(N) == 7, bad, X[:, 0])
        yield np.where(np.arange(N) == 7, bad, Y)
        yield np.full(N, bad)
    yield from (Y.astype("c8"), Y.astype("M8[s]"), np.where(Y == 0, "rare", "x"), ["one", *["x"] * 30, *["y"] * 29])


def ends_well(make, where):
    try:
        source = make()
        for part in (source.train, source.val, source.test):
            batch = part[:]
            for name, value in batch.inputs.items():
                assert torch.isfinite(value).all(), where
                assert not value[~batch.present[name]].any(), where
            for value in batch.target.values():
                assert torch.isfinite(value).all(), where
        for name, how in source.preprocessing.items():
            assert how == type(how).from_json(json.loads(json.dumps(how.to_json(), allow_nan=False))), (where, name)
        for text in (*source.provenance.notes, *(n for t in source.targets.values() for n in t.names)):
            text.encode()
            assert len(text.splitlines()) == 1, where
        return True
    except InputError as error:
        message = str(error)
    message.encode()
    assert len(message.splitlines()) == 1, where
    return False


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_modalities_targets_and_groups_of_any_form():
    outcomes = [ends_well(lambda v=v: read({"a": v, "b": Z, "label": Y}), ("modality", i)) for i, v in enumerate(values())]
    assert sum(outcomes) > 25, "too much is refused"
    assert outcomes.count(False) > 25, "too much is taken"
    for argument in ("target", "group"):
        for i, v in enumerate(labels()):
            given = {"target": {"y": v}} if argument == "target" else {"group": v}
            outcomes.append(ends_well(lambda given=given: read({"a": X, "b": Z}, **given), (argument, i)))
    assert len(outcomes) > 170


def test_options_of_any_form():
    for i, options in enumerate(
        (
            {"modalities": ["a"]},
            {"modalities": ["a", "c"]},
            {"modalities": "a"},
            {"modalities": []},
            {"target": "none"},
            {"target": 3},
            {"target": {"": Y}},
            {"target": {"y": Y}, "target_kind": "rael"},
            {"target": {"y": Y}, "target_kind": {"z": "real"}},
            {"target": {"y": Y.astype(str)}, "target_kind": "real"},
            {"group": "none"},
            {"group": "a"},
            {"id": "none"},
            {"id": {"c": Y}},
            {"id": {"a": Y, "b": Y}},
            {"id": {"a": np.arange(N), "b": np.arange(N).astype(str)}},
            {"id": {"a": np.arange(N), "b": np.arange(N) + N}},
            {"id": {"a": np.arange(N), "b": np.arange(N) + 5}},
            {"id": {"a": [None] * N}},
            {"id": np.arange(3)},
            {"kinds": {"a": "image"}},
            {"kinds": {"a": "photo"}},
            {"kinds": {"c": "vector"}},
            {"kinds": {"a": "text"}},
            {"kinds": {"a": "padded"}},
            {"scaling": "loud"},
            {"scaling": {"a": "loud"}},
            {"scaling": {"c": "none"}},
            {"scaling": {"a": "channels", "b": "none"}},
        )
    ):
        ends_well(lambda options=options: read({"a": X, "b": Z}, **options), ("options", i))
    odd = ({1: X, 2: X}, {"": X, "b": X}, {"a\n": X, "b": X}, "x" * 5000, "x" * 5000 + ".npz")
    for i, x in enumerate((*odd, None, 3, [], {}, {"a": X}, "my.csv", "", "a\0.npz", X)):
        assert not ends_well(lambda x=x: read(x), ("x", i))
    for kind in (("a",), ("=",), ("a=",), ("=image",), ("a=image=image",), ("b=vector", "a=vector")):
        ends_well(lambda kind=kind: opened("blocks", Reading(kind=kind)), kind)
    assert ends_well(lambda: opened("blocks?"), "blocks?")
    more = ("blocks?rows", "blocks?rows=1e11", "blocks?rows=-1", "nothing?a=b", "a.npz?")
    for name in (*more, "", ".", "..", "\0", "x" * 5000):
        assert not ends_well(lambda name=name: opened(name), name), name


def npy(text, content=b""):
    header = text.encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def test_damaged_and_lying_files(tmp_path, capsys, monkeypatch):
    good = io.BytesIO()
    np.save(good, X)
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }\n"
    members = [
        npy(head % "1000000000000, 4"),
        npy(head % ("1, " * 2000)),
        npy(head % ("0, " * 70)),
        npy(head % "60, 0"),
        npy(head % "-1, 4"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (60,), }\n", b"cos\nsystem\n(S'x'\ntR."),
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (60,), }\n", bytes(480)),
        npy("__import__('os')", b""),
        b"",
        b"\x93NUMPY",
        good.getvalue()[:-1],
        good.getvalue() + b"\0",
    ]
    for i, member in enumerate(members):
        file = tmp_path / f"{i}.npz"
        with zipfile.ZipFile(file, "w") as out:
            out.writestr("a.npy", good.getvalue())
            out.writestr("b.npy", member)
        assert main(["data", "info", str(file)]) == 2, i
    monkeypatch.setattr("tuplet.data._npz.free_memory", lambda: 1_000_000)
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out, out.open("a.npy", "w", force_zip64=True) as member:
        member.write(npy(head % "150000,"))
        member.write(bytes(1_200_000))
    assert main(["data", "info", str(bomb)]) == 2
    assert "unpacks from" in capsys.readouterr().err.splitlines()[-1]
    table = write_table(
        tmp_path / "t.safetensors", {"input.a": X, "input.b": Z}, about={"name": "/etc/x\n../..", "title": "\x1b[31m"}
    )
    source = read(table)
    assert not set("/\n\x1b") & set(source.name + source.provenance.title)
    for i, entry in enumerate(
        (
            {"dtype": "F64", "shape": [60, 4], "data_offsets": [0, 10**12]},
            {"dtype": "F64", "shape": [1] * 100_000, "data_offsets": [0, 8]},
            {"dtype": "F64", "shape": [0, 10**30], "data_offsets": [0, 0]},
            {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]},
            {"dtype": "F64", "shape": "x", "data_offsets": [0, 8]},
            {"dtype": ["F64"], "shape": [1], "data_offsets": [0, 8]},
            {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
            {"dtype": "F64", "shape": [1.0], "data_offsets": [0, 8]},
            None,
            [],
        )
    ):
        text = json.dumps({"input.a": entry, "__metadata__": {}}).encode()
        file = tmp_path / f"{i}.safetensors"
        file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
        assert main(["data", "info", str(file)]) == 2, i
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("tuplet: "), line
        assert len(line) < 1000, line[:200]


def test_a_parquet_file_whose_columns_are_described_wrongly_does_not_end_the_process(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    file, refused = tmp_path / "my.parquet", 0
    words = ["cup", None, "ball", "a"] * (N // 4)
    table = pa.table({"a.x": X[:, 0], "walk": [[[1.0]] * (i % 3) for i in range(N)], "t": words})
    parquet.write_table(table.select([]), file)
    with pytest.raises(InputError, match="has 0 rows and 0 columns"):
        read(file)
    parquet.write_table(table, file, row_group_size=20)
    whole = file.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in (*range(footer, footer + 120), *range(footer + 120, len(whole) - 8, 20)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        try:
            read(file)
        except InputError as error:
            refused += len(str(error).splitlines()) == 1
    assert refused > 20


def test_an_hdf5_file_that_the_library_crashes_on_or_reads_for_ever_is_refused(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    file = tmp_path / "cells.h5ad"
    with h5py.File(file, "w") as made:
        made.attrs["encoding-type"] = "anndata"
        pairs = np.dtype([("first", h5py.string_dtype()), ("second", h5py.string_dtype())])
        made.create_dataset("words", data=np.array([("a", "b")], dtype=pairs))
    hdf5.check_texts(file)
    whole = file.read_bytes()
    for place in re.finditer(rb"\x19\x01\x01\0\x10\0\0\0", whole):  # 1: texts of any length
        kind = place.start() + 1
        file.write_bytes(whole[:kind] + b"\xff" + whole[kind + 1 :])
        with pytest.raises(InputError):  # without a process of its own, HDF5 2.0 ends this one
            read(file)
    for what, told in (("import os; os.abort()", "HDF5 crashes on it"), ("import time; time.sleep(60)", "to its end in 0 s")):
        monkeypatch.setattr(hdf5, "READ_TEXTS", what)
        monkeypatch.setattr(hdf5, "PATIENCE", 0.4)
        with pytest.raises(InputError, match=f"cells.h5ad is damaged: .*{told}"):
            read(file)


def test_a_refusal_is_one_line_whatever_names_it_quotes(tmp_path):
    rows = ["id,a.\x85,a.z,b.y,label", "r0,0\x1e1,0,0.5,0", *(f"r{i},0.1,{i},{i}.5,{i % 2}" for i in range(1, N))]
    (tmp_path / "my.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"a\.\\x85") as refused:
        read(tmp_path / "my.csv")
    assert len(str(refused.value).splitlines()) == 1
    assert str(InputError("a\nb\u2028c\td")) == r"a\nb\u2028c\td"


def test_texts_that_are_no_utf8_are_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    offsets, texts = np.arange(N + 1, dtype=np.int32), b"\xff" + b"a" * (N - 1)
    words = pa.Array.from_buffers(pa.string(), N, [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
    parquet.write_table(pa.table({"a": X[:, 0], "t": words}), tmp_path / "my.parquet")
    with pytest.raises(InputError, match="UTF8"):
        read_table(tmp_path / "my.parquet")
