"""Run what a study lacks, here or in worker processes; killed at any moment, running again completes it."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol, runtime_checkable

from tuplet.io import locked
from tuplet.processes import Cluster, Inline, Workers, check_executor
from tuplet.study._ledger import MARKER, Ledger
from tuplet.study.record import Record
from tuplet.study.suite import Cell
from tuplet.types import InputError, in_range

Report = Callable[[int, int, str], None]
"""Called with cells done, cells in all, and a line about the last one."""
Pool = Inline | Workers | Cluster
SECONDS = 2.0
"""Between looks at what the running cells have told."""


@runtime_checkable
class Study(Protocol):
    """Something that is measured in cells."""

    @property
    def name(self) -> str:
        """Return the name of the study, which marks its run folders."""
        ...

    @property
    def factory(self) -> str:
        """Return the settings that mark a run folder; other ones need another folder."""
        ...

    def cells(self, ledger: Ledger) -> Sequence[Cell]:
        """List all cells; those that need what the ledger does not hold yet have the settings None."""
        ...

    def run(self, cell: Cell) -> list[Record]:
        """Measure a cell; study and cell may have travelled to another process."""
        ...


def silent(done: int, total: int, line: str) -> None:
    """Report nothing."""


def run(
    study: Study,
    out: Path,
    *,
    workers: int | None = 1,
    executor: str | None = None,
    threads: int | None = 1,
    report: Report = silent,
    pulse: Callable[[], str] | None = None,
    strict: bool = False,
    asked: tuple[int, Sequence[str]] | None = None,
    kind: type[Ledger] = Ledger,
) -> list[Record]:
    """Run the cells that are missing and return the records of all; with ``strict``, the first error ends the run."""
    check_executor(executor)
    if workers is not None:
        in_range("workers", workers, 1)

    def pool() -> Pool:
        if executor == "ray":
            return Cluster(workers)
        size = workers or os.cpu_count() or 1
        return Workers(size) if pulse or size > 1 else Inline(threads)

    with locked(out):
        ledger = kind(out)
        new = ledger.claim(study.name, study.factory)
        if asked:
            ledger.note_asked(*asked)
        try:
            _work(study, ledger, pool, report, pulse, strict)
        except InputError:
            if new and not ledger.kept:  # refused before its first cell: the corrected command may use this folder
                (out / MARKER).unlink(missing_ok=True)
            raise
        return [r for cell in study.cells(ledger) if ledger.has(cell) for r in ledger.get(cell)]


def _work(
    study: Study, ledger: Ledger, make: Callable[[], Pool], report: Report, pulse: Callable[[], str] | None, strict: bool
) -> None:
    """Keep the workers busy until nothing is ready; replace the pool if one of them dies."""
    running: dict[Future[list[Record] | tuple[str, str]], Cell] = {}
    deaths: Counter[Cell] = Counter()
    failed: set[Cell] = set()
    pool: Pool | None = None

    def tell(cells: Sequence[Cell], line: str) -> None:
        report(sum(map(ledger.has, cells)) + len(failed), len(cells), line)

    if any(map(ledger.has, cells := study.cells(ledger))):
        tell(cells, "kept from before")
    try:
        while True:
            busy = {*running.values(), *failed}
            ready = [c for c in cells if c.settings is not None and c not in busy and not ledger.has(c)]
            if not ready and not running:
                return
            pool = pool or make()
            dead = False
            try:
                for cell in ready[: max(pool.size - len(running), 0)]:
                    running[pool.submit(study.run, cell) if strict else pool.submit(_guarded, study, cell)] = cell
            except BrokenProcessPool:
                dead = True
            finished = wait(running, timeout=SECONDS if pulse else None, return_when=FIRST_COMPLETED).done
            if pulse and not finished and not dead:
                tell(cells, pulse())
            for future in finished:
                cell = running.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor as broken:
                    dead |= isinstance(broken, BrokenProcessPool)
                    deaths[cell] += 1
                    if deaths[cell] < 2:  # it may only have shared the pool, or the machine, with the one that died
                        continue
                    result = ("its process died (out of memory?)", "")
                line = cell.title
                if isinstance(result, tuple):
                    failed.add(cell)
                    ledger.fail(cell, *result)
                    line += f"  FAILED: {result[0]}"
                else:
                    ledger.put(cell, result)
                tell(cells := study.cells(ledger), line)
            if dead:  # one at a time from here on, so that only the guilty cell dies again
                running.clear()
                pool.shutdown(wait=False, cancel_futures=True)
                pool = Workers(1)
    except BaseException:
        if pool:
            pool.stop()
        raise
    finally:
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)


def _guarded(study: Study, cell: Cell) -> list[Record] | tuple[str, str]:
    try:
        return study.run(cell)
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
