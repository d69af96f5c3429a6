"""What objectives cost: time and memory of one pass over the number of modalities and over the batch."""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from tuplet.catalog import SOURCES
from tuplet.io import Between, locked, read_state, write_atomic
from tuplet.objectives import Objective, OneVsAll, Structure
from tuplet.study._ledger import claim
from tuplet.study.record import environment
from tuplet.study.suite import Budget, Entry, Settings, Task
from tuplet.suites.entries import objectives
from tuplet.suites.papers import BASES
from tuplet.types import Embeddings, InputError

WIDTH = 128
PAPER_BATCH = 64
"""Rows per step in OVA-IB; the Gromov-Wasserstein rows, which cost B^3, are measured here only."""
POINTS = (
    *((m, b) for b in (PAPER_BATCH, 512) for m in range(2, 8)),
    *((3, b) for b in (128, 256, 1024, 2048)),
)
"""Numbers of modalities and rows."""
Point = dict[str, float | str]
"""``entry, label, M, B, D, ms, low, high, MiB, turns, threads``; ``MiB`` is absent where the system cannot tell."""

_SIZE, _MEASURED = Between(int, 1), Between(float, 0)
MEASURED = {
    "environment": {...: str},
    "points": [
        {"entry": str, "label": str, "M": _SIZE, "B": _SIZE, "D": _SIZE, "turns": _SIZE, "threads": _SIZE}
        | {"ms": _MEASURED, "low": _MEASURED, "high": _MEASURED, "MiB?": _MEASURED}
    ],
}
"""The file of a point."""


def run_scaling(
    out: str | Path,
    *,
    only: Sequence[str] = (),
    points: Sequence[tuple[int, int]] | None = None,
    repeats: int = 5,
    threads: int | None = None,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> list[Point]:
    """Measure the objectives, keeping each finished point in ``out``; a stopped run continues."""
    out = Path(out)
    entries = rows()
    if unknown := sorted(set(only) - {e.name for e in entries}):
        raise InputError(f"only names {unknown}, expected some of {[e.name for e in entries]}")
    for argument, value in (("repeats", repeats), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"{argument} is {value}, expected 1 or more")
    if threads:
        torch.set_num_threads(threads)
    found: list[Point] = []
    points = POINTS if points is None else points
    with locked(out):
        claim(out, "scaling", "")
        for number, (m, b) in enumerate(points):
            file = out / "cells" / f"M{m}.B{b}.json"
            here = [e for e in entries if (not only or e.name in only) and (e.sizes is None or m in e.sizes)]
            here = [e for e in here if b <= PAPER_BATCH or not e.name.endswith("_gw")]
            same = {"turns": repeats, "threads": torch.get_num_threads()}
            kept = [p for p in read_points(file) if all(p.get(k) == v for k, v in same.items())]
            missing = [e for e in here if e.name not in {p["entry"] for p in kept}]
            if missing:
                kept += [p | same for p in _measured(missing, m, b, repeats)]
                write_atomic(file, json.dumps({"environment": environment(), "points": kept}).encode())
            found += kept  # with what earlier calls measured there: a selection hides nothing
            report(number + 1, len(points), f"M = {m}, B = {b}")
    return found


def rows() -> list[Entry]:
    """List what is measured: every objective of the suites, OVA-IB's learned projector, UniOMA's regulariser on its bases."""
    plain = [e for e in objectives() if e.name != "symile_n_squared"]
    projected = Entry("one_vs_all_mlp", "OVA-IB, MLP", _projected, defaults={"tau": 0.1})
    return [*plain, projected, *(_regularised(e) for e in plain if e.name in BASES)]


def _projected(settings: Settings, task: Task) -> Objective:
    return OneVsAll(projector="mlp", modalities=len(task.modalities), dim=task.budget.dim, **settings)


def _regularised(entry: Entry) -> Entry:
    def make(settings: Settings, task: Task) -> Objective:
        assert entry.make is not None
        base = entry.make(settings, task)
        assert isinstance(base, Objective)
        return base + 10.0 * Structure(coupling="gw", weights="learned", modalities=task.modalities)

    return replace(entry, name=f"{entry.name}_gw", label=f"{entry.label} + GW", make=make)


def read_points(file: Path) -> list[Point]:
    """Read the objectives measured at one point."""
    try:
        points: list[Point] = read_state(file, MEASURED)["points"]
    except InputError:
        return []
    return points


def _measured(entries: list[Entry], m: int, b: int, repeats: int) -> list[Point]:
    """Time the entries in turns, and then read the memory of one pass each."""
    names = tuple(f"m{k}" for k in range(m))
    task = Task("", "", SOURCES["digits"], names, "label", 10, Budget(dim=WIDTH))
    g = torch.Generator().manual_seed(0)
    shared = torch.randn(b, WIDTH, generator=g)
    z = {k: F.normalize(shared + torch.randn(b, WIDTH, generator=g), dim=1) for k in names}
    losses = {e.name: e.make(e.defaults, task) for e in entries if e.make}

    def once(name: str) -> float:
        leaves = {k: v.clone().requires_grad_() for k, v in z.items()}
        start = time.perf_counter()
        losses[name](Embeddings.of(leaves)).total.backward()  # type: ignore[no-untyped-call]
        return 1e3 * (time.perf_counter() - start)

    times: dict[str, list[float]] = {name: [] for name in losses}
    for turn in range(repeats + 1):
        for name, seen in times.items():
            taken = once(name)
            if turn:  # the first one warms up
                seen.append(taken)
    found: list[Point] = []
    for entry in entries:
        seen = sorted(times[entry.name])
        point: Point = {"entry": entry.name, "label": entry.label, "M": m, "B": b, "D": WIDTH}
        point |= {"ms": seen[len(seen) // 2], "low": seen[0], "high": seen[-1]}
        if (extra := peak_memory(partial(once, entry.name))) is not None:
            point["MiB"] = extra
        found.append(point)
    return found


def peak_memory(work: Callable[[], object]) -> float | None:
    """Measure the largest resident memory while something runs, beyond what was there before."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that was freed before must not hide what is needed now
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _status("VmRSS")
        work()
        return max(_status("VmHWM") - before, 0) / 1024
    except (OSError, AttributeError):
        work()
        return None


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise OSError(f"no {name}")
