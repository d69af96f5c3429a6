"""What an interval counts: rows, or groups of rows that are no independent draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.data import Source
from tuplet.data.source import Part
from tuplet.types import InputError


def by_group(outcomes: ArrayLike, group: ArrayLike) -> tuple[float, ...]:
    r"""Gather outcomes of rows into one per group, so that groups are the unit of an interval."""
    x, (_, codes) = np.asarray(outcomes, dtype=np.float64), np.unique(np.asarray(group), return_inverse=True)
    if len(x) != len(codes):
        raise InputError(f"outcomes has {len(x)} rows and group {len(codes)}; give one group id per row")
    sums = np.bincount(codes, weights=x)
    return tuple((sums * len(sums) / len(x)).tolist())


def unit_ids(source: Source, part: Part) -> Tensor | None:
    """Return the groups of a part's rows, also of a source whose batches do not carry them."""
    return source.part(part).group
