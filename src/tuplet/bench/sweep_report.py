"""A sweep for readers: a table, a sentence per encoder, and one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuplet.bench import strength_figures as figures
from tuplet.bench.record import Record
from tuplet.bench.strengths import Curve, curve, judge
from tuplet.bench.sweep import METRICS, Sweep
from tuplet.data import Source
from tuplet.evaluate.paired import Difference
from tuplet.io.files import write_atomic

FEW = 50
"""Test rows below which a report says that they are few."""


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """List, per strength, scores with their change against 0, and similarities.

    Args:
        records: of a sweep.

    Returns:
        Head and lines.

    Example:
        >>> table([])
        ([], [])
    """
    test, similar = _curves(records)
    if not test:
        return [], []
    head = ["λ", *(text for k in test for text in (k, "change [95 %]")), *similar]
    lines = []
    for s in next(iter(test.values())).strengths:
        line = [f"{s:g}"]
        for c in test.values():
            found = c.spread(s)
            line.append(f"{100 * found.mean:.1f}" + (f" ± {100 * found.sd:.1f}" if found.n > 1 else ""))
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
    """Say in a sentence per encoder what alignment did.

    Args:
        records: of a sweep.

    Returns:
        Sentences.

    Example:
        >>> reading([])
        []
    """
    said = []
    for name, test in _curves(records)[0].items():
        val = curve(records, "score/val", detail=name)
        if val is None or len(test.strengths) < 2:
            continue
        v, last = judge(test, val), test.strengths[-1]
        where = f"At λ = {v.best:g}, which validation picks, {name} changes by {_points(v.gain)} points"
        end = f"; at λ = {last:g} it changes by {_points(v.end)}"
        if not v.best:
            where = f"Validation picks λ = 0 for {name}"
        if v.best == last:
            end = ", and no larger one was tried"
        what = (
            "no verdict from one seed"
            if test.values.shape[1] == 1
            else {
                "gain": "alignment helps it",
                "uneven": "alignment helps it, not steadily",
                "inner": "alignment helps it, but not too much of it",
                "decline": "alignment hurts it",
                "flat": "no clear effect",
            }[v.kind]
        )
        said.append(f"{where}{end}: {what}.")
    return said


def notes(records: Sequence[Record], metric: str = "score") -> list[str]:
    """Explain what the table holds, and name what is missing or thin.

    Args:
        records: of a sweep.
        metric: what the scores are, such as accuracy.

    Returns:
        Sentences.

    Example:
        >>> notes([])
        []
    """
    test, similar = _curves(records)
    if not test:
        return []
    rows = max(r.pool or 0 for r in records if r.metric == "score/test")
    seeds = min(c.values.shape[1] for c in test.values())
    title = metric[0].upper() + metric[1:]
    said = [
        f"{title} in %: mean ± standard deviation over {seeds} seeds; change: points against λ = 0, with its 95 % interval "
        "over seeds and test rows; chance: what a constant prediction gets."
    ]
    if seeds == 1:
        said[0] = f"{title} in %; change: points against λ = 0; chance: what a constant prediction gets."
        said.append("One seed shows no spread, so there is no interval and no verdict: ask for --seeds 3.")
    if rows < FEW:
        said.append(
            f"Only {rows} test rows: one row is {100 / max(rows, 1):.1f} points, so read small changes as noise."
        )
    if similar:
        said.append(
            f"{', '.join(similar)}: how similar the two encoders' outputs h (before projection) are on test rows, 1 being the "
            "same. CKA compares distances among all rows, SVCCA the strongest directions, mutual-kNN which rows are near. "
            "Their chance is the upper end of shuffled pairs."
        )
    if absent := [label for label in METRICS.values() if label not in similar]:
        said.append(
            f"Not shown: {', '.join(absent)}, for want of 12 test rows with both modalities, or since an encoder's output does "
            "not vary."
        )
    return said


def write_sweep(records: Sequence[Record], sweep: Sweep, source: Source, out: Path) -> Path:
    """Write report.html, table.md and curve.svg.

    Args:
        records: from `run_sweep`.
        sweep: what was run.
        source: the data.
        out: folder to write to.

    Returns:
        The HTML file.

    Example:
        >>> import tempfile
        >>> from tuplet.bench.sweep import run_sweep
        >>> from tuplet.data import SOURCES
        >>> from tuplet.train import TrainConfig
        >>> sweep = Sweep(("fourier", "zernike"), strengths=(0.5,), seeds=1, config=TrainConfig(epochs=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = run_sweep(SOURCES["digits"](), sweep, out=Path(folder))
        ...     write_sweep(found, sweep, SOURCES["digits"](), Path(folder)).name
        'report.html'
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    test, similar = _curves(records)
    about = source.targets[sweep.target]
    metric = "accuracy" if about.kind == "class" or sweep.threshold is not None else "R2"
    chance = [r.chance or 0.0 for r in records if r.metric == "score/test"]
    drawn = figures.curves_over_strength(
        [test], [similar], titles=[""], chance=[sum(chance) / len(chance)], ylabel=f"test {metric} of {sweep.target}"
    )
    head, lines = table(records)
    loader = Environment(loader=PackageLoader("tuplet.bench"), autoescape=True, undefined=StrictUndefined)
    page = loader.get_template("sweep.html").render(
        sweep=sweep,
        name=source.name,
        rows={k: len(getattr(source, k)) for k in ("train", "val", "test")},
        metric=metric,
        head=head,
        lines=lines,
        reading=reading(records),
        notes=notes(records, metric),
        drawn=drawn,
        environment=records[0].environment,
    )
    write_atomic(out / "report.html", page.encode())
    write_atomic(out / "table.md", markdown(records).encode())
    write_atomic(out / "curve.svg", drawn.replace("currentColor", "#7a848d").encode())
    return out / "report.html"


def markdown(records: Sequence[Record]) -> str:
    """Write the table and its reading as Markdown.

    Args:
        records: of a sweep.

    Returns:
        The text.

    Example:
        >>> markdown([])
        ''
    """
    head, lines = table(records)
    if not head:
        return ""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    text = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *rows, "", *(f"- {s}" for s in reading(records))]
    text += ["", *notes(records)]
    return "\n".join(text) + "\n"


def _curves(records: Sequence[Record]) -> tuple[dict[str, Curve], dict[str, Curve]]:
    names = sorted({r.detail for r in records if r.metric == "score/test"})
    test: dict[str, Any] = {k: curve(records, "score/test", detail=k) for k in names}
    similar: dict[str, Any] = {label: curve(records, f"similarity/{k}") for k, label in METRICS.items()}
    return {k: c for k, c in test.items() if c is not None}, {k: c for k, c in similar.items() if c is not None}


def _points(d: Difference) -> str:
    if d.low != d.low:
        return f"{100 * d.mean:+.2f}"
    return f"{100 * d.mean:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"
