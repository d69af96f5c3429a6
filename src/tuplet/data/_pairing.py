"""Pair parts of two data sets by a rule that sets what the pair says about the label: jointly, alone, or only together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError, in_range, one_of

Rule = Literal["redundancy", "uniqueness", "synergy"]
Side = Literal["first", "second"]


def joint(
    structure: Rule | Mapping[Rule, float], *, size: int = 10, classes: int = 10, side: Side = "first"
) -> NDArray[np.float64]:
    r"""Return the joint distribution of two values and a label."""
    in_range("size", size, 2)
    one_of("side", side, get_args(Side))
    if not 2 <= classes <= size or size % classes:
        raise InputError(f"classes is {classes}, expected a divisor of {size}, at least 2")
    shares: Mapping[Rule, float] = {structure: 1.0} if isinstance(structure, str) else structure
    for rule, share in shares.items():
        one_of("structure", rule, get_args(Rule))
        in_range(f"structure[{rule!r}]", share, 0)
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"structure has shares {list(shares.values())}, expected positive ones that sum to 1")
    a, b = np.indices((size, size))
    table = np.zeros((size, size, classes))
    for rule, share in shares.items():
        p = np.eye(size) / size if rule == "redundancy" else np.full((size, size), 1 / size**2)
        y = a + b if rule == "synergy" else b if rule == "uniqueness" and side == "second" else a
        np.add.at(table, (a, b, y % classes), share * p)
    return table


def draw_cells(
    table: NDArray[np.float64], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw rows of a joint distribution, every cell as often as its share of ``n``, rounded up or down."""
    edges = np.cumsum(table.reshape(-1))
    at = np.searchsorted(edges, (np.arange(n) + rng.random()) / n * edges[-1], side="right")
    cells = np.unravel_index(rng.permutation(np.minimum(at, table.size - 1)), table.shape)
    a, b, y = (c.astype(np.int64) for c in cells)
    return a, b, y


def draw_members(
    wanted: NDArray[np.int64], values: NDArray[np.int64], pool: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose a member of a pool for every wanted value, all members of one value equally often, give or take one."""
    chosen = np.empty(len(wanted), dtype=np.int64)
    for value in np.unique(wanted):
        here, members = np.flatnonzero(wanted == value), pool[values[pool] == value]
        if len(members) == 0:
            raise InputError(f"a part has no member with value {value} to choose; give more of them, or another seed")
        turns = -(-len(here) // len(members))
        chosen[here] = np.concatenate([rng.permutation(members) for _ in range(turns)])[: len(here)]
    return chosen
