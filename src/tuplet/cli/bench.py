"""The ``tuplet bench`` and ``tuplet report`` commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode

from tyro.conf import Positional, arg

from tuplet.cli.own import OWN, described
from tuplet.cli.source import Reading, is_file
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.study import Record, Suite
    from tuplet.study._answer import Answer


@dataclass(frozen=True)
class Bench(Reading):
    """Compare objectives under one budget; what is finished in --out is kept, so a stopped run continues."""

    suite: Annotated[Positional[str], arg(metavar="DATA")]
    """Your data (my.npz, my.csv, a folder, or a source such as blocks?synergy=2; `tuplet data list` names them), compared like
    quickstart. Or a ready comparison: quickstart (six views of digits), missing (quality over the share of missing entries),
    scaling (time and memory), strategic (when alignment helps an encoder), rss-sim (touch models on simulated sensors), rss
    (the same on published touch sets; with --root and --tower), uni-align-sim (search and generation on emoji), uni-align
    (search in captioned media, as VAST and GRAM annotate them; with --root, and the --tower of the captions), the tables of
    two papers on stand-ins (ova-ib-sim, uni-oma-sim) or on their data (ova-ib, uni-oma; with --root)."""
    seeds: int = 3
    """Number of reported seeds; for scaling, of measured turns; for strategic, of data sets, each trained five times."""
    out: Path | None = None
    """Run folder [default: runs/SUITE, or runs/bench/DATA]."""
    fresh: bool = False
    """Start the folder anew: forget what an earlier command left there."""
    start: Literal["random", "gcca", "both"] | None = None
    """What the encoders begin as: random weights, gcca (the linear closed form of the training rows), or one comparison of
    both. For your data and quickstart [default: both for your data where they allow it, random for quickstart]."""
    only: tuple[str, ...] = ()
    """Names of entries to run, such as: gram one_vs_all. The linear closed form is always run."""
    workers: int | None = None
    """Processes, one thread each [default: the number of cores]; for scaling, threads."""
    executor: Literal["ray"] | None = None
    """ray: run on a cluster of Ray (RAY_ADDRESS, or one of this machine; needs tuplet[ray]) instead of in processes here;
    --workers is then how many pieces are given to it at once [default: its cores]."""
    preset: Literal["small", "paper"] | None = None
    """For the papers' tables: encoders and settings that two cores can train, or the papers' [default: small for stand-ins]."""


@dataclass(frozen=True)
class Report:
    """Write the report of bench runs again. For an audit, a sweep or a demo repeat its command: what is finished is kept."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER [FOLDER ...]")]
    """Folders that `tuplet bench` wrote to."""


