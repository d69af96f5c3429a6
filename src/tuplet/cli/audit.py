"""The ``tuplet audit`` command, and what ``tuplet train --align auto`` makes of it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tuplet.cli.source import Reading, opened
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.data import Source
    from tuplet.objectives import Objective
    from tuplet.train.recipe import Recipe


@dataclass(frozen=True)
class Audit(Reading):
    """Find out, before any long training, whether and how strongly to align each pair of modalities."""

    source: Positional[str]
    """Name of a source (see `tuplet data list`), or a file such as my.npz: an array per modality, a 'label' or 'target', and
    perhaps a 'group'."""
    pairs: tuple[str, ...] = ()
    """Pairs of modalities, one name after the other, such as: fourier zernike pixels zernike [default: all pairs]."""
    seeds: int = 3
    """Pilot trainings per strength, 2 or more."""
    steps: int = 300
    """Steps per pilot training. Use the number you plan to train for: the advice is only valid for that length."""
    out: Path | None = None
    """Folder of the report [default: runs/audit/SOURCE]."""
    fresh: bool = False
    """Remove what an earlier command left in the folder, and start anew."""


def audit(command: Audit) -> None:
    """Audit a source, print the essentials and say where the report is."""
    from tuplet.audit import audit as run
    from tuplet.audit._question import asked as question
    from tuplet.audit._question import limits
    from tuplet.audit._report import summary, write_report
    from tuplet.io import fresh, locked, safe_name
    from tuplet.report.progress import Progress
    from tuplet.study._show import contents

    if len(command.pairs) % 2:
        raise InputError(f"pairs has {len(command.pairs)} names, expected them two by two")
    source = opened(command.source, command)
    pairs = list(zip(command.pairs[::2], command.pairs[1::2], strict=True)) or None
    if not source.targets:
        _without_target(source, pairs, command.out)
        return
    asked: dict[str, Any] = {
        "target": command.target,
        "pairs": pairs,
        "seeds": range(command.seeds),
        "steps": command.steps,
    }
    if short := limits(source, question(source, **asked)):
        print(_fitted("\n".join([*short, "Everything else is still measured."])))
    print(contents(source), file=sys.stderr)
    out = command.out or Path("runs/audit") / safe_name(source.name)
    if command.fresh:
        fresh(out)
    with locked(out), Progress(f"audit of {source.name} -> {out}") as progress:
        found = run(source, **asked, out=out, report=progress.advance)
        given = shlex.join([command.source, *given_options(command)])
        file = write_report(found, out, given=given)
    print(_fitted(summary(found, given=given)))
    print(f"{found.seconds:.0f} s; report: {file}")


def _fitted(text: str) -> str:
    """Break sentences that are wider than a terminal; commands and tables stay as they are."""
    from tuplet.evaluate.screen import wrapped

    lines = text.splitlines()
    return "\n".join(t for line in lines for t in ([line] if ": tuplet " in line or "  " in line else wrapped(line)))


def _without_target(source: Source, pairs: list[tuple[str, str]] | None, out: Path | None) -> None:
    """Say whether modalities are related at all, which needs no target, and what a target would add."""
    from tuplet.audit.relation import LEGEND, NEEDS, related, relation_answer, relation_report, relation_table
    from tuplet.io import locked, safe_name
    from tuplet.report import Grid

    found = related(source, pairs=pairs)
    out = out or Path("runs/audit") / safe_name(source.name)
    with locked(out):
        file = relation_report(source, found, out)
    head, *lines = relation_table(found, longest=8)
    grid = Grid(head, lines, words=len(head)).text()
    print(_fitted("\n".join([relation_answer(found), grid, LEGEND, NEEDS, f"report: {file}"])))


def given_options(command: Reading) -> list[str]:
    """Write the options by which data were read, but for the target, as a command line has them."""
    words: list[str] = []
    for name in ("root", "modalities", "group", "id", "kind", "scaling", "target_kind"):
        value = getattr(command, name)
        if value:
            words += [f"--{name.replace('_', '-')}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return words


LONGEST = 1200
"""Steps of a pilot for ``--align auto``, if the recipe trains longer."""
Plan = list[tuple[str, str, float]]
"""Pairs to align, and how strongly."""


def planned(recipe: Recipe, out: Path) -> Plan:
    """Audit a recipe's source, with pilots as long as its training (at most `LONGEST` steps), and say what follows and why."""
    from tuplet.audit import audit as run
    from tuplet.audit._report import summary, write_report
    from tuplet.report.progress import Progress
    from tuplet.train import TrainConfig

    _has_target(recipe)
    own = recipe.config
    steps = min(own.epochs * max(len(recipe.source.train) // own.batch_size, 1), LONGEST)
    config = TrainConfig(batch_size=own.batch_size, lr=own.lr, weight_decay=own.weight_decay, warmup=own.warmup)
    with Progress(f"audit of {recipe.source.name}, {steps} steps -> {out}") as progress:
        found = run(recipe.source, target=recipe.target, steps=steps, config=config, out=out, report=progress.advance)
    print(_fitted(summary(found)))
    for p in found.pairs:
        if p.pair in found.plan:
            print(f"{' + '.join(p.pair)}: strength {p.advice.strength:g}. {p.advice.evidence[0]}")
    if not found.plan:
        print("no pair is aligned: no strength was found to help")
    print(f"report: {write_report(found, out)}")
    return [(*pair, strength) for pair, strength in found.plan.items()]


def aligned(recipe: Recipe, plan: Plan) -> Objective:
    """Make the objective of a plan: each modality's task, and InfoNCE between the pairs that it names."""
    import torch

    from tuplet.objectives import Pairwise
    from tuplet.objectives.unimodal import UnimodalTask
    from tuplet.train.strength import weighted

    _has_target(recipe)
    with torch.no_grad():
        emb = recipe.model.eval()(recipe.source.train[slice(0, 2)])
    recipe.model.train()
    widths = {k: h.shape[1] for k, h in emb.h.items()}
    task = UnimodalTask(widths, recipe.source.targets[recipe.target].size, target=recipe.target)
    return weighted(task, {(a, b): strength for a, b, strength in plan}, Pairwise(tau=0.07), tuple(widths))


def _has_target(recipe: Recipe) -> None:
    if recipe.target not in recipe.source.targets:
        raise InputError(
            f"--align auto asks about the recipe's target {recipe.target!r}, but {recipe.source.name} has "
            f"{sorted(recipe.source.targets)}; name one of them with Recipe(..., target=...)"
        )
