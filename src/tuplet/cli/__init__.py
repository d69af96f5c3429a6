"""The command line: parse, call one function, print. Bad input ends with one line and exit code 2."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode

import tyro
from tyro.conf import Positional

from tuplet.cli.audit import Audit, Plan, aligned, audit, planned
from tuplet.cli.data import Data, data
from tuplet.cli.sweep import Sweep, strategic, sweep
from tuplet.train.recipe import RECIPES, Recipe
from tuplet.types import InputError

if TYPE_CHECKING:
    from tuplet.bench import Record, Suite


@dataclass(frozen=True)
class Bench:
    """Compare objectives under one budget; cells that already exist in --out are kept, so a stopped run continues."""

    suite: Positional[str]
    """Which comparison: quickstart, missing (quality over the share of missing entries), scaling (time and memory),
    strategic (when alignment helps an encoder), the
    tables of two papers on stand-ins (ova-ib-sim, uni-oma-sim) or on their data (ova-ib, uni-oma; with --root)."""
    seeds: int = 3
    """Number of reported seeds; for scaling, of measured turns; for strategic, of data sets, each trained five times."""
    out: Path | None = None
    """Run folder [default: runs/SUITE]."""
    only: tuple[str, ...] = ()
    """Names of entries to run, such as: gram one_vs_all."""
    workers: int | None = None
    """Processes, one thread each [default: the number of cores]; for scaling, threads."""
    preset: Literal["small", "paper"] | None = None
    """For the papers' tables: encoders and settings that two cores can train, or the papers' [default: small for stand-ins]."""
    root: Path | None = None
    """Folder with the papers' data sets."""


@dataclass(frozen=True)
class Train:
    """Train one model and keep it in --out; a stopped run continues."""

    recipe: Positional[str]
    """A shipped recipe (digits), or a Python file that defines recipe() -> tuplet.Recipe."""
    objective: str = "one_vs_all"
    """For shipped recipes: pairwise, sigmoid, cmc, bottleneck, symile, gram, triangle, one_vs_all, uni_align, comm,
    structure or transport."""
    align: Literal["auto"] | None = None
    """auto: audit the recipe's source first, then train every modality on the target and align the pairs that it helps, in
    place of --objective."""
    epochs: int | None = None
    """Passes over the training rows [default: the recipe's]."""
    seed: int = 0
    """Of weights and batches."""
    devices: int | None = None
    """Number of processes [default: 1, or as many as torchrun started]."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several devices share the work: ddp (auto) holds the model in each, fsdp shards it."""
    out: Path = Path("runs/train")
    """Run folder."""


@dataclass(frozen=True)
class Evaluate:
    """Probe a trained model and retrieve with it."""

    run: Positional[Path]
    """Folder that `tuplet train` wrote to."""
    recipe: Path | None = None
    """The recipe's Python file, if the run came from one: code named by a run folder is never executed."""
    details: bool = False
    """Also print every subset of modalities and every direction of retrieval."""


@dataclass(frozen=True)
class Report:
    """Write the report of bench runs again."""

    runs: Positional[tuple[Path, ...]]
    """Folders that `tuplet bench` wrote to."""


