"""Tables and figures of what objectives cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuplet.io.environment import environment
from tuplet.io.files import write_atomic
from tuplet.study._figures import COLOURS, figure_of, styled, svg
from tuplet.study.record import read_cell
from tuplet.suites.scaling import PAPER_BATCH, WIDTH, Point, points_of


def write_scaling(points: Sequence[Point], out: Path, *, repeats: int) -> Path:
    """Write report.html and table.md."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    views = [
        ("the number of modalities, B = 64", [p for p in points if p["B"] == PAPER_BATCH], "M"),
        ("the number of modalities, B = 512", [p for p in points if p["B"] == 512], "M"),
        ("the batch, M = 3", [p for p in points if p["M"] == 3 and p["entry"] in _beyond(points)], "B"),
    ]
    made = [
        _table(f"{what} over {where}: {unit}", here, axis, unit)
        for where, here, axis in views
        for what, unit in (("Time", "ms"), ("Memory", "MiB"))
    ]
    figures = [
        (f"Over {where}", scaling_figure(here, axis), "Left: time, right: memory; both axes logarithmic. Dashed: + GW.")
        for where, here, axis in views
    ]
    loader = Environment(loader=PackageLoader("tuplet.study"), autoescape=True, undefined=StrictUndefined)
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


def _beyond(points: Sequence[Point]) -> set[object]:
    """Name the entries that are measured at more than the papers' batch."""
    return {p["entry"] for p in points if float(p["B"]) > PAPER_BATCH}


def growth(points: Sequence[Point], axis: str) -> float | None:
    """Fit the exponent of time over an axis, from each point's fastest turn, which other work disturbs least."""
    least = 3 if axis == "M" else 128
    found = [(float(p[axis]), float(p["low"])) for p in points if float(p[axis]) >= least]
    if len(found) < 3:
        return None
    x, y = np.log(np.array(found)).T
    return float(np.polyfit(x, y, 1)[0])


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
        if value == "ms":
            power = growth([p for p in points if p["label"] == label], axis)
            cells.append("-" if power is None else f"{axis}^{power:.1f}")
        lines.append([label, *cells])
    head = ["objective", *(f"{axis} = {k}" for k in places), *(["grows as"] if value == "ms" else [])]
    return {"title": title, "head": head, "lines": lines}


def _markdown(table: dict[str, Any]) -> str:
    head = "| " + " | ".join(table["head"]) + " |"
    rule = "| --- |" + " ---: |" * (len(table["head"]) - 1)
    lines = ["| " + " | ".join(line) + " |" for line in table["lines"]]
    return "\n".join([f"**{table['title']}**\n", head, rule, *lines, ""])


def scaling_beside(run: Path) -> str:
    """Draw cost over the number of modalities from a scaling run in the same folder of runs."""
    files = sorted((run.parent / "scaling" / "cells").glob(f"M*.B{PAPER_BATCH}.s*.jsonl"))
    return scaling_figure([p for file in files for p in points_of(read_cell(file))], "M")


def scaling_figure(points: Sequence[Point], axis: str) -> str:
    """Draw time and memory over one axis."""
    if not points:
        return ""
    labels = list(dict.fromkeys(str(p["label"]) for p in points))
    bases = list(dict.fromkeys(label.removesuffix(" + GW") for label in labels))
    places = sorted({float(p[axis]) for p in points})
    with styled():
        figure, axes = figure_of(1, 2, (7.0, 4.2))
        for plot, value, what in zip(axes, ("ms", "MiB"), ("ms per pass", "extra MiB"), strict=True):
            for label in labels:
                mine = sorted((p for p in points if p["label"] == label and value in p), key=lambda p: float(p[axis]))
                x, y = [float(p[axis]) for p in mine], [float(p[value]) for p in mine]
                colour = COLOURS[bases.index(label.removesuffix(" + GW")) % len(COLOURS)]
                line = "o--" if label.endswith(" + GW") else "o-"
                plot.plot(x, y, line, color=colour, label=label, markersize=3, linewidth=1.3)
                if value == "ms":
                    low, high = ([float(p[k]) for p in mine] for k in ("low", "high"))
                    plot.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            if not any(value in p for p in points):
                plot.set_axis_off()  # this system does not tell
                continue
            plot.set(xscale="log", yscale="log", xlabel=axis, ylabel=what)
            plot.set_xticks(places, [f"{k:.0f}" for k in places])
            plot.minorticks_off()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return svg(figure)
