"""From records to tables: mean and spread per entry, differences to the baseline, ranks; Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuplet.evaluate._paired import Difference, told_apart
from tuplet.study._columns import Column
from tuplet.study._stats import Spread, average_ranks, compare, spread
from tuplet.study.record import Record
from tuplet.study.suite import Entry, Suite, Task


@dataclass(frozen=True, slots=True)
class Row:
    """An entry in one variant on one task."""

    entry: Entry
    variant: str
    settings: dict[str, object]
    cells: dict[str, Spread]
    differences: dict[str, Difference]
    rank: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a task."""

    task: Task
    rows: list[Row]
    chance: dict[str, float]
    pool: int
    records: Sequence[Record] = field(default=(), repr=False)

    def apart(self, ours: Row, theirs: Row, column: Column) -> Difference | None:
        """Return the difference of two rows in a column; None where they have nothing in common."""
        sides = (
            list(by_seed(self.records, r.entry.name, r.variant, column.metric, column.detail).values())
            for r in (ours, theirs)
        )
        return compare(*sides)

    def sign(self, ours: Row, theirs: Row, column: Column) -> int:
        """Compare two rows in a column: 1 better, -1 worse, 0 not told apart (see `told_apart`)."""
        return told_apart(self.apart(ours, theirs, column), higher=column.higher)


def tables(suite: Suite, records: Sequence[Record]) -> list[Table]:
    """Summarise the records of a suite."""
    made = []
    for task in suite.tasks:
        here = [r for r in records if r.task == task.name]
        if here:
            made.append(_table(suite, task, here))
    return made


def by_seed(records: Sequence[Record], entry: str, variant: str, metric: str, detail: str = "") -> dict[int, Record]:
    """Pick one metric of one entry."""
    wanted = (entry, variant, metric, detail)
    found = {r.seed: r for r in records if (r.entry, r.variant, r.metric, r.detail) == wanted}
    return dict(sorted(found.items()))


def _table(suite: Suite, task: Task, records: Sequence[Record]) -> Table:
    lookup: dict[tuple[str, str, str, str], list[Record]] = {}
    for r in records:
        lookup.setdefault((r.entry, r.variant, r.metric, r.detail), []).append(r)
    rows = []
    for variant in ("default", "tuned"):
        cells: dict[str, dict[str, Spread]] = {}
        for entry in suite.of(task):
            found = {c.label: lookup.get((entry.name, variant, c.metric, c.detail), []) for c in task.columns}
            cells[entry.name] = {k: spread([r.value for r in v]) for k, v in found.items() if v}
        aligned = {e.name for e in suite.of(task) if e.aligned}
        ranks = _ranks({k: v for k, v in cells.items() if k in aligned}, task.columns)
        for entry in suite.of(task):
            if not cells[entry.name]:
                continue
            any_record = next(
                r for c in task.columns for r in lookup.get((entry.name, variant, c.metric, c.detail), [])
            )
            differences = {}
            for c in task.columns if entry.name != suite.baseline else ():
                sides = (lookup.get((k, variant, c.metric, c.detail), []) for k in (entry.name, suite.baseline))
                if apart := compare(*sides):
                    differences[c.label] = apart
            seeds = max(s.n for s in cells[entry.name].values())
            rows.append(
                Row(entry, variant, any_record.settings, cells[entry.name], differences, ranks.get(entry.name), seeds)
            )
    chance = {
        c.label: r.chance
        for c in task.columns
        for r in records
        if (r.metric, r.detail) == (c.metric, c.detail) and r.chance is not None
    }
    pool = max((r.pool for r in records if r.metric.startswith("retrieval")), default=0)
    return Table(task, rows, chance, pool, records)


def _ranks(cells: dict[str, dict[str, Spread]], columns: Sequence[Column]) -> dict[str, float]:
    ranked = [c for c in columns if c.ranked]
    full = {k: v for k, v in cells.items() if all(c.label in v for c in ranked)}
    means = [{k: v[c.label].mean for k, v in full.items()} for c in ranked]
    return average_ranks(means, [c.higher for c in ranked]) if full and ranked else {}