Command = (
    Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of the process when left out.

    Returns:
        Exit code: 0, or 2 after one line about bad input.

    Example:
        >>> main(["data", "list"])  # doctest: +ELLIPSIS
        arm
        ...
        0
    """
    command = tyro.cli(Command, args=arguments, prog="tuplet", description="Align any number of modalities.")
    run: dict[type, Callable[..., None]] = {
        Audit: audit,
        Bench: bench,
        Train: train,
        Evaluate: evaluate,
        Report: report,
        Data: data,
        Sweep: sweep,
    }
    try:
        run[type(command)](command)
    except InputError as error:
        print(f"tuplet: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"tuplet: {error}; choose another --out, or free the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tuplet: stopped; run the same command again to continue", file=sys.stderr)
        return 130
    return 0


def bench(command: Bench) -> None:
    """Run a suite, print its tables and say where the report is.

    Args:
        command: the parsed options.

    Raises:
        InputError: for an unknown suite, or as `tuplet.bench.run_suite` does.

    Example:
        >>> bench(Bench("nothing"))
        Traceback (most recent call last):
        tuplet.types.InputError: suite is 'nothing', expected one of ['missing', 'ova-ib', ...
    """
    from tuplet.bench.cell import load_suite
    from tuplet.bench.runner import read_run, run_suite
    from tuplet.bench.samples import keep_samples
    from tuplet.bench.show import Progress
    from tuplet.bench.suites import SUITES

    if command.suite == "scaling":
        _scaling(command)
        return
    if command.suite == "strategic":
        print(f"report: {strategic(command.out, seeds=command.seeds, workers=command.workers)}")
        return
    if command.suite not in SUITES:
        raise InputError(f"suite is {command.suite!r}, expected one of {sorted([*SUITES, 'scaling', 'strategic'])}")
    options = {k: str(v) for k, v in (("root", command.root), ("preset", command.preset)) if v is not None}
    suite = load_suite(SUITES[command.suite] + ("?" + urlencode(options) if options else ""))
    out = command.out or Path("runs") / command.suite
    with Progress(f"{suite.name} -> {out}") as progress:
        records = run_suite(
            suite, out=out, seeds=command.seeds, only=command.only, workers=command.workers, report=progress.advance
        )
    if not records:
        raise InputError(f"no cell of {suite.name} finished; see the *.error.json files in {out / 'cells'}")
    keep_samples([t for t in suite.tasks if t.name in {r.task for r in records}], out)
    _publish(*read_run(out, SUITES), out)  # with what earlier calls finished there: a selection hides nothing


def report(command: Report) -> None:
    """Write the reports of finished or unfinished runs.

    Args:
        command: the parsed options.

    Raises:
        InputError: if a folder is not a bench run or cannot be read.

    Example:
        >>> report(Report(()))
        Traceback (most recent call last):
        tuplet.types.InputError: runs is empty; name at least one folder that `tuplet bench` wrote to
    """
    from tuplet.bench.folder import read_marker
    from tuplet.bench.runner import read_run
    from tuplet.bench.suites import SUITES

    if not command.runs:
        raise InputError("runs is empty; name at least one folder that `tuplet bench` wrote to")
    for out in command.runs:
        if read_marker(out)[0] == "strategic":
            print(f"report: {strategic(out, again=True)}")
            continue
        _publish(*read_run(out, SUITES), out)


def train(command: Train) -> None:
    """Train a recipe.

    Args:
        command: the parsed options.

    Raises:
        InputError: for an unknown recipe or objective, or as `tuplet.fit` does.

    Example:
        >>> train(Train("nothing"))
        Traceback (most recent call last):
        tuplet.types.InputError: recipe is 'nothing', expected one of ['digits'] or a Python file
    """
    from tuplet.train import fit
    from tuplet.train.checkpoint import NAME
    from tuplet.train.files import write_atomic

    if (command.out / "suite.json").exists():
        raise InputError(f"out {command.out} holds a bench run; choose another folder")
    recipe = _recipe(command.recipe, command.objective, command.seed)
    plan = _plan(command, recipe) if command.align else None
    if plan is not None:
        recipe = replace(recipe, objective=aligned(recipe, plan))
    first = int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0  # of several processes, one speaks
    if first:
        print(f"{type(recipe.objective).__name__} on {', '.join(recipe.source.modalities)}")
    config = replace(
        recipe.config,
        progress=sys.stderr.isatty() and first,
        seed=command.seed,
        out=command.out,
        devices=int(os.environ.get("WORLD_SIZE", "1")) if command.devices is None else command.devices,
        strategy=command.strategy,
    )
    if command.epochs is not None:
        config = replace(config, epochs=command.epochs)
    note = {
        "recipe": command.recipe,
        "objective": command.objective,
        "seed": command.seed,
        "data": recipe.source.fingerprint,
        "plan": plan,
    }
    if first and not (command.out / NAME).exists():  # until there is something to continue, the latest call counts
        write_atomic(command.out / "run.json", json.dumps(note).encode())
    run = fit(recipe.model, recipe.objective, train=recipe.source.train, val=recipe.source.val, config=config)
    if not first:
        return
    last = run.history[-1]
    print(f"{run.steps} steps, {run.seconds:.1f} s: loss {last['loss']:.4f}, validation {last['val']:.4f}")
    print(f"now: tuplet evaluate {command.out}")


def evaluate(command: Evaluate) -> None:
    """Evaluate a trained run and print its numbers beside chance.

    Args:
        command: the parsed options.

    Raises:
        InputError: if the folder is not a finished run, or its recipe is a file that was not given.

    Example:
        >>> evaluate(Evaluate(Path("nowhere")))
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere is not a run folder (no readable run.json); give the folder that `tuplet train`...
    """
    from tuplet import evaluate as evaluation
    from tuplet.bench.show import print_results
    from tuplet.train import checkpoint

    try:
        note = json.loads((command.run / "run.json").read_text())
        name, objective, seed, data = (note[k] for k in ("recipe", "objective", "seed", "data"))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{command.run} is not a run folder (no readable run.json); give the folder that `tuplet train` wrote to"
        ) from None
    if name not in RECIPES and command.recipe is None:
        raise InputError(
            f"{command.run} came from the file {name}; pass it with --recipe, as run folders execute no code"
        )
    recipe = _recipe(str(command.recipe or name), objective, seed)
    if note.get("plan") is not None:
        recipe = replace(recipe, objective=aligned(recipe, note["plan"]))
    if recipe.source.fingerprint != data:
        raise InputError(f"{command.run} was trained on other data or another split than its recipe loads now")
    if not (command.run / checkpoint.NAME).exists():
        raise InputError(f"{command.run} has no {checkpoint.NAME} yet; run the same `tuplet train` command again")
    state = checkpoint.restore(command.run / checkpoint.NAME, recipe.model, recipe.objective)
    if state["objective"] != checkpoint.describe(recipe.objective):
        raise InputError(f"{command.run} was trained with another objective than its recipe makes now")
    results = evaluation.evaluate(recipe.model, recipe.objective, recipe.source, target=recipe.target)
    if command.details:
        print_results(results)
    print(evaluation.summary(results))


def _plan(command: Train, recipe: Recipe) -> Plan:
    """Read the plan of a run that has begun, or make one."""
    from tuplet.train.checkpoint import NAME

    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or (command.devices or 1) > 1:
        raise InputError("--align auto plans in one process; leave --devices out, or run `tuplet audit` first")
    note = command.out / "run.json"
    if (
        (command.out / NAME).exists()
        and note.exists()
        and (kept := json.loads(note.read_text()).get("plan")) is not None
    ):
        return [(a, b, strength) for a, b, strength in kept]
    return planned(recipe, command.out / "audit")


def _scaling(command: Bench) -> None:
    """Measure costs; the seeds of other suites are the repeats of this one."""
    from tuplet.bench.scaling import run_scaling
    from tuplet.bench.scaling_report import write_scaling
    from tuplet.bench.show import Progress

    out, repeats = command.out or Path("runs/scaling"), command.seeds
    with Progress(f"scaling -> {out}") as progress:
        points = run_scaling(out, only=command.only, repeats=repeats, threads=command.workers, report=progress.advance)
    file = write_scaling(points, out, repeats=repeats)
    print((out / "table.md").read_text())
    print(f"report: {file}")


def _publish(suite: Suite, records: list[Record], out: Path) -> None:
    from tuplet.bench.report import write_report
    from tuplet.bench.show import print_claims, print_tables
    from tuplet.bench.tables import tables

    print_tables(suite, tables(suite, records))
    print_claims(suite, records)
    failed = sorted(out.glob("cells/*/*.error.json"))
    if failed:
        print(f"{len(failed)} cells failed (the first: {failed[0]}); run again to retry them")
    print(f"report: {write_report(suite, records, out)}")


def _recipe(name: str, objective: str, seed: int) -> Recipe:
    if name in RECIPES:
        return RECIPES[name](objective, seed)
    file = Path(name)
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"recipe is {name!r}, expected one of {sorted(RECIPES)} or a Python file")
    spec = importlib.util.spec_from_file_location("tuplet_recipe", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.recipe() if hasattr(module, "recipe") else None
    if not isinstance(made, Recipe):
        raise InputError(f"{file} does not define recipe() -> tuplet.Recipe; see examples/recipe.py")
    return made
