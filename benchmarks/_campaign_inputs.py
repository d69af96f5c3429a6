"""Fuzzed inputs of the campaign: damaged, cut, hostile files for every reader and record; see ``benchmarks/campaign.py``."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import random
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.fuzz_child import damaged
from tests.data.test_fuzz import OPTIONS, SPEAKS, WRITERS, Evil
from tests.fixtures import registries, touch_sets, vision_touch
from tests.test_store import space
from tuplet import Embeddings, load, store
from tuplet.audit._advised import advised
from tuplet.catalog import READERS
from tuplet.data import Table, read, write_table
from tuplet.data._sound import read_sounds
from tuplet.data.pairs import Pairs, draw_pairs
from tuplet.datasets._reader import Reader
from tuplet.io import read_state
from tuplet.io.unpickle import read_pickle
from tuplet.store.tables import open_store
from tuplet.study._ledger import Ledger
from tuplet.study.record import read_cell
from tuplet.train import _checkpoint
from tuplet.types import InputError

FILES = {**WRITERS, **touch_sets.WRITERS, "vision_touch": vision_touch.write, "nutrimouse": registries.nutrimouse}
FILES |= {"medical": registries.medical, "mini_acc": registries.mini_acc}
HANG, MEMORY = 60.0, 12 * 2**30
"""Seconds after which an input hangs, and bytes of addresses that a reader may use."""


@dataclass(frozen=True)
class Kind:
    """One kind of input: writes good files into a folder, and reads that folder."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]


def _rows(source: Any) -> None:
    for part in (source.train, source.val, source.test):
        part[:4]


def _published(name: str) -> Iterator[tuple[str, Kind]]:
    """A reader on the files as published, and on the file that it converts them to."""
    reader: Reader = READERS[name]

    def verified(folder: Path) -> None:
        reader.verify(folder)
        _rows(reader.load(folder, **OPTIONS.get(name, {})))

    def convert(folder: Path) -> None:
        published = folder.parent / "published"
        published.mkdir()
        FILES[name](published)
        reader.convert(published, folder / f"{name}.safetensors")

    yield f"reader {name}", Kind(FILES[name], verified)
    yield (
        f"converted {name}",
        Kind(convert, lambda f: _rows(reader.load(f / f"{name}.safetensors", **OPTIONS.get(name, {})))),
    )


def _user(ending: str) -> Kind:
    """Read a user's file of each format that `tuplet.data.read` takes."""

    def make(folder: Path) -> None:
        import pyarrow as pa
        from pyarrow import csv, feather, parquet

        n, rng = 40, np.random.default_rng(0)
        x, words = rng.normal(size=(n, 3)).astype("f4"), ["cup", None, "ball", "a"] * (n // 4)
        flat = {"id": [f"r{i}" for i in range(n)], "a.x": x[:, 0], "a.y": x[:, 1], "t": words, "label": np.arange(n) % 2}
        walk = pa.table({**flat, "walk": [[[1.0, 2.0]] * (i % 3 + 1) for i in range(n)]})
        file = folder / f"my{ending}"
        if ending in (".csv", ".tsv"):
            csv.write_csv(pa.table(flat), file, csv.WriteOptions(delimiter="," if ending == ".csv" else "\t"))
        elif ending == ".parquet":
            parquet.write_table(walk, file)
        elif ending in (".feather", ".arrow"):
            feather.write_feather(walk, file, compression="zstd" if ending == ".feather" else "uncompressed")
        elif ending == ".npz":
            np.savez_compressed(file, a=x, b=x[:, :2], label=np.arange(n) % 2, t=np.array(words, dtype=str))
        elif ending == ".safetensors":
            write_table(file, {"input.a": x, "input.b": x[:, :2], "target.label": np.arange(n) % 2})
        else:
            cells_in(file, 3)

    return Kind(make, lambda f: _rows(read(f / f"my{ending}")))


def cells_in(path: Path, width: int) -> None:
    """Write an .h5ad of 40 cells, three genes, and an embedding so wide, of which nothing is written."""
    import h5py

    store.write(path, Embeddings.of(space(absent=False).z))
    with h5py.File(path, "r+") as file:
        file.create_dataset("X", data=np.random.default_rng(0).normal(size=(40, 3)).astype("f4"))
        del file["var/_index"]
        file.create_dataset("var/_index", data=np.array(["x", "y", "z"], dtype=object))
        file.create_dataset("obsm/protein", (40, width), "f4", chunks=(1, min(width, 10**6)), compression="gzip")
        for name, kind in (("X", "array"), ("obsm/protein", "array"), ("var/_index", "string-array")):
            file[name].attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})


