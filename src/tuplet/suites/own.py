"""A comparison on any data: the entries, the tuning and the statistics of quickstart, a budget by the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from tuplet.data import Source
from tuplet.study._columns import COLUMNS, Column
from tuplet.study._regimes import Starts, regimes
from tuplet.study.suite import Budget, ByKind, Suite, Task
from tuplet.suites.entries import baselines, objectives
from tuplet.types import InputError

ERRORS = tuple(
    Column(
        metric,
        "",
        label,
        f"squared error of {what}, relative to nothing; lower is better",
        percent=False,
        higher=False,
        digits=3,
    )
    for metric, label, what in (
        ("probe/linear", "Linear", "a linear probe on all modalities' frozen representations"),
        ("probe/mlp", "MLP", "a 4-layer MLP on the same"),
        ("probe/few_shot", "30 rows", "a linear probe from 30 labelled rows (10 draws)"),
    )
)
STEPS = 300
"""Optimiser steps of a training, at least, unless that takes more than 100 passes over the rows."""


def budget_for(rows: int) -> Budget:
    """Choose how long every objective trains."""
    batch = max(2, min(128, rows))
    steps = max(rows // batch, 1)
    epochs = max(min(max(ceil(STEPS / steps), 5), 100, ceil(2000 / steps)), 1)
    return Budget(dim=64, batch_size=batch, epochs=epochs, lr=2e-3, keep="best")


def chosen_target(source: Source, target: str | None) -> str:
    """Decide what probes predict."""
    names = sorted(source.targets)
    if target is None:
        if len(names) > 1 and "label" not in names:
            raise InputError(f"{source.name} has the targets {names}; name one with --target")
        return "label" if "label" in names else (names or [""])[0]
    if target not in names:
        raise InputError(f"target is {target!r}, but {source.name} has {names or 'none'}; name one of them, or leave it out")
    return target


def comparison(
    load: Callable[[], Source],
    *,
    factory: str,
    title: str,
    modalities: tuple[str, ...],
    target: str,
    kind: str,
    size: int,
    rows: int,
    start: Starts = "random",
    unstarted: str = "",
) -> Suite:
    """Build the suite. It does not read the data: a report needs none."""
    columns = (ERRORS if kind == "real" else COLUMNS[:3] if target else ()) + COLUMNS[3:]
    task = Task("data", title, load, modalities, target, size, budget_for(rows), protocol=ByKind(), columns=columns)
    entries = [e for e in (*baselines(), *objectives()) if target or e.name not in ("supervised", "raw")]
    fits = [e for e in entries if e.sizes is None or len(modalities) in e.sizes]
    return Suite(
        name="own",
        factory=factory,
        tasks=regimes(task, start),
        entries=tuple(fits),
        baseline="pairwise",
        title=title,
        about=(
            f"Encoders chosen by the kind of each modality are trained on {rows:,} rows without labels to align "
            f"{', '.join(modalities)}; then frozen, they retrieve one modality from the others"
            + (f" and are probed for {target}." if target else ".")
        ),
        left_out={
            e.name: f"{e.label} is left out: it is defined here for {' or '.join(map(str, e.sizes or ()))} modalities, these "
            f"data have {len(modalities)}."
            for e in entries
            if e not in fits
        }
        | ({"started": f"Started encoders are left out: {unstarted}."} if unstarted else {}),
    )
