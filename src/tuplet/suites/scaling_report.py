"""Tables and figures of what objectives cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tuplet.io import write_atomic
from tuplet.io.environment import environment
from tuplet.report import Grid, Picture, Section, write_page
from tuplet.report.ink import COLOURS, curve, figure_of, legend, styled, svg
from tuplet.study.record import read_cell
from tuplet.suites.scaling import PAPER_BATCH, WIDTH, Point, points_of


def write_scaling(points: Sequence[Point], out: Path, *, repeats: int) -> Path:
    """Write report.html and table.md."""
    beyond = {p["entry"] for p in points if float(p["B"]) > PAPER_BATCH}
    views = [
        ("the number of modalities, B = 64", [p for p in points if p["B"] == PAPER_BATCH], "M"),
        ("the number of modalities, B = 512", [p for p in points if p["B"] == 512], "M"),
        ("the batch, M = 3", [p for p in points if p["M"] == 3 and p["entry"] in beyond], "B"),
    ]
    made = {
        f"{what} over {where}: {unit}": _table(here, axis, unit)
        for where, here, axis in views
        for what, unit in (("Time", "ms"), ("Memory", "MiB"))
    }
    about = (
        f"One forward and backward pass of the loss alone, from embeddings of width {WIDTH} in float32, no encoders. "
        f"Objectives take turns in one process, so a busy machine slows all alike; points are medians of {repeats} turns, "
        "bands their range. Memory is the largest resident memory during one pass beyond what was there before. Grows as: "
        "least-squares slope of the logarithm of the fastest turn, over M from 3 on and over B from 128 on. A training step "
        "adds the encoders, whose time grows as M^1. + GW: UniOMA's Gromov-Wasserstein regulariser, measured at the papers' "
        "batch only."
    )
    axes = "Left: time, right: memory; both axes logarithmic. Dashed: + GW."
    page = write_page(
        out / "report.html",
        title="scaling: what does each objective cost?",
        lead="tuplet bench",
        name="scaling",
        sections=[
            Section("", [about]),
            *(Section(f"Over {where}", [Picture([scaling_figure(here, axis)], axes)]) for where, here, axis in views),
            *(Section(title, [grid]) for title, grid in made.items()),
            Section("Where it ran", [environment()]),
        ],
    )
    text = "\n".join(grid.markdown(f"**{title}**") for title, grid in made.items() if grid)
    write_atomic(out / "table.md", text.encode())
    return page


def growth(points: Sequence[Point], axis: str) -> float | None:
    """Fit the exponent of time over an axis, from each point's fastest turn, which other work disturbs least."""
    least = 3 if axis == "M" else 128
    found = [(float(p[axis]), float(p["low"])) for p in points if float(p[axis]) >= least]
    if len(found) < 3:
        return None
    x, y = np.log(np.array(found)).T
    return float(np.polyfit(x, y, 1)[0])


def _table(points: Sequence[Point], axis: str, value: str) -> Grid:
    places = sorted({int(p[axis]) for p in points})
    lines = []
    for label in dict.fromkeys(str(p["label"]) for p in points if value in p):
        mine = {int(p[axis]): p for p in points if p["label"] == label and value in p}
        cells = [_cell(mine[k], value) if k in mine else "-" for k in places]
        if value == "ms":
            power = growth(list(mine.values()), axis)
            cells.append("-" if power is None else f"{axis}^{power:.1f}")
        lines.append([label, *cells])
    return Grid(["objective", *(f"{axis} = {k}" for k in places), *(["grows as"] if value == "ms" else [])], lines)


def _cell(point: Point, value: str) -> str:
    number = float(point[value])
    within = f" [{float(point['low']):.1f}, {float(point['high']):.1f}]" if value == "ms" else ""
    return (f"{number:.0f}" if number >= 10 else f"{number:.1f}") + within


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
            if not any(value in p for p in points):
                plot.set_axis_off()  # this system does not tell
                continue
            for label in labels:
                mine = sorted((p for p in points if p["label"] == label and value in p), key=lambda p: float(p[axis]))
                x, y, low, high = ([float(p[k]) for p in mine] for k in (axis, value, "low", "high"))
                colour = COLOURS[bases.index(label.removesuffix(" + GW")) % len(COLOURS)]
                style = "o--" if label.endswith(" + GW") else "o-"
                band = (low, high) if value == "ms" else None
                curve(plot, x, y, band, colour=colour, style=style, alpha=0.12, label=label, linewidth=1.3)
            plot.set(xscale="log", yscale="log", xlabel=axis, ylabel=what)
            plot.set_xticks(places, [f"{k:.0f}" for k in places])
            plot.minorticks_off()
        legend(figure, axes[0], columns=4)
        return svg(figure)
