"""Figures of a report, as SVG text whose ink follows the page's text colour."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from tuplet.study.record import Record
from tuplet.study.suite import Entry, Suite, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's text colour; replaced by ``currentColor`` in the SVG."""
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"),
    *("#b15928", "#66a61e", "#e7298a", "#3b4cc0", "#a6761d", "#6a3d9a", "#17becf", "#fb8072"),
)


def curves(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> str:
    """Draw the share of queries answered among the first k, by the own score and by mean cosine."""
    there = {
        r.entry for r in records if r.variant == variant and (r.metric, r.detail) == ("retrieval/cosine/R@5", "mean")
    }
    names = [(e, c) for e, c in _trained(suite, task) if e.name in there]
    if not names:
        return ""
    with styled():
        figure, axes = figure_of(1, 2, (4.8, 3.0))
        for axis, kind, title in zip(axes, ("own", "cosine"), ("own score", "mean cosine"), strict=True):
            for entry, colour in names:
                means = [mean_of(records, entry.name, variant, f"retrieval/{kind}/R@{k}", "mean") for k in (1, 5, 10)]
                shown = [m for m in means if m is not None]
                if len(shown) == 3:
                    axis.plot((1, 5, 10), shown, "o-", color=colour, label=entry.label, markersize=3.5, linewidth=1.4)
            pool = max((r.pool for r in records if r.metric.startswith("retrieval")), default=1)
            axis.plot((1, 5, 10), [k / pool for k in (1, 5, 10)], ":", color=INK, linewidth=1, label="chance")
            axis.set(title=title, xlabel="k", xticks=(1, 5, 10))
        top = max(axis.get_ylim()[1] for axis in axes)
        for axis in axes:  # one scale for both
            axis.set_ylim(0, min(top, 1.02))
        axes[0].set_ylabel(f"R@k among {pool}")
        _legend_below(figure, axes[1])
        return svg(figure)


def training(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> str:
    """Draw the validation loss over epochs, each entry scaled to its own first epoch."""
    found = []
    for entry, colour in _trained(suite, task):
        runs = [r.items for r in records if (r.entry, r.variant, r.metric) == (entry.name, variant, "training/val")]
        if runs:
            found.append((entry, colour, np.array(runs)))
    if not found:
        return ""
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 2.8))
        for entry, colour, losses in found:
            relative = (losses - losses[:, :1]) / np.abs(losses[:, :1])
            epochs = np.arange(1, losses.shape[1] + 1)
            axis.plot(epochs, relative.mean(axis=0), color=colour, label=entry.label, linewidth=1.4)
            axis.fill_between(epochs, relative.min(axis=0), relative.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set(xlabel="epoch", ylabel="change of validation loss\nsince the first epoch")
        _legend_below(figure, axis)
        return svg(figure)


def cosine_scatter(suite: Suite, task: Task, records: Sequence[Record]) -> str:
    """Draw retrieval by the own score against the mean cosine of matching embeddings."""
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 3.2))
        drawn = False
        for entry, colour in _trained(suite, task):
            for variant in ("default", "tuned"):
                x = mean_of(records, entry.name, variant, "space/positive_cosine", "")
                y = mean_of(records, entry.name, variant, "retrieval/own/R@1", "mean")
                if x is not None and y is not None:
                    face = colour if variant == "tuned" else "none"
                    label = entry.label if variant == "default" else None
                    axis.scatter(
                        x, y, s=46, facecolors=face, edgecolors=colour, linewidths=1.4, label=label, clip_on=False
                    )
                    drawn = True
        axis.axvline(0, color=INK, linewidth=0.6)
        axis.set(xlabel="mean cosine of matching embeddings", ylabel="R@1 by own score", xlim=(-1.02, 1.02))
        axis.set_ylim(0, min(1.02, 1.08 * axis.get_ylim()[1]))
        _legend_below(figure, axis)
        return svg(figure) if drawn else ""


def over_axis(suite: Suite, records: Sequence[Record]) -> str:
    """Draw quality over the number in which the tasks of a suite differ."""
    tasks = sorted((t for t in suite.tasks if t.at is not None), key=lambda t: t.at or 0.0)
    if not (suite.axis and records and tasks):
        return ""
    variant = "tuned" if any(r.variant == "tuned" for r in records) else "default"
    panels = (
        ("retrieval/own/R@1", "mean", "R@1, own score"),
        ("retrieval/cosine/R@1", "mean", "R@1, mean cosine"),
        ("probe/few_shot", "", "3-shot accuracy"),
    )
    with styled():
        figure, axes = figure_of(1, 3, (7.2, 3.6))
        for axis, (metric, detail, title) in zip(axes, panels, strict=True):
            for entry, colour in _trained(suite, tasks[0]):
                found = {
                    t.at: [
                        r.value
                        for r in records
                        if (r.task, r.entry, r.variant, r.metric, r.detail)
                        == (t.name, entry.name, variant, metric, detail)
                    ]
                    for t in tasks
                }
                x = [k for k, v in found.items() if v and k is not None]
                if not x:
                    continue
                values = [found[k] for k in x]
                axis.plot(x, [np.mean(v) for v in values], "o-", color=colour, label=entry.label, markersize=3)
                axis.fill_between(
                    x, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.12, linewidth=0
                )
            axis.set(title=title, xlabel=suite.axis, xticks=[t.at for t in tasks if t.at is not None])
            axis.set_ylim(0, None)
        figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return svg(figure)


def _trained(suite: Suite, task: Task) -> list[tuple[Entry, str]]:
    """List the aligned entries with a colour that is the same in every figure."""
    aligned = [e for e in suite.entries if e.aligned]
    return [(e, COLOURS[i % len(COLOURS)]) for i, e in enumerate(aligned) if e in suite.of(task)]


def mean_of(records: Sequence[Record], entry: str, variant: str, metric: str, detail: str) -> float | None:
    """Average one metric of an entry over seeds."""
    wanted = (entry, variant, metric, detail)
    values = [r.value for r in records if (r.entry, r.variant, r.metric, r.detail) == wanted]
    return float(np.mean(values)) if values else None


def styled() -> AbstractContextManager[None]:
    """Set matplotlib's style while a figure is made."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "text.parse_math": False,  # a name may hold any text, "$\\frac{$" too
            "font.size": 8.5,
            "svg.fonttype": "none",
            "svg.hashsalt": "tuplet",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
            "legend.fontsize": 7.5,
        }
    )


def figure_of(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)))


def _legend_below(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def short_paths(text: str) -> str:
    """Round the coordinates of an SVG's paths to hundredths of a point, which halves long curves."""
    return re.sub(r' d="[^"]+"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)


def svg(figure: Figure, *, broad: bool = False) -> str:
    """Print a figure as SVG that takes its ink from the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = short_paths(out.getvalue())
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" class="figure{" broad" if broad else ""}" ', 1)
