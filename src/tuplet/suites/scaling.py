"""What objectives cost: time and memory of one pass over the number of modalities and over the batch."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from tuplet.catalog import SOURCES
from tuplet.io.environment import environment
from tuplet.objectives import PUBLISHED, Objective, OneVsAll, Structure
from tuplet.study._ledger import Ledger
from tuplet.study._run import Report, run, silent
from tuplet.study.record import Record
from tuplet.study.suite import Budget, Cell, Entry, Settings, Task
from tuplet.suites.entries import objectives
from tuplet.suites.papers import BASES
from tuplet.types import Embeddings, InputError, in_range, some_of

WIDTH = 128
PAPER_BATCH = 64
"""Rows per step in OVA-IB; the Gromov-Wasserstein rows, which cost B^3, are measured here only."""
POINTS = (*((m, b) for b in (PAPER_BATCH, 512) for m in range(2, 8)), *((3, b) for b in (128, 256, 1024, 2048)))
"""Numbers of modalities and rows."""
Point = dict[str, float | str]
"""``entry, label, M, B, D, ms, low, high, MiB``; ``MiB`` is absent where the system cannot tell."""


@dataclass(frozen=True)
class Scaling:
    """The study: a cell holds what one call measured at one point, as objectives that are compared take turns."""

    points: Sequence[tuple[int, int]]
    only: Sequence[str]
    repeats: int
    threads: int
    name: str = "scaling"
    factory: str = ""

    def cells(self, ledger: Ledger) -> list[Cell]:
        """List what earlier calls measured in the same way, and a cell for what is missing at each point."""
        found = []
        for m, b in self.points:
            kept, number = [], 0
            while ledger.has(cell := Cell("", f"M{m}.B{b}", "", number)):
                with suppress(InputError):  # a damaged file is measured again under the next number
                    if ledger.get(cell)[0].budget == {"turns": self.repeats, "threads": self.threads}:
                        kept.append(cell)
                number += 1
            known = {r.entry for c in kept for r in ledger.get(c)}
            left = [e for e in rows() if e.name not in known and (not self.only or e.name in self.only)]
            missing = [e.name for e in left if m in (e.sizes or (m,)) and (b <= PAPER_BATCH or e.name[-3:] != "_gw")]
            found += [*kept, *([replace(cell, settings={"M": m, "B": b, "entries": missing})] if missing else [])]
        return found

    def run(self, cell: Cell) -> list[Record]:
        """Measure the missing entries of a point."""
        asked = cell.settings or {}
        entries = [e for e in rows() if e.name in asked["entries"]]
        budget: dict[str, float] = {"turns": self.repeats, "threads": self.threads}
        found = _measured(entries, asked["M"], asked["B"], self.repeats)
        return [replace(r, seed=cell.seed, budget=budget, environment=environment()) for r in found]


def run_scaling(
    out: str | Path,
    *,
    only: Sequence[str] = (),
    points: Sequence[tuple[int, int]] | None = None,
    repeats: int = 5,
    threads: int | None = None,
    report: Report = silent,
) -> list[Point]:
    """Measure the objectives, keeping each finished point in ``out``; a stopped run continues."""
    some_of("only", only, (e.name for e in rows()))
    for argument, value in (("repeats", repeats), ("threads", threads)):
        if value is not None:
            in_range(argument, value, 1)
    study = Scaling(POINTS if points is None else points, only, repeats, threads or torch.get_num_threads())
    return points_of(run(study, Path(out), threads=study.threads, report=report, strict=True))


def points_of(records: Sequence[Record]) -> list[Point]:
    """Read points from records: the fastest, the median and the slowest turn, and the memory."""
    memory = {(r.task, r.entry): r.value for r in records if r.metric == "MiB"}
    return [
        {"entry": r.entry, **r.settings, "ms": r.value, "low": r.items[0], "high": r.items[-1]}
        | ({"MiB": memory[r.task, r.entry]} if (r.task, r.entry) in memory else {})
        for r in records
        if r.metric == "ms"
    ]


def rows() -> list[Entry]:
    """List what is measured: every objective of the suites, OVA-IB's learned projector, UniOMA's regulariser on its bases."""
    plain = [e for e in objectives() if e.name != "symile_n_squared"]
    projected = Entry("one_vs_all_mlp", "OVA-IB, MLP", _projected, defaults={"tau": 0.1})
    return [*plain, projected, *(_regularised(e) for e in plain if e.name in (*BASES, "cone"))]


def _projected(settings: Settings, task: Task) -> Objective:
    return OneVsAll(projector="mlp", modalities=len(task.modalities), dim=task.budget.dim, **settings)


def _regularised(entry: Entry) -> Entry:
    def make(settings: Settings, task: Task) -> Objective:
        base = PUBLISHED[entry.name].built(task.modalities, task.budget.dim, settings=settings)
        return base + 10.0 * Structure(coupling="gw", weights="learned", modalities=task.modalities)

    return replace(entry, name=f"{entry.name}_gw", label=f"{entry.label} + GW", make=make)


def _measured(entries: list[Entry], m: int, b: int, repeats: int) -> list[Record]:
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
            passed = once(name)
            if turn:  # the first one warms up
                seen.append(passed)
    found = []
    for entry in entries:
        taken = tuple(sorted(times[entry.name]))
        at = {"label": entry.label, "M": m, "B": b, "D": WIDTH}
        timed = Record("scaling", f"M{m}.B{b}", entry.name, "default", 0, at, "ms", taken[len(taken) // 2], items=taken)
        found.append(timed)
        if (extra := peak_memory(partial(once, entry.name))) is not None:
            found.append(replace(timed, metric="MiB", value=extra, items=()))
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
