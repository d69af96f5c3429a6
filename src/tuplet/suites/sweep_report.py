"""Report of a sweep: the answer, a table, a sentence per encoder, and one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuplet.data import Source
from tuplet.evaluate._paired import Difference
from tuplet.io.files import write_atomic
from tuplet.study.record import Record
from tuplet.suites import strength_figures as figures
from tuplet.suites.strengths import curve, judge
from tuplet.suites.sweep import METRICS, Sweep, answer, curves_of, unit_of

FEW = 50
"""A report warns of fewer test rows than this."""
WORDS = {
    "gain": "alignment helps it",
    "uneven": "alignment helps it, but between two neighbouring strengths it clearly loses",
    "inner": "alignment helps it, but too much of it takes the gain away again",
    "decline": "alignment hurts it",
    "flat": "no clear effect",
}
"""Kind of `tuplet.suites.strengths.Verdict` -> what it means for an encoder."""


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """List for each strength the scores, their change against strength 0, and the similarities."""
    test, similar = curves_of(records)
    if not test:
        return [], []
    head = ["strength", *(text for k in test for text in (k, "change [95 %]")), *similar]
    lines = []
    for s in next(iter(test.values())).strengths:
        line = [f"{s:g}"]
        for c in test.values():
            at = c.spread(s)
            line.append(f"{100 * at.mean:.1f}" + (f" ± {100 * at.sd:.1f}" if at.n > 1 else ""))
            line.append(_points(c.change(s)) if s else "")
        lines.append([*line, *(f"{c.spread(s).mean:.2f}" for c in similar.values())])
    chances = {r.detail: r.chance for r in records if r.metric == "score/test"}
    levels = {label: [r.chance for r in records if r.metric == f"similarity/{k}"] for k, label in METRICS.items()}
    last = ["chance"]
    for k in test:
        last += [f"{100 * (chances[k] or 0.0):.1f}", ""]
    lines.append(
        [*last, *(f"{max(x for x in levels[k] if x is not None):.2f}" if any(levels[k]) else "" for k in similar)]
    )
    return head, lines


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
            chosen += f", where its test score changes by {_points(v.gain)}"
        end = f"; at {last:g} it changes by {_points(v.end)}" if v.best != last else ", the largest that was tried"
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
        said.append(
            f"Only {rows} test rows: one row is {100 / max(rows, 1):.1f} points, so read small changes as noise."
        )
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
    head, lines = table(records)
    columns = 1 + 2 * len(curves_of(records)[0])  # similarities are in the report
    grid = [[figures.cut(cell, 12) if i % 2 else cell for i, cell in enumerate(head[:columns])]]
    grid += [line[:columns] for line in lines]
    wide = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    rows = ["  ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip() for line in grid]
    return "\n".join([answer(records, metric), *rows, *reading(records), *notes(records, metric)[: 1 if lines else 0]])


def metric_of(sweep: Sweep, source: Source) -> str:
    """Name what the scores of a sweep are."""
    return "accuracy" if source.targets[sweep.target].kind == "class" or sweep.threshold is not None else "R2"


def write_sweep(records: Sequence[Record], sweep: Sweep, source: Source, out: Path) -> Path:
    """Write report.html, table.md and curve.svg."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    test, similar = curves_of(records)
    metric = metric_of(sweep, source)
    chance = [r.chance or 0.0 for r in records if r.metric == "score/test"]
    drawn = figures.curves_over_strength(
        [test], [similar], titles=[""], chance=[sum(chance) / len(chance)], ylabel=f"test {metric} of {sweep.target}"
    )
    head, lines = table(records)
    loader = Environment(loader=PackageLoader("tuplet.study"), autoescape=True, undefined=StrictUndefined)
    page = loader.get_template("sweep.html").render(
        sweep=sweep,
        name=source.name,
        rows={k: len(getattr(source, k)) for k in ("train", "val", "test")},
        metric=metric,
        answer=answer(records, metric),
        head=head,
        lines=lines,
        reading=reading(records),
        notes=notes(records, metric),
        drawn=drawn,
        environment=records[0].environment,
    )
    write_atomic(out / "report.html", page.encode())
    write_atomic(out / "table.md", markdown(records, metric).encode())
    write_atomic(out / "curve.svg", drawn.replace("currentColor", "#7a848d").encode())
    return out / "report.html"


def markdown(records: Sequence[Record], metric: str = "score") -> str:
    """Write the answer, the table and its explanation as Markdown."""
    head, lines = table(records)
    if not head:
        return ""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    text = [answer(records, metric), "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *rows, ""]
    text += [*(f"- {s}" for s in reading(records)), "", *notes(records, metric)]
    return "\n".join(text) + "\n"


def _points(d: Difference) -> str:
    if d.low != d.low:
        return f"{100 * d.mean:+.1f}"
    return f"{100 * d.mean:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
