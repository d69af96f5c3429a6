"""``tuplet train DATA --objective auto``: what a comparison of the same data chose, or a short one that is run first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tuplet.cli.own import OWN, described
from tuplet.cli.source import Reading, opened
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.study import Record, Suite
    from tuplet.types import Start

SHORT = ("pairwise", "gram", "cone")
"""Objectives of the short comparison."""


class Choice(NamedTuple):
    """What `tuplet train` is told in place of auto."""

    objective: str
    tau: float | None
    start: Start


def decided(data: str, how: Reading, out: Path, *, start: Start | None) -> Choice:
    """Return the best objective on validation rows, its temperature and the start of its encoders."""
    from tuplet.io import safe_name
    from tuplet.report.progress import Progress
    from tuplet.study.runner import read_run, run_suite, unfinished
    from tuplet.study.suite import load_suite

    source, folder = opened(data, how), out.with_name(f"{out.name}-bench")  # beside the run, so that --fresh keeps it
    for there in (Path("runs/bench") / safe_name(source.name), folder):
        if _is_of(there, source.fingerprint, sorted(source.modalities)):
            suite, records = read_run(there, OWN)
            if not unfinished(suite, there)[0]:
                return _best(suite, records, there, "run before")
    begin: Start | None = "random" if start == "random" else None
    plan = described(data, how, begin, shown=False)
    suite = load_suite(plan)
    if len(suite.tasks) > 1:  # both starts; the one from the closed form is shorter
        suite = load_suite(described(data, how, "gcca", shown=False))
    only = tuple(e.name for e in suite.entries if e.name in SHORT or e.kind == "linear")
    print(f"objective auto: no finished comparison of these data, so a short one of {', '.join(SHORT)} runs first")
    with Progress(f"{suite.title} -> {folder}") as progress:
        run_suite(suite, out=folder, seeds=1, only=only, workers=1, report=progress.advance)
    return _best(*read_run(folder, OWN), folder, "a short one")


def _is_of(folder: Path, fingerprint: str, modalities: list[str]) -> bool:
    """Tell whether a folder holds a comparison of the same data."""
    from tuplet.study._ledger import Ledger, plan_in

    if not (folder / "suite.json").exists():
        return False
    name, factory = Ledger(folder).owner()
    plan: dict[str, Any] = json.loads(plan_in(factory)) if name == "own" else {}
    return (plan.get("fingerprint"), plan.get("modalities")) == (fingerprint, modalities)


def _best(suite: Suite, records: list[Record], folder: Path, how: str) -> Choice:
    """Return the entry with the best score on validation rows among those that `tuplet train` can be told."""
    from tuplet.evaluate.screen import wrapped
    from tuplet.objectives import PUBLISHED
    from tuplet.study._answer import trial_scores
    from tuplet.study._report import write_report
    from tuplet.study._tables import tables

    scores, found = trial_scores(suite, folder), []
    for table in tables(suite, records):
        for row in table.latest():
            name = row.entry.name
            told = name in PUBLISHED and PUBLISHED[name].small is not None and set(row.settings) <= {"tau"}
            if told and (score := scores.get((table.task.name, name))) is not None:
                tau = row.settings.get("tau")
                found.append((score, Choice(name, None if tau is None else float(str(tau)), table.task.budget.start)))
    if not found:
        raise InputError(f"{folder} compared no objective that can be trained by its name alone; give --objective NAME")
    best = max(found, key=lambda f: f[0])[1]
    begun = "begun as the linear closed form" if best.start == "gcca" else "from scratch"
    page = write_report(suite, records, folder)
    tau = "" if best.tau is None else f" at tau {best.tau:g}"
    line = f"objective auto: {best.objective}{tau}, {begun}, by validation rows of the comparison in {folder} ({how})"
    print("\n".join([*wrapped(line), f"report: {page}"]))
    return best