def bench(command: Bench) -> None:
    """Run a suite, print its tables and say where the report is."""
    from tuplet.catalog import READERS, SOURCES
    from tuplet.evaluate.screen import wrapped
    from tuplet.io import fresh, safe_name
    from tuplet.processes import check_executor
    from tuplet.report.progress import Progress
    from tuplet.study._samples import keep_samples
    from tuplet.study.runner import check_arguments, read_run, run_suite
    from tuplet.study.suite import load_suite
    from tuplet.suites import SUITES

    check_executor(command.executor)
    ready = sorted([*SUITES, *STUDIES])
    if command.suite in ready:
        for name, value in command.given().items():
            if name not in ("root", "tower"):
                raise InputError(f"{name} is {value!r}, but {command.suite} is a ready comparison; leave it out")
    elif (named := command.suite.partition("?")[0]) not in (*SOURCES, *READERS) and not is_file(named):
        raise InputError(
            f"suite is {command.suite!r}, expected one of {ready}, a source (`tuplet data list` names them), or the path of a "
            f"file or folder (my.npz, my.csv ...)"
        )
    if command.suite in STUDIES and command.fresh:
        raise InputError(f"fresh is not for this comparison; give {command.suite} another --out instead")
    if command.suite in ready and command.suite != "quickstart" and command.start is not None:
        raise InputError(f"start is {command.start!r}, but {command.suite} has its own; leave it out")
    tower = ("tower",) if command.suite not in ready or command.suite == "uni-align" else ()
    run, taken = STUDIES.get(command.suite, (None, ("executor", "only", "preset", "root", *tower)))
    for name in ("executor", "only", "preset", "root", "tower"):
        if getattr(command, name) and name not in taken:
            shown = getattr(command, name)
            shown = shown[0] if name == "tower" else str(shown) if isinstance(shown, Path) else shown
            raise InputError(f"{name} is {shown!r}, but {command.suite} has no such choice; leave it out")
    if run is not None:
        run(command)
        return
    if command.suite in ready:
        start = None if command.start == "random" else command.start
        where = Path(command.tower[0]).resolve() if command.tower else None
        given = (("root", command.root), ("tower", where), ("preset", command.preset), ("start", start))
        options = {k: str(v) for k, v in given if v is not None}
        suite = load_suite(SUITES[command.suite] + ("?" + urlencode(options) if options else ""))
        out = command.out or Path("runs") / command.suite
    else:
        if command.preset is not None:
            raise InputError(f"preset is {command.preset!r}, which is for the papers' tables; leave it out")
        suite = load_suite(described(command.suite, Reading.noted(command.note()), command.start))
        out = command.out or Path("runs/bench") / safe_name(suite.title)
    check_arguments(suite, seeds=command.seeds, only=command.only, workers=command.workers)
    only = command.only
    if only:  # the closed form needs no training, and every objective has to beat it
        only += tuple(e.name for e in suite.entries if e.kind == "linear" and e.name not in only)
    else:
        for text in suite.left_out.values():
            print("\n".join(wrapped(text)))
    if command.fresh:
        fresh(out)
    with Progress(f"{suite.title or suite.name} -> {out}") as progress:
        workers, executor = command.workers, command.executor
        records = run_suite(
            suite, out=out, seeds=command.seeds, only=only, workers=workers, executor=executor, report=progress.advance
        )
    if not records:
        raise InputError(f"nothing of {suite.title or suite.name} finished{_first_error(out)}")
    keep_samples([t for t in suite.tasks if t.name in {r.task for r in records}], out)
    found = _publish(*read_run(out, SUITES | OWN), out)  # with what earlier calls finished there: a selection hides nothing
    if command.suite not in ready and found and (line := _training(command, found[0])):
        print(line)


def report(command: Report) -> None:
    """Write the reports of finished or unfinished runs."""
    from tuplet.study._ledger import Ledger
    from tuplet.study.runner import read_run
    from tuplet.suites import SUITES

    if not command.runs:
        raise InputError("runs is empty; name at least one folder that `tuplet bench` wrote to")
    for out in command.runs:
        _refuse_others(out)
    for out in command.runs:
        own = {"strategic": _publish_strategic, "rss": _publish_rss, "rss-sim": _publish_rss}.get(Ledger(out).owner()[0])
        if own:
            own(out)
        else:
            _publish(*read_run(out, SUITES | OWN), out)


OTHERS = {
    "run.json": "a trained model: its numbers are printed by `tuplet evaluate {}`",
    "audit.json": "an audit: repeat its `tuplet audit DATA --out {}`; it keeps what is finished and writes the report",
    "demo.json": "a demo: repeat `tuplet demo --out {}`; it keeps what is finished and writes the page",
    "sweep": "a sweep: repeat its `tuplet sweep DATA --pair A B --out {}`; it keeps what is finished and writes the report",
    "scaling": "measured costs: repeat `tuplet bench scaling --out {}`; it keeps what is finished and writes the report",
}
"""Marker of a folder, or name of its suite -> what it holds instead of a bench, and which command reports on it."""


def _refuse_others(out: Path) -> None:
    """Name the right command for the folder of another one."""
    from tuplet.study._ledger import Ledger

    marker = next((m for m in ("run.json", "audit.json", "demo.json") if (out / m).exists()), None)
    kind = marker or Ledger(out).owner()[0]
    if kind in OTHERS:
        raise InputError(f"{out} holds {OTHERS[kind].format(shlex.quote(str(out)))}")


def _scaling(command: Bench) -> None:
    """Measure costs; the seeds of other suites are the repeats of this one."""
    from tuplet.report.progress import Progress
    from tuplet.suites.scaling import run_scaling
    from tuplet.suites.scaling_report import write_scaling

    out, repeats = command.out or Path("runs/scaling"), command.seeds
    with Progress(f"scaling -> {out}") as progress:
        points = run_scaling(out, only=command.only, repeats=repeats, threads=command.workers, report=progress.advance)
    _say_where(write_scaling(points, out, repeats=repeats))


