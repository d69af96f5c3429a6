"""Tables for a terminal: the columns that answer the question, no wider than the screen."""

from __future__ import annotations

from collections.abc import Sequence

from tuplet.study._answer import MEASURES
from tuplet.study._columns import Column
from tuplet.study._tables import Table, number

GAP = 2
"""Spaces between columns."""


def narrow(table: Table, width: int) -> tuple[list[Column], list[str], list[list[str]]]:
    """Choose what of a table fits."""
    rows = list({r.entry.name: r for r in sorted(table.rows, key=lambda r: r.variant == "tuned")}.values())
    names = ["objective", *(r.entry.label for r in rows), "chance"]
    texts = {
        c: [c.label, *(number(r.cells.get(c.label), c) for r in rows), _chance(table, c)] for c in table.task.columns
    }
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
    return columns, head, lines


def blocks(head: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Break a wide table into several that repeat the first column."""
    wide = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    parts: list[list[int]] = []
    left = 0
    for i in range(1, len(wide)):
        if not parts or wide[i] + GAP > left:
            parts.append([0])
            left = width - wide[0]
        parts[-1].append(i)
        left -= wide[i] + GAP
    return parts


def _chance(table: Table, column: Column) -> str:
    return column.text(table.chance[column.label]) if column.label in table.chance else "-"
