"""The ``tuplet sweep`` command: how strongly to align two modalities of a source, tried out."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from tuplet.cli.source import Reading, opened
from tuplet.errors import InputError
from tuplet.io import fresh, safe_name


@dataclass(frozen=True)
class Sweep(Reading):
    """Train two modalities on a target with several alignment strengths, and measure on test rows what each one changes."""

    source: Positional[str]
    """Name of a source (see `tuplet data list`), or a file such as my.npz."""
    pair: tuple[str, str]
    """The two modalities."""
    lambdas: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
    """Alignment strengths to try. Strength 0, no alignment, is always added."""
    seeds: int = 3
    """Trainings per strength."""
    objective: str = "pairwise"
    """Objective that aligns, by its name in `tuplet train --objective`."""
    steps: int = 300
    """Steps per training, rounded up to whole passes over the training rows."""
    epochs: int | None = None
    """Passes over the training rows. Replaces --steps."""
    batch_size: int = 128
    """Rows per step."""
    lr: float = 3e-3
    """Peak learning rate, the same for all strengths. The default is that of an audit."""
    projector: Literal["mlp", "none"] = "mlp"
    """mlp: align a projection of the representations. none: align the representations themselves."""
    threshold: float | None = None
    """Score a real target by accuracy: is the prediction on the right side of this number?"""
    executor: Literal["ray"] | None = None
    """ray: train on a cluster of Ray, one thread per training, instead of in this process (needs tuplet[ray])."""
    audit: Path | None = None
    """Folder of an audit of these data to compare with [default: runs/audit/SOURCE, if it holds one]."""
    out: Path | None = None
    """Folder of the runs and the report [default: runs/sweep/SOURCE-A-B]."""
    fresh: bool = False
    """Remove what an earlier command left in the folder, and start anew."""


def sweep(command: Sweep) -> None:
    """Run a sweep, print its table and say where the report is."""
    from tuplet.audit._advised import advised, confirmed, named
    from tuplet.cli.contents import contents
    from tuplet.data._targets import target_of
    from tuplet.processes import check_executor
    from tuplet.report.progress import Progress
    from tuplet.suites import sweep as room
    from tuplet.suites import sweep_report
    from tuplet.suites.sweep_decision import decide
    from tuplet.train import TrainConfig
    from tuplet.types import in_range

    check_executor(command.executor)
    source = opened(command.source, command)
    in_range("steps", command.steps, 1)
    settings = TrainConfig(batch_size=command.batch_size, lr=command.lr)
    rows = max(len(source.train), 1)
    passes = -(-command.steps // (rows // min(command.batch_size, rows)))
    plan = room.Sweep(
        pair=command.pair,
        target=target_of(source, command.target) if source.targets else "label",
        strengths=command.lambdas,
        seeds=command.seeds,
        objective=command.objective,
        projector=command.projector,
        threshold=command.threshold,
        config=replace(settings, epochs=passes if command.epochs is None else command.epochs),
    )
    pair = plan.checked(source)
    where = command.audit or Path("runs/audit") / safe_name(source.name)
    advice = None
    if command.audit is not None:
        advice = named(where, source, command.pair, plan.target)
    else:
        with suppress(InputError):  # a file that nobody named stops no sweep
            advice = advised(where, source, command.pair, plan.target)
    print(contents(source), file=sys.stderr)
    out = command.out or Path("runs/sweep") / _folder(Path(command.source.partition("?")[0]).stem, *command.pair)
    if command.fresh:
        fresh(out)
    with Progress(f"sweep -> {out}") as progress:
        records = room.run_sweep(source, plan, out=out, executor=command.executor, report=progress.advance)
    print(sweep_report.summary(records, sweep_report.metric_of(plan, pair)))
    if advice is not None and (found := decide(records)) is not None:
        asked, steps = advice
        other = f"; its trainings had {steps} steps" if command.epochs is not None or steps != command.steps else ""
        print(confirmed(asked, found.word, where, longer=other))
    print(f"report: {sweep_report.write_sweep(records, plan, pair, out)}")


def _folder(*parts: str) -> str:
    """Name a folder, so that other parts have another name."""
    plain = all(safe_name(p) == p and "-" not in p for p in parts)
    return "-".join(parts) if plain else safe_name(repr(parts))