def number(cell: Spread | None, column: Column) -> str:
    """Print a cell as mean and standard deviation."""
    if cell is None:
        return "-"
    return column.text(cell.mean) if cell.n < 2 else f"{column.text(cell.mean)} ± {column.text(cell.sd)}"


def mark(row: Row, peers: Sequence[Row], column: Column) -> str:
    """Say what is special about a cell."""
    here = row.cells.get(column.label)
    if here is None or not row.entry.aligned:
        return ""
    peers = [r for r in peers if column.label in r.cells]
    found = []
    sign = 1 if column.higher else -1
    seeds = max(r.cells[column.label].n for r in peers)  # a row that lacks seeds is no best: it was spared some
    others = [sign * r.cells[column.label].mean for r in peers if r.cells[column.label].n == seeds]
    if column.ranked and here.n == seeds and sign * here.mean == max(others):
        found.append("best")
    apart = told_apart(row.differences.get(column.label), higher=column.higher)
    return " ".join([*found, *{1: ["up"], -1: ["down"], 0: []}[apart]])


def settings_text(settings: dict[str, object]) -> str:
    """Print settings, such as ``tau 0.07, beta 1.0``."""
    return ", ".join(f"{k} {v}" for k, v in settings.items())


def grid(table: Table) -> tuple[list[str], list[list[str]]]:
    """Lay a table out as text."""
    columns = table.task.columns
    head = ["objective", "variant", "settings", *(c.label for c in columns), "rank"]
    lines = []
    for row in table.rows:
        rank = "-" if row.rank is None else f"{row.rank:.1f}"
        shown = row.variant if row.entry.trials else ""
        cells = [number(row.cells.get(c.label), c) for c in columns]
        lines.append([row.entry.label, shown, settings_text(row.settings), *cells, rank])
    chance = [c.text(table.chance[c.label]) if c.label in table.chance else "-" for c in columns]
    return head, [*lines, ["chance", "", "", *chance, "-"]]


def markdown(made: Sequence[Table]) -> str:
    """Print tables as Markdown."""
    parts = []
    for table in made:
        head, lines = grid(table)
        seeds = max((r.seeds for r in table.rows), default=0)
        pool = f"; retrieval pool {table.pool}" if table.pool else ""
        parts += [
            f"**{_cell(table.task.label)}** ({seeds} seeds, mean ± standard deviation{pool})\n",
            "| " + " | ".join(map(_cell, head)) + " |",
            "|" + "|".join([" --- "] * 3 + [" ---: "] * (len(head) - 3)) + "|",
            *("| " + " | ".join(map(_cell, line)) + " |" for line in lines),
            "",
        ]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def latex(made: Sequence[Table]) -> str:
    """Print tables as LaTeX (booktabs)."""

    def escaped(text: str) -> str:
        special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
        return "".join(special.get(c, "\\" + c if c in "&%_#${}" else c) for c in text)

    parts = []
    for table in made:
        head, lines = grid(table)
        parts += [
            rf"\begin{{tabular}}{{lll{'r' * (len(head) - 3)}}}",
            r"\toprule",
            rf"\multicolumn{{{len(head)}}}{{l}}{{{escaped(table.task.label)}}} \\",
            " & ".join(escaped(h) for h in head) + r" \\",
            r"\midrule",
            *(" & ".join(escaped(c) for c in line) + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    return "\n".join(parts)


def as_csv(made: Sequence[Table]) -> str:
    """Print every number of the tables with its interval, one per line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["task", "entry", "variant", "settings", "column", "mean", "sd", "low95", "high95", "seeds", "chance"]
    writer.writerow([*head, "difference", "difference_low95", "difference_high95"])
    for table in made:
        for row in table.rows:
            for label, s in row.cells.items():
                d = row.differences.get(label)
                found = [round(v, 6) for v in (s.mean, s.sd, s.low, s.high)]
                delta = ["", "", ""] if d is None else [round(v, 6) for v in (d.mean, d.low, d.high)]
                where = [table.task.name, row.entry.name, row.variant, settings_text(row.settings), label]
                writer.writerow([*where, *found, s.n, table.chance.get(label, ""), *delta])
    return out.getvalue()