def _strategic(command: Bench) -> None:
    """Run the strategic suite."""
    from tuplet.report.progress import Progress
    from tuplet.suites.strategic import run_strategic

    out = command.out or Path("runs/strategic")
    with Progress(f"strategic -> {out}") as progress:
        run_strategic(out, seeds=command.seeds, workers=command.workers, executor=command.executor, report=progress.advance)
    _publish_strategic(out)


def _rss(command: Bench) -> None:
    """Run the touch comparison."""
    from tuplet.report.progress import Progress
    from tuplet.suites.rss import run_rss
    from tuplet.suites.rss_plan import Plan
    from tuplet.suites.rss_recorded import paper_plan, recorded

    simulated, out = command.suite == "rss-sim", command.out or Path("runs") / command.suite
    plan = Plan() if simulated else paper_plan(recorded(command.root, Path(command.tower[0]) if command.tower else None))
    workers = 1 if command.workers is None and not simulated else command.workers  # large towers train one after another
    with Progress(f"{command.suite} -> {out}") as progress:
        seeds, only, executor = command.seeds, command.only, command.executor
        run_rss(out, plan=plan, seeds=seeds, only=only, workers=workers, executor=executor, report=progress.advance)
    _publish_rss(out)


def _publish_rss(out: Path) -> None:
    from tuplet.suites.rss import planned, read_rss
    from tuplet.suites.rss_report import write_rss

    plan = planned(out)
    _say_where(write_rss(read_rss(out, plan), out, plan=plan))


STUDIES = {
    "scaling": (_scaling, ("only",)),
    "strategic": (_strategic, ("executor",)),
    "rss": (_rss, ("only", "root", "tower")),
    "rss-sim": (_rss, ("executor", "only")),
}
"""Comparison that is a study of its own -> what runs it, and which choices of its own it takes."""


def _publish_strategic(out: Path) -> None:
    from tuplet.suites.strategic import read_strategic
    from tuplet.suites.strategic_report import write_strategic

    plan, records = read_strategic(out)
    _say_where(write_strategic(records, out, plan=plan))


def _say_where(page: Path) -> None:
    """Print the tables of a run, what failed, and where its report is."""
    print(page.with_name("table.md").read_text(encoding="utf-8"))
    _say_failed(page.parent)
    print(f"report: {page}")


def _say_failed(out: Path) -> None:
    from tuplet.study._ledger import Ledger

    if failed := Ledger(out).errors():
        print(f"{len(failed)} pieces failed (the first: {failed[0]}); run again to retry them")


def _first_error(out: Path) -> str:
    from tuplet.io import read_state
    from tuplet.study._ledger import Ledger

    files = Ledger(out).errors()
    return f": {read_state(files[0], {'error': str, 'details': str})['error']} ({files[0]})" if files else ""


def _training(command: Bench, said: Answer) -> str:
    """Write the command that trains what was chosen; empty where `tuplet train` cannot be told all its settings."""
    from tuplet.objectives import PUBLISHED

    if said.chosen is None or said.table is None:
        return ""
    name, _, start = said.chosen.entry.name.partition(" ")
    settings = said.chosen.settings
    if name not in PUBLISHED or PUBLISHED[name].small is None or not set(settings) <= {"tau"}:
        return ""
    started = start == "started" or said.table.task.budget.start == "gcca"
    tau = [f"--tau={settings['tau']}"] if settings else []
    how = [f"--start={'gcca' if started else 'random'}"]
    return "now: " + shlex.join(["tuplet", "train", command.suite, "--objective", name, *tau, *how, *command.words()])


def _publish(suite: Suite, records: list[Record], out: Path) -> list[Answer]:
    from tuplet.evaluate.screen import wrapped
    from tuplet.study._answer import answered
    from tuplet.study._report import write_report
    from tuplet.study._show import print_answers, print_claims, print_tables
    from tuplet.study._tables import tables
    from tuplet.suites.scaling_report import scaling_beside

    made = tables(suite, records)
    left, waiting, found = answered(suite, made, out)
    if left:
        print("\n".join([*wrapped(left), ""]))
    print_answers(found)
    quiet = [t.task.label for t in made if t.task.name in waiting]  # what their tables show so far is no result
    print_tables(suite, made, answered=[*quiet, *(label for a in found for label in a.covers)])
    if not left:
        print_claims(suite, records)
    _say_failed(out)
    print(f"report: {write_report(suite, records, out, scaling=scaling_beside(out))}")
    return found
