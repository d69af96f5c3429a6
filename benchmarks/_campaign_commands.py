"""Six commands that are killed, starved and disturbed, and must continue to the same digits; see ``benchmarks/campaign.py``."""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import subprocess
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from tests.data.fuzz_child import damaged
from tests.starter import STARTER
from tuplet.cli import main

WORDS = {
    "train": "train {data} --objective pairwise --epochs 40 --batch-size 20 --dim 8 --out out",
    "bench": "bench {data} --only pairwise --seeds 1 --workers 1 --start random --out out",
    "audit": "audit {data} --steps 5 --out out",
    "sweep": "sweep {data} --pair a b --lambdas 0 0.5 1 --seeds 2 --steps 10 --out out",
    "embed": "embed {whole}/train/out {many} --out out.npz --force",
    "index": "index {whole}/embed/out.npz --out out --force",
}
PATIENCE = 120.0
"""Seconds after which a command hangs."""
UNTOLD = ("seconds", "waited", "memory", "environment")
"""What a record says of the machine and the clock."""
NEWUSER, NEWNS = 0x10000000, 0x00020000


class Site:
    """A folder with data, and what each command writes if nobody disturbs it."""

    def __init__(self, out: Path) -> None:
        self.out, self.whole, self.work = out, out / "whole", out / "work"
        self.digits: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}

    def prepare(self) -> None:
        """Write the data and run every command undisturbed."""
        self.whole.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for name, n in (("my.npz", 120), ("many.npz", 20_000)):
            hidden = rng.normal(size=(n, 3))
            views = {k: (hidden @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(n, 5))).astype("f4") for k in "abc"}
            if not (self.whole / name).exists():
                np.savez(self.whole / name, label=(hidden[:, 0] > 0).astype(int), **views)
        for what in WORDS:
            done = self.whole / what / "done.json"
            if not done.exists():
                shutil.rmtree(self.whole / what, ignore_errors=True)
                began = time.monotonic()
                code, said = self.run(what, self.whole / what, patience=600)
                if code:
                    raise RuntimeError(f"{what} does not run here: {said}")
                done.write_text(json.dumps({"digits": digits(done.parent), "seconds": time.monotonic() - began}))
            kept = json.loads(done.read_text())
            self.digits[what], self.seconds[what] = kept["digits"], kept["seconds"]

    def start(self, what: str, folder: Path, **how: Any) -> Any:
        """Start a command in a folder, in a process of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        words = WORDS[what].format(data=self.whole / "my.npz", many=self.whole / "many.npz", whole=self.whole).split()
        (folder / "said.txt").write_text("")
        process = STARTER.Process(target=child, args=(folder, words, how))
        process.start()
        return process

    def run(self, what: str, folder: Path, *, patience: float = PATIENCE, **how: Any) -> tuple[int | None, str]:
        """Run a command; return its exit code, None for one that hung, and what it said on stderr."""
        process = self.start(what, folder, **how)
        return ended(process, patience), (folder / "said.txt").read_text()

    def fresh(self) -> Path:
        """Return an empty folder to work in."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        return self.work

    def same(self, what: str, folder: Path) -> str:
        """Compare what a folder holds with the undisturbed run; return what differs."""
        now, then = digits(folder), self.digits[what]
        return ", ".join(sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k)))

    def continued(self, what: str, folder: Path, **how: Any) -> str:
        """Run a command again and say how it ended."""
        code, said = self.run(what, folder, **how)
        if code:
            return f"BROKEN: continued, it ended with {code}: {said[-300:]}"
        other = self.same(what, folder)
        return f"BROKEN: other digits: {other}" if other else "same digits"


def ended(process: Any, patience: float) -> int | None:
    """Wait for a process; end one that hangs."""
    process.join(patience)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    code: int = process.exitcode
    return code


