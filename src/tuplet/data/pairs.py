"""Pairs of rows that do or do not come from the same trajectory: a task in which rows of one part of a split are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.data._columns import as_array, group_codes
from tuplet.data.splits import PARTS, Split
from tuplet.data.table import Table, write_table
from tuplet.types import InputError, in_range

CHUNK = 64
"""Rows whose distances to all others are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of rows and whether both are of the same group.

    Attributes:
        left: int64 ``(count,)`` row numbers.
        right: likewise; never the row on the left.
        same: bool ``(count,)``.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    same: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left)

    @property
    def sha256(self) -> str:
        """Return the checksum of the pairs, little-endian and in their order."""
        digest = hashlib.sha256(len(self).to_bytes(8, "little"))
        for column in (self.left, self.right, self.same.astype(np.int64)):
            digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def save(self, path: Path | str) -> None:
        """Write the pairs and their checksum to one file, at once or not at all."""
        columns = {"left": self.left, "right": self.right, "same": self.same}
        write_table(path, columns, about={"pairs": self.sha256})

    @classmethod
    def load(cls, path: Path | str) -> Pairs:
        """Read pairs that `save` wrote; refuse a file that is damaged or something else."""
        table = Table.open(path)
        dtypes = {k: (v.dtype.name, v.ndim) for k, v in table.columns.items()}
        if dtypes != {"left": ("int64", 1), "right": ("int64", 1), "same": ("bool", 1)}:
            raise InputError(f"path {path} holds {sorted(dtypes)}, expected the columns left, right and same of pairs")
        pairs = cls(**{k: np.array(v) for k, v in table.columns.items()})
        if pairs.sha256 != table.about.get("pairs"):
            raise InputError(f"path {path} differs from what was written (sha256); draw the pairs again")
        return pairs


def draw_pairs(
    group: ArrayLike | Tensor,
    rows: ArrayLike | None = None,
    *,
    count: int,
    seed: int,
    positives: float = 0.5,
    hard: ArrayLike | None = None,
    apart: float = 0.0,
) -> Pairs:
    """Draw pairs of rows: two rows of the same group, or two rows of different ones.

    Args:
        group: ``(n,)`` ids of all rows of a source: trajectory, file, subject.
        rows: row numbers to draw from, as in ``source.split.train``; all when left out. Pairs hold these row numbers.
        count: number of pairs.
        seed: pairs are a pure function of the arguments.
        positives: share of pairs of the same group, rounded to a whole number of pairs.
        hard: ``(n, d)`` poses of all rows, in one unit. Negatives then have the nearest pose that another group offers; a row
            that is used again takes its next nearest. Left out, negatives are drawn evenly from all rows of other groups.
        apart: smallest pose distance of a negative, in the unit of ``hard``.

    Returns:
        The `Pairs`, in random order. Every row is on the left equally often, to within one, among positives and negatives.

    Raises:
        InputError: if rows hold one group only, no group twice, or poses leave a row without a partner.

    Notes:
        The task is guessed: the papers that use it (Vision & Touch: VFD, VFPD, VFPDO) publish no code for it and say neither
        how many pairs there are, nor their balance, nor what negatives are. Recordings may be told apart by their
        background alone: compare with `tuplet.evaluate.pixels`. With ``hard``, cost and time grow as ``count * n``.

    Source:
        OVA-IB (Li et al., 2026), appendix B.1: "whether two modality triplets are sampled from the same trajectory".

    Example:
        >>> pairs = draw_pairs([0, 0, 1, 1, 2, 2], count=6, seed=0)
        >>> int(pairs.same.sum()), bool((pairs.left != pairs.right).all())
        (3, True)
    """
    ids = as_array("group", group)
    n = len(ids) if ids.ndim else 0
    codes = group_codes(ids, n)
    chosen = np.arange(n) if rows is None else _rows(rows, n)
    in_range("count", count, 1)
    in_range("seed", seed, 0)
    if not 0 <= positives <= 1:
        raise InputError(f"positives is {positives}, expected a share in [0, 1]")
    if apart and hard is None:
        raise InputError(f"apart is {apart}, but there are no poses to be apart; give hard=")
    chosen = chosen[np.argsort(codes[chosen], kind="stable")]  # rows of a group lie together
    code, start, size = _blocks(codes[chosen])
    rng = np.random.default_rng(seed)
    wanted = round(count * positives)
    with_partner = np.flatnonzero(size > 1)
    if wanted and not len(with_partner):
        raise InputError("every group has one row only among these rows; no pair of the same group can be drawn")
    if wanted < count and len(np.unique(code)) < 2:
        raise InputError("these rows hold one group only; no pair of different groups can be drawn")
    left, _ = _turns(with_partner, wanted, rng)
    step = rng.integers(1, np.maximum(size[left], 2))  # never a whole turn around the group
    right = start[left] + (left - start[left] + step) % size[left]
    other, turn = _turns(np.arange(len(chosen)), count - wanted, rng)
    if hard is None:
        far = rng.integers(0, len(chosen) - size[other])
        partner = np.where(far >= start[other], far + size[other], far)  # skips the own group
    else:
        partner = _nearest(_poses(hard, n)[chosen], code, other, turn, apart)
    same = np.arange(count) < wanted
    order = rng.permutation(count)
    return Pairs(chosen[np.concatenate([left, other])][order], chosen[np.concatenate([right, partner])][order], same[order])


