"""Whether a target and the rows at hand suit a comparison of strengths: asked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from tuplet.data import Source, Target
from tuplet.train._rows import sample
from tuplet.types import InputError

LEAST = {"train": 8, "val": 4, "test": 4}
"""Rows with both modalities below which nothing can be trained or compared."""
FEW = 50
"""With fewer rows to judge by nothing is said, or small changes are called noise."""
_WORDS = {"train": "training", "val": "validation", "test": "test"}


def check_threshold(threshold: float | None, target: str, about: Target) -> None:
    """Refuse a threshold for a target that has none."""
    if about.size < 1:
        raise InputError(f"the target {target!r} has no column; name another one with --target")
    if threshold is None:
        return
    if about.kind != "real" or about.size != 1:
        raise InputError(f"threshold is {threshold}, but {target!r} is not a real target of one dimension; leave it out")
    if not math.isfinite(threshold):
        raise InputError(f"threshold is {threshold}, expected a finite number")


def rows_with(source: Source, parts: Sequence[str]) -> dict[str, Mapping[str, Tensor]]:
    """Read which modalities the rows of some parts have."""
    return {part: sample(getattr(source, part)).present for part in parts}


def check_rows(present: Mapping[str, Mapping[str, Tensor]], pair: tuple[str, str]) -> None:
    """Refuse a pair that too few rows have."""
    for part, has in present.items():
        both = int((has[pair[0]] & has[pair[1]]).sum())
        if both < LEAST[part]:
            raise InputError(
                f"{both} {_WORDS[part]} rows hold both {pair[0]!r} and {pair[1]!r}, expected {LEAST[part]} or more (about "
                "20 rows in all); give more rows, or name another pair"
            )
