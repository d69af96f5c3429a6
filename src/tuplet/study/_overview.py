"""One table over all tasks of a suite, as papers print it: a line per objective, a column per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuplet.study._tables import Row, Table, mark, number


@dataclass(frozen=True, slots=True)
class Overview:
    """The table as text."""

    head: list[str]
    lines: list[list[str]]
    marks: list[list[str]]
    meanings: dict[str, str]


def overview(made: Sequence[Table]) -> Overview | None:
    """Lay the headline columns of all tasks side by side."""
    shown = [(t, c) for t in made for c in t.task.columns if c.headline]
    if not shown:
        return None
    entries = list({r.entry.name: r.entry for t in made for r in t.rows}.values())
    lines, marks = [], []
    for entry in entries:
        line, special = [entry.label], [""]
        for table, column in shown:
            row = _row(table, entry.name)
            line.append("-" if row is None else number(row.cells.get(column.label), column))
            peers = [r for r in table.rows if r.variant == "default" and r.entry.aligned]
            special.append("" if row is None else mark(row, peers, column))
        lines.append(line)
        marks.append(special)
    chance = [c.text(t.chance[c.label]) if c.label in t.chance else "-" for t, c in shown]
    return Overview(
        ["objective", *(f"{c.headline} {'↑' if c.higher else '↓'}" for _, c in shown)],
        [*lines, ["chance", *chance]],
        [*marks, [""] * (len(shown) + 1)],
        {c.headline: f"{t.task.label}: {c.meaning}" for t, c in shown},
    )


def overview_markdown(made: Sequence[Table]) -> str:
    """Print the overview as Markdown."""
    found = overview(made)
    if found is None:
        return ""
    rows = ["| " + " | ".join(line) + " |" for line in (found.head, *marked(found, bold="**"))]
    rows.insert(1, "| --- |" + " ---: |" * (len(found.head) - 1))
    return "\n".join(rows) + "\n\n**Bold**: best aligned row; ▲ ▼: clearly better or worse than the baseline.\n"


def marked(found: Overview, *, bold: str = "") -> list[list[str]]:
    """Write the marks of an overview into its lines."""

    def cell(text: str, mark: str) -> str:
        shown = f"{bold}{text}{bold}" if "best" in mark else text
        return shown + " ▲" * ("up" in mark) + " ▼" * ("down" in mark)

    return [
        [cell(t, m) for t, m in zip(line, marks, strict=True)]
        for line, marks in zip(found.lines, found.marks, strict=True)
    ]


def _row(table: Table, entry: str) -> Row | None:
    return next((r for r in table.rows if r.entry.name == entry and r.variant == "default"), None)
