"""What a run folder was asked for and does not hold yet, so that a stopped run names no winner."""

from __future__ import annotations

from pathlib import Path

from tuplet.study._ledger import read_asked
from tuplet.study.suite import Cell, Suite, reported, trials


def unfinished(suite: Suite, out: Path) -> tuple[str, set[str]]:
    """Say what a stopped run has not done yet."""
    cells: set[Cell] = set()
    for seeds, only in read_asked(out):
        pairs = [(t, e) for t in suite.tasks for e in suite.of(t) if not only or e.name in only]
        cells |= {*trials(pairs), *reported(pairs, suite.seeds(seeds))}
    missing = {c for c in cells if not (out / c.file).exists()}
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
