"""The commands: which dataclass of options goes to which function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import tyro

from tuplet.cli.audit import Audit, audit
from tuplet.cli.bench import Bench, Report, bench, report
from tuplet.cli.data import Convert, Data, Info, Show, Simulate, Verify, data
from tuplet.cli.demo import Demo, demo
from tuplet.cli.embed import Embed, embed
from tuplet.cli.evaluate import Evaluate, evaluate
from tuplet.cli.options import told
from tuplet.cli.source import Reading
from tuplet.cli.sweep import Sweep, sweep
from tuplet.cli.train import Train, train

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Embed, tyro.conf.subcommand("embed")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
)
RUN: dict[type, Callable[..., None]] = {
    Demo: demo,
    Audit: audit,
    Bench: bench,
    Train: train,
    Evaluate: evaluate,
    Embed: embed,
    Report: report,
    Data: data,
    Sweep: sweep,
}
NAMES = ("demo", "audit", "bench", "train", "evaluate", "embed", "sweep", "report", "data")
for options in (Reading, *(k for k in RUN if k is not Data), Convert, Info, Show, Simulate, Verify):
    told(options)
