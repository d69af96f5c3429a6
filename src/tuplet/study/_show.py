"""What the terminal shows: tables, answers, results, sources."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rich.console import Console

from tuplet.evaluate import Result
from tuplet.evaluate.screen import WIDTH, wrapped
from tuplet.report import Grid
from tuplet.report.grid import GAP
from tuplet.study._answer import MEASURES, Answer
from tuplet.study._columns import Column
from tuplet.study._reading import reading
from tuplet.study._tables import Table, number, overview
from tuplet.study.record import Record
from tuplet.study.suite import Suite


def print_tables(suite: Suite, made: Sequence[Table], *, answered: Collection[str] = ()) -> None:
    """Print the tables, no wider than 80 characters, and their reading."""
    shown: dict[str, Column] = {}
    for table in made:
        columns, grid = narrow(table, _width())
        shown |= {c.label: c for c in columns}
        _say(f"{table.task.label}: mean{' ± standard deviation' * (table.seeds > 1)}, seeds: {table.seeds}{table.of_pool}")
        print(grid.text())
        if table.task.label not in answered:
            for sentence in reading(suite, table):
                _say(sentence, bullet="- ")
        print()
    if found := overview(made):
        _say("All tasks; ▲ ▼: clearly better or worse than the baseline")
        lines = [[t.split(" ±")[0] + t[-2:] * (t[-1] in "▲▼") for t in line] for line in found[0].marked()]
        for part in Grid(found[0].head, lines).blocks(_width()):
            print(part.text(), end="\n\n")
    for c in shown.values():
        _say(f"{c.label}: {c.meaning}", style="dim")
    if any(r.entry.kind == "linear" for table in made for r in table.rows):
        _say(
            "Linear closed form: regularised CCA of the training rows, computed without training. Chance: by guessing.",
            style="dim",
        )
    if made:
        _say("All columns and settings are in the report and in table.md.", style="dim")


def narrow(table: Table, width: int) -> tuple[list[Column], Grid]:
    """Choose the columns that answer the question and fit, one row per entry."""
    rows = table.latest()
    names = ["objective", *(r.entry.label for r in rows), "chance"]
    texts = {c: [c.label, *(number(r.cells.get(c.label), c) for r in rows), table.chance_of(c)] for c in table.task.columns}
    left = width - max(map(len, names))
    shown = set()
    for c in sorted(texts, key=lambda c: c.metric not in MEASURES):
        need = max(map(len, texts[c])) + GAP
        if need > left:
            break
        shown.add(c)
        left -= need
    columns = [c for c in texts if c in shown]
    head, *lines = ([name, *cells] for name, *cells in zip(names, *(texts[c] for c in columns), strict=True))
    return columns, Grid(head, lines)


def print_answers(found: Sequence[Answer]) -> None:
    """Print what to do about each task, before anything else."""
    for a in found:
        if len(found) > 1:
            _say(a.task, style="dim")
        _say(a.first, style="bold")
        for line in a.details:
            _say(line, bullet="- ")
        print()


def print_claims(suite: Suite, records: Sequence[Record]) -> None:
    """Say which claims of the suite's paper are seen in a run."""
    found = suite.judge(records)
    if found:
        print()
        _say("What the paper claims, and what these data show (few seeds, one setting for all):")
        for verdict in found:
            _say(str(verdict), bullet="- ")


def print_results(results: Sequence[Result]) -> None:
    """Print the results of one model beside chance."""
    lines = [
        [r.metric, r.detail, f"{r.value:.4f}", "-" if r.chance is None else f"{r.chance:.4f}", str(r.pool)] for r in results
    ]
    print(Grid(["metric", "of", "value", "chance", "pool"], lines, words=2).text())


def _say(text: str, *, bullet: str = "", style: str = "") -> None:
    """Print a sentence in lines that fit."""
    console = Console(width=None if sys.stdout.isatty() else 160, soft_wrap=True, markup=False)
    for line in wrapped(text, bullet=bullet):
        console.print(line, highlight=False, style=style)


def _width() -> int:
    """Return how many characters of a line are used: 80, or fewer in a small terminal."""
    return min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
