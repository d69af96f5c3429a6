"""The ``tuplet train`` and ``tuplet evaluate`` commands."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from tuplet.cli.audit import Plan, aligned, planned
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.train.recipe import Recipe


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
    from tuplet.io.files import write_atomic
    from tuplet.train import fit
    from tuplet.train.checkpoint import NAME

    if (command.out / "suite.json").exists():
        raise InputError(f"out {command.out} holds a bench run; choose another folder")
    recipe = _recipe(command.recipe, command.objective, command.seed)
    if command.epochs is not None:
        recipe = replace(recipe, config=replace(recipe.config, epochs=command.epochs))
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
    from tuplet.train.recipe import RECIPES

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


def _recipe(name: str, objective: str, seed: int) -> Recipe:
    from tuplet.train.recipe import RECIPES, Recipe

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
