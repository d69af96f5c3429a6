"""How far a command is: a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tuplet.io.pace import Pace


class Progress:
    """A bar in a terminal; elsewhere a line after the first piece, then every ten seconds, with the time left."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Bar | None = None
        self.pace = Pace()
        self.last = -math.inf

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self.bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
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
