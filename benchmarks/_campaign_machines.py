"""Dead workers and ranks, and archives that unpack to more than there is; see ``benchmarks/campaign.py``."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _campaign_soak as soak
from benchmarks._campaign_commands import PATIENCE, WORDS, Site, child, digits, ended, in_one_line
from benchmarks._campaign_inputs import cells_in
from tests.fixtures import registries
from tests.starter import STARTER
from tests.test_processes import gone
from tuplet.types import InputError

GB = 10**9
RANKS = "train {data} --objective pairwise --epochs {epochs} --batch-size 20 --dim 8 --out out --devices {devices}"
Trial = Callable[[random.Random], str]


def trials(part: str, site: Site, seconds: int) -> Iterator[tuple[str, Trial]]:
    """The trials of a part, by name."""
    if part == "worker":
        for what in ("bench", "train"):
            yield what, partial(worker, site, what)
    elif part == "rank":
        yield "3 of torchrun", partial(rank, site)
        yield "--devices 2", partial(launched, site)
    elif part == "bomb":
        for name in BOMBS:
            yield name, partial(bomb, site, name)
    elif part == "soak":
        yield "fit", partial(soak.fitting, site, seconds)
        yield "service", partial(soak.serving, site, seconds)


def descendants(pid: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            if folder.name.isdigit():
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [p for p, parent in parents.items() if parent == pid]
    return found + [d for p in found for d in descendants(p)]


def tuplet(words: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start the command line anew, as a shell does."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "tuplet", *words.split()], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=said
        )


def role(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def worker(site: Site, what: str, rng: random.Random) -> str:
    """Kill one of the two workers of a command, and continue the command without any."""
    folder = site.fresh()
    process = tuplet(WORDS[what].replace("--workers 1", "").format(data=site.whole / "my.npz") + " --workers 2", folder)

    def workers() -> list[int]:
        return [p for p in descendants(process.pid) if "multiprocessing-fork" in role(p) or "forkserver" in role(p)]

    until(process, lambda: bool(workers()))
    time.sleep(rng.uniform(0, {"bench": 20, "train": 4}[what]))
    members = workers()
    if members:
        os.kill(rng.choice(members), signal.SIGKILL)
    code, said = waited(process), (folder / "said.txt").read_text()
    if not in_one_line(code, said) and not (code == 1 and "FAILED" in said):
        return f"BROKEN: it ended with {code}: {said[-300:]}"
    if not gone(members):
        return "BROKEN: workers stayed behind"
    again = site.continued(what, folder)
    word = ("went on" if code == 0 else "one line") if members else "had ended"
    return again if again.startswith("BROKEN") else f"{word}, then the {again}"


def until(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def waited(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code, None for a process that hangs."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return None


def launched(site: Site, rng: random.Random) -> str:
    """Kill one of two processes that ``--devices 2`` starts: the other ends, the first one with one line."""
    folder = site.fresh()
    process = tuplet(RANKS.format(data=site.whole / "my.npz", epochs=4000, devices=2), folder)
    until(process, (folder / "out" / "train.jsonl").exists)
    time.sleep(rng.uniform(0, 2))
    ranks = [p for p in descendants(process.pid) if "tuplet" in role(p)]
    if not ranks:
        return f"BROKEN: it ended with {waited(process)}: {(folder / 'said.txt').read_text()[-300:]}"
    first = rng.random() < 0.5
    os.kill(process.pid if first else ranks[0], signal.SIGKILL)
    code, said = waited(process), (folder / "said.txt").read_text()
    if not gone(ranks, 30) or code is None:
        return "BROKEN: a process stayed behind"
    if not first and not (code and in_one_line(2, said)):
        return f"BROKEN: it ended with {code}: {said[-300:]}"
    return f"the {'first' if first else 'second'} died, the other ended" + ("" if first else " in one line")


def rank(site: Site, rng: random.Random) -> str:
    """Kill one of three processes as torchrun starts them: the others end, with a line each, and go on together."""
    folder, dead = site.fresh(), rng.randrange(3)
    processes = ranks(site, folder, 3)
    while not (folder / "out" / "train.jsonl").exists() and all(p.is_alive() for p in processes):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    processes[dead].kill()
    codes, said = [ended(p, PATIENCE) for p in processes], (folder / "said.txt").read_text()
    others = [c for i, c in enumerate(codes) if i != dead]
    if others != [2, 2] or "Traceback" in said or said.count("tuplet: ") > 2:
        return f"BROKEN: process {dead} died, the others ended with {others}: {said[-300:]}"
    if any(ranks_ended := [ended(p, PATIENCE) for p in ranks(site, folder, 3)]):
        return f"BROKEN: continued, they ended with {ranks_ended}: {(folder / 'said.txt').read_text()[-300:]}"
    whole = site.whole / "ranks"
    if not whole.exists():
        whole.mkdir()
        [ended(p, PATIENCE) for p in ranks(site, whole, 3)]
    return "the others ended, then the same digits" if digits(folder) == digits(whole) else "BROKEN: other digits"


def ranks(site: Site, folder: Path, world: int) -> list[Any]:
    """Start a training of several processes, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = RANKS.format(data=site.whole / "my.npz", epochs=30, devices=world).split()
    (folder / "said.txt").write_text("")
    found = [STARTER.Process(target=ranked, args=(r, world, port, folder, words)) for r in range(world)]
    for process in found:
        process.start()
    return found


