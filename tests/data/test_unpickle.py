"""The restricted unpickler: equal to Python's own on data, and deaf to everything else."""

import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuplet.io.unpickle import read_pickle, unpickle
from tuplet.types import InputError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
ARRAYS = [
    np.arange(24).astype(dtype).reshape(2, 3, 4) for dtype in ("<f4", ">f4", "<f8", ">i2", "u1", "i8", "c16", "?", "f2")
] + [
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.array(["a", "bcd"]),
    np.array([b"a", b"bcd"]),
    np.zeros((0, 5)),
    np.array(3.5),
    np.arange(1000.0)[::3],
]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and (a == b).all()


@pytest.mark.parametrize("protocol", range(6))
@given(value=PLAIN)
@settings(max_examples=40, deadline=None)
def test_plain_data_equal_pythons_own_reading(protocol, value):
    assert unpickle(pickle.dumps(value, protocol), name="x") == value


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_scalars_and_containers_equal_pythons_own_reading(protocol):
    value = {
        "a": ARRAYS,
        "again": ARRAYS[1],
        "s": [np.float32(2.5), np.int64(-3), np.bool_(True)],
        "d": np.dtype(">f4"),
    }
    read = unpickle(pickle.dumps(value, protocol), name="x")
    assert all(same(a, b) for a, b in zip(read["a"], ARRAYS, strict=True))
    assert same(read["again"], ARRAYS[1])
    assert read["again"] is read["a"][1]
    assert read["s"] == value["s"]
    assert [type(v) for v in read["s"]] == [type(v) for v in value["s"]]
    assert read["d"] == np.dtype(">f4")
    for more in ({1, "b"}, frozenset({(1, 2)}), OrderedDict(b=1, a=2), 2 + 3j, b"", bytearray(b"xyz"), {}, ()):
        got = unpickle(pickle.dumps(more, protocol), name="x")
        assert bytes(got) == bytes(more) if isinstance(more, bytearray) else got == more


@pytest.mark.parametrize("protocol", range(6))
def test_object_arrays_hold_arrays_of_unequal_lengths(protocol):
    ragged = np.empty((2, 2), dtype=object)
    ragged[:] = [[np.arange(3), "x"], [np.arange(4.0), None]]
    read = unpickle(pickle.dumps(ragged, protocol), name="x")
    assert read.shape == (2, 2)
    assert same(read[0, 0], ragged[0, 0])
    assert same(read[1, 0], ragged[1, 0])
    assert read[0, 1] == "x"


