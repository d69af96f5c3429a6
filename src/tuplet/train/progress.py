"""The bar that a terminal shows while training."""

from __future__ import annotations

from collections.abc import Callable

from tuplet.types import Loss


class Progress:
    """A rich progress bar, or nothing."""

    def __init__(self, shown: bool, total: int, done: int) -> None:
        self.shown, self.total, self.done = shown, total, done

    def __enter__(self) -> Callable[[Loss], None]:
        if not self.shown:
            return lambda loss: None
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"))
        self.bar = Progress(*columns, TimeRemainingColumn())
        self.bar.start()
        task = self.bar.add_task("", total=self.total, completed=self.done, loss="")
        return lambda loss: self.bar.update(task, advance=1, loss=f"{float(loss.total.detach()):.4f}")

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self.bar.stop()
