"""Maps of how well every subset of the modalities predicts: a line per objective, a column per subset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuplet.io import shortened
from tuplet.study._figures import figure_of, mean_of, styled, svg
from tuplet.study.record import Record
from tuplet.study.suite import Suite, Task


def subset_maps(suite: Suite, task: Task, records: Sequence[Record], *, variant: str) -> list[tuple[str, str]]:
    """Draw how well every subset of the modalities predicts, one map per target."""
    found = []
    for metric in sorted({r.metric for r in records}):
        _, _, measure = metric.rpartition("/")
        if metric == "subset" or (metric.startswith("predict/") and measure in ("accuracy", "r2")):
            of = metric.removeprefix("predict/").removesuffix(f"/{measure}")
            name = "accuracy of a linear probe" if metric == "subset" else f"{measure} of {of}"
            found.append((name.replace("r2 ", "R2 "), subset_map(suite, task, records, variant=variant, metric=metric)))
    return [(name, drawn) for name, drawn in found if drawn]


def subset_map(suite: Suite, task: Task, records: Sequence[Record], *, variant: str, metric: str = "subset") -> str:
    """Draw a score, higher is better, per entry and modality subset, subsets sorted by size."""
    names = set(task.modalities)
    there = {r.detail for r in records if r.metric == metric and set(r.detail.split("+")) <= names}
    details = sorted(there, key=lambda d: (d.count("+"), d))
    entries, lines = [], []
    for entry in suite.of(task) if details else ():
        shown = variant if entry.trials else "default"
        values = [mean_of(records, entry.name, shown, metric, d) for d in details]
        if all(v is not None for v in values):
            entries.append(entry)
            lines.append(values)
    if not lines:
        return ""
    grid = np.array(lines, dtype=float)
    with styled():
        figure, (axis,) = figure_of(1, 1, (4.8, 0.9 + 0.22 * len(entries)))
        low = max(float(grid.min()), 0.0)  # below 0, R2 says only that nothing was learned
        image = axis.imshow(grid, aspect="auto", cmap="viridis", interpolation="nearest", vmin=low)
        axis.set_yticks(range(len(entries)), [e.label for e in entries])
        sizes = np.array([d.count("+") + 1 for d in details])
        for size in sorted(set(sizes.tolist())):
            here = np.flatnonzero(sizes == size)
            axis.axvline(here[-1] + 0.5, color="white", linewidth=1.2)
        if len(details) <= 8:
            axis.set_xticks(
                range(len(details)), ["\n+ ".join(map(shortened, d.split("+"))) for d in details], fontsize=5.5
            )
        else:
            counts = sorted(set(sizes.tolist()))
            centres = [np.flatnonzero(sizes == s).mean() for s in counts]
            words = ["1 view" if s == 1 else "all" if s == len(task.modalities) else f"{s}" for s in counts]
            axis.set_xticks(centres, words)
        axis.tick_params(length=0)
        for side in axis.spines.values():
            side.set_visible(False)
        bar = figure.colorbar(image, ax=axis, pad=0.015, fraction=0.03)
        bar.set_label("R2" if metric.endswith("r2") else "accuracy")
        return svg(figure)
