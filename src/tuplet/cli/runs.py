"""A run folder of `tuplet train`, as the other commands read it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuplet.cli.source import NOTED, Reading, opened
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.data import Source
    from tuplet.model import AlignmentModel
    from tuplet.train.recipe import Recipe
    from tuplet.types import Start

NOTE = "run.json"


def read_note(folder: Path) -> dict[str, Any]:
    """Read what `tuplet train` was given."""
    from tuplet.io import AnyOf, Between, read_state

    schema: dict[str, Any] = {
        "schema": Between(int, 1, 1),
        "data": AnyOf(str, None),
        "recipe": AnyOf(str, None),
        "objective": AnyOf(str, None),
        "start?": {"random", "gcca"},
        "seed": Between(int, 0, 2**40),
        "fingerprint": str,
        "target": AnyOf(str, None),
        "reading": NOTED,
        "settings": {k: AnyOf(float, None) for k in ("epochs", "dim", "batch_size", "lr", "tau?")},
        **dict.fromkeys(("method?", "tower?", "frozen?"), AnyOf(str, None)),
        "plan": AnyOf([(str, str, float)], None),
    }
    fix = "give the folder that `tuplet train` wrote to"
    if not (folder / NOTE).exists():
        raise InputError(f"{folder} is not a run folder (no {NOTE}); {fix}")
    note = {"start": "random", "method": None, "tower": None, "frozen": None, **read_state(folder / NOTE, schema, fix=fix)}
    note["settings"] = {"tau": None, **note["settings"]}
    note["reading"] = {"tower": [], **note["reading"]}
    return note


def file_recipe(name: str) -> Recipe:
    """Run a user's own recipe file."""
    from tuplet.train.recipe import Recipe

    file = Path(name)
    if not file.is_file():
        raise InputError(f"recipe is {name!r}, which is not there; give a Python file that defines recipe()")
    defined = runpy.run_path(name, run_name="tuplet_recipe")
    made = defined["recipe"]() if "recipe" in defined else None
    if not isinstance(made, Recipe):
        raise InputError(f"{file} does not define recipe() -> tuplet.Recipe; see examples/recipe.py")
    return made


def source_of(note: dict[str, Any]) -> Source:
    """Load the data of a run as its model reads them."""
    if note["frozen"] is not None:
        from tuplet.cli.frozen import frozen_source

        return frozen_source(note)[0]
    if note["method"] is None:
        return opened(note["data"], Reading.noted(note["reading"]))
    from tuplet.cli.touch import touch_source

    return touch_source(note)


def data_recipe(note: dict[str, Any], *, say: Callable[[str], None] = lambda line: None) -> Recipe:
    """Make the recipe of a run on data: the encoders that suit them, and an objective by its short name; or a whole method."""
    if note["method"] is not None:
        from tuplet.cli.touch import touch_recipe

        return touch_recipe(note, say)
    if note["frozen"] is not None:
        from tuplet.cli.frozen import frozen_recipe

        return frozen_recipe(note, say)
    from tuplet.objectives import build
    from tuplet.train import Recipe, TrainConfig
    from tuplet.train._validate import lacks_pairs
    from tuplet.train.recipe import DIM, long_enough, patient, usual_target

    settings = {k: v for k, v in note["settings"].items() if v is not None}
    width = int(settings.pop("dim", DIM))
    if not 1 <= width <= 2**16:
        raise InputError(f"dim is {width}, expected a number from 1 to 65536")
    tau = settings.pop("tau", None)
    whole: dict[str, Any] = {k: v if k == "lr" else int(v) for k, v in settings.items()}
    config = TrainConfig(**whole, seed=note["seed"])
    objective = note["objective"] or "pairwise"
    build(objective, ("a", "b"), width, tau=tau)  # refused before data are read
    source = source_of(note)
    made = build(objective, tuple(source.modalities), width, tau=tau)
    low, high = made.traits.modalities
    if len(source.modalities) < low or (high is not None and len(source.modalities) > high):
        bound = f"{low}" if low == high else f"{low} or more" if high is None else f"{low} to {high}"
        raise InputError(
            f"{objective} needs {bound} modalities, but {source.name} has {', '.join(source.modalities)}; give --modalities"
        )
    if lacks_pairs(source.train):
        raise InputError(
            f"{source.name} has fewer than two training rows with two modalities: there is nothing to align; check that rows "
            f"of the modalities share their ids"
        )
    if "epochs" not in whole:
        config = long_enough(config, len(source.train))
    model = _untrained(source, width, note, say)
    return Recipe(source, model, made, patient(config), target=note["target"] or usual_target(source))


def _untrained(source: Source, dim: int, note: dict[str, Any], say: Callable[[str], None]) -> AlignmentModel:
    """Build the model, as the closed form unless the note says how it begins or the data have none."""
    import torch

    from tuplet.model import AlignmentModel, ClosedFormError

    start: Start = note["start"] or "gcca"
    torch.manual_seed(note["seed"])
    try:
        return AlignmentModel.for_source(source, dim=dim, start=start)
    except ClosedFormError as error:
        if note["start"] is not None:
            raise
        say(f"Encoders begin at random: {error.why}.")
        torch.manual_seed(note["seed"])
        return AlignmentModel.for_source(source, dim=dim)
