"""Figures of a bench report: retrieval, training, subsets, learned weights, and the picture of an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tuplet.io import shortened
from tuplet.report.ink import COLOURS, INK, curve, figure_of, legend, named, styled, svg
from tuplet.study._answer import MEASURES, Answer
from tuplet.study._columns import Column
from tuplet.study._tables import Row, Table
from tuplet.study.record import Record, grouped
from tuplet.study.suite import Entry, Suite, Task

ROLES = {"chosen": "#0072b2", "same": "#56b4e9", "apart": "#9aa6b1", "baseline": "#d55e00"}
WEIGHT = "weight/"
AXIS = (
    ("retrieval/own/R@1", "mean", "R@1, own score"),
    ("retrieval/cosine/R@1", "mean", "R@1, mean cosine"),
    ("probe/few_shot", "", "3-shot accuracy"),
)
"""What is drawn over the number in which tasks differ."""


def curves(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> str:
    """Draw the share of queries answered among the first k, by the own score and by mean cosine."""
    there = {r.entry for r in records if r.variant == variant and (r.metric, r.detail) == ("retrieval/cosine/R@5", "mean")}
    names = [(e, c) for e, c in _trained(suite, task) if e.name in there]
    if not names:
        return ""
    pool = max((r.pool for r in records if r.metric.startswith("retrieval")), default=1)
    with styled():
        figure, axes = figure_of(1, 2, (4.8, 3.0))
        for axis, kind, title in zip(axes, ("own", "cosine"), ("own score", "mean cosine"), strict=True):
            for entry, colour in names:
                means = [_mean(records, entry.name, variant, f"retrieval/{kind}/R@{k}", "mean") for k in (1, 5, 10)]
                if all(m is not None for m in means):
                    curve(axis, (1, 5, 10), np.array(means), colour=colour, label=entry.label, markersize=3.5)
            axis.plot((1, 5, 10), [k / pool for k in (1, 5, 10)], ":", color=INK, linewidth=1, label="chance")
            axis.set(title=title, xlabel="k", xticks=(1, 5, 10))
        top = max(axis.get_ylim()[1] for axis in axes)
        for axis in axes:  # one scale for both
            axis.set_ylim(0, min(top, 1.02))
        axes[0].set_ylabel(f"R@k among {pool}")
        legend(figure, axes[1])
        return svg(figure)


def training(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> str:
    """Draw the validation loss over epochs, each entry scaled to its own first epoch."""
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 2.8))
        for entry, colour in _trained(suite, task):
            wanted = (entry.name, variant, "training/val")
            runs = np.array([r.items for r in records if (r.entry, r.variant, r.metric) == wanted])
            if len(runs):
                change = (runs - runs[:, :1]) / np.abs(runs[:, :1])
                epochs = np.arange(1, runs.shape[1] + 1)
                band = (change.min(axis=0), change.max(axis=0))
                curve(axis, epochs, change.mean(axis=0), band, colour=colour, style="-", label=entry.label)
        if not axis.lines:
            return ""
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set(xlabel="epoch", ylabel="change of validation loss\nsince the first epoch")
        legend(figure, axis)
        return svg(figure)


def cosine_scatter(suite: Suite, task: Task, records: Sequence[Record]) -> str:
    """Draw retrieval by the own score against the mean cosine of matching embeddings."""
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 3.2))
        for entry, colour in _trained(suite, task):
            for variant, face in (("default", "none"), ("tuned", colour)):
                x = _mean(records, entry.name, variant, "space/positive_cosine", "")
                y = _mean(records, entry.name, variant, "retrieval/own/R@1", "mean")
                if x is not None and y is not None:
                    label = entry.label if variant == "default" else None
                    look = {"facecolors": face, "edgecolors": colour, "linewidths": 1.4, "clip_on": False}
                    axis.scatter(x, y, s=46, label=label, **look)  # type: ignore[arg-type]
        if not axis.collections:
            return ""
        axis.axvline(0, color=INK, linewidth=0.6)
        axis.set(xlabel="mean cosine of matching embeddings", ylabel="R@1 by own score", xlim=(-1.02, 1.02))
        axis.set_ylim(0, min(1.02, 1.08 * axis.get_ylim()[1]))
        legend(figure, axis)
        return svg(figure)


def over_axis(suite: Suite, records: Sequence[Record]) -> str:
    """Draw quality over the number in which the tasks of a suite differ."""
    tasks = sorted((t for t in suite.tasks if t.at is not None), key=lambda t: t.at or 0.0)
    if not (suite.axis and records and tasks):
        return ""
    variant = "tuned" if any(r.variant == "tuned" for r in records) else "default"
    by = grouped(((r.task, r.entry, r.metric, r.detail), r.value) for r in records if r.variant == variant)
    with styled():
        figure, axes = figure_of(1, 3, (7.2, 3.6))
        for axis, (metric, detail, title) in zip(axes, AXIS, strict=True):
            for entry, colour in _trained(suite, tasks[0]):
                found = {t.at: v for t in tasks if (v := by.get((t.name, entry.name, metric, detail)))}
                if not found:
                    continue
                values = list(found.values())
                band = (list(map(min, values)), list(map(max, values)))
                means = list(map(np.mean, values))
                curve(axis, list(found), means, band, colour=colour, label=entry.label, alpha=0.12)  # type: ignore[arg-type]
            axis.set(title=title, xlabel=suite.axis, xticks=[t.at for t in tasks if t.at is not None])
            axis.set_ylim(0, None)
        legend(figure, axes[1], columns=4)
        return svg(figure)


def subset_maps(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> list[tuple[str, str]]:
    """Draw how well every subset of the modalities predicts, one map per target."""
    found = []
    for metric in sorted({r.metric for r in records}):
        _, _, measure = metric.rpartition("/")
        if metric == "subset" or (metric.startswith("predict/") and measure in ("accuracy", "r2")):
            of = metric.removeprefix("predict/").removesuffix(f"/{measure}")
            name = "accuracy of a linear probe" if metric == "subset" else f"{measure} of {of}"
            found.append((name.replace("r2 ", "R2 "), _subset_map(suite, task, records, variant, metric)))
    return [(name, drawn) for name, drawn in found if drawn]


def _subset_map(suite: Suite, task: Task, records: Sequence[Record], variant: str, metric: str) -> str:
    """Draw a score, higher is better, per entry and modality subset, subsets sorted by size."""
    there = {r.detail for r in records if r.metric == metric and set(r.detail.split("+")) <= set(task.modalities)}
    details = sorted(there, key=lambda d: (d.count("+"), d))
    lines = {}
    for e in suite.of(task) if details else ():
        values = [_mean(records, e.name, variant if e.trials else "default", metric, d) for d in details]
        if None not in values:
            lines[e.label] = values
    if not lines:
        return ""
    grid = np.array(list(lines.values()), dtype=float)
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 0.9 + 0.22 * len(lines)))
        low = max(float(grid.min()), 0.0)  # below 0, R2 says only that nothing was learned
        image = axis.imshow(grid, aspect="auto", cmap="viridis", interpolation="nearest", vmin=low)
        named(axis, list(lines))
        sizes = [d.count("+") + 1 for d in details]
        ends = {size: len(list(group)) for size, group in groupby(sizes)}
        edges = np.cumsum(list(ends.values()))
        for edge in edges:
            axis.axvline(edge - 0.5, color="white", linewidth=1.2)
        if len(details) <= 8:
            names = ["\n+ ".join(map(shortened, d.split("+"))) for d in details]
            axis.set_xticks(range(len(details)), names, fontsize=5.5)
        else:
            words = ["1 view" if s == 1 else "all" if s == len(task.modalities) else f"{s}" for s in ends]
            axis.set_xticks(edges - np.array(list(ends.values())) / 2 - 0.5, words)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axis, pad=0.015, fraction=0.03)
        bar.set_label("R2" if metric.endswith("r2") else "accuracy")
        return svg(figure)


def weight_bars(suite: Suite, records: Sequence[Record]) -> str:
    """Draw the mean weight that UniOMA's regulariser learned for every modality, per task (its figure 2)."""
    weights = ((r.task, (r.metric.removeprefix(WEIGHT), r.value)) for r in records if r.metric.startswith(WEIGHT))
    found = {task: grouped(own) for task, own in grouped(weights).items()}
    tasks = [t for t in suite.tasks if t.name in found]
    if not tasks:
        return ""
    names = sorted({k for own in found.values() for k in own})
    with styled():
        figure, axes = figure_of(1, len(tasks), (1.3 * len(tasks) + 0.6, 2.1))
        for axis, task in zip(axes, tasks, strict=True):
            here = sorted(found[task.name].items())
            for place, (name, values) in enumerate(here):
                colour = COLOURS[names.index(name) % len(COLOURS)]
                axis.bar(place, np.mean(values), yerr=np.std(values), color=colour, width=0.7, ecolor="0.5")
            axis.axhline(1 / len(here), linestyle="--", linewidth=0.8, color="0.5")
            axis.set_xticks(range(len(here)), [shortened(k) for k, _ in here], rotation=90)
            axis.set_title(task.name)
            axis.set_ylim(0, None)
        axes[0].set_ylabel("learned weight")
        return svg(figure)


