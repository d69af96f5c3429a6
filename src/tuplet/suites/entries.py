"""The rows of a comparison: baselines that align nothing, and the table of objectives."""

from __future__ import annotations

from tuplet.objectives import Supervised
from tuplet.objectives.published import PUBLISHED, Published
from tuplet.study.suite import Entry, Make


def baselines() -> tuple[Entry, ...]:
    """List the rows that align nothing."""
    return (
        Entry("raw", "Inputs", kind="inputs", note="scaled inputs, no encoder"),
        Entry("none", "Random encoders", kind="random", note="untrained: what alignment has to beat"),
        Entry(
            "linear",
            "Linear closed form",
            kind="linear",
            note="regularised CCA, its generalisation for three or more views: no training; an objective has to beat it",
        ),
        Entry(
            "supervised",
            "Supervised",
            lambda _, task: Supervised(len(task.modalities) * task.budget.dim, task.classes, target=task.target),
            note="trained end to end with all labels: the ceiling for probes; it cannot retrieve",
            aligns=False,
        ),
    )


def maker(row: Published) -> Make:
    """Return what builds a published objective from an entry's settings and its task."""
    return lambda settings, task: row.built(task.modalities, task.budget.dim, settings=settings)


def objectives() -> tuple[Entry, ...]:
    """List the published objectives, those for three modalities only included."""
    return tuple(
        Entry(
            name,
            row.label,
            maker(row),
            defaults=dict(row.paper),
            trials=tuple(dict(t) for t in row.trials),
            sizes=row.sizes,
            note=row.note,
        )
        for name, row in PUBLISHED.items()
    )
