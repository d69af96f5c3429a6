"""From records to tables: mean and spread per entry, differences to the baseline, ranks; and one table over all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuplet.evaluate._paired import Difference, told_apart
from tuplet.report import Grid
from tuplet.study._columns import Column
from tuplet.study._stats import Spread, average_ranks, compare, spread
from tuplet.study.record import Record, grouped
from tuplet.study.suite import Entry, Suite, Task

BEST = "**Bold**: best aligned row; ▲ ▼: clearly better or worse than the baseline.\n"


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
            list(by_seed(self.records, r.entry.name, r.variant, column.metric, column.detail).values()) for r in (ours, theirs)
        )
        return compare(*sides)

    def sign(self, ours: Row, theirs: Row, column: Column) -> int:
        """Compare two rows in a column: 1 better, -1 worse, 0 not told apart (see `told_apart`)."""
        return told_apart(self.apart(ours, theirs, column), higher=column.higher)

    def latest(self) -> list[Row]:
        """List one row per entry: the tuned one where there is one."""
        return list({r.entry.name: r for r in sorted(self.rows, key=lambda r: r.variant == "tuned")}.values())

    def has(self, rows: Sequence[Row], columns: Sequence[Column]) -> list[Column]:
        """List the columns in which any of some rows has a value."""
        return [c for c in columns if any(c.label in r.cells for r in rows)]

    def chance_of(self, column: Column) -> str:
        """Print what chance reaches in a column."""
        return column.text(self.chance[column.label]) if column.label in self.chance else "-"

    @property
    def seeds(self) -> int:
        """Return the largest number of seeds of a row."""
        return max((r.seeds for r in self.rows), default=0)

    @property
    def of_pool(self) -> str:
        """Return words on the retrieval pool, if there is one."""
        return f"; retrieval pool {self.pool}" if self.pool else ""


def tables(suite: Suite, records: Sequence[Record]) -> list[Table]:
    """Summarise the records of a suite."""
    by = {task.name: [r for r in records if r.task == task.name] for task in suite.tasks}
    return [_table(suite, task, by[task.name]) for task in suite.tasks if by[task.name]]


def by_seed(records: Sequence[Record], entry: str, variant: str, metric: str, detail: str = "") -> dict[int, Record]:
    """Pick one metric of one entry."""
    wanted = (entry, variant, metric, detail)
    found = {r.seed: r for r in records if (r.entry, r.variant, r.metric, r.detail) == wanted}
    return dict(sorted(found.items()))


def _table(suite: Suite, task: Task, records: Sequence[Record]) -> Table:
    lookup = grouped(((r.entry, r.variant, r.metric, r.detail), r) for r in records)
    rows, columns = [], task.columns
    for variant in ("default", "tuned"):
        found = {
            e.name: {c.label: v for c in columns if (v := lookup.get((e.name, variant, c.metric, c.detail)))}
            for e in suite.of(task)
        }
        cells = {name: {k: spread([r.value for r in v]) for k, v in of.items()} for name, of in found.items()}
        ranks = _ranks({e.name: cells[e.name] for e in suite.of(task) if e.aligned}, columns)
        base = found.get(suite.baseline, {})
        for entry in suite.of(task):
            if mine := found[entry.name]:
                settings, here = next(iter(mine.values()))[0].settings, cells[entry.name]
                pairs = {k: compare(v, base[k]) for k, v in mine.items() if k in base and entry.name != suite.baseline}
                apart = {k: d for k, d in pairs.items() if d is not None}
                seeds = max(s.n for s in here.values())
                rows.append(Row(entry, variant, settings, here, apart, ranks.get(entry.name), seeds))
    chance = {
        c.label: r.chance
        for c in columns
        for r in records
        if (r.metric, r.detail) == (c.metric, c.detail) and r.chance is not None
    }
    pool = max((r.pool for r in records if r.metric.startswith("retrieval")), default=0)
    return Table(task, rows, chance, pool, records)


def _ranks(cells: Mapping[str, Mapping[str, Spread]], columns: Sequence[Column]) -> dict[str, float]:
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
    sign = 1 if column.higher else -1
    values = [r.cells[column.label] for r in peers if column.label in r.cells]
    seeds = max(s.n for s in values)  # a row that lacks seeds is no best: it was spared some
    top = max(sign * s.mean for s in values if s.n == seeds)
    best = ["best"] * (column.ranked and here.n == seeds and sign * here.mean == top)
    apart = told_apart(row.differences.get(column.label), higher=column.higher)
    return " ".join([*best, *{1: ["up"], -1: ["down"], 0: []}[apart]])


def settings_text(settings: dict[str, object]) -> str:
    """Print settings, such as ``tau 0.07, beta 1.0``."""
    return ", ".join(f"{k} {v}" for k, v in settings.items())


def grid(table: Table) -> Grid:
    """Lay a table out as text."""
    columns = table.task.columns
    lines, marks = [], []
    for row in table.rows:
        cells = [number(row.cells.get(c.label), c) for c in columns]
        first = [row.entry.label, row.variant if row.entry.trials else "", settings_text(row.settings)]
        lines.append([*first, *cells, "-" if row.rank is None else f"{row.rank:.1f}"])
        peers = [r for r in table.rows if r.variant == row.variant and r.entry.aligned]
        marks.append(["", "", "", *(mark(row, peers, c) for c in columns), ""])
    lines.append(["chance", "", "", *map(table.chance_of, columns), "-"])
    head = ["objective", "variant", "settings", *(c.label for c in columns), "rank"]
    return Grid(head, lines, words=3, marks=[*marks, [""] * len(head)], chance=True, folds=True)


def overview(made: Sequence[Table]) -> tuple[Grid, dict[str, str]] | None:
    """Lay the headline columns of all tasks side by side, as papers print them; and say what each column is."""
    shown = [(t, c) for t in made for c in t.task.columns if c.headline]
    if not shown:
        return None
    lines, marks = [], []
    for entry in {r.entry.name: r.entry for t in made for r in t.rows}.values():
        line, special = [entry.label], [""]
        for table, column in shown:
            rows = [r for r in table.rows if r.variant == "default"]
            row = next((r for r in rows if r.entry.name == entry.name), None)
            line.append("-" if row is None else number(row.cells.get(column.label), column))
            special.append("" if row is None else mark(row, [r for r in rows if r.entry.aligned], column))
        lines.append(line)
        marks.append(special)
    lines.append(["chance", *(t.chance_of(c) for t, c in shown)])
    head = ["objective", *(f"{c.headline} {'↑' if c.higher else '↓'}" for _, c in shown)]
    meanings = {c.headline: f"{t.task.label}: {c.meaning}" for t, c in shown}
    return Grid(head, lines, marks=[*marks, [""] * len(head)], chance=True), meanings


def markdown(made: Sequence[Table]) -> str:
    """Print the overview and the tables as Markdown."""
    found = overview(made)
    parts = [found[0].markdown() + f"\n{BEST}\n"] if found else []
    for t in made:
        title = f"**{t.task.label}** ({t.seeds} seeds, mean ± standard deviation{t.of_pool})"
        plain = grid(t)
        parts.append(Grid(plain.head, plain.lines, words=3).markdown(title))
    return "\n".join(parts)


def latex(made: Sequence[Table]) -> str:
    """Print tables as LaTeX (booktabs)."""
    return "\n".join(grid(table).latex(table.task.label) for table in made)


def as_csv(made: Sequence[Table]) -> str:
    """Print every number of the tables with its interval, one per line."""
    head = ["task", "entry", "variant", "settings", "column", "mean", "sd", "low95", "high95", "seeds", "chance"]
    lines = []
    for table in made:
        for row in table.rows:
            for label, s in row.cells.items():
                d = row.differences.get(label)
                found = [round(v, 6) for v in (s.mean, s.sd, s.low, s.high)]
                delta = ["", "", ""] if d is None else [round(v, 6) for v in (d.mean, d.low, d.high)]
                where = [table.task.name, row.entry.name, row.variant, settings_text(row.settings), label]
                lines.append([*map(str, (*where, *found, s.n, table.chance.get(label, ""), *delta))])
    return Grid([*head, "difference", "difference_low95", "difference_high95"], lines).csv()
