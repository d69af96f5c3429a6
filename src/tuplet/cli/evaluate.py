"""The ``tuplet evaluate`` command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tuplet.cli.runs import NOTE, data_recipe, file_recipe, read_note
from tuplet.cli.source import Reading
from tuplet.errors import InputError
from tuplet.io import AnyOf, parse_state

if TYPE_CHECKING:
    from tuplet.model import AlignmentModel
    from tuplet.train.recipe import Recipe


WIDEST = 2**15
"""Numbers per row from which a method on towers is not compared with what reads the pictures themselves."""


@dataclass(frozen=True)
class Evaluate(Reading):
    """Probe a trained model and retrieve with it, beside plain inputs, random encoders and a linear closed form."""

    run: Positional[Path]
    """Folder that `tuplet train` wrote to."""
    data: str | None = None
    """Where the data lie now, if they were moved since training."""
    recipe: Path | None = None
    """The recipe's Python file, if the run came from one: code named by a run folder is never executed."""
    details: bool = False
    """Also print every subset of modalities and every direction of retrieval."""


def evaluate(command: Evaluate) -> None:
    """Evaluate a trained run and print its numbers beside chance."""
    from torch import nn

    from tuplet import evaluate as evaluation
    from tuplet.model import read_weights
    from tuplet.study._show import print_results
    from tuplet.train import _checkpoint as checkpoint
    from tuplet.train._folder import read_progress, write_card

    note = read_note(command.run)
    progress, weights = read_progress(command.run), read_weights(command.run)
    recipe = _recipe(command, note)
    if note["plan"] is not None:
        from tuplet.audit._planned import aligned

        recipe = replace(recipe, objective=aligned(recipe, note["plan"]))
    model, objective = recipe.model, recipe.objective
    try:
        own = {k: v for k, v in weights.items() if not k.startswith("objective.")}
        names = {k.replace("._orig_mod.", "."): k for k in model.state_dict()}
        lent = {k: v for k, v in model.state_dict().items() if k in model.based}
        model.load_state_dict(lent | {names.get(k, k): v for k, v in own.items()})
        if isinstance(objective, nn.Module):
            objective.load_state_dict(checkpoint.part(weights, "objective"))
    except RuntimeError as error:
        raise InputError(
            f"{command.run} was trained with another model or objective than its recipe makes now: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    if not progress["finished"]:
        print(f"unfinished: {progress['done']} of {progress['epochs']} epochs; run the same `tuplet train` to go on")
    target = command.target or (recipe.target if recipe.target in recipe.source.targets else None)
    results = evaluation.evaluate(model, objective, recipe.source, target=target)
    wide = note["method"] is not None and max(prod(m.shape) for m in recipe.source.modalities.values()) > WIDEST
    beside = None if wide else evaluation.baselines(recipe.source, target=target, seed=note["seed"])
    if command.details:
        print_results(results)
    text = evaluation.summary(results, beside)
    if note["frozen"] is not None:
        from tuplet.cli.frozen import told

        text = f"{told(recipe)}\n\n{text}"
    print(text)
    write_card(command.run, progress, _history(command.run), text)
    print(f"now: tuplet embed {command.run} DATA --out emb.npz")


def _recipe(command: Evaluate, note: dict[str, Any]) -> Recipe:
    from tuplet.model import load

    if note["recipe"] is not None:
        if command.recipe is None:
            raise InputError(
                f"{command.run} came from the file {note['recipe']}; pass it with --recipe, as run folders execute no code"
            )
        recipe = file_recipe(str(command.recipe))
    else:
        if note["data"] is None:
            raise InputError(f"{command.run / NOTE} names neither data nor a recipe; train again with --fresh")
        given = {k: v for k, v in command.note().items() if v not in (None, [])}
        now = {"data": command.data or note["data"], "reading": note["reading"] | given}
        recipe = data_recipe({**note, **now, "start": "random"})  # the closed form is not solved again
    if recipe.source.fingerprint != note["fingerprint"]:
        raise InputError(
            f"{command.run} was trained on other data or another split than are read now; its test rows are not known here. "
            f"Give --data for a file that moved; to embed other rows, use `tuplet embed {command.run} DATA`"
        )
    if note["method"] is not None or note["frozen"] is not None:
        return replace(recipe, model=load(command.run))
    if note["recipe"] is None and note["start"] == "gcca":
        recipe = replace(recipe, model=_started(command.run, recipe.model))
    return recipe


def _started(folder: Path, plain: AlignmentModel) -> AlignmentModel:
    """Load a model that began as the closed form; the plain one's networks are its branches."""
    from tuplet.model import load

    model = load(folder)
    own = {k.replace(".branch.", ".", 1): v.shape for k, v in model.state_dict().items()}
    if model.start != "gcca" or any(own.get(k) != v.shape for k, v in plain.state_dict().items()):
        raise InputError(f"{folder} was trained with another model than {NOTE} says; restore it, or train again with --fresh")
    return model


def _history(folder: Path) -> list[dict[str, float | int]]:
    """Read the log of a run; a damaged one tells nothing."""
    try:
        lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
        return [parse_state(line, {...: AnyOf(None, float)}, where="train.jsonl") for line in lines]
    except (OSError, ValueError):
        return []
