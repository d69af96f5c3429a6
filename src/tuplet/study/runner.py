"""Run what is missing of a suite, in worker processes; killed at any moment, running again completes it."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from tuplet.io.files import locked, write_atomic
from tuplet.processes import Inline, Workers
from tuplet.study._cell import CRITERION, load_suite, run_cell
from tuplet.study._ledger import claim, note_asked, read_marker
from tuplet.study.record import Record, read_cell, write_cell
from tuplet.study.suite import TUNING_SEED, Cell, Entry, Settings, Suite, Task, reported, trials
from tuplet.types import InputError

Report = Callable[[int, int, str], None]
"""Called with cells done, cells in all, and a line about the last one."""


def run_suite(
    suite: Suite,
    *,
    out: str | Path,
    seeds: int = 3,
    only: Sequence[str] = (),
    workers: int | None = None,
    report: Report = lambda done, total, line: None,
) -> list[Record]:
    """Run the missing cells of a suite.

    Args:
        suite: what to compare.
        out: run folder; cells found there are kept.
        seeds: number of reported seeds: the suite's first ones, then 0, 1, 2 and so on.
        only: names of entries; all when empty.
        workers: processes, one thread each; the number of cores when left out. With 1, cells run in this process. The results
            do not depend on it.
        report: told after each cell.

    Returns:
        The records of all finished cells of this selection, trials left out, in a fixed order.

    Raises:
        InputError: for an unknown entry, a folder of another suite or with damaged cells, or cells that did not share one
            budget. A cell that fails is recorded in ``<cell>.error.json`` and tried again by the next call; the others
            go on.

    Example:
        >>> import tempfile
        >>> from tuplet.suites.quickstart import quickstart
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run_suite(quickstart(), out=Path(folder), only=["nothing"])
        Traceback (most recent call last):
        tuplet.types.InputError: only names ['nothing'], expected some of ['raw', 'none', ...
    """
    check_arguments(suite, seeds=seeds, only=only, workers=workers)
    out = Path(out)
    pairs = [(t, e) for t in suite.tasks for e in suite.of(t) if not only or e.name in only]
    with locked(out):
        claim(out, suite.name, suite.factory)
        note_asked(out, seeds, only)
        plan = _Plan(suite, out, pairs, suite.seeds(seeds))
        plan.sweep()
        if plan.ready:
            _work(suite, plan, workers or os.cpu_count() or 1, report)
    records = [r for cell in plan.reported for r in plan.records(cell)]
    check_budget(records)
    return records


def check_arguments(suite: Suite, *, seeds: int, only: Sequence[str], workers: int | None) -> None:
    """Refuse what `run_suite` cannot do, before a folder is touched."""
    for argument, value in (("seeds", seeds), ("workers", workers)):
        if value is not None and value < 1:
            raise InputError(f"{argument} is {value}, expected 1 or more")
    if refused := [suite.left_out[name] for name in only if name in suite.left_out]:
        raise InputError(f"only names an entry that these data do not allow: {' '.join(refused)}")
    if unknown := sorted(set(only) - {e.name for e in suite.entries}):
        raise InputError(f"only names {unknown}, expected some of {[e.name for e in suite.entries]}")


def check_budget(records: Sequence[Record]) -> None:
    """Refuse a comparison whose trained cells were not given the same."""
    first: dict[tuple[str, str], Record] = {}
    for r in records:
        for name in ("parameters", "batch_size", "steps", "lr", "started") + (
            ("trials",) if r.variant == "tuned" else ()
        ):
            if name in r.budget:
                seen = first.setdefault((r.task, name), r)
                if seen.budget[name] != r.budget[name]:
                    raise InputError(
                        f"unequal budget in {r.task}: {name} is {seen.budget[name]} for {seen.entry} and {r.budget[name]} for "
                        f"{r.entry}; give every entry the same, or run into a new out folder"
                    )
        seen = first.setdefault((r.task, "data"), r)
        if seen.data != r.data:
            raise InputError(f"{r.task} of {seen.entry} and of {r.entry} saw different data; run into a new out folder")


class _Plan:
    """Which cells exist, which can run now, and what they are built with."""

    def __init__(self, suite: Suite, out: Path, pairs: list[tuple[Task, Entry]], seeds: list[int]) -> None:
        self.suite, self.out, self.pairs, self.seeds = suite, out, pairs, seeds
        self.ready: list[tuple[Cell, Settings]] = []
        self.started: set[Cell] = set()
        self.done: dict[Cell, list[Record]] = {}
        self.failed: set[Cell] = set()
        self.reported = reported(pairs, seeds)
        planned = [*trials(pairs), *self.reported]
        for cell in planned:
            if (self.out / cell.file).exists():
                self.done[cell] = read_cell(self.out / cell.file)
        self.total = len(planned)

    def records(self, cell: Cell) -> list[Record]:
        return self.done.get(cell, [])

    def sweep(self) -> None:
        """Queue every cell whose settings are known and that neither exists, runs nor failed."""
        for task, entry in self.pairs:
            options = (entry.defaults, *entry.trials)
            for k in range(len(options) if entry.trials else 0):
                self._queue(Cell(task.name, entry.name, f"trial-{k}", TUNING_SEED), options[k])
            for seed in self.seeds:
                self._queue(Cell(task.name, entry.name, "default", seed), entry.defaults)
            if entry.trials and (chosen := self._chosen(task, entry, options)) is not None:
                for seed in self.seeds:
                    self._tuned(task, entry, seed, chosen)

    def finish(self, cell: Cell, records: list[Record]) -> None:
        write_cell(self.out / cell.file, records)
        self._error(cell).unlink(missing_ok=True)
        self.done[cell] = records
        self.sweep()

    def fail(self, cell: Cell, message: str, details: str) -> None:
        self.failed.add(cell)
        content = json.dumps({"error": message, "details": details}, indent=1)
        write_atomic(self._error(cell), content.encode())

    def _error(self, cell: Cell) -> Path:
        return (self.out / cell.file).with_suffix(".error.json")

    def _chosen(self, task: Task, entry: Entry, options: Sequence[Settings]) -> Settings | None:
        """Return the settings with the best validation score once all trials are known; the first among equals, NaN last."""
        scores = []
        for k in range(len(options)):
            cell = Cell(task.name, entry.name, f"trial-{k}", TUNING_SEED)
            if cell not in self.done:  # a failed trial is tried again by the next call; only then is there a choice
                return None
            scores.append(next(r.value for r in self.done[cell] if r.metric == CRITERION))
        ranked = [-math.inf if math.isnan(s) else s for s in scores]
        return options[ranked.index(max(ranked))]

    def _tuned(self, task: Task, entry: Entry, seed: int, chosen: Settings) -> None:
        """Queue a tuned cell, or take over the default's records if tuning chose the defaults."""
        cell, default = (Cell(task.name, entry.name, v, seed) for v in ("tuned", "default"))
        if chosen != entry.defaults:
            self._queue(cell, chosen)
        elif cell not in self.done and default in self.done:
            records = [replace(r, variant="tuned") for r in self.done[default]]
            write_cell(self.out / cell.file, records)
            self.done[cell] = records

    def _queue(self, cell: Cell, settings: Settings) -> None:
        if cell in self.done:
            if self.done[cell][0].settings != settings:
                raise InputError(
                    f"{self.out / cell.file} was run with {self.done[cell][0].settings}, the suite now asks for {settings}; "
                    f"use another out folder"
                )
        elif cell not in self.started:
            self.started.add(cell)
            self.ready.append((cell, settings))


def _work(suite: Suite, plan: _Plan, workers: int, report: Report) -> None:
    """Keep the workers busy until nothing is ready; replace the pool if one of them dies."""
    running: dict[Future[list[Record] | tuple[str, str]], tuple[Cell, Settings]] = {}
    deaths: dict[Cell, int] = {}
    size, dead = workers, False
    pool: Inline | Workers = Inline() if workers == 1 else Workers(workers)
    try:
        while plan.ready or running:
            while plan.ready and len(running) < size and not dead:
                cell, settings = plan.ready.pop(0)
                try:
                    running[pool.submit(_guarded, suite.factory, cell, settings)] = (cell, settings)
                except BrokenProcessPool:
                    plan.ready.insert(0, (cell, settings))
                    dead = True
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell, settings = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    dead = True
                    deaths[cell] = deaths.get(cell, 0) + 1
                    if deaths[cell] < 2:  # it may only have shared the pool with the one that died
                        plan.ready.append((cell, settings))
                        continue
                    result = ("its process died (out of memory?)", "")
                line = f"{cell.task} / {cell.entry} / {cell.variant} / seed {cell.seed}"
                if isinstance(result, tuple):
                    plan.fail(cell, *result)
                    line += f"  FAILED: {result[0]}"
                else:
                    plan.finish(cell, result)
                report(len(plan.done) + len(plan.failed), plan.total, line)
            if dead:
                for future in list(running):
                    plan.ready.append(running.pop(future))
                pool.shutdown(wait=False, cancel_futures=True)
                size, dead = 1, False  # one at a time from here on, so that only the guilty cell dies again
                pool = Workers(size)
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _guarded(factory: str, cell: Cell, settings: Settings) -> list[Record] | tuple[str, str]:
    try:
        return run_cell(factory, cell, settings)
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()


def read_run(out: Path, suites: dict[str, str]) -> tuple[Suite, list[Record]]:
    """Read the finished cells of a run folder."""
    name, factory = read_marker(out)
    if name not in suites:
        raise InputError(f"{out} holds the suite {name!r}, expected one of {sorted(suites)}")
    _, mark, options = factory.partition("?")
    suite = load_suite(suites[name] + mark + options)
    records = []
    for task in suite.tasks:
        for entry in suite.of(task):
            for variant in ("default", "tuned"):
                for path in sorted((out / "cells" / task.name).glob(f"{entry.name}.{variant}.s*.jsonl")):
                    records += read_cell(path)
    if not records:
        raise InputError(f"{out} has nothing finished yet; run `tuplet bench {name}` first")
    check_budget(records)
    return suite, records
