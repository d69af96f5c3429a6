"""The report of a bench run: one self-contained HTML file beside Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuplet.io.files import write_atomic
from tuplet.study import _figures as figures
from tuplet.study._answer import answers, doubtful, trial_scores
from tuplet.study._ladder import ladder
from tuplet.study._overview import overview, overview_markdown
from tuplet.study._reading import reading
from tuplet.study._samples import kept_samples
from tuplet.study._subset_map import subset_maps
from tuplet.study._tables import Table, as_csv, grid, latex, mark, markdown, tables
from tuplet.study._weights import weight_bars
from tuplet.study.record import Record
from tuplet.study.runner import unfinished
from tuplet.study.suite import Suite


@dataclass(frozen=True, slots=True)
class Cost:
    """What an entry cost on one task."""

    label: str
    seconds: float
    memory: float
    steps: int
    parameters: int


def write_report(suite: Suite, records: Sequence[Record], out: Path, *, scaling: str = "") -> Path:
    """Write report.html, table.md, table.csv, table.tex and retrieval.svg (the first task's curves)."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = tables(suite, records)
    left, waiting = unfinished(suite, out)
    told = [t for t in made if t.task.name not in waiting]
    said = answers(told, trial_scores(suite, out), doubtful(suite, made, out))
    loader = Environment(loader=PackageLoader("tuplet.study"), autoescape=True, undefined=StrictUndefined)
    sections = []
    for table in made:
        here = [r for r in records if r.task == table.task.name]
        tuned = any(r.variant == "tuned" for r in here)
        variant = "tuned" if tuned else "default"
        head, lines = grid(table)
        sections.append(
            {
                "table": table,
                "head": head,
                "lines": lines,
                "marks": _marks(table),
                "reading": reading(suite, table) if table.task.name not in waiting else [],
                "variant": variant,
                "curves": figures.curves(suite, table.task, here, variant=variant),
                "scatter": figures.cosine_scatter(suite, table.task, here),
                "subsets": subset_maps(suite, table.task, here, variant=variant),
                "training": figures.training(suite, table.task, here, variant=variant),
                "costs": costs(suite, table, here),
                "seeds": sorted({r.seed for r in here}),
                "data": here[0].data,
            }
        )
    ran = {r.entry for r in records}  # a selection of entries speaks of no others
    page = loader.get_template("report.html").render(
        suite=suite,
        left=left,
        left_out=list(suite.left_out.values()) if ran >= {e.name for e in suite.entries} else [],
        answers=[(a, ladder(a.table, a) if a.table else "") for a in said],
        baseline=next((e.label for e in suite.entries if e.name == suite.baseline), suite.baseline),
        sections=sections,
        overview=overview(made),
        verdicts=suite.judge(records) if not left else [],
        weights=weight_bars(suite, records),
        tuned=any(e.trials for e in suite.entries),
        samples=kept_samples(out),
        scaling=scaling,
        over_axis=figures.over_axis(suite, records),
        columns=list({c.label: c for task in suite.tasks for c in task.columns}.values()),
        notes=[e for e in suite.entries if e.note],
        environment=records[0].environment if records else {},
        mixed=len({tuple(sorted(r.environment.items())) for r in records}) > 1,
    )
    file = out / "report.html"
    write_atomic(file, page.encode())
    others = {
        "table.md": (f"{left}\n\n" if left else "")
        + overview_markdown(made)
        + "\n" * bool(overview(made))
        + markdown(made),
        "table.csv": as_csv(made),
        "table.tex": latex(made),
    }
    if sections and sections[0]["curves"]:
        # on its own an image has no page to take its ink from: a grey that shows on light and dark
        others["retrieval.svg"] = str(sections[0]["curves"]).replace("currentColor", "#7a848d")
    for name, text in others.items():
        write_atomic(out / name, text.encode())
    return file


def costs(suite: Suite, table: Table, records: Sequence[Record]) -> list[Cost]:
    """Summarise what the default cells of each entry cost."""
    found = []
    for entry in suite.of(table.task):
        mine = [r for r in records if r.entry == entry.name and r.variant == "default"]
        if mine:
            seconds = float(np.median(list({r.seed: r.seconds for r in mine}.values())))
            budget = mine[0].budget
            spent = int(budget.get("steps", 0)), int(budget.get("parameters", 0))
            found.append(Cost(entry.label, seconds, max(r.memory for r in mine), *spent))
    return found


def _marks(table: Table) -> list[list[str]]:
    """Mark, per cell of the grid, the best of a column and clear differences to the baseline."""
    marks = []
    for row in table.rows:
        peers = [r for r in table.rows if r.variant == row.variant and r.entry.aligned]
        marks.append(["", "", "", *(mark(row, peers, c) for c in table.task.columns), ""])
    return [*marks, [""] * (len(table.task.columns) + 4)]