def ranked(number: int, world: int, port: int, folder: Path, words: list[str]) -> None:
    said = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
    said |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "none"}
    os.environ |= {k: str(v) for k, v in said.items()}
    child(folder, words, {})


def zipped(folder: Path, *, honest: bool) -> None:
    """Write an .npz of zeros: 4 GB packed a thousandfold, or a few bytes that claim 100 GB."""
    size = 4 * GB if honest else 100 * GB
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (size // 1000, 1000)})
    with zipfile.ZipFile(folder / "my.npz", "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
        for name in "ab":
            about = zipfile.ZipInfo(f"{name}.npy")
            about.compress_type = zipfile.ZIP_DEFLATED
            with file.open(about, "w", force_zip64=True) as member:
                member.write(head.getvalue())
                for _ in range(size // 10**7 if honest else 1):
                    member.write(bytes(10**7))
        if not honest:
            for member in file.infolist():
                member.file_size = size


def packed(folder: Path, name: str, ending: str, pack: Callable[[bytes], bytes], times: int) -> None:
    """Write a published set, and put in the place of its packed file the same 100 MB of zeros again and again."""
    getattr(registries, name)(folder)
    (victim,) = folder.glob(f"*{ending}")
    victim.write_bytes(pack(bytes(10**8)) * times)


def columns(folder: Path) -> None:
    """Write a table of zeros that unpacks to 32 GB."""
    import pyarrow as pa
    from pyarrow import feather

    part = pa.table({k: np.zeros(10**7, dtype="f8") for k in "ab"})
    feather.write_feather(pa.concat_tables([part] * 200), folder / "my.feather", compression="zstd")


def cells(folder: Path) -> None:
    """Write an .h5ad whose matrix has 100 GB that nobody wrote."""
    cells_in(folder / "my.h5ad", 625_000_000)


def pictured(folder: Path) -> None:
    """Write a PNG that claims 180,000 x 180,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 180_000, 180_000, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(10**7)))
    (folder / "my.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b""))


def sounding(folder: Path) -> None:
    """Write a WAV that claims 4 GB, the most that its header can."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    (folder / "my.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xf0\xff\xff\xff" + bytes(1000))


BOMBS: dict[str, tuple[Callable[[Path], Any], str]] = {
    ".npz that claims 200 GB": (partial(zipped, honest=False), "my.npz"),
    ".npz of 8 GB": (partial(zipped, honest=True), "my.npz"),
    ".feather of 32 GB": (columns, "my.feather"),
    ".h5ad that claims 100 GB": (cells, "my.h5ad"),
    ".bz2 of 100 GB": (lambda f: packed(f, "medical", ".bz2", bz2.compress, 1000), "medical"),
    ".RData of 100 GB, gzip": (lambda f: packed(f, "mini_acc", "", gzip.compress, 1000), "mini_acc"),
    ".RData of 100 GB, xz": (lambda f: packed(f, "mini_acc", "", lzma.compress, 1000), "mini_acc"),
    ".png that claims 97 GB": (pictured, "my.png"),
    ".wav that claims 4 GB": (sounding, "my.wav"),
}


def bomb(site: Site, name: str, rng: random.Random) -> str:
    """Read an archive that unpacks to far more than it holds: one line, and little time, memory and disk."""
    folder = site.fresh()
    began = time.monotonic()
    process = STARTER.Process(target=reading, args=(folder, name))
    process.start()
    code = ended(process, 600)
    file = folder / "ended.txt"
    return file.read_text() if file.exists() else f"BROKEN: {code} after {time.monotonic() - began:.0f} s"


def reading(folder: Path, name: str) -> None:
    from tuplet.catalog import READERS
    from tuplet.data import read
    from tuplet.io.memory import free_memory

    os.environ["TUPLET_CACHE"] = str(folder / "cache")
    data = folder / "data"
    data.mkdir()
    make, what = BOMBS[name]
    make(data)
    most = free_memory() / 2**21
    size = sum(p.stat().st_size for p in data.iterdir())
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        if what in READERS:
            READERS[what].load(data)
        else:
            read({"p": [data / what] * 2, "x": np.eye(2)} if what in ("my.png", "my.wav") else data / what)
        word = "BROKEN: it was read"
    except InputError as error:
        word = "one line" if "\n" not in str(error) else f"BROKEN: {error}"
    except BaseException as error:
        word = f"BROKEN: {type(error).__name__} {error}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    disk = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20 - size / 2**20
    took = time.monotonic() - began
    if (grown > most or disk > 1024 or took > 120) and not word.startswith("BROKEN"):
        word = f"BROKEN: {word}"
    (folder / "ended.txt").write_text(f"{word}: {size / 1e6:.1f} MB, {took:.1f} s, {grown:.0f} MiB, {disk:.0f} MiB of disk")