def _media(folder: Path) -> None:
    from PIL import Image
    from scipy.io import wavfile

    rng = np.random.default_rng(0)
    for i, ending in enumerate((".png", ".jpg", ".gif", ".bmp", ".webp", ".tiff")):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype("u1")).save(folder / f"p{i}{ending}")
    for i, kind in enumerate(("i2", "f4", "u1", "i4", "f8", "i2")):
        wavfile.write(folder / f"s{i}.wav", 8000, (rng.uniform(0, 0.9, 60) * (1 if "f" in kind else 99)).astype(kind))
    for kind, codec in (("flac", "flac"), ("ogg", "libopus"), ("mp3", "mp3"), ("m4a", "aac")):
        wave = rng.integers(-9000, 9000, (1, 4000)).astype(np.int16)
        registries.packed_sound(folder / f"t.{kind}", wave, 16000, codec, "mp4" if kind == "m4a" else None)


def _paths(folder: Path) -> Any:
    for file in folder.glob("t.*"):
        with contextlib.suppress(InputError):
            read_sounds("t", [file])
    return read({"p": sorted(folder.glob("p*")), "s": sorted(folder.glob("s*"))})


def _stored(ending: str) -> Kind:
    def make(folder: Path) -> None:
        store.write(folder / f"emb{ending}", space(), columns={"word": np.array(["x", "y"] * 20)})

    return Kind(make, lambda f: open_store(f / f"emb{ending}"))


def _searched(folder: Path) -> None:
    found = store.index(folder / "out")
    found.search({"a": np.eye(1, found.stored.width)}, k=2, modalities=["b"])


def _cells(folder: Path) -> None:
    Ledger(folder / "out").owner(), Ledger(folder / "out").asked()
    for file in (folder / "out" / "cells").rglob("*.jsonl"):
        read_cell(file)


def _unpickled(folder: Path) -> None:
    rng = np.random.default_rng(0)
    content = {"x": rng.normal(size=(4, 3)), "s": [("a", 1, 2.5, None, True)], "o": np.array([rng.normal(size=2), "t"], object)}
    for protocol in range(6):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(content, protocol))


