"""Every reader against damaged, hostile and cut-off files: an InputError of one line, or success, and nothing else."""

import errno
import importlib.util
import io
import os
import pickle
import resource
import shutil
import sys
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, feather, parquet

from tests.data.fuzz_child import read_damaged
from tests.fixtures import (
    av_mnist,
    captions,
    lerobot,
    mujoco_push,
    multibench,
    objectfolder,
    opinions,
    registries,
    spoken_digits,
    touch_sets,
    vision_touch,
    wearable,
    wesad,
)
from tests.starter import started
from tuplet.catalog import READERS
from tuplet.cli import main
from tuplet.data import Table, read, write_table
from tuplet.simulators import digit_parts, espeak
from tuplet.types import InputError

WRITERS = {
    "av_mnist": lambda root: av_mnist.write(root, rows=(28, 14), clips=10),
    "captions": lambda root: captions.write(root, width=600),
    "lerobot": lerobot.write,
    "mosei": lambda root: multibench.write(root / "mosi_data.pkl", "mosi_data", rows=(5, 4, 4), steps=3),
    "mustard": lambda root: multibench.write(root / "sarcasm.pkl", "sarcasm", rows=(6, 4, 4), steps=3, binary=True),
    "mujoco_push": lambda root: mujoco_push.write(root),
    "nutrimouse": lambda root: registries.nutrimouse(root, mice=60),
    "objectfolder": lambda root: objectfolder.write(root),
    "opinions": lambda root: opinions.write(root),
    "spoken_digits": lambda root: spoken_digits.write(root, speakers=("ann",), takes=8),
    "tacquad": touch_sets.tacquad,
    "touch_and_go": touch_sets.touch_and_go,
    "wearable": lambda root: wearable.write(root),
    "wesad": lambda root: wesad.write(root, (2, 3, 4), labels=(1, 2, 3), block=5.0),
}
HERE = sorted({*WRITERS} - {"lerobot", "mujoco_push", "objectfolder", "opinions", "tacquad", "touch_and_go"})
"""Readers without libraries in C; damaged files of the others are read in a process that may crash."""
TABLES = {"captions", "nutrimouse", "spoken_digits"}
"""Readers of those that read no pickles."""
PICKLES = ("mosei", "mustard", "wesad")
OPTIONS = {"av_mnist": {"validation": 7}, "spoken_digits": {"speech": "recorded", "rows": 500}}
SPEAKS = espeak.library() is not None and importlib.util.find_spec("resvg_py") is not None
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", autouse=True)
def one_voice(tmp_path_factory):
    """Say digits with one voice, into a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUPLET_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(digit_parts, "ACCENTS", ("en",))
        patch.setattr(digit_parts, "VARIANTS", ("m1",))
        yield


@pytest.fixture(scope="module", params=sorted(WRITERS))
def made(request, tmp_path_factory):
    """A reader's name, a folder with good files, and the same converted."""
    if request.param == "opinions" and not SPEAKS:
        pytest.skip("espeakng-loader and resvg-py are not installed")
    root = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](root)
    out = READERS[request.param].convert(root, root.parent / f"{request.param}.safetensors")
    return request.param, root, out


def attempt(name, root):
    """Check and load everything; what may come is one line."""
    for call in (READERS[name].verify, lambda r: READERS[name].load(r, **OPTIONS.get(name, {}))):
        try:
            got = call(root)
            for rows in () if isinstance(got, list) else (got.train, got.val, got.test):
                rows[:]
        except InputError as error:
            message = str(error)
        else:
            message = "read"
        assert len(message.splitlines()) == 1


