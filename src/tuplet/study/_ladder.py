"""The one picture of an answer: every entry's value with its interval, and who is not told apart from the chosen one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tuplet.study._answer import MEASURES, Answer
from tuplet.study._columns import Column
from tuplet.study._figures import INK, figure_of, styled, svg
from tuplet.study._tables import Row, Table

COLOUR = {"chosen": "#0072b2", "same": "#56b4e9", "apart": "#9aa6b1", "baseline": "#d55e00"}


def ladder(table: Table, found: Answer) -> str:
    """Draw the measures of an answer, a picture for each and a line per entry, the best on top."""
    columns = [c for c in table.task.columns if c.metric in MEASURES]
    columns = [c for c in columns if any(c.label in r.cells for r in found.rows)]
    best = found.chosen
    if best is None or not columns:
        return ""
    order = columns[-1] if columns[-1].metric.startswith("retrieval") else columns[0]
    rows = [r for r in found.rows if any(c.label in r.cells for c in columns)]
    rows.sort(key=lambda r: (s.mean if (s := r.cells.get(order.label)) else -1.0) * (1 if order.higher else -1))
    drawn = [_panel(table, best, rows, column) for column in columns]
    return f'<div class="beside">{"".join(f"<div>{d}</div>" for d in drawn)}</div>'


def _panel(table: Table, best: Row, rows: Sequence[Row], column: Column) -> str:
    """Draw one measure, narrow enough to be read on a phone."""
    scale = 100 if column.percent else 1
    with styled():
        figure, (axis,) = figure_of(1, 1, (3.6, 0.6 + 0.21 * len(rows)))
        for place, row in enumerate(rows):
            cell = row.cells.get(column.label)
            if cell is None:
                continue
            same = row.entry.aligned and table.sign(best, row, column) == 0
            role = "chosen" if row is best else "baseline" if not row.entry.aligned else "same" if same else "apart"
            if math.isfinite(cell.low):
                ends = np.array([cell.low, cell.high])
                # those of few seeds are wider than what is possible
                shown = np.clip(ends, 0, 1) if column.percent else ends
                axis.plot(scale * shown, [place, place], color=COLOUR[role], linewidth=1.2)
                whole = scale * ends[shown == ends]
                axis.plot(whole, [place] * len(whole), "|", color=COLOUR[role], markersize=5)
            axis.plot(scale * cell.mean, place, "D" if role == "baseline" else "o", color=COLOUR[role], markersize=5)
        if column.label in table.chance:
            axis.axvline(scale * table.chance[column.label], color=INK, linestyle=":", linewidth=0.8)
        axis.set(
            title=f"{column.label}{', %' if column.percent else ''}",
            yticks=range(len(rows)),
            ylim=(-0.7, len(rows) - 0.3),
        )
        axis.set_yticklabels([r.entry.label for r in rows])
        axis.tick_params(axis="y", length=0)
        return svg(figure)