def kinds(whole: Path) -> dict[str, Kind]:
    """Every kind of input; ``whole`` has a folder per command with what it wrote."""
    names = sorted(n for n in FILES if n in READERS and (SPEAKS or n != "opinions"))
    found = dict(pair for name in names for pair in _published(name))
    found |= {
        f"table{e}": _user(e) for e in (".csv", ".tsv", ".parquet", ".feather", ".arrow", ".npz", ".safetensors", ".h5ad")
    }
    found |= {f"embeddings{e}": _stored(e) for e in (".npz", ".parquet", ".safetensors", ".h5ad")}
    found["pictures and sounds"] = Kind(_media, _paths)
    found["pickles"] = Kind(_unpickled, lambda f: [read_pickle(p) for p in sorted(f.glob("*.pkl"))])
    found["pairs"] = Kind(
        lambda f: draw_pairs(np.arange(40) // 4, count=30, seed=0).save(f / "pairs.safetensors"),
        lambda f: Pairs.load(f / "pairs.safetensors"),
    )
    columns = {"input.a": np.arange(40.0).reshape(10, 4), "target.b": np.arange(10) % 2}
    found["safetensors"] = Kind(
        lambda f: write_table(f / "t", columns, about={"x": "y"}),
        lambda f: [np.asarray(c) for c in Table.open(f / "t").columns.values()],
    )

    def copied(command: str) -> Callable[[Path], Any]:
        return lambda f: shutil.copytree(whole / command / "out", f / "out", ignore=shutil.ignore_patterns(".lock", "*.html"))

    if not (whole / "train").exists():
        return found
    source = read(whole / "my.npz")
    found["checkpoint"] = Kind(copied("train"), lambda f: _checkpoint.read(f / "out" / _checkpoint.NAME))
    found["model folder"] = Kind(copied("train"), lambda f: load(f / "out"))
    found["records of bench"] = Kind(copied("bench"), _cells)
    found["records of sweep"] = Kind(copied("sweep"), _cells)
    found["audit"] = Kind(copied("audit"), lambda f: advised(f / "out", source, ("a", "b"), "label"))
    found["index"] = Kind(copied("index"), _searched)
    found["state"] = Kind(copied("train"), lambda f: read_state(f / "out" / "config.json", {"schema": int, ...: object}))
    return found


def hostile(content: bytes, rng: random.Random, marker: Path) -> bytes:
    """Damage a file, or put another one in its place: empty, random, or one that names a function to run."""
    kind = rng.random()
    if kind < 0.03:
        return rng.choice([b"", bytes(rng.randrange(400)), rng.randbytes(rng.randrange(1, 400))])
    if kind < 0.06:
        payload = Evil(str(marker))
        return pickle.dumps(rng.choice([payload, [payload], {"train": payload, "signal": payload}]), rng.randrange(6))
    if kind < 0.12 and len(content) > 2:  # a piece is missing, doubled, or moved
        a, b, c = sorted(rng.randrange(len(content)) for _ in range(3))
        return rng.choice([content[:a] + content[b:], content[:b] + content[a:], content[:a] + content[b:c] + content[a:b]])
    return damaged(content, rng) if content else content


def attack(name: str, whole: Path, folder: Path, first: int, last: int, until: float) -> None:
    """Read inputs of a kind; notes in the folder say which one is being read, and what was wrong."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    kind, good, marker = kinds(whole)[name], folder / "files", folder / "ran"
    if not good.exists():
        good.mkdir()
        kind.make(good)
        kind.read(good)  # good files are read
    files = sorted(p for p in good.rglob("*") if p.is_file())
    warnings.simplefilter("ignore")
    with (folder / "number").open("r+b", buffering=0) as at, (folder / "faults.jsonl").open("a") as faults:

        def fault(number: int, what: str) -> None:
            print(json.dumps({"number": number, "file": victim.name, "what": what}), file=faults, flush=True)

        for number in range(first, last):
            os.pwrite(at.fileno(), f"{number:12}".encode(), 0)
            if time.monotonic() > until:
                return
            rng = random.Random(f"{name} {number}")
            victim = rng.choice(files)
            content = victim.read_bytes()
            victim.write_bytes(hostile(content, rng, marker))
            try:
                kind.read(good)
            except InputError as error:
                if len(str(error).splitlines()) != 1:
                    fault(number, f"lines: {error}")
            except Exception:
                fault(number, traceback.format_exc())
            finally:
                victim.write_bytes(content)
            if marker.exists():
                fault(number, "it ran what the file names")
                marker.rmdir()
        os.pwrite(at.fileno(), f"{last:12}".encode(), 0)


def at(folder: Path) -> int:
    """The number of inputs that were read, or began to be."""
    return int((folder / "number").read_text())


def slice_of(
    context: Any, name: str, whole: Path, folder: Path, count: int, seconds: float
) -> tuple[int, list[dict[str, Any]]]:
    """Read further inputs of a kind in a process that may crash or hang; return how many, and the faults."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "number").exists():
        (folder / "number").write_text(f"{0:12}")
        (folder / "faults.jsonl").write_text("")
    began, known = at(folder), len((folder / "faults.jsonl").read_text().splitlines())
    arguments = (name, whole, folder, began, began + count, time.monotonic() + seconds)
    process: multiprocessing.Process = context.Process(target=attack, args=arguments)
    process.start()
    seen, since = began, time.monotonic()
    while process.is_alive():
        process.join(0.5)
        now = at(folder)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > HANG:
            process.kill()
            process.join()
    reached = at(folder)
    if process.exitcode:
        with (folder / "faults.jsonl").open("a") as faults:
            what = f"hang or crash: exit code {process.exitcode}"
            print(json.dumps({"number": reached, "file": "", "what": what}), file=faults)
        reached += 1
        (folder / "number").write_text(f"{reached:12}")
        shutil.rmtree(folder / "files", ignore_errors=True)  # one of them is damaged
    with contextlib.closing((folder / "faults.jsonl").open()) as file:
        return reached - began, [json.loads(line) for line in file][known:]
