"""The report of a bench run: one self-contained HTML file beside Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tuplet.io import write_atomic
from tuplet.report import Grid, Picture, Section, Text, write_page
from tuplet.report.ink import alone
from tuplet.report.page import tight
from tuplet.study import _figures as figures
from tuplet.study._answer import Answer, answered
from tuplet.study._reading import reading
from tuplet.study._samples import pictures
from tuplet.study._tables import Table, as_csv, grid, latex, markdown, overview, tables
from tuplet.study.record import Record
from tuplet.study.suite import Suite

LADDER = (
    "Mean over seeds with its 95 % interval; where an end has no tick, it is cut at 0 or 100 %. Dark blue: the entry that "
    "validation rows chose; light blue: not told apart from it; grey: better or worse (by the paired comparison, not by "
    "whether these intervals overlap); orange diamonds: rows without alignment; dotted: chance."
)
RULE = (
    "Better, worse and not told apart follow one rule everywhere on this page: the 95 % interval of the difference, paired by "
    "seed and test row. Among many comparisons expect a few that are clear by luck."
)
TUNED = (
    "Each runs at its paper's settings (default) and with the temperature and weights that scored best on validation data, out "
    "of equally many trials (tuned). "
)
TERMS = {
    "own score": "how an objective compares embeddings itself; by cosine: as a search index does",
    "chance": "the most frequent class for probes, a constant score for retrieval",
    "rank": "mean rank over the ranked columns, among the aligned rows of one variant; 1 is best",
}
SIGN = (
    "Sign: retrieval by the own score against the mean cosine of matching embeddings. Open: default, filled: tuned. High and "
    "far left of 1: good by its own score, of little use to a cosine index."
)
WEIGHTS = (
    "Weights that the structure regulariser learned, per task: mean over its rows and seeds, line: standard deviation. Dashed: "
    "equal weights. A modality whose geometry is near the consensus already gets more; that is not the same as being useful."
)
SCALING = (
    "One forward and backward pass of the loss alone; left: time, right: memory; both axes logarithmic. From the run of "
    "<code>tuplet bench scaling</code> beside this one, which has <a href='../scaling/report.html'>a report of its own</a>."
)


def write_report(suite: Suite, records: Sequence[Record], out: Path, *, scaling: str = "") -> Path:
    """Write report.html, table.md, table.csv, table.tex and retrieval.svg (the first task's curves)."""
    made = tables(suite, records)
    left, waiting, said = answered(suite, made, out)
    of = {t.task.name: [r for r in records if r.task == t.task.name] for t in made}
    title = suite.title or suite.name
    page = write_page(
        out / "report.html",
        title=f"{title}: which objective aligns best, and what is the space good for?",
        lead="tuplet bench",
        name=title,
        sections=[
            Section("", [Text(left, "verdict")]),
            *(_answer(a, single=len(said) == 1) for a in said),
            Section("", [Text(RULE) if said else "", *_opening(suite, records)]),
            *_over_tasks(suite, records, made, claims=not left),
            *(s for t in made for s in _task(suite, t, of[t.task.name], quiet=t.task.name in waiting)),
            *_closing(suite, records, out, scaling),
        ],
    )
    others = {"table.md": (f"{left}\n\n" if left else "") + markdown(made), "table.csv": as_csv(made), "table.tex": latex(made)}
    for name, text in others.items():
        write_atomic(out / name, text.encode())
    if made:
        first = made[0].task
        if drawn := figures.curves(suite, first, of[first.name], variant=_variant(of[first.name])):
            write_atomic(out / "retrieval.svg", alone(drawn))
    return page


def _variant(records: Sequence[Record]) -> str:
    return "tuned" if any(r.variant == "tuned" for r in records) else "default"


def _answer(a: Answer, *, single: bool) -> Section:
    drawn = figures.ladder(a.table, a) if a.table else []
    parts = [Text(tight(a.first), "answer"), Picture(drawn, LADDER), [tight(d) for d in a.details]]
    return Section("" if single else a.task, parts, minor=True)


def _opening(suite: Suite, records: Sequence[Record]) -> list[str | Text]:
    whole = {r.entry for r in records} >= {e.name for e in suite.entries}  # a selection of entries speaks of no others
    tuned = TUNED if any(e.trials for e in suite.entries) else ""
    return [
        suite.about,
        *(Text(line) for line in suite.left_out.values() if whole),
        f"Every trained row had the same encoders, batches, steps and seeds. {tuned}Numbers are mean ± standard deviation over "
        f"seeds, on test rows that chose nothing.",
    ]


def _over_tasks(suite: Suite, records: Sequence[Record], made: Sequence[Table], *, claims: bool) -> list[Section]:
    """Show what concerns all tasks: the overview, the claims of a paper, learned weights, how to read columns."""
    found = overview(made)
    judged = suite.judge(records) if claims else []
    columns = {c.label: c.meaning + ("" if c.ranked else " (not ranked)") for t in suite.tasks for c in t.columns}
    baseline = next((e.label for e in suite.entries if e.name == suite.baseline), suite.baseline)
    rules = (
        "Words by fixed rules, from few seeds at one setting for all. Clearly: a 95 % interval of the paired difference "
        "without 0."
    )
    marks = (
        f"Bold: best aligned row of its variant. ▲ ▼: clearly better or worse than {baseline} in the same variant (95 % "
        "interval over seeds and test rows, rows of one trajectory counted as one; one seed is never clear; a "
        "column that is no mean over test rows is judged over seeds alone, which finds too much; many comparisons are made, so "
        "expect a few by luck)."
    )
    along = "Mean over seeds; band: their range. Each task below is one place on this axis; test rows are the same for all."
    return [
        Section("All tasks", list(found) if found else []),
        Section(
            "What the paper claims, and what these data show",
            [Text(rules), {f"{v.claim}: {v.word}": [tight(v.summary), *map(tight, v.details)] for v in judged}]
            if judged
            else [],
        ),
        Section("Learned weights of modalities", [Picture([figures.weight_bars(suite, records)], WEIGHTS)]),
        Section("How to read the columns", [columns | TERMS, Text(marks)], minor=True),
        Section(f"Over the {suite.axis}", [Picture([figures.over_axis(suite, records)], along)]),
    ]


def _task(suite: Suite, table: Table, records: Sequence[Record], *, quiet: bool) -> list[Section]:
    """Show a task: what its numbers say, its table, its figures, and what each entry cost."""
    task, variant = table.task, _variant(records)
    seeds = ", ".join(map(str, sorted({r.seed for r in records})))
    pool = f"; {table.pool} test rows, which are also the retrieval pool" if table.pool else ""
    shares = (
        f"Retrieval ({variant}): share of queries with their match among the first k, ranked by each objective's own score "
        "and by mean cosine, averaged over leaving each view out in turn, both ways."
    )
    subsets = "from subsets of the modalities ({}), small subsets left. Encoders were trained with all modalities."
    losses = (
        f"Validation loss over training ({variant}), relative to each entry's first epoch; band: range over seeds. A rise is "
        f"overfitting."
    )
    cost = (
        f"Training and evaluation together, one thread, beside whatever else ran; memory is that of the whole process. Data "
        f"fingerprint {records[0].data[:16]}."
    )
    return [
        Section(
            task.label,
            [
                [] if quiet else [tight(s) for s in reading(suite, table)],
                grid(table),
                Text(f"Seeds {seeds}{pool}. Chance: {TERMS['chance']}."),
                Picture([figures.cosine_scatter(suite, task, records)], SIGN),
                Picture([figures.curves(suite, task, records, variant=variant)], shares),
                *(
                    Picture([drawn], f"{name.capitalize()} {subsets.format(variant)}")
                    for name, drawn in figures.subset_maps(suite, task, records, variant=variant)
                ),
                Picture([figures.training(suite, task, records, variant=variant)], losses),
            ],
        ),
        Section("Cost", [costs(suite, table, records), Text(cost)], minor=True),
    ]


def costs(suite: Suite, table: Table, records: Sequence[Record]) -> Grid:
    """Summarise what the default cells of each entry cost."""
    lines = []
    for entry in suite.of(table.task):
        mine = [r for r in records if r.entry == entry.name and r.variant == "default"]
        if mine:
            seconds = float(np.median(list({r.seed: r.seconds for r in mine}.values())))
            steps, size = (int(mine[0].budget.get(k, 0)) for k in ("steps", "parameters"))
            memory = max(r.memory for r in mine)
            lines.append([entry.label, f"{seconds:.1f}", f"{steps or '-'}", f"{size:,}" if size else "-", f"{memory:.0f}"])
    return Grid(["objective", "seconds per seed", "steps", "parameters", "peak memory, MiB"], lines)


def _closing(suite: Suite, records: Sequence[Record], out: Path, scaling: str) -> list[Section]:
    from markupsafe import Markup

    mixed = "Pieces of this run were made in more than one environment; each record says which."
    environments = {tuple(sorted(r.environment.items())) for r in records}
    return [
        *pictures(out),
        Section("Cost over the number of modalities", [Picture([scaling], Markup(SCALING))]),
        Section("What the rows are", [{e.label: e.note for e in suite.entries if e.note}]),
        Section("Made with", [records[0].environment if records else {}, mixed if len(environments) > 1 else ""]),
    ]
