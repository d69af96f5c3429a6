"""Which rows a pilot trains on and which it judges by: two parts of the split, or folds where one part is too small."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tuplet.data import Rows, Source
from tuplet.data.splits import folds_of
from tuplet.information._codes import classes
from tuplet.train._fits import FEW, LEAST
from tuplet.train._rows import groups, sample
from tuplet.types import Batch, InputError, in_range

ENOUGH = 200
"""With fewer validation rows, folds let every row be judged once: on 100 rows a change of 5 points is easily chance."""
FEW_GROUPS = 10
"""With fewer groups of validation rows likewise; without folds nothing is said then."""
LEAST_GROUPS = 4
"""With fewer groups outside the test part nothing is said. With three, a 80 % t interval is a third wider than with four, and
a fold trains on two groups; the decomposition needs two to find codes on and two to count."""
MOST = 5
"""Folds, or one per group if there are fewer."""


@dataclass(frozen=True, slots=True, eq=False)
class Judging:
    """Rows of a pilot, and which of them train and judge in each fold."""

    rows: Batch  # training rows, then those of the other part
    parts: tuple[tuple[Tensor, Tensor], ...]  # per fold: positions to train on, and to judge by
    units: Tensor | None  # group of each row

    @property
    def held(self) -> Tensor:
        """Return the positions that are judged by, fold after fold."""
        return torch.cat([held for _, held in self.parts])


def judging(source: Source, target: str, *, part: Literal["val", "test"] = "val", folds: int | None = None) -> Judging:
    """Read the rows of a pilot; more than one fold never reads a test row."""
    count = (1 if part == "test" else folds_for(source, target)) if folds is None else folds
    two = sample(source.train), sample(getattr(source, part))
    first, second = (rows[:] for rows in two)
    both = Batch(
        inputs={k: torch.cat([first.inputs[k], second.inputs[k]]) for k in first.inputs},
        present={k: torch.cat([first.present[k], second.present[k]]) for k in first.inputs},
        index=torch.cat([first.index, second.index]),
        group=None if first.group is None or second.group is None else torch.cat([first.group, second.group]),
        target={target: torch.cat([first.target[target], second.target[target]])},
    )
    every, n = torch.arange(len(both)), len(first)
    if count == 1:
        return Judging(both, ((every[:n], every[n:]),), groups(source, both))
    fold = _folds(two, target, count)
    return Judging(both, tuple((every[fold != f], every[fold == f]) for f in range(count)), groups(source, both))


def folds_for(source: Source, target: str) -> int:
    """Choose the number of folds: 1 if every pair has validation rows and groups enough, or if folds do not help either."""
    two = sample(source.train), sample(source.val)
    held = two[0].group is not None
    count = min(MOST, _count(torch.cat([_units(rows) for rows in two]))) if held else MOST
    short = [
        pair
        for pair in combinations(sorted(source.modalities), 2)
        if lacks(two[1:], pair, FEW_GROUPS, rows=ENOUGH) and not lacks(two, pair)
    ]
    if not short:
        return 1
    fold = _folds(two, target, count)
    return count if all(int((fold != f).sum()) >= LEAST["train"] for f in range(count)) else 1


def lacks(
    parts: tuple[Rows, ...], pair: tuple[str, str], least: int = LEAST_GROUPS, *, rows: int = FEW
) -> tuple[int, int] | None:
    """Count the rows and groups that a pair has in some parts, if they are too few to judge by."""
    there, held = 0, []
    for part in parts:
        here = part.present[pair[0]] & part.present[pair[1]]
        there += int(here.sum())
        held.append(_units(part)[here])
    count = _count(torch.cat(held))
    few = there < rows or (parts[0].group is not None and count < least)
    return (there, count) if few else None


def announced(source: Source, folds: int) -> str:
    """Say in a line why folds are used, over what, and what is kept out."""
    units = [_count(_units(part)) for part in (source.train, source.val, source.test)]
    what = "rows" if source.group is None else "groups"
    why = ""
    if source.group is not None and units[1] < FEW_GROUPS:
        why = f"The validation rows come from {units[1]} groups, and a verdict by them alone needs {FEW_GROUPS}. So "
    elif len(source.val) < ENOUGH:
        why = f"{len(source.val)} validation rows are few for a verdict by them alone. So "
    return (
        f"{why}{folds} folds over {sum(units[:2])} {what} ({units[2]} more kept for the test): each is judged once, by "
        "models that did not see it."
    )


def check_folds(folds: int | None, source: Source) -> None:
    """Refuse a number of folds that the groups do not allow."""
    if folds is None:
        return
    in_range("folds", folds, 1)
    units = torch.cat([_units(sample(part)) for part in (source.train, source.val)])
    if folds > (most := _count(units)):
        raise InputError(f"folds is {folds}, but rows outside the test part come from {most} groups; give at most {most}")


def _folds(two: tuple[Rows, ...], target: str, count: int) -> Tensor:
    """Give every row of both parts a fold; groups stay whole, classes (or quarters of a real target) are balanced."""
    y = torch.cat([rows.target[target] for rows in two])
    codes = np.unique(torch.cat([_units(rows) for rows in two]).numpy(), return_inverse=True)[1]
    return torch.from_numpy(folds_of(codes.astype(np.int64), classes(y), count))


def _units(rows: Rows) -> Tensor:
    """Return the groups of rows; of rows without, their own numbers."""
    return rows.positions if rows.group is None else rows.group


def _count(units: Tensor) -> int:
    return len(torch.unique(units))
