"""Leave out the rows of a source that have no label, for whatever learns or judges by labels."""

from __future__ import annotations

from dataclasses import replace

from tuplet.data.arrays import Arrays
from tuplet.data.missing import Masked
from tuplet.data.on_demand import Stored
from tuplet.data.source import Source
from tuplet.data.splits import PARTS, Split
from tuplet.types import InputError


def labelled(source: Source, target: str | None) -> Source:
    """Leave out the rows without a class of one target."""
    if isinstance(source, Masked):
        fewer = labelled(source.source, target)
        return source if fewer is source.source else replace(source, source=fewer)
    if target is None or target not in source.targets or not isinstance(source, Arrays | Stored):
        return source
    codes = source.values[target]
    if codes.is_floating_point() or bool((codes >= 0).all()):
        return source
    parts = {part: (rows := getattr(source.split, part))[codes.numpy()[rows] >= 0] for part in PARTS}
    for part, rows in parts.items():
        if not len(rows):
            raise InputError(f"targets[{target!r}] has no label in the {part} rows; label more rows, or pass split=")
    split = Split(parts["train"], parts["val"], parts["test"], source.split.seed)
    return replace(source, split=split)
