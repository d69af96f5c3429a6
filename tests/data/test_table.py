"""Tables against safetensors' own reader and writer, and against files that are damaged in every way we could think of."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tuplet import InputError
from tuplet.data.table import DTYPES, Table, write_table


def columns(n=6):
    rng = np.random.default_rng(0)
    out = {code: rng.integers(0, 2, size=(n, 3)).astype(dtype) for code, dtype in DTYPES.items()}
    return out | {"group": np.arange(n), "image": rng.integers(0, 256, size=(n, 5, 5, 3), dtype=np.uint8)}


def test_the_formats_own_reader_sees_the_same_and_so_do_we_with_its_writer(tmp_path):
    x = columns()
    ours = write_table(tmp_path / "a.safetensors", x, about={"title": "déjà vu"})
    theirs = tmp_path / "b.safetensors"
    save_file(x, theirs, metadata={"title": "déjà vu"})
    read = load_file(ours)
    assert read.keys() == x.keys()
    for file in (ours, theirs):
        table = Table.open(file)
        assert len(table) == 6
        assert table.about == {"title": "déjà vu"}
        for name, column in table.columns.items():
            np.testing.assert_array_equal(column, x[name])
            np.testing.assert_array_equal(read[name], x[name])
            assert column.dtype == x[name].dtype
            assert isinstance(column, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6), width=st.integers(0, 4))
def test_chunks_make_the_same_file_as_the_whole(tmp_path_factory, sizes, width):
    folder = tmp_path_factory.mktemp("t")
    flat = np.arange(sum(sizes) * max(width, 1), dtype=np.int16)
    whole = {"a": flat.reshape(-1, width) if width else flat}
    parts = np.split(whole["a"], np.cumsum(sizes)[:-1])
    one = write_table(folder / "one", whole | {"b": np.zeros(sum(sizes), bool)})
    two = write_table(folder / "two", {"a": iter(parts), "b": (np.zeros(s, bool) for s in sizes)})
    assert one.read_bytes() == two.read_bytes()
    assert Table.open(one).sha256 == Table.open(two).sha256
    np.testing.assert_array_equal(Table.open(two).columns["a"], whole["a"])


def test_any_order_of_bytes_is_written_the_same(tmp_path):
    x = np.arange(5, dtype=np.int32)
    files = [write_table(tmp_path / name, {"a": x.astype(name)}) for name in ("<i4", ">i4")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "columns is empty"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "expected one length"),
        ({"a": iter([np.zeros((1, 2)), np.zeros((1, 3))])}, "rows of shape"),
        ({"a": iter([np.zeros(2), np.zeros(2, np.float32)])}, "chunk of dtype float32"),
        ({"a": iter([])}, "gives no chunk"),
        ({"a": np.zeros(())}, "expected rows"),
        ({"a": np.array(["x"])}, "expected rows of bool"),
        ({"a": np.array([None])}, "expected rows of bool"),
        ({"a": np.zeros(2, complex)}, "expected rows of bool"),
        ({"__metadata__": np.zeros(2)}, "keeps for itself"),
    ],
)
def test_bad_columns_leave_nothing_behind(tmp_path, bad, message):
    with pytest.raises(InputError, match=message):
        write_table(tmp_path / "a", bad)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_old_file_and_removes_the_new_one(tmp_path):
    file = write_table(tmp_path / "a", {"x": np.zeros(3)})
    before = file.read_bytes()

    def failing():
        yield np.ones(3)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_table(file, {"x": failing()})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    real = Path.open

    def full(self, mode="r", **options):
        return real(Path("/dev/full") if "x" in mode else self, mode.replace("x", "w"), **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space"):
        write_table(tmp_path / "a", {"x": np.zeros(100_000)})
    assert list(tmp_path.iterdir()) == []


def raw(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        (10**18).to_bytes(8, "little") + b"{}",
        raw(b"[]"),
        raw(b"{"),
        raw(b"\xff\xfe"),
        raw(b"[" * 50_000),
        raw({}),
        raw({"a": entry()}, b"\0" * 7),
        raw({"a": entry()}, b"\0" * 9),
        raw({"a": entry("BF16", offsets=(0, 4))}, b"\0" * 4),
        raw({"a": entry(["F32"])}, b"\0" * 8),
        raw({"a": entry(shape=(-2,))}, b"\0" * 8),
        raw({"a": entry(shape=(True, 2))}, b"\0" * 8),
        raw({"a": entry(shape=(2.0,))}, b"\0" * 8),
        raw({"a": entry(shape=())}, b"\0" * 8),
        raw({"a": entry(shape=(2**40, 2**40), offsets=(0, 8))}, b"\0" * 8),
        raw({"a": entry(offsets=(8, 16))}, b"\0" * 16),
        raw({"a": entry(offsets=(0,))}, b"\0" * 8),
        raw({"a": entry(), "b": entry()}, b"\0" * 8),
        raw({"a": entry(), "b": entry(shape=(1,), offsets=(8, 12))}, b"\0" * 12),
        raw({"a": entry(), "__metadata__": {"x": 1}}, b"\0" * 8),
        raw({"a": entry(), "__metadata__": []}, b"\0" * 8),
        raw({"a": 3}, b"\0" * 8),
        raw(b'{"a": %b, "a": %b}' % (2 * (json.dumps(entry()).encode(),)), b"\0" * 8),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, content):
    file = tmp_path / "a"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"^path ") as caught:
        Table.open(file)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    content = write_table(tmp_path / "a", {"x": np.arange(9), "y": np.zeros((9, 2), bool)}).read_bytes()
    file = tmp_path / "b"
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError):
            Table.open(file)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3))
def test_changed_bytes_never_crash(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("f")
    content = bytearray(write_table(folder / "a", {"x": np.arange(9), "y": np.zeros((9, 2), bool)}).read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    (folder / "a").write_bytes(content)
    try:
        table = Table.open(folder / "a")
    except InputError:
        return
    assert sum(c.nbytes for c in table.columns.values()) <= len(content)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        Table.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        Table.open(tmp_path)