def damage(data, content):
    """Draw a damaged version of a file: bytes changed near its ends or anywhere, cut, or other bytes altogether."""
    kind = data.draw(st.sampled_from(["ends", "anywhere", "cut", "other", "empty"]))
    if kind == "other":
        return data.draw(st.binary(max_size=300))
    if kind == "empty":
        return b""
    if kind == "cut":
        return content[: data.draw(st.integers(0, len(content) - 1))]
    near = st.integers(0, min(600, len(content) - 1))
    where = st.integers(0, len(content) - 1) if kind == "anywhere" else near | near.map(lambda i: len(content) - 1 - i)
    changed = bytearray(content)
    for at, byte in data.draw(st.lists(st.tuples(where, st.integers(0, 255)), min_size=1, max_size=4)):
        changed[at] = byte
    return bytes(changed)


def test_the_untouched_files_are_read(made):
    name, root, out = made
    source = READERS[name].load(root, **OPTIONS.get(name, {}))
    again = READERS[name].load(out, **OPTIONS.get(name, {}))
    assert len(source.train) == len(again.train) > 0
    assert READERS[name].verify(root)


@pytest.mark.parametrize("made", HERE, indirect=True)
@quick
@given(data=st.data())
def test_damaged_files_end_in_one_line(made, tmp_path_factory, data):
    name, root, _ = made
    copy = tmp_path_factory.mktemp("copy", numbered=True)
    shutil.copytree(root, copy, dirs_exist_ok=True)
    files = sorted(p for p in copy.rglob("*") if p.is_file())
    victim = data.draw(st.sampled_from(files))
    victim.write_bytes(damage(data, victim.read_bytes()))
    attempt(name, copy)
    shutil.rmtree(copy)


@quick
@given(data=st.data())
def test_damaged_converted_files_end_in_one_line(made, tmp_path_factory, data):
    name, _, out = made
    copy = tmp_path_factory.mktemp("copy", numbered=True) / out.name
    copy.write_bytes(damage(data, out.read_bytes()))
    attempt(name, copy)
    shutil.rmtree(copy.parent)


@pytest.mark.whole
def test_damaged_files_of_c_libraries_neither_crash_nor_hang(tmp_path):
    asked = []
    others = ((opinions, 3),) if SPEAKS else ()
    for fixture, count in ((mujoco_push, 3), (objectfolder, 3), (vision_touch, 2), (lerobot, 3), *others):
        name = fixture.__name__.rpartition(".")[2]
        fixture.write(tmp_path / name)
        asked.append((name, count))
    process = started(read_damaged, tmp_path, asked)
    process.join(240)
    process.kill()
    assert process.exitcode == 0, (tmp_path / "attempt.txt").read_text()


@pytest.mark.parametrize("made", PICKLES, indirect=True)
def test_pickles_of_something_else_end_in_one_line(made, tmp_path):
    name, root, _ = made
    shutil.copytree(root, tmp_path / "x")
    files = list((tmp_path / "x").rglob("*.pkl"))
    assert files
    for content in ({}, [], None, {"train": 1}, np.arange(3), "x" * 5000, {"signal": []}, {1: {2: 3}}):
        for file in files:
            file.write_bytes(pickle.dumps(content))
        attempt(name, tmp_path / "x")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("made", sorted({*HERE} - TABLES), indirect=True)
def test_no_reader_runs_what_a_file_names(made, tmp_path):
    name, root, _ = made
    shutil.copytree(root, tmp_path / "x")
    marker = tmp_path / "executed"
    for file in (tmp_path / "x").rglob("*.*"):
        if file.suffix == ".pkl":
            file.write_bytes(pickle.dumps({"train": Evil(str(marker)), "signal": Evil(str(marker))}))
        else:
            objects = np.empty(1, dtype=object)
            objects[0] = Evil(str(marker))
            np.save(file, objects, allow_pickle=True)
    with pytest.raises(InputError, match=r"asks for posix\.mkdir"):
        READERS[name].verify(tmp_path / "x")
    with pytest.raises(InputError, match=r"asks for posix\.mkdir"):
        READERS[name].load(tmp_path / "x")
    assert not marker.exists()


def test_a_converted_file_cut_anywhere_is_never_read_as_complete(made, tmp_path):
    name, _, out = made
    content = out.read_bytes()
    for share in (0, 1e-4, 0.01, 0.3, 0.9, 1 - 1e-6):
        (tmp_path / out.name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError):
            READERS[name].load(tmp_path / out.name, **OPTIONS.get(name, {}))