def python2(array, protocol):
    """A NumPy array as Python 2 wrote it: byte strings for everything, `numpy.core`, `copy_reg`-free."""

    def text(raw):
        if protocol == 0:
            return b"S" + repr(raw)[1:].encode() + b"\n"
        return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw

    order = array.dtype.str[0].encode()
    code = array.dtype.str[1:].encode()
    shape = b"(" + b"".join(b"I%d\n" % n for n in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n(" + text(code) + b"I0\nI1\ntR(I3\n" + text(order) + b"NNNI-1\nI-1\nI0\ntb"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + text(b"b") + b"tR"
    state = b"(I1\n" + shape + dtype + b"I00\n" + text(array.tobytes()) + b"tb"
    head = b"\x80\x02" if protocol else b""
    return head + b"(d" + text(b"label") + start + state + b"s."


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("n", [3, 5000])
def test_python_2_pickles_are_latin1(protocol, n):
    array = np.random.default_rng(0).normal(size=(n, 2))
    data = python2(array, protocol)
    assert same(pickle.loads(data, encoding="latin1")["label"], array)  # the fixture is what Python reads, too
    assert same(unpickle(data, name="x")["label"], array)


def test_both_generations_of_numpy_paths():
    data = pickle.dumps(np.arange(5.0), 2)
    for a, b in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
        assert same(unpickle(data.replace(a, b), name="x"), np.arange(5.0))


class Evil:
    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (os.mkdir, ("{}",), "mkdir"),
        (eval, ("__import__('os').mkdir({!r})",), "builtins.eval"),
        (getattr, (np, "load"), "builtins.getattr"),
        (np.fromfile, ("{}",), "fromfile"),
        (io.open, ("{}", "w"), "open"),
        (Path, ("{}",), "pathlib"),
    ],
)
def test_other_names_are_refused_by_name_and_not_run(call, arguments, named, tmp_path):
    target = tmp_path / "made"
    arguments = [a.format(str(target)) if isinstance(a, str) else a for a in arguments]
    if call is getattr:
        arguments = ["x", "load"]
    file = tmp_path / "evil.pkl"
    for protocol in range(6):
        file.write_bytes(pickle.dumps([1, Evil(call, *arguments)], protocol))
        with pytest.raises(InputError, match=named) as error:
            read_pickle(file)
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)
        assert not target.exists(), protocol


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04",
        b"I5\n",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",  # a length beyond the file
        b"T" + struct.pack("<i", -5) + b".",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(L99999999999L\ntcnumpy\ndtype\n"
        b"(U\x02f8I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\nU\x04abcdtb.",  # a shape beyond the content
        b"c__builtin__\nbytes\n(I999999999999\ntR.",  # zeros by the terabyte
        b"c__builtin__\nbytearray\n(I999999999999\ntR.",
        b"c__builtin__\ntuple\n(VVVV\ntR.",
        b"r\xff\xff\xff\xff.",
        b"(" + b"N" * 4000 + b"lp0\n(" + b"c__builtin__\nlist\n(g0\ntR" * 5000 + b"l.",  # one list, copied again and again
        b"cnumpy\ndtype\n(U\x02V8I0\nI1\ntR.",
        b"cnumpy\ndtype\n(U\x02S0I0\nI1\ntR.",
        b"(i__builtin__\nlist\n.",
        b"(c__builtin__\nlist\no.",
        b"P1\n.",
        b"}" + b")" + b"\x85" * 100_000 + b"Ns.",  # hashing this would overflow the stack
    ],
)
def test_bombs_and_damage_end_in_one_line(data):
    with pytest.raises(InputError) as error:
        unpickle(data, name="bad.pkl")
    assert str(error.value).startswith("bad.pkl")


def test_a_huge_memo_number_costs_nothing():
    assert unpickle(b"I1\nr\xff\xff\xff\x7fj\xff\xff\xff\x7f.", name="x") == 1


def test_steps_bound_the_number_of_objects():
    data = b"(" + b"]" * 1000 + b"l."
    assert len(unpickle(data, name="x")) == 1000
    with pytest.raises(InputError, match="more than 500 instructions"):
        unpickle(data, name="x", steps=500)


def test_arrays_are_read_only_views_of_the_file(tmp_path):
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps({"a": np.arange(10000.0)}, 4))
    array = read_pickle(file)["a"]
    assert not array.flags.writeable
    assert not array.flags.owndata
    file.unlink()
    assert array.sum() == np.arange(10000.0).sum()


def attempt(body):
    """Read; the one error that may come is one line."""
    try:
        unpickle(body, name="x")
    except InputError as error:
        lines = str(error).splitlines()
    else:
        lines = ["read"]
    assert len(lines) == 1


BASE = pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "b": ["x", (1, 2.5)], "c": np.float32(1)}, 4)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_escape(data):
    for body in (data, data + b"."):
        attempt(body)


@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(BASE)))
@settings(max_examples=300, deadline=None)
def test_mutated_pickles_never_escape(changes, end):
    data = bytearray(BASE)
    for at, byte in changes:
        data[at] = byte
    for body in (bytes(data), bytes(data[:end])):
        attempt(body)


def test_every_instruction_is_known_or_refused():
    from tuplet.io.unpickle import ACTIONS

    refused = {op.name for op in pickletools.opcodes if ord(op.code) not in ACTIONS}
    assert refused == {
        *("STOP", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"),
        *("NEXT_BUFFER", "READONLY_BUFFER"),
    }


def test_a_number_where_text_belongs_is_one_line():
    with pytest.raises(InputError, match="not a readable pickle"):
        unpickle(b"c_codecs\nencode\n(I1\nVlatin1\ntR.", name="x.pkl")
