"""The one picture of an answer: every entry's value with its interval, and who is not told apart from the chosen one."""

from __future__ import annotations

import math

from tuplet.bench.answer import MEASURES, Answer
from tuplet.bench.figures import INK, figure_of, styled, svg
from tuplet.bench.tables import Table

COLOUR = {"chosen": "#0072b2", "same": "#56b4e9", "apart": "#9aa6b1", "baseline": "#d55e00"}


def ladder(table: Table, found: Answer) -> str:
    """Draw the measures of an answer, a line per entry, the best on top.

    Args:
        table: of the task.
        found: its answer.

    Returns:
        SVG. Dots are means over seeds, lines the 95 % interval of that mean; colours follow the paired comparison.

    Example:
        >>> from tuplet.bench.suites.quickstart import quickstart
        >>> ladder(Table(quickstart().tasks[0], [], {}, 0), Answer("a", "b"))
        ''
    """
    columns = [c for c in table.task.columns if c.metric in MEASURES]
    columns = [c for c in columns if any(c.label in r.cells for r in found.rows)]
    best = found.chosen
    if best is None or not columns:
        return ""
    order = columns[-1] if columns[-1].metric.startswith("retrieval") else columns[0]
    rows = [r for r in found.rows if any(c.label in r.cells for c in columns)]
    rows.sort(key=lambda r: (s.mean if (s := r.cells.get(order.label)) else -1.0) * (1 if order.higher else -1))
    with styled():
        figure, axes = figure_of(1, len(columns), (1.7 + 1.5 * len(columns), 0.7 + 0.19 * len(rows)))
        for axis, column in zip(axes, columns, strict=True):
            for place, row in enumerate(rows):
                cell = row.cells.get(column.label)
                if cell is None:
                    continue
                same = row.entry.aligned and table.sign(best, row, column) == 0
                role = "chosen" if row is best else "baseline" if not row.entry.aligned else "same" if same else "apart"
                scale = 100 if column.percent else 1
                if math.isfinite(cell.low):
                    axis.plot([scale * cell.low, scale * cell.high], [place, place], color=COLOUR[role], linewidth=1.2)
                axis.plot(
                    scale * cell.mean, place, "D" if role == "baseline" else "o", color=COLOUR[role], markersize=5
                )
            if column.label in table.chance:
                axis.axvline(scale * table.chance[column.label], color=INK, linestyle=":", linewidth=0.8)
            axis.set(title=f"{column.label}{', %' if column.percent else ''}", yticks=range(len(rows)))
            axis.set_yticklabels([r.entry.label for r in rows] if axis is axes[0] else [])
            axis.tick_params(axis="y", length=0)
            if column.percent:  # intervals of few seeds are wider than what is possible
                low, high = axis.get_xlim()
                axis.set_xlim(max(low, -3), min(high, 103))
        return svg(figure)
