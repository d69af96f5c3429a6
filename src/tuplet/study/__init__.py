"""What a study is, how it runs and resumes (`_run`, `_ledger`), and how a comparison of objectives is told."""

from tuplet.study.record import Record
from tuplet.study.runner import run_suite
from tuplet.study.suite import Budget, Cell, Entry, Suite, Task

__all__ = ["Budget", "Cell", "Entry", "Record", "Suite", "Task", "run_suite"]