@pytest.mark.whole
def test_a_full_disk_is_one_line_and_leaves_nothing(made, tmp_path, monkeypatch, capsys):
    name, root, _ = made
    original, left = Path.open, [0]

    def full(self, mode="r", *arguments, **options):
        file = original(self, mode, *arguments, **options)
        if "b" not in mode or not set(mode) & set("wx"):
            return file
        write = file.write

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, what):
                return getattr(file, what)

            def write(self, content):
                left[0] -= len(content)
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(content)

        return Full()

    monkeypatch.setattr(Path, "open", full)
    for room in (0, 10, 5000, 30_000):
        left[0] = room
        assert main(["data", "convert", name, "--root", str(root), "--out", str(tmp_path / "out.safetensors")]) == 2
        told = capsys.readouterr().err
        assert told == "tuplet: [Errno 28] No space left on device; choose another --out, or free the disk\n", room
        assert not list(tmp_path.iterdir()), room


def converted_under_a_limit(root, told):
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
    with redirect_stderr(io.StringIO()) as said:
        code = main(["data", "convert", "mosei", "--root", str(root), "--out", str(root / "out.safetensors")])
    told.write_text(said.getvalue())
    sys.exit(code)


def test_a_limit_of_the_system_is_one_line_and_leaves_the_old_file(tmp_path):
    """A real refusal to write, in a process of its own."""
    multibench.write(tmp_path / "mosi_data.pkl", "mosi_data", rows=(5, 4, 4), steps=3)
    (tmp_path / "out.safetensors").write_bytes(b"old")
    told = tmp_path.parent / "told.txt"
    process = started(converted_under_a_limit, tmp_path, told)
    process.join(120)
    process.kill()
    assert process.exitcode == 2
    assert told.read_text().startswith("tuplet: [Errno 27]")
    assert told.read_text().count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mosi_data.pkl", "out.safetensors"]
    assert (tmp_path / "out.safetensors").read_bytes() == b"old"


TABLE = {"input.a": np.arange(40.0).reshape(10, 4), "target.b": np.arange(10) % 2}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_tables_end_in_one_line(tmp_path, data):
    file = write_table(tmp_path / "good", TABLE, about={"x": "y"})
    (tmp_path / "bad").write_bytes(damage(data, file.read_bytes()))
    try:
        table = Table.open(tmp_path / "bad")
        total = sum(float(np.asarray(c, dtype=np.float64).size) for c in table.columns.values())
    except InputError as error:
        total, lines = 0.0, str(error).splitlines()
    else:
        lines = ["read"]
    assert len(lines) == 1
    assert total <= 10 * 4 * 8 + 10 * 8  # never more numbers than bytes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_of_a_user_end_in_one_line(tmp_path, data):
    columns = {
        "id": [f"r{i}" for i in range(30)],
        "a.x": np.arange(30.0),
        "a.y": np.arange(30) % 7,
        "t": ["cup", None, "ball"] * 10,
    }
    columns |= {"walk": [[[1.0, 2.0]] * (i % 3 + 1) for i in range(30)], "label": np.arange(30) % 2}
    table, kind = pa.table(columns), data.draw(st.sampled_from(["parquet", "feather", "arrow", "csv"]))
    file = tmp_path / f"a.{kind}"
    if kind == "csv":
        csv.write_csv(table.drop_columns(["walk"]), file)
    elif kind == "parquet":
        parquet.write_table(table, file)
    else:
        feather.write_feather(table, file, compression="zstd" if kind == "feather" else "uncompressed")
    file.write_bytes(damage(data, file.read_bytes()))
    try:
        source = read(file)
        lines = [f"{len(source.train) + len(source.val) + len(source.test)} rows"]
    except InputError as error:
        lines = str(error).encode().splitlines()
    assert len(lines) == 1
