"""``tuplet train --frozen``: new modalities into a space that does not move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuplet.cli.source import Reading, arguments, is_file, opened, pairs
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.data import Source
    from tuplet.model import AlignmentModel
    from tuplet.train.recipe import Recipe


def frozen_source(note: dict[str, Any]) -> tuple[Source, tuple[str, ...], AlignmentModel | None]:
    """Load the data of a run with the space beside them: the names of the space, and its model if it has one."""
    how, data, space = Reading.noted(note["reading"]), note["data"], note["frozen"]
    if not Path(space).exists():
        source = opened(data, how)
        if space not in source.modalities and (Path(space).suffix or "/" in space):
            raise InputError(f"--frozen is {space!r}, which is not there; check the path")
        if space not in source.modalities:
            raise InputError(
                f"--frozen is {space!r}, expected one of {', '.join(source.modalities)}, a model folder, or a file of vectors"
            )
        if source.modalities[space].kind == "text":
            raise InputError(
                f"--frozen is {space!r}, which holds texts, no vectors; add the tower whose space it is: --tower {space}=PATH"
            )
        scale = source.preprocessing[space].scale
        if is_file(data.partition("?")[0]) and (scale.mean.any() or (scale.deviation != 1).any()):
            if "" in pairs("scaling", how.scaling):
                raise InputError(f"--scaling is {how.scaling[0]!r}, but a frozen space is not scaled; say for which: NAME=WORD")
            source = opened(data, replace(how, scaling=(*how.scaling, f"{space}=none")))
        return source, (space,), None
    from tuplet.joining._space import joined_source, open_space

    file, _, text = data.partition("?")
    if not is_file(file):
        raise InputError(f"--frozen is {space}, whose ids rows of a file can have; {file} has none: give a file of yours")
    held = open_space(space)
    given = arguments(file, text, how)
    columns = given["modalities"] if isinstance(given["modalities"], dict) else None
    wanted = None if given["modalities"] is None else list(given["modalities"])
    towers = pairs("tower", how.tower)
    source, old = joined_source(held, Path(file), {**given, "modalities": columns, "split": None}, wanted, towers)
    return replace(source, name=Path(file).stem), old, held.model


def frozen_recipe(note: dict[str, Any], say: Callable[[str], None]) -> Recipe:
    """Make the recipe of a run into a frozen space."""
    from tuplet.evaluate.screen import listed
    from tuplet.joining.adding import recipe
    from tuplet.train import TrainConfig

    source, old, model = frozen_source(note)
    settings: dict[str, Any] = {k: v if k in ("lr", "tau") else int(v) for k, v in note["settings"].items() if v is not None}
    tau = settings.pop("tau", 0.07)
    config = TrainConfig(**settings, seed=note["seed"])
    new = [k for k in source.modalities if k not in old]
    say(f"The space of {listed(old)} stays as it is; only {listed(new)} trains, from ridge regression onto it.")
    made = recipe(source, old, model=model, tau=tau, config=config)
    return replace(made, target=note["target"] or made.target)


def told(recipe: Recipe) -> str:
    """Measure what the new modalities of a trained model find in the space."""
    from tuplet.joining.finding import reached

    new = {name for pair in recipe.objective.pairs for name in pair[:1]}  # type: ignore[attr-defined]
    return str(reached(recipe.model.eval(), recipe.source, [k for k in recipe.source.modalities if k not in new]))