def pair_parts(
    group: ArrayLike | Tensor,
    split: Split,
    *,
    counts: Sequence[int],
    seed: int,
    positives: float = 0.5,
    hard: ArrayLike | None = None,
    apart: float = 0.0,
) -> dict[str, Pairs]:
    """Draw pairs within each part of a split.

    Args:
        group: as in `draw_pairs`, like all but split and counts.
        split: as in ``source.split``.
        counts: number of pairs in train, val and test.
        seed: of the pairs.
        positives: share of pairs of the same group.
        hard: poses of all rows.
        apart: smallest pose distance of a negative.

    Returns:
        ``train``, ``val`` and ``test`` -> `Pairs`.

    Raises:
        InputError: as in `draw_pairs`, or if there are not three counts.

    Example:
        >>> from tuplet.data import split_rows
        >>> group = np.arange(60) // 3
        >>> pairs = pair_parts(group, split_rows(60, group=group), counts=(20, 10, 10), seed=0)
        >>> {k: len(v) for k, v in pairs.items()}
        {'train': 20, 'val': 10, 'test': 10}
    """
    if len(counts) != 3:
        raise InputError(f"counts has {len(counts)} numbers, expected three: train, val and test")
    return {
        part: draw_pairs(group, getattr(split, part), count=count, seed=seed, positives=positives, hard=hard, apart=apart)
        for part, count in zip(PARTS, counts, strict=True)
    }


def _rows(rows: ArrayLike, n: int) -> NDArray[np.int64]:
    given = as_array("rows", rows)
    if given.ndim != 1 or given.dtype.kind not in "iu" or not given.size:
        raise InputError(f"rows has shape {given.shape} and dtype {given.dtype}, expected row numbers, one or more")
    if given.min() < 0 or given.max() >= n or len(np.unique(given)) < len(given):
        raise InputError(f"rows has repeated numbers or some outside 0 .. {n - 1}; give those of one part of a split")
    return np.sort(given.astype(np.int64))


def _blocks(code: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for every row of sorted codes: its code, where its block starts, and how long it is."""
    _, first, inverse, length = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    return code, first[inverse], length[inverse]


def _turns(items: NDArray[np.int64], count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take every item once, in random order, before any is taken again; also return how often it was taken before."""
    if not count:
        return items[:0], items[:0]
    rounds = -(-count // len(items))
    taken = np.concatenate([rng.permutation(items) for _ in range(rounds)])[:count]
    return taken, np.repeat(np.arange(rounds), len(items))[:count]


def _poses(hard: ArrayLike, n: int) -> NDArray[np.float64]:
    poses = as_array("hard", hard)
    if poses.ndim != 2 or len(poses) != n or poses.dtype.kind not in "iuf" or not np.isfinite(poses).all():
        raise InputError(f"hard has shape {poses.shape} and dtype {poses.dtype}, expected finite poses ({n}, d)")
    return poses.astype(np.float64)


def _nearest(
    poses: NDArray[np.float64], code: NDArray[np.int64], left: NDArray[np.int64], turn: NDArray[np.int64], apart: float
) -> NDArray[np.int64]:
    """Return for each left row the row of another group whose pose is nearest, the next nearest on its next turn."""
    from scipy.spatial.distance import cdist

    found = np.empty(len(left), dtype=np.int64)
    for begin in range(0, len(left), CHUNK):
        some = slice(begin, begin + CHUNK)
        distance = cdist(poses[left[some]], poses)
        distance[(code[left[some]][:, None] == code) | (distance < apart)] = np.inf
        for i, (row, k) in enumerate(zip(distance, turn[some], strict=True), begin):
            reach = np.partition(row, k)[k] if k < len(row) else np.inf
            if not np.isfinite(reach):
                raise InputError(
                    f"apart is {apart} and count asks for {k + 1} negatives of a row, but other groups have fewer poses "
                    f"that far; lower one of them"
                )
            near = np.flatnonzero(row <= reach)
            found[i] = near[np.argsort(row[near], kind="stable")[k]]
    return found
