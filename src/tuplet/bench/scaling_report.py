"""Tables and figures of what objectives cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuplet.bench.figures import COLOURS, figure_of, styled, svg
from tuplet.bench.record import environment
from tuplet.bench.scaling import WIDTH, Point
from tuplet.train.files import write_atomic


def write_scaling(points: Sequence[Point], out: Path, *, repeats: int) -> Path:
    """Write report.html and table.md.

    Args:
        points: from `tuplet.bench.scaling.run_scaling`.
        out: folder to write to.
        repeats: turns per point, for the text.

    Returns:
        The HTML file.

    Example:
        >>> import tempfile
        >>> point = {"entry": "gram", "label": "GRAM", "M": 2, "B": 512, "D": 128, "ms": 1.0, "low": 0.9, "high": 1.2}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scaling([point], Path(folder), repeats=5).name
        'report.html'
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    over_m = [p for p in points if p["B"] == 512]
    over_b = [p for p in points if p["M"] == 3]
    made = [
        _table("Time over M, B = 512: ms", over_m, "M", "ms"),
        _table("Memory over M, B = 512: MiB", over_m, "M", "MiB"),
        _table("Time over B, M = 3: ms", over_b, "B", "ms"),
        _table("Memory over B, M = 3: MiB", over_b, "B", "MiB"),
    ]
    figures = [
        (
            "Over the number of modalities",
            _drawn(over_m, "M"),
            "B = 512. Left: time, right: memory; both axes logarithmic.",
        ),
        ("Over the batch", _drawn(over_b, "B"), "M = 3. Left: time, right: memory; both axes logarithmic."),
    ]
    loader = Environment(loader=PackageLoader("tuplet.bench"), autoescape=True, undefined=StrictUndefined)
    page = loader.get_template("scaling.html").render(
        width=WIDTH,
        repeats=repeats,
        figures=[f for f in figures if f[1]],
        tables=[t for t in made if t["lines"]],
        environment=environment(),
    )
    write_atomic(out / "report.html", page.encode())
    write_atomic(out / "table.md", "\n".join(_markdown(t) for t in made if t["lines"]).encode())
    return out / "report.html"


def _table(title: str, points: Sequence[Point], axis: str, value: str) -> dict[str, Any]:
    places = sorted({int(p[axis]) for p in points})
    labels = list(dict.fromkeys(str(p["label"]) for p in points if value in p))
    known = {(str(p["label"]), int(p[axis])): p for p in points if value in p}
    lines = []
    for label in labels:
        cells = []
        for place in places:
            p = known.get((label, place))
            number = (
                "-" if p is None else f"{float(p[value]):.0f}" if float(p[value]) >= 10 else f"{float(p[value]):.1f}"
            )
            cells.append(f"{number} [{float(p['low']):.1f}, {float(p['high']):.1f}]" if p and value == "ms" else number)
        lines.append([label, *cells])
    return {"title": title, "head": ["objective", *(f"{axis} = {k}" for k in places)], "lines": lines}


def _markdown(table: dict[str, Any]) -> str:
    head = "| " + " | ".join(table["head"]) + " |"
    rule = "| --- |" + " ---: |" * (len(table["head"]) - 1)
    lines = ["| " + " | ".join(line) + " |" for line in table["lines"]]
    return "\n".join([f"**{table['title']}**\n", head, rule, *lines, ""])


def _drawn(points: Sequence[Point], axis: str) -> str:
    if not points:
        return ""
    labels = list(dict.fromkeys(str(p["label"]) for p in points))
    with styled():
        figure, axes = figure_of(1, 2, (7.0, 3.6))
        for plot, value, what in zip(axes, ("ms", "MiB"), ("ms per pass", "extra MiB"), strict=True):
            for i, label in enumerate(labels):
                mine = sorted((p for p in points if p["label"] == label and value in p), key=lambda p: float(p[axis]))
                x, y = [float(p[axis]) for p in mine], [float(p[value]) for p in mine]
                colour = COLOURS[i % len(COLOURS)]
                plot.plot(x, y, "o-", color=colour, label=label, markersize=3, linewidth=1.3)
                if value == "ms":
                    low, high = ([float(p[k]) for p in mine] for k in ("low", "high"))
                    plot.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            places = sorted({float(p[axis]) for p in points})
            if not any(value in p for p in points):
                plot.set_axis_off()  # this system does not tell
                continue
            plot.set(xscale="log", yscale="log", xlabel=axis, ylabel=what)
            plot.set_xticks(places, [f"{k:.0f}" for k in places])
            plot.minorticks_off()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return svg(figure)
