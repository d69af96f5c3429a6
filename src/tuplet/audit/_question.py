"""What an audit is asked, checked before anything is computed or written, and what the data at hand cannot answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch

from tuplet.audit._folds import FEW_GROUPS, LEAST_GROUPS, check_folds, folds_for, lacks
from tuplet.audit.pilots import STEPS, STRENGTHS
from tuplet.data import Rows, Source
from tuplet.data._targets import target_of
from tuplet.train._fits import FEW, check_rows, rows_with
from tuplet.train._rows import sample
from tuplet.train.config import TrainConfig
from tuplet.types import InputError, in_range


@dataclass(frozen=True, slots=True)
class Question:
    """A checked question."""

    target: str
    pairs: tuple[tuple[str, str], ...]
    config: TrainConfig
    settings: dict[str, Any]


def asked(
    source: Source,
    *,
    target: str | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    config: TrainConfig | None = None,
    permutations: int = 100,
    bootstrap: int = 60,
    folds: int | None = None,
) -> Question:
    """Check every argument of `tuplet.audit.audit`."""
    names = sorted(source.modalities)
    if not source.targets:
        raise InputError(
            f"{source.name} has no target, and an audit asks what alignment does to the accuracy on one: add an array "
            "'label' or name one with --target; `tuplet.audit.related` needs none, and says whether modalities are related"
        )
    target = target_of(source, target)
    source = source.labelled(target)
    about = source.targets[target]
    if about.kind == "real" and about.size != 1:
        raise InputError(
            f"the target {target!r} has {about.size} columns, an audit asks about one; give them as targets of their own, "
            "and name one with --target"
        )
    wanted = []
    for pair in combinations(names, 2) if pairs is None else pairs:
        if len(pair) != 2 or len(set(pair)) != 2 or set(pair) - set(names):
            raise InputError(f"pairs has {tuple(pair)}, expected two different names of {names}")
        wanted.append((min(pair), max(pair)))
    levels = sorted({0.0, *map(float, strengths)})
    if not all(0 <= s < math.inf for s in levels):
        raise InputError(f"strengths is {list(strengths)}, expected numbers >= 0")
    if len(levels) < 2:
        raise InputError(f"strengths is {list(strengths)}, expected at least one above 0 to compare with 0")
    if isinstance(seeds, int):
        raise InputError(f"seeds is {seeds}, expected the seeds themselves, such as (0, 1, 2)")
    if len(set(seeds)) < 2:
        raise InputError(
            f"seeds has {len(set(seeds))} entr{'y' if len(set(seeds)) == 1 else 'ies'}, expected two or more (such as "
            "--seeds 3): one training says nothing of the spread"
        )
    in_range("steps", steps, 1)
    in_range("permutations", permutations, 1)
    in_range("bootstrap", bootstrap, 0)
    config = TrainConfig(lr=3e-3) if config is None else config
    present = rows_with(source, ("train", "val"))
    for pair in wanted:
        check_rows(present, pair)
        _check_groups(source, pair)
    check_folds(folds, source)
    return Question(
        target,
        tuple(dict.fromkeys(wanted)),
        config,
        {
            "strengths": levels,
            "seeds": list(seeds),
            "steps": steps,
            "permutations": permutations,
            "bootstrap": bootstrap,
            "folds": folds_for(source, target) if folds is None else folds,
            "batch_size": config.batch_size,
            "lr": config.lr,
            "weight_decay": config.weight_decay,
        },
    )


def _check_groups(source: Source, pair: tuple[str, str]) -> None:
    """Refuse a pair whose rows come from so few groups that nothing is known of how much groups differ."""
    if source.group is None:
        return
    held = lacks((sample(source.train), sample(source.val)), pair)
    if held is not None and held[1] < LEAST_GROUPS:
        tested = len(torch.unique(source.group[source.test.positions]))
        raise InputError(
            f"training and validation rows of {pair[0]!r} and {pair[1]!r} come from {held[1]} groups ({tested} more kept for "
            f"the test), expected {LEAST_GROUPS} or more: so few do not show how much groups differ. Give rows of "
            f"{LEAST_GROUPS + 1} groups or more in all, or leave the group out if rows are independent of each other"
        )


def limits(source: Source, question: Question) -> list[str]:
    """Say which verdicts the data cannot give, however long the audit runs."""
    source = source.labelled(question.target)
    two = sample(source.train), sample(source.val)
    whole = sum(len(part) for part in (source.train, source.val, source.test))
    said: dict[str, list[str]] = {}
    for pair in question.pairs:
        parts: tuple[Rows, ...] = two
        least, name = LEAST_GROUPS, "rows outside the test part"
        found = lacks(parts, pair)
        if found is None and question.settings["folds"] == 1:
            parts, least, name = two[1:], FEW_GROUPS, "validation rows"
            found = lacks(parts, pair, least)
        if found is None:
            continue
        (rows, groups), reasons = found, []
        if rows < FEW:
            needed = math.ceil(round(FEW * whole / max(sum(map(len, parts)), 1), 6))
            reasons.append(f"{rows} {name} hold both modalities, and a verdict needs {FEW} (about {needed} rows in all)")
        if source.group is not None and groups < least:
            reasons.append(f"the {name} come from {groups} group{'s' * (groups != 1)}, and a verdict needs {least}")
        said.setdefault("; ".join(reasons), []).append(" + ".join(pair))
    every = len(question.pairs)
    return [
        f"No verdict is possible{'' if len(pairs) == every else ' on ' + ', '.join(pairs)}: {why}."
        for why, pairs in said.items()
    ]
