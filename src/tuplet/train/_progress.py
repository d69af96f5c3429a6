"""What a terminal shows while training: a bar, or a line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tuplet.io.pace import Pace
from tuplet.types import Loss

EVERY = 10.0
"""Seconds between two lines."""
SHOWN = 0.25
"""Seconds between two losses beside a bar."""


class Progress:
    """A rich progress bar, lines every ten seconds where nobody could see it, or nothing."""

    def __init__(self, shown: bool, total: int, done: int, *, early: bool = False) -> None:
        self.shown, self.total, self.done = shown, total, done
        self.most = "at most " if early else ""  # early stopping may end it sooner

    def __enter__(self) -> Callable[[Loss], None]:
        self.bar = None
        if not self.shown:
            return lambda loss: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            self.pace, self.last = Pace(), time.monotonic()
            self.pace.left(self.done, self.total)
            return self._line
        name = "training" + " (may stop early)" * bool(self.most)
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"))
        bar = self.bar = Progress(*columns, TimeRemainingColumn(), console=console)
        bar.start()
        task = bar.add_task("", total=self.total, completed=self.done, loss="")
        self.last = 0.0

        def tell(loss: Loss) -> None:
            bar.update(task, advance=1)
            if time.monotonic() - self.last > SHOWN:  # each look at a loss waits for it
                self.last = time.monotonic()
                bar.update(task, loss=f"{float(loss.total.detach()):.4f}")

        return tell

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def _line(self, loss: Loss) -> None:
        self.done += 1
        if time.monotonic() - self.last > EVERY:
            self.last = time.monotonic()
            value = float(loss.total.detach())
            left = self.pace.left(self.done, self.total)
            left = left.replace(", ", f", {self.most}", 1)
            print(f"step {self.done} of {self.most}{self.total}, loss {value:.4f}{left}", file=sys.stderr, flush=True)
