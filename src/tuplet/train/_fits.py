"""Whether a target and the rows at hand suit a comparison of strengths: asked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from tuplet.data import Source, Target
from tuplet.train._rows import some
from tuplet.types import InputError

LEAST = {"train": 8, "val": 4, "test": 4}
"""Rows with both modalities below which nothing can be trained or compared."""
_WORDS = {"train": "training", "val": "validation", "test": "test"}


def check_threshold(threshold: float | None, target: str, about: Target) -> None:
    """Refuse a threshold for a target that has none.

    Args:
        threshold: as in `tuplet.train.strategic`.
        target: its name.
        about: what it is.

    Raises:
        InputError: unless the target is a real number.

    Example:
        >>> check_threshold(0.5, "label", Target("class", 2))
        Traceback (most recent call last):
        tuplet.types.InputError: threshold is 0.5, but 'label' is not a real target of one dimension; leave it out
    """
    if about.size < 1:
        raise InputError(f"the target {target!r} has no column; name another one with --target")
    if threshold is None:
        return
    if about.kind != "real" or about.size != 1:
        raise InputError(
            f"threshold is {threshold}, but {target!r} is not a real target of one dimension; leave it out"
        )
    if not math.isfinite(threshold):
        raise InputError(f"threshold is {threshold}, expected a finite number")


def rows_with(source: Source, parts: Sequence[str]) -> dict[str, Mapping[str, Tensor]]:
    """Read which modalities the rows of some parts have.

    Args:
        source: the data.
        parts: of ``"train"``, ``"val"``, ``"test"``.

    Returns:
        Part -> modality -> ``(n,)`` bool, of at most `tuplet.train._rows.ROWS` rows.

    Example:
        >>> from tuplet.data.sources import blocks
        >>> {k: int(v["x1"].sum()) for k, v in rows_with(blocks.load(rows=100), ("train", "val")).items()}
        {'train': 60, 'val': 20}
    """
    return {part: some(getattr(source, part)).present for part in parts}


def check_rows(present: Mapping[str, Mapping[str, Tensor]], pair: tuple[str, str]) -> None:
    """Refuse a pair that too few rows have.

    Args:
        present: from `rows_with`.
        pair: two modalities.

    Raises:
        InputError: naming the pair, the part, the number of rows and what is enough.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = [[float(i)] for i in range(10)]
        >>> check_rows(rows_with(from_arrays({"a": x, "b": x}), ("train", "val")), ("a", "b"))
        Traceback (most recent call last):
        tuplet.types.InputError: 6 training rows hold both 'a' and 'b', expected 8 or more (about 20 rows in all); give ...
    """
    for part, has in present.items():
        both = int((has[pair[0]] & has[pair[1]]).sum())
        if both < LEAST[part]:
            raise InputError(
                f"{both} {_WORDS[part]} rows hold both {pair[0]!r} and {pair[1]!r}, expected {LEAST[part]} or more (about "
                "20 rows in all); give more rows, or name another pair"
            )
