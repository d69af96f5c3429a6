"""Report of a sweep: the answer, a table, a sentence per encoder, and one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuplet.data import Source
from tuplet.io import write_atomic
from tuplet.report import Grid, Picture, Section, Text, write_page
from tuplet.report.ink import alone
from tuplet.report.words import cut
from tuplet.study.record import Record
from tuplet.suites.strength_figures import curves_over_strength
from tuplet.suites.strengths import curve, judge
from tuplet.suites.sweep import Sweep
from tuplet.suites.sweep_decision import METRICS, answer, curves_of, unit_of
from tuplet.train._fits import FEW

WORDS = {
    "gain": "alignment helps it",
    "uneven": "alignment helps it, but between two neighbouring strengths it clearly loses",
    "inner": "alignment helps it, but too much of it takes the gain away again",
    "decline": "alignment hurts it",
    "flat": "no clear effect",
}
"""Kind of `tuplet.suites.strengths.Verdict` -> what it means for an encoder."""


def table(records: Sequence[Record]) -> Grid:
    """List for each strength the scores, their change against strength 0, and the similarities."""
    test, similar = curves_of(records)
    if not test:
        return Grid([], [])
    lines = []
    for s in next(iter(test.values())).strengths:
        line = [f"{s:g}"]
        for c in test.values():
            at = c.spread(s)
            line.append(f"{100 * at.mean:.1f}" + (f" ± {100 * at.sd:.1f}" if at.n > 1 else ""))
            line.append(c.change(s).points() if s else "")
        lines.append([*line, *(f"{c.spread(s).mean:.2f}" for c in similar.values())])
    chances = {r.detail: r.chance for r in records if r.metric == "score/test"}
    levels = {label: [r.chance for r in records if r.metric == f"similarity/{k}"] for k, label in METRICS.items()}
    last = ["chance", *(text for k in test for text in (f"{100 * (chances[k] or 0.0):.1f}", ""))]
    last += [f"{max(x for x in levels[k] if x is not None):.2f}" if any(levels[k]) else "" for k in similar]
    head = ["strength", *(text for k in test for text in (k, "change [95 %]")), *similar]
    return Grid(head, [*lines, last], chance=True)


def reading(records: Sequence[Record]) -> list[str]:
    """Say in a sentence per encoder what alignment does to it."""
    said = []
    for name, test in curves_of(records)[0].items():
        val = curve(records, "score/val", detail=name)
        if val is None or len(test.strengths) < 2:
            continue
        v, last = judge(test, val), test.strengths[-1]
        what = "one seed gives no verdict" if test.values.shape[1] == 1 else WORDS[v.kind]
        chosen = f"Its best strength on validation rows is {v.best:g}"
        if v.best:
            chosen += f", where its test score changes by {v.gain.points()}"
        end = f"; at {last:g} it changes by {v.end.points()}" if v.best != last else ", the largest that was tried"
        said.append(f"{name}: {what}. {chosen}{end}.")
    return said


def notes(records: Sequence[Record], metric: str = "score") -> list[str]:
    """Explain the columns of the table, and warn of what is missing or too little."""
    test, similar = curves_of(records)
    if not test:
        return []
    rows = max(r.pool or 0 for r in records if r.metric == "score/test")
    seeds = min(c.values.shape[1] for c in test.values())
    unit = unit_of(metric)
    title = f"Test {metric} of each encoder's own head" + (" in %" if metric == "accuracy" else " times 100")
    if seeds == 1:
        said = [f"{title}; change: {unit} against strength 0; chance: a constant prediction."]
        said.append("One seed shows no spread, so there is no interval and no verdict: ask for --seeds 3.")
    else:
        said = [
            f"{title}: mean ± standard deviation over {seeds} seeds; change: {unit} against strength 0, with its 95 % interval "
            "over seeds and test rows; chance: a constant prediction."
        ]
    if rows < FEW:
        said.append(f"Only {rows} test rows: one row is {100 / max(rows, 1):.1f} points, so read small changes as noise.")
    if similar:
        said.append(
            f"{', '.join(similar)}: how similar the outputs of the two encoders are on test rows; 1 is the same. CKA compares "
            "distances between all rows, SVCCA the strongest directions, mutual-kNN the nearest neighbours. Their chance is "
            "the 97.5 % quantile of shuffled pairs."
        )
    if absent := [label for label in METRICS.values() if label not in similar]:
        said.append(
            f"Not shown: {', '.join(absent)}. Fewer than 12 test rows have both modalities, or an encoder's output is constant."
        )
    return said


def summary(records: Sequence[Record], metric: str = "score") -> str:
    """Write the answer, a table within 80 columns and a sentence per encoder for a terminal."""
    whole = table(records)
    columns = 1 + 2 * len(curves_of(records)[0])  # similarities are in the report
    head = [cut(cell, 12) if i % 2 else cell for i, cell in enumerate(whole.head[:columns])]
    grid = Grid(head, [line[:columns] for line in whole.lines])
    return "\n".join([answer(records, metric), grid.text(), *reading(records), *notes(records, metric)[: bool(whole)]])


def metric_of(sweep: Sweep, source: Source) -> str:
    """Name what the scores of a sweep are."""
    return "accuracy" if source.targets[sweep.target].kind == "class" or sweep.threshold is not None else "R2"


def write_sweep(records: Sequence[Record], sweep: Sweep, source: Source, out: Path) -> Path:
    """Write report.html, table.md and curve.svg."""
    test, similar = curves_of(records)
    metric, (a, b) = metric_of(sweep, source), sweep.pair
    chance = [r.chance or 0.0 for r in records if r.metric == "score/test"]
    drawn = curves_over_strength(
        [test], [similar], titles=[""], chance=[sum(chance) / len(chance)], ylabel=f"test {metric} of {sweep.target}"
    )
    several = sweep.seeds > 1
    about = (
        f"Each modality has one encoder and one head, trained on {sweep.target}. The loss is the loss of the heads plus the "
        f"strength λ times the {sweep.objective} loss between the two encoders; at strength 0 each encoder learns alone. "
        f"{len(source.train)} training, {len(source.val)} validation and {len(source.test)} test rows; "
        f"{f'seeds 0 to {sweep.seeds - 1}' if several else 'seed 0'}; {sweep.config.epochs} epochs in batches of "
        f"{sweep.config.batch_size}, learning rate {sweep.config.lr}. The strength is chosen on validation rows; scores and "
        "changes are of test rows."
    )
    caption = (
        f"Above: test {metric} of each encoder's own head, mean{' and 95 % interval over seeds' if several else ''}. Below: "
        "similarity of the outputs of the two encoders on test rows. Changes in the table compare runs of the same seed, "
        "row by row, so their intervals differ from these bands."
    )
    said = [Text(answer(records, metric), "verdict"), reading(records), Text(about), Picture([drawn], caption)]
    noted = [Text(note) for note in notes(records, metric)]
    page = write_page(
        out / "report.html",
        title=f"{source.name}: how strongly to align {a} and {b}?",
        lead="tuplet sweep",
        name="sweep",
        sections=[Section("", [*said, table(records), *noted, records[0].environment])],
    )
    write_atomic(out / "table.md", markdown(records, metric).encode())
    write_atomic(out / "curve.svg", alone(drawn))
    return page


def markdown(records: Sequence[Record], metric: str = "score") -> str:
    """Write the answer, the table and its explanation as Markdown."""
    if not (found := table(records)):
        return ""
    said = [answer(records, metric), "", found.markdown(), *(f"- {s}" for s in reading(records)), ""]
    return "\n".join([*said, *notes(records, metric)]) + "\n"
