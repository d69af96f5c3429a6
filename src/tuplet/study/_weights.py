"""A picture of the modality weights that the structure regulariser learned (UniOMA, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuplet.io import shortened
from tuplet.study._figures import COLOURS, figure_of, styled, svg
from tuplet.study.record import Record
from tuplet.study.suite import Suite

PREFIX = "weight/"


def weight_bars(suite: Suite, records: Sequence[Record]) -> str:
    """Draw the mean learned weight of every modality per task, over all entries and seeds that learn weights."""
    found: dict[str, dict[str, list[float]]] = {}
    for r in records:
        if r.metric.startswith(PREFIX):
            found.setdefault(r.task, {}).setdefault(r.metric.removeprefix(PREFIX), []).append(r.value)
    tasks = [t for t in suite.tasks if t.name in found]
    if not tasks:
        return ""
    names = sorted({k for weights in found.values() for k in weights})
    with styled():
        figure, axes = figure_of(1, len(tasks), (1.3 * len(tasks) + 0.6, 2.1))
        for axis, task in zip(axes, tasks, strict=True):
            here = found[task.name]
            for place, name in enumerate(sorted(here)):
                colour = COLOURS[names.index(name) % len(COLOURS)]
                axis.bar(place, np.mean(here[name]), yerr=np.std(here[name]), color=colour, width=0.7, ecolor="0.5")
            axis.axhline(1 / len(here), linestyle="--", linewidth=0.8, color="0.5")
            axis.set_xticks(range(len(here)), [shortened(k) for k in sorted(here)], rotation=90)
            axis.set_title(task.name)
            axis.set_ylim(0, None)
        axes[0].set_ylabel("learned weight")
        return svg(figure)
