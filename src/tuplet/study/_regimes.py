"""Both ways to begin, side by side: encoders from scratch, and encoders started from the linear closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from tuplet.study._tables import Row, Table
from tuplet.study.record import Record, grouped
from tuplet.study.suite import Task
from tuplet.types import Start, one_of

Starts = Literal["random", "gcca", "both"]
WORDS: dict[Start, str] = {"random": "from scratch", "gcca": "started from the closed form"}
"""Start -> what a table calls it."""
SHORT: dict[Start, str] = {"random": "from scratch", "gcca": "started"}
"""Start -> what a row calls it beside those of the other one."""
LR = 1e-3
"""Peak learning rate of started encoders, which are close to their end already."""


def regimes(task: Task, start: Starts) -> tuple[Task, ...]:
    """Make the same task for one start or both."""
    one_of("start", start, get_args(Starts))
    if start == "random":
        return (task,)
    joint = task.label if start == "both" else ""
    begun = replace(
        task,
        name=f"{task.name} started",
        label=f"{task.label}, {WORDS['gcca']}",
        budget=replace(task.budget, start="gcca", lr=LR),
        joint=joint,
    )
    return (begun,) if start == "gcca" else (replace(task, label=f"{task.label}, {WORDS['random']}", joint=joint), begun)


def together(made: Sequence[Table]) -> list[list[Table]]:
    """Group tables that are answered together."""
    return list(grouped((table.task.joint or str(number), table) for number, table in enumerate(made)).values())


def joined(
    group: Sequence[Table], scores: Mapping[tuple[str, str], float], doubts: Mapping[str, str]
) -> tuple[Table, dict[tuple[str, str], float], dict[str, str]]:
    """Make one table of both starts: every trained row once per start, every row that has no start once."""
    first = group[0]
    name = first.task.name
    if len(group) == 1 and not first.task.joint:
        return first, dict(scores), dict(doubts)
    rows: list[Row] = []
    records: list[Record] = []
    found: dict[tuple[str, str], float] = {}
    for table in group:
        start = table.task.budget.start
        known = {r.entry.name for r in rows}
        renamed: dict[str, str] = {}
        for entry in {r.entry.name: r.entry for r in table.rows}.values():
            trained = entry.kind == "trained"
            if trained or entry.name not in known:
                renamed[entry.name] = f"{entry.name} {SHORT[start]}" if trained else entry.name
        for row in table.rows:
            if (new := renamed.get(row.entry.name)) is not None:
                label = f"{row.entry.label} {SHORT[start]}" if row.entry.kind == "trained" else row.entry.label
                rows.append(replace(row, entry=replace(row.entry, name=new, label=label)))
        records += [replace(r, task=name, entry=renamed[r.entry]) for r in table.records if r.entry in renamed]
        found |= {(name, renamed[e]): score for (t, e), score in scores.items() if t == table.task.name and e in renamed}
    task = replace(first.task, label=first.task.joint)
    doubt = {name: doubts[name]} if all(t.task.name in doubts for t in group) else {}
    return Table(task, rows, first.chance, first.pool, records), found, doubt
