"""The bench: entries x tasks x seeds under one budget, with statistics and a report."""

from tuplet.study.record import Record
from tuplet.study.runner import run_suite
from tuplet.study.suite import Budget, Cell, Entry, Suite, Task

__all__ = ["Budget", "Cell", "Entry", "Record", "Suite", "Task", "run_suite"]