def ladder(table: Table, found: Answer) -> list[str]:
    """Draw the measures of an answer, a picture for each and a line per entry, the best on top."""
    columns = table.has(found.rows, [c for c in table.task.columns if c.metric in MEASURES])
    best = found.chosen
    if best is None or not columns:
        return []
    order = columns[-1] if columns[-1].metric.startswith("retrieval") else columns[0]
    rows = [r for r in found.rows if table.has([r], columns)]
    rows.sort(key=lambda r: (s.mean if (s := r.cells.get(order.label)) else -1.0) * (1 if order.higher else -1))
    return [_rungs(table, best, rows, column) for column in columns]


def _rungs(table: Table, best: Row, rows: Sequence[Row], column: Column) -> str:
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
                shown = np.clip(ends, 0, 1) if column.percent else ends  # few seeds: wider than what is possible
                axis.plot(scale * shown, [place, place], color=ROLES[role], linewidth=1.2)
                whole = scale * ends[shown == ends]
                axis.plot(whole, [place] * len(whole), "|", color=ROLES[role], markersize=5)
            axis.plot(scale * cell.mean, place, "D" if role == "baseline" else "o", color=ROLES[role], markersize=5)
        if column.label in table.chance:
            axis.axvline(scale * table.chance[column.label], color=INK, linestyle=":", linewidth=0.8)
        axis.set(title=f"{column.label}{', %' if column.percent else ''}", ylim=(-0.7, len(rows) - 0.3))
        named(axis, [r.entry.label for r in rows])
        return svg(figure)


def _trained(suite: Suite, task: Task) -> list[tuple[Entry, str]]:
    """List the aligned entries with a colour that is the same in every figure."""
    aligned = [e for e in suite.entries if e.aligned]
    return [(e, COLOURS[i % len(COLOURS)]) for i, e in enumerate(aligned) if e in suite.of(task)]


def _mean(records: Sequence[Record], entry: str, variant: str, metric: str, detail: str) -> float | None:
    """Average one metric of an entry over seeds."""
    wanted = (entry, variant, metric, detail)
    values = [r.value for r in records if (r.entry, r.variant, r.metric, r.detail) == wanted]
    return float(np.mean(values)) if values else None
