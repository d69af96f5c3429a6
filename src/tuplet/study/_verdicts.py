"""Whether what a paper claims is seen in a run: the words follow from the numbers by fixed rules, which this file states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuplet.evaluate._paired import told_apart
from tuplet.study._columns import Column
from tuplet.study._stats import average_ranks, compare, spread
from tuplet.study._tables import number
from tuplet.study.record import Record
from tuplet.study.suite import Suite, Task

Word = Literal["seen", "partly seen", "not seen"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim of a paper beside what a run says."""

    claim: str
    word: Word
    summary: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return all of it as one sentence."""
        return f"{self.claim}: {self.word}. {': '.join(k for k in (self.summary, '; '.join(self.details)) if k)}."


class Run:
    """The untuned cells of a run, looked up by what they measure."""

    def __init__(self, suite: Suite, records: Sequence[Record]) -> None:
        self.suite = suite
        self.found: dict[tuple[str, str, str, str], list[Record]] = {}
        for r in records:
            if r.variant == "default":
                self.found.setdefault((r.task, r.entry, r.metric, r.detail), []).append(r)

    def of(self, task: Task, entry: str, metric: str, detail: str = "") -> list[Record]:
        """List the records of one number, one per seed."""
        return self.found.get((task.name, entry, metric, detail), [])

    def mean(self, task: Task, entry: str, metric: str, detail: str = "") -> float | None:
        """Return the mean over seeds, or None where it was not measured."""
        records = self.of(task, entry, metric, detail)
        return float(np.mean([r.value for r in records])) if records else None

    def text(self, task: Task, entry: str, column: Column) -> str:
        """Print a cell of the tables."""
        return number(spread([r.value for r in self.of(task, entry, column.metric, column.detail)]), column)

    def headlines(self) -> Iterator[tuple[Task, Column]]:
        """Go through the columns of the table over all tasks."""
        for task in self.suite.tasks:
            yield from ((task, c) for c in task.columns if c.headline)

    def subsets(self, task: Task) -> Iterator[tuple[str, str, bool]]:
        """Go through metric, subset and whether higher is better, of all proper subsets of the modalities."""
        whole = "+".join(sorted(task.modalities))
        for column in task.columns:
            if column.ranked and column.metric.startswith("predict/"):
                there = {d for t, _, m, d in self.found if (t, m) == (task.name, column.metric)}
                for detail in sorted(there - {whole, "no input"}):
                    if not detail.startswith("best single"):
                        yield column.metric, detail, column.higher


@dataclass(frozen=True, slots=True)
class Comparison:
    """One entry against another over the headline columns."""

    better: int
    clear: int
    clearly_worse: int
    columns: int
    cells: tuple[str, ...]

    @property
    def counts(self) -> str:
        """Return the numbers as words."""
        return (
            f"better in {self.better} of {self.columns} columns, clearly in {self.clear}, "
            f"clearly worse in {self.clearly_worse}"
        )


def against(run: Run, entry: str, other: str) -> Comparison | None:
    """Compare two entries over the headline columns."""
    better = clear = worse = 0
    cells = []
    for task, column in run.headlines():
        sides = [run.of(task, k, column.metric, column.detail) for k in (entry, other)]
        d = compare(*sides)
        if d is None:
            continue
        gain = d.mean if column.higher else -d.mean
        better += gain > 0
        sign = told_apart(d, higher=column.higher)
        clear += sign > 0
        worse += sign < 0
        cells.append(f"{column.headline} {run.text(task, entry, column)} against {run.text(task, other, column)}")
    return Comparison(better, clear, worse, len(cells), tuple(cells)) if cells else None


def counted(claim: str, found: Comparison | None, *, share: float) -> list[Verdict]:
    """Judge a claim of being better on most columns."""
    if found is None:
        return []
    part = found.better / found.columns
    word: Word = "seen" if part >= share else "partly seen" if part > 0.5 else "not seen"
    return [Verdict(claim, word, found.counts, found.cells)]


def mean_ranks(run: Run, entries: Sequence[str]) -> tuple[dict[str, float], dict[str, int], int]:
    """Rank entries over all proper subsets of the modalities of all tasks."""
    columns, directions = [], []
    for task in run.suite.tasks:
        for metric, detail, higher in run.subsets(task):
            values = {k: v for k in entries if (v := run.mean(task, k, metric, detail)) is not None}
            if len(values) == len(entries):
                columns.append(values)
                directions.append(higher)
    tops = [max(v.values()) if up else min(v.values()) for v, up in zip(columns, directions, strict=True)]
    best = {k: sum(v[k] == top for v, top in zip(columns, tops, strict=True)) for k in entries}
    return average_ranks(columns, directions), best, len(columns)
