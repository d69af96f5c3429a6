"""The ``tuplet audit`` command, and what ``tuplet train --align auto`` makes of it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tuplet.cli.source import Reading, opened
from tuplet.errors import InputError
from tuplet.io import fresh, locked, safe_name

if TYPE_CHECKING:
    from tuplet.audit._planned import Plan
    from tuplet.data import Source
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
    from tuplet.audit._folds import announced
    from tuplet.audit._question import asked as question
    from tuplet.audit._question import limits
    from tuplet.audit._report import summary, write_report
    from tuplet.cli.contents import contents
    from tuplet.report.progress import Progress

    if len(command.pairs) % 2:
        raise InputError(f"pairs has {len(command.pairs)} names, expected them two by two")
    source = opened(command.source, command)
    pairs = list(zip(command.pairs[::2], command.pairs[1::2], strict=True)) or None
    if not source.targets:
        _without_target(source, pairs, command.out)
        return
    asked: dict[str, Any] = {"target": command.target, "pairs": pairs, "seeds": range(command.seeds), "steps": command.steps}
    about = question(source, **asked)
    if short := limits(source, about):
        print(_fitted("\n".join([*short, "Everything else is still measured."])))
    if (folds := about.settings["folds"]) > 1:
        print(_fitted(announced(source.labelled(about.target), folds)))
    print(contents(source), file=sys.stderr)
    out = command.out or Path("runs/audit") / safe_name(source.name)
    if command.fresh:
        fresh(out)
    with locked(out), Progress(f"audit of {source.name} -> {out}") as progress:
        found = run(source, **asked, out=out, report=progress.advance)
        given = shlex.join([command.source, *replace(command, target=None).words()])
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
    from tuplet.report import Grid

    found = related(source, pairs=pairs)
    out = out or Path("runs/audit") / safe_name(source.name)
    with locked(out):
        file = relation_report(source, found, out)
    head, *lines = relation_table(found, longest=8)
    grid = Grid(head, lines, words=len(head)).text()
    print(_fitted("\n".join([relation_answer(found), grid, LEGEND, NEEDS, f"report: {file}"])))


def planned(recipe: Recipe, out: Path) -> Plan:
    """Audit a recipe's source, and say what follows and why."""
    from tuplet.audit._planned import audit_recipe
    from tuplet.audit._report import summary, write_report
    from tuplet.report.progress import Progress

    with Progress(f"audit of {recipe.source.name} -> {out}") as progress:
        found = audit_recipe(recipe, out, report=progress.advance)
    print(_fitted(summary(found)))
    for p in found.pairs:
        if p.pair in found.plan:
            print(f"{' + '.join(p.pair)}: strength {p.advice.strength:g}. {p.advice.evidence[0]}")
    if not found.plan:
        print("no pair is aligned: no strength was found to help")
    print(f"report: {write_report(found, out)}")
    return [(*pair, strength) for pair, strength in found.plan.items()]
