"""What an interval counts: rows, or groups of rows that are no independent draws."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.data import Source
from tuplet.types import InputError


def by_group(outcomes: ArrayLike, group: ArrayLike) -> tuple[float, ...]:
    r"""Gather outcomes of rows into one per group, so that groups are the unit of an interval.

    .. math:: o_g = \frac{G}{N} \sum_{i \in g} o_i

    Args:
        outcomes: ``(N,)``, one per test row.
        group: ``(N,)`` ids; rows of one trajectory or subject are no independent draws.

    Returns:
        ``G`` values, groups in order, whose mean is that of the rows.

    Raises:
        InputError: if the lengths differ.

    Example:
        >>> by_group([1.0, 0.0, 1.0, 1.0], [7, 7, 9, 9])
        (0.5, 1.0)
    """
    x, (_, codes) = np.asarray(outcomes, dtype=np.float64), np.unique(np.asarray(group), return_inverse=True)
    if len(x) != len(codes):
        raise InputError(f"outcomes has {len(x)} rows and group {len(codes)}; give one group id per row")
    sums = np.bincount(codes, weights=x)
    return tuple((sums * len(sums) / len(x)).tolist())


def unit_ids(source: Source, part: str) -> Tensor | None:
    """Return the groups of a part's rows, also of a source whose batches do not carry them.

    Args:
        source: the data set.
        part: ``"train"``, ``"val"`` or ``"test"``.

    Returns:
        int64 ``(n,)``, or None without groups.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = np.random.default_rng(0).normal(size=(20, 3))
        >>> len(unit_ids(from_arrays({"a": x, "b": x}, group=np.arange(20) // 2), "test"))
        4
    """
    group = getattr(source, "group", None)
    return None if group is None else torch.as_tensor(group)[torch.as_tensor(getattr(source.split, part))]
