"""The study of a suite: trials, the settings that they choose, and the reported cells of every entry, task and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tuplet.frames import Listed
from tuplet.study._cell import CRITERION, run_cell
from tuplet.study._ledger import Ledger
from tuplet.study._run import Report, run, silent
from tuplet.study.record import Record, read_cell
from tuplet.study.suite import TUNING_SEED, Cell, Entry, Settings, Suite, Task, load_suite
from tuplet.types import InputError, in_range, some_of


@dataclass(frozen=True)
class Comparison:
    """All cells of a suite, or of some of its entries, for a number of seeds."""

    suite: Suite
    seeds: int
    only: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Return the name of the suite."""
        return self.suite.name

    @property
    def factory(self) -> str:
        """Return what rebuilds the suite."""
        return self.suite.factory

    def planned(self) -> list[Cell]:
        """List the trials and the reported cells; tuned ones have no settings yet."""
        return [c for task, entry in self._pairs() for c in self._of(task, entry)]

    def cells(self, ledger: Ledger) -> list[Cell]:
        """List the same, with settings for the tuned cells whose trials are finished."""
        found = [c for task, entry in self._pairs() for c in self._tuned(self._of(task, entry), ledger)]
        for cell in found:
            if cell.settings is not None and ledger.has(cell) and (was := ledger.get(cell)[0].settings) != cell.settings:
                raise InputError(
                    f"{ledger.folder / cell.file} was run with {was}, the suite now asks for {cell.settings}; use another out"
                )
        return found

    def _pairs(self) -> list[tuple[Task, Entry]]:
        suite = self.suite
        return [(t, e) for t in suite.tasks for e in suite.of(t) if not self.only or e.name in self.only]

    def _of(self, task: Task, entry: Entry) -> list[Cell]:
        """List the cells of an entry on a task."""
        defaults = [Cell(task.name, entry.name, "default", s, entry.defaults) for s in self.suite.seeds(self.seeds)]
        if not entry.trials:
            return defaults
        options = (entry.defaults, *entry.trials)
        trials = [Cell(task.name, entry.name, f"trial-{k}", TUNING_SEED, o) for k, o in enumerate(options)]
        return [*trials, *defaults, *(replace(c, variant="tuned", settings=None) for c in defaults)]

    def _tuned(self, cells: list[Cell], ledger: Ledger) -> list[Cell]:
        """Give tuned cells the settings that the trials chose, or the default's records if these are the defaults."""
        trials, defaults = ([c for c in cells if c.variant.startswith(kind)] for kind in ("trial-", "default"))
        if not trials or (chosen := best_of(trials, ledger)) is None:
            return cells
        tuned = [replace(c, variant="tuned", settings=chosen) for c in defaults]
        if chosen == defaults[0].settings:
            for default, cell in zip(defaults, tuned, strict=True):
                if ledger.has(default) and not ledger.has(cell):
                    ledger.put(cell, [replace(r, variant="tuned") for r in ledger.get(default)])
            tuned = [c if ledger.has(c) else replace(c, settings=None) for c in tuned]
        return [*trials, *defaults, *tuned]

    def run(self, cell: Cell) -> list[Record]:
        """Train and evaluate one cell."""
        return run_cell(self.suite, cell)


def best_of(trials: Sequence[Cell], ledger: Ledger) -> Settings | None:
    """Return the settings with the best validation score once all trials are known; the first among equals, NaN last."""
    if not all(map(ledger.has, trials)):  # a failed trial is tried again by the next call; only then is there a choice
        return None
    scores = [next(r.value for r in ledger.get(c) if r.metric == CRITERION) for c in trials]
    ranked = [-math.inf if math.isnan(s) else s for s in scores]
    return trials[ranked.index(max(ranked))].settings


def run_suite(
    suite: Suite,
    *,
    out: str | Path,
    seeds: int = 3,
    only: Sequence[str] = (),
    workers: int | None = None,
    executor: Literal["ray"] | None = None,
    report: Report = silent,
) -> Listed[Record]:
    """Run the missing cells of a suite.

    Args:
        suite: what to compare.
        out: run folder; cells found there are kept.
        seeds: number of reported seeds: the suite's first ones, then 0, 1, 2 and so on.
        only: names of entries; all when empty.
        workers: processes, one thread each; the number of cores when left out. With 1, cells run in this process. The results
            do not depend on it.
        executor: None: processes of this machine. ``"ray"``: the cluster of Ray that ``RAY_ADDRESS`` names or ``ray start``
            began here, else one of this machine; ``workers`` is then how many cells it is given at once, its cores when
            left out. Records come back to this process, which writes them.
        report: told after each cell.

    Returns:
        The records of all finished cells of this selection, trials left out, in a fixed order: a list, of which
        ``.to_frame()`` makes a pandas frame.

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
    found = run(
        Comparison(suite, seeds, only), Path(out), workers=workers, executor=executor, report=report, asked=(seeds, only)
    )
    records = Listed[Record](r for r in found if not r.variant.startswith("trial-"))
    check_budget(records)
    return records


def check_arguments(suite: Suite, *, seeds: int, only: Sequence[str], workers: int | None) -> None:
    """Refuse what `run_suite` cannot do, before a folder is touched."""
    in_range("seeds", seeds, 1)
    in_range("workers", 1 if workers is None else workers, 1)
    if refused := [suite.left_out[name] for name in only if name in suite.left_out]:
        raise InputError(f"only names an entry that these data do not allow: {' '.join(refused)}")
    some_of("only", only, (e.name for e in suite.entries))


def check_budget(records: Sequence[Record]) -> None:
    """Refuse a comparison whose trained cells were not given the same."""
    first: dict[tuple[str, str], Record] = {}
    for r in records:
        for name in ("parameters", "batch_size", "steps", "lr", "started", *["trials"] * (r.variant == "tuned")):
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


def read_run(out: Path, suites: dict[str, str]) -> tuple[Suite, list[Record]]:
    """Read the finished cells of a run folder."""
    name, factory = Ledger(out).owner()
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


def unfinished(suite: Suite, out: Path) -> tuple[str, set[str]]:
    """Say what a stopped run has not done yet, so that its report names no winner; and the tasks that this concerns."""
    ledger = Ledger(out)
    cells = {c for seeds, only in ledger.asked() for c in Comparison(suite, seeds, only).planned()}
    missing = {c for c in cells if not ledger.has(c)}
    failed = {(c.task, c.entry) for c in missing if any((out / c.file).parent.glob(f"{c.entry}.*.error.json"))}
    waiting = {(c.task, c.entry) for c in missing} - failed
    if not waiting:
        return "", set()
    tasks = {task for task, _ in waiting}
    joint = {t.joint for t in suite.tasks if t.name in tasks and t.joint}
    of = {e.label: [(t.name, e.name) in waiting for t in suite.tasks if e in suite.of(t)] for e in suite.entries}
    lacking = [f"{k} (done in part)" if not all(v) else k for k, v in of.items() if any(v)]
    return (
        f"Not finished: {len(cells - missing)} of {len(cells)} done; not compared yet: {', '.join(lacking)}. Which entry to "
        f"use is known when all have run; until then marks and ranks are provisional. To finish, repeat the `tuplet bench` "
        f"command."
    ), tasks | {t.name for t in suite.tasks if t.joint in joint}
