"""`tuplet embed --shards`: the folder is one file, a job that was stopped continues, and an unfinished one is refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.starter import forking
from tuplet import InputError, store
from tuplet.cli import embed as room
from tuplet.cli import main

pytest.importorskip("pyarrow")
write = room._shard


def ran(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, data of which the second block lacks all, and their embeddings in one file."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype("f4")
    raw = {"force": x.copy(), "sound": x[:, ::-1].copy()}
    np.savez(folder / "my.npz", **raw, label=np.where(x[:, 0] > 0, "up", "down"))
    raw["force"][5:34] = raw["sound"][14:32] = np.nan
    about = {"id": np.array([f"item {i}" for i in range(50)]), "words": np.array(["", *["a", "bcd"] * 24, "é"])}
    np.savez(folder / "new.npz", **raw, **about)
    assert ran("train", folder / "my.npz", "--epochs", 1, "--dim", 8, "--out", folder / "run") == 0
    assert ran(*command(folder), "--out", folder / "one.parquet") == 0
    return folder


def command(folder):
    return "embed", folder / "run", folder / "new.npz", "--keep", "words", "--batch-size", 1


def same(folder, file):
    one, many = store.open_store(file), store.open_store(folder)
    assert one.ids.tolist() == many.ids.tolist()
    assert one.about == many.about
    for a, b in ((one.vectors(), many.vectors()), (one.present, many.present), (one.columns, many.columns)):
        assert a.keys() == b.keys()
        for k, v in a.items():
            assert v.dtype.kind == b[k].dtype.kind
            assert np.array_equal(v, b[k])


def test_a_folder_of_shards_is_one_file(made, capsys):
    out, one = made / "whole", made / "one.parquet"
    assert ran(*command(made), "--shards", 4, "--workers", 1, "--out", out) == 0
    assert f"{100 - 29 - 18} vectors in 4 shards -> {out}" in capsys.readouterr().out
    same(out, one)
    assert store.read(out).z["sound"].equal(store.read(one).z["sound"])
    said = {}
    for place in (out, one):
        assert ran("index", place, "--out", place.with_suffix(".index")) == 0
        said[place] = []
        for words in (("search", place, "--like", "item 40", "--json"), ("inspect", place)):
            capsys.readouterr()
            assert ran(*words) == 0
            said[place].append(capsys.readouterr().out)
    assert said[out] == said[one]
    same(out.with_suffix(".index"), one.with_suffix(".index"))
    assert np.any(list(store.open_store(out).present.values()), axis=0).nonzero()[0].tolist() == [*range(14), *range(32, 50)]


def test_a_stopped_job_is_refused_and_continues(made, monkeypatch, capsys):
    out, written = made / "stopped", []

    def stopping(command, about, number, file):
        if number == 2 and number not in written:
            (out / f".{file.name}.1.0123abcd.part").write_bytes(b"half")
            written.append(number)
            raise KeyboardInterrupt
        write(command, about, number, file)
        written.append(number)

    monkeypatch.setattr(room, "_shard", stopping)
    options = (*command(made), "--shards", 4, "--workers", 1)
    assert ran(*options, "--out", out) == 130
    capsys.readouterr()
    for words in (("search", out, "--like", "item 40"), ("inspect", out), ("index", out, "--out", made / "no")):
        assert ran(*words) == 2
        assert "is not finished: 2 of 4 shards are there; run its `tuplet embed --shards` command" in capsys.readouterr().err
    shutil.copytree(out, made / "empty", ignore=shutil.ignore_patterns("*.parquet"))
    with pytest.raises(InputError, match="is not finished: 0 of its shards"):
        store.open_store(made / "empty")
    assert ran(*options, "--out", out) == 0
    assert written == [0, 1, 2, 2, 3]
    assert not list(out.glob(".*.part"))
    same(out, made / "one.parquet")
    shutil.copy(out / "part-00000-of-00004.parquet", out / "part-00000-of-00005.parquet")
    with pytest.raises(InputError, match="is not finished"):
        store.open_store(out)


def dying(command, about, number, file):
    """Write shards until the third, whose process ends the first time."""
    if number == 2 and not (told := Path(command.run, "died")).exists():
        told.touch()
        os._exit(9)
    write(command, about, number, file)


def test_a_worker_that_dies_loses_nothing(made, monkeypatch):
    monkeypatch.setattr(room, "_shard", dying)
    with forking():
        assert ran(*command(made), "--shards", 4, "--workers", 2, "--out", made / "died") == 0
    assert (made / "run/died").exists()
    same(made / "died", made / "one.parquet")


def test_another_job_is_refused(made, capsys):
    out = made / "mine"
    assert ran(*command(made), "--shards", 2, "--workers", 1, "--out", out) == 0
    raw = dict(np.load(made / "new.npz"))
    np.savez(made / "other.npz", **{**raw, "sound": raw["sound"] + 1})
    shutil.copytree(made / "run", made / "again")
    config = made / "again/config.json"
    config.write_text(config.read_text().replace("\n", "\n "))
    (made / "theirs").mkdir()
    (made / "theirs/thesis.tex").write_text("")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    start = ("embed", made / "run", made / "new.npz", "--keep", "words", "--workers", 1)
    for words, message in (
        (("--shards", 2, "--batch-size", 2, "--out", out), "was run with batch_size = 1; this run has batch_size = 2;"),
        (("--shards", 3, "--batch-size", 1, "--out", out), "shards = 2; this run has shards = 3; choose another folder"),
        (("--shards", 2, "--batch-size", 1, "--out", made / "theirs"), "suite.json is not there; choose another --out"),
        (("--shards", 2, "--out", made / "one.parquet"), "give --out one"),
        (("--shards", 0, "--out", made / "new"), "shards is 0, expected 1 to 1"),
        (("--shards", 2, "--out", made / "new"), "shards is 2, expected 1 to 1"),
        (("--out", made / "new.npz"), "give --shards too"),
    ):
        assert ran(*start, *words) == 2
        assert message in capsys.readouterr().err
    assert ran("embed", made / "run", made / "new.npz", "--batch-size", 1, "--shards", 2, "--out", out) == 2
    assert "was run with keep = ['words']; this run has keep = []" in capsys.readouterr().err
    for run, data, word in (("run", "other.npz", "data"), ("again", "new.npz", "model")):
        options = ("--keep", "words", "--batch-size", 1, "--shards", 2, "--out", out)
        assert ran("embed", made / run, made / data, *options) == 2
        assert f"was run with {word} = " in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert not (made / "new").exists()
    assert ran("embed", made / "run", made / "other.npz", *options, "--workers", 1, "--force") == 0
    assert not np.array_equal(store.read(out).z["sound"], store.read(made / "one.parquet").z["sound"])
