"""What the terminal shows: progress, tables, results, sources."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Sequence
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table as Grid

from tuplet.data import Source
from tuplet.evaluate import Result
from tuplet.evaluate.screen import WIDTH, wrapped
from tuplet.io.pace import Pace
from tuplet.study._answer import Answer
from tuplet.study._columns import Column
from tuplet.study._narrow import GAP, blocks, narrow
from tuplet.study._overview import marked, overview
from tuplet.study._reading import reading
from tuplet.study._tables import Table
from tuplet.study.record import Record
from tuplet.study.suite import Suite
from tuplet.types import kind_of


class Progress:
    """A bar in a terminal; elsewhere a line after the first piece, then every ten seconds, with the time left."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Bar | None = None
        self.pace = Pace()
        self.last = -math.inf

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self.bar = Bar(
                *columns,
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[line]}", markup=False),
                console=Console(stderr=True, markup=False),
            )
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=None, line="")
        else:
            print(self.title, file=sys.stderr, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, done: int, total: int, line: str) -> None:
        """Show that a piece of work ended."""
        left = self.pace.left(done, total)
        if self.bar:
            self.bar.update(self.task, completed=done, total=total, line=line)
            if "FAILED" in line:
                self.bar.console.print(line)
        elif "FAILED" in line or done == total or (left and time.monotonic() - self.last > 10):
            self.last = time.monotonic()
            print(f"{done} of {total} done{left}: {line}", file=sys.stderr, flush=True)


def print_tables(suite: Suite, made: Sequence[Table], *, answered: Collection[str] = ()) -> None:
    """Print the tables, no wider than 80 characters, and their reading."""
    shown: dict[str, Column] = {}
    for table in made:
        columns, head, lines = narrow(table, _width())
        shown |= {c.label: c for c in columns}
        seeds = max((r.seeds for r in table.rows), default=0)
        pool = f"; retrieval pool {table.pool}" if table.pool else ""
        _say(f"{table.task.label}: mean{' ± standard deviation' * (seeds > 1)}, seeds: {seeds}{pool}")
        _print_grid(head, lines)
        if table.task.label not in answered:
            for sentence in reading(suite, table):
                _say(sentence, bullet="- ")
        print()
    if found := overview(made):
        _say("All tasks; ▲ ▼: clearly better or worse than the baseline")
        lines = [[t.split(" ±")[0] + t[-2:] * (t[-1] in "▲▼") for t in line] for line in marked(found)]
        for part in blocks(found.head, lines, _width()):
            _print_grid([found.head[i] for i in part], [[line[i] for i in part] for line in lines])
            print()
    for c in shown.values():
        _say(f"{c.label}: {c.meaning}", style="dim")
    if any(r.entry.kind == "linear" for table in made for r in table.rows):
        _say(
            "Linear closed form: regularised CCA of the training rows, computed without training. Chance: by guessing.",
            style="dim",
        )
    if made:
        _say("All columns and settings are in the report and in table.md.", style="dim")


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
    shown = Grid(box=None, pad_edge=False)
    for name, justify in (
        ("metric", "left"),
        ("of", "left"),
        ("value", "right"),
        ("chance", "right"),
        ("pool", "right"),
    ):
        shown.add_column(name, justify=justify)  # type: ignore[arg-type]
    for r in results:
        chance = "-" if r.chance is None else f"{r.chance:.4f}"
        shown.add_row(r.metric, r.detail, f"{r.value:.4f}", chance, str(r.pool))
    _console().print(shown)


def print_source(source: Source) -> None:
    """Describe a data set."""
    console, p = _console(), source.provenance
    console.print(f"{source.name}: {p.title}", highlight=False)
    rows = f"train {len(source.train)}, val {len(source.val)}, test {len(source.test)}"
    console.print(f"rows: {rows}  (split {source.split.sha256[:12]}, data {source.fingerprint[:12]})", highlight=False)
    for name, m in source.modalities.items():
        kind = m.kind or kind_of(m.shape)
        what = f"{m.shape} {m.dtype}" + (f", {kind}" if kind else "")
        console.print(f"  modality {name}: {what}{absent(source, name)}  {m.unit}", highlight=False)
    for name, t in source.targets.items():
        what = f"{t.size} classes" if t.kind == "class" else f"{t.size} real numbers {t.unit}"
        console.print(f"  target {name}: {what}", highlight=False)
    console.print(f"  group: {_groups(source)}", highlight=False)
    for label, text in (("cite", p.citation), ("licence", p.licence), ("origin", p.origin), ("sha256", p.sha256)):
        if text:
            console.print(f"{label}: {text}", highlight=False)
    for note in p.notes:
        console.print(f"note: {note}", highlight=False)


def contents(source: Source) -> str:
    """Say in a line what was taken as modality, target and group, and below it what a user may not have meant."""
    views = ", ".join(
        f"{k} {'x'.join(map(str, m.shape))} ({m.kind or kind_of(m.shape)}{absent(source, k)})"
        for k, m in source.modalities.items()
    )
    asked = ", ".join(f"{k} ({t.size} {'classes' if t.kind == 'class' else 'real'})" for k, t in source.targets.items())
    line = f"modalities: {views}; target: {asked or 'none'}; groups: {_groups(source)}"
    return "\n".join([line, *(f"note: {note}" for note in source.provenance.notes)])


def absent(source: Source, modality: str) -> str:
    """Say how many rows lack a modality."""
    here = source.present[modality]
    gone = int((~here).sum())
    return f", absent in {gone} of {len(here)} rows" if gone else ""


def _groups(source: Source) -> str:
    return "none" if source.group is None else str(len(torch.unique(source.group)))


def _print_grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    grid = Grid(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for i, h in enumerate(head):
        grid.add_column(h, justify="right" if i else "left", no_wrap=True)
    for line in lines:
        grid.add_row(*line)
    _console().print(grid)


def _say(text: str, *, bullet: str = "", style: str = "") -> None:
    """Print a sentence in lines that fit."""
    for line in wrapped(text, bullet=bullet):
        _console().print(line, highlight=False, style=style)


def _width() -> int:
    """Return how many characters of a line are used: 80, or fewer in a small terminal."""
    return min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=True, markup=False)