def child(folder: Path, words: list[str], how: Mapping[str, Any]) -> None:
    """Run a command in this process, as the hazards say."""
    os.chdir(folder)
    os.dup2(os.open("said.txt", os.O_WRONLY | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if "clock" in how:
        jumping(how["clock"])
    if "disk" in how:
        mounted(folder / "disk", how["disk"])
        os.chdir(folder / "disk")
        first = main(words)
        (folder / "first.json").write_text(json.dumps([first, (folder / "said.txt").read_text()]))
        subprocess.run(["mount", "-o", "remount,rw,size=1g", str(folder / "disk")], check=True)
    code = main(words)
    if "disk" in how:
        shutil.copytree(folder / "disk", folder / "kept")
    raise SystemExit(code)


def jumping(seed: int) -> None:
    """Let the clock on the wall jump by years, back and forth."""
    rng, real = random.Random(seed), time.time
    time.time = lambda: max(real() + rng.choice([-1e9, -3600.0, 0.0, 0.0, 3600.0, 1e8]), 1.0)


def mounted(folder: Path, kib: int | None) -> None:
    """Mount a small disk that only this process sees, or one that nothing can be written to; needs Linux, but no root."""
    folder.mkdir()
    libc, ids = ctypes.CDLL(None, use_errno=True), {"uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    if libc.unshare(NEWUSER | NEWNS):
        raise OSError(ctypes.get_errno(), "this system gives no namespace for a small disk")
    for name, text in {"setgroups": "deny", **ids}.items():
        Path("/proc/self", name).write_text(text)
    options = "ro" if kib is None else f"size={kib}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def digits(folder: Path) -> dict[str, Any]:
    """Read all that a command wrote, but for pictures, pages and what tells time and machine; a half file is an error."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or file.name.startswith(".") or name in ("said.txt", "done.json", "first.json"):
            continue
        if file.suffix == ".safetensors":
            with safe_open(file, "np") as opened:
                found[name] = {k: crc(opened.get_tensor(k)) for k in opened.keys()}  # noqa: SIM118 (not a dict)
        elif file.suffix == ".npz":
            with np.load(file) as arrays:
                found[name] = {k: crc(v) for k, v in arrays.items()}
        elif file.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in file.read_text().splitlines()]
        elif file.suffix == ".json":
            found[name] = timeless(json.loads(file.read_text()))
        elif file.suffix not in (".html", ".svg"):
            found[name] = file.read_text()
    return found


def crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in UNTOLD}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def in_one_line(code: int | None, said: str) -> bool:
    """Tell whether a command ended right, or with one line that says why."""
    lines = [line for line in said.splitlines() if line.startswith("tuplet: ")]
    return "Traceback" not in said and (code == 0 or (code == 2 and len(lines) == 1))


def killed(site: Site, what: str, rng: random.Random, **how: Any) -> str:
    """Kill a command at a random moment, and continue it."""
    while True:
        folder = site.fresh()
        process = site.start(what, folder, **how)
        process.join(rng.uniform(0, site.seconds[what]))
        process.kill()
        process.join()
        if process.exitcode < 0:
            break
    digits(folder)  # no file may be half
    return site.continued(what, folder, **how)


def clock(site: Site, what: str, rng: random.Random) -> str:
    """The same while the clock jumps."""
    return killed(site, what, rng, clock=rng.randrange(10**6))


def full(site: Site, what: str, rng: random.Random) -> str:
    """Run a command on a disk that may be too small for it, then on the same disk with room."""
    size = sum(f.stat().st_size for f in (site.whole / what).rglob("*") if f.is_file()) / 1024
    return on_disk(site, what, round(4 * (1.3 * size / 4) ** rng.random()))


def read_only(site: Site, what: str, rng: random.Random) -> str:
    """Run a command on a disk that nothing can be written to, then on the same one once it can be."""
    return on_disk(site, what, None)


def on_disk(site: Site, what: str, kib: int | None) -> str:
    folder = site.fresh()
    code, said = site.run(what, folder, disk=kib)
    if not (folder / "first.json").exists():
        return f"BROKEN: {code}: {said[-300:]}"
    first, told = json.loads((folder / "first.json").read_text())
    if not in_one_line(first, told) or (kib is None and first == 0):
        return f"BROKEN: {kib} KiB: it ended with {first}: {told[-300:]}"
    if code:
        return f"BROKEN: {kib} KiB: continued, it ended with {code}: {said[-300:]}"
    other = site.same(what, folder / "kept")
    word = "one line, then the same digits" if first else "it fitted"
    return f"BROKEN: {kib} KiB: other digits: {other}" if other else word


def damage(site: Site, what: str, rng: random.Random) -> str:
    """Cut a file of a finished folder, or flip bits of it, and run the command again."""
    folder = site.fresh()
    shutil.copytree(site.whole / what, folder, dirs_exist_ok=True)
    victim = rng.choice(
        sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix and p.name not in ("done.json", "said.txt"))
    )
    content = victim.read_bytes()
    cut = rng.random() < 0.5
    victim.write_bytes(content[: rng.randrange(len(content))] if cut else damaged(content, rng))
    code, said = site.run(what, folder)
    if not in_one_line(code, said):
        return f"BROKEN: {victim.name}: it ended with {code}: {said[-300:]}"
    if code:
        return "one line"
    return "other digits" if site.same(what, folder) else "same digits"


def two_writers(site: Site, what: str, rng: random.Random) -> str:
    """Start the same command twice in one folder."""
    folder = site.fresh()
    pair = [site.start(what, folder)]
    time.sleep(rng.uniform(0, 0.8 * site.seconds[what]))
    pair.append(site.start(what, folder))
    codes, said = [ended(p, PATIENCE) for p in pair], (folder / "said.txt").read_text()
    if any(c not in (0, 2) for c in codes) or 0 not in codes or "Traceback" in said or (2 in codes and "in use" not in said):
        return f"BROKEN: they ended with {codes}: {said[-300:]}"
    other = site.same(what, folder)
    word = "one refused in one line, same digits" if 2 in codes else "both ended, same digits"
    return f"BROKEN: other digits: {other}" if other else word


TRIALS: dict[str, Callable[[Site, str, random.Random], str]] = {
    "kill": killed,
    "full disk": full,
    "read-only": read_only,
    "damage": damage,
    "two writers": two_writers,
    "clock": clock,
}
