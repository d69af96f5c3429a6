"""The bench: entries x tasks x seeds under one budget, with statistics and a report."""

from tuplet.bench.record import Record
from tuplet.bench.runner import run_suite
from tuplet.bench.suite import Budget, Cell, Entry, Suite, Task

__all__ = ["Budget", "Cell", "Entry", "Record", "Suite", "Task", "run_suite"]
