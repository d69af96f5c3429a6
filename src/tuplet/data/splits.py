"""Seeded, hashed splits: stratified by label, and never through a group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuplet.data._columns import as_array, group_codes
from tuplet.types import InputError, in_range

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers of the three parts.

    Attributes:
        train: sorted int64 row numbers.
        val: likewise.
        test: likewise.
        seed: what the split was drawn with; -1 for one that was given.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int = -1

    def __post_init__(self) -> None:
        for name in PARTS:
            rows = as_array(f"split.{name}", getattr(self, name))
            if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
                seen = f"split.{name} has dtype {rows.dtype} and shape {rows.shape}, expected a list of row numbers"
                raise InputError(f"{seen}; of a mask take np.flatnonzero(mask)")
            object.__setattr__(self, name, rows.astype(np.int64, copy=False))

    @classmethod
    def of(cls, part: ArrayLike) -> Split:
        """Make a split from the part of each row: 0 train, 1 val, 2 test."""
        if np.asarray(part).dtype == bool:
            raise InputError("part is a mask, expected 0, 1 or 2 for each row: train, val or test")
        train, val, test = (np.flatnonzero(np.asarray(part) == i).astype(np.int64) for i in range(3))
        return cls(train, val, test)

    @property
    def sha256(self) -> str:
        """Return the checksum of the three parts, little-endian int64 with their lengths in between."""
        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Split) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


def split_rows(
    n: int,
    *,
    labels: ArrayLike | None = None,
    group: ArrayLike | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
) -> Split:
    """Split ``n`` rows into train, val and test.

    Args:
        n: number of rows.
        labels: ``(n,)`` class of every row; each class is split by ``fractions`` (to the nearest row), and has a row or more
            in train.
        group: ``(n,)`` ids (subject, file, object ...); a group goes whole into one part. The largest are placed
            first, each where its classes are furthest below their share of the rows.
        fractions: three positive shares that sum to 1.
        seed: the split is a pure function of the arguments.

    Returns:
        The `Split`.

    Raises:
        InputError: if fractions are not three positive shares, lengths differ, or a part would be empty.

    Example:
        >>> s = split_rows(10, labels=[0] * 5 + [1] * 5)
        >>> len(s.train), len(s.val), len(s.test)
        (6, 2, 2)
    """
    shares = [float(f) for f in fractions]
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"fractions is {tuple(shares)}, expected three positive shares that sum to 1")
    in_range("seed", seed, 0)
    if group is not None:
        return _split_groups(n, labels, group_codes(group, n), np.array(shares), seed)
    strata = _codes(labels, n)
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    carry = np.zeros(2)  # what rounding owed to train and val so far, so that small strata even out
    for stratum in np.unique(strata):
        here = rng.permutation(np.flatnonzero(strata == stratum))
        wanted = np.array(shares[:2]) * len(here) + carry
        first, second = (int(np.floor(w + 0.5)) for w in wanted)
        first = min(max(first, 0), len(here))
        if labels is not None and first == 0:
            first = 1  # a class that train never sees teaches nothing
        second = min(max(second, 0), len(here) - first)
        carry = wanted - [first, second]
        for part, chosen in zip(parts, np.split(here, [first, first + second]), strict=True):
            part.append(chosen)
    train, val, test = (np.sort(np.concatenate(part)) for part in parts)
    for name, rows in zip(PARTS, (train, val, test), strict=True):
        if not len(rows):
            raise InputError(
                f"the {name} part would be empty: {n} rows with fractions {tuple(shares)}; give more rows, or pass split="
            )
    return Split(train, val, test, seed)


def check_split(split: Split, n: int, group: NDArray[np.int64] | None, names: ArrayLike | None) -> None:
    """Refuse a split that is empty, overlaps, leaves the data or cuts a group; ``names`` are what groups are called, by row."""
    if not isinstance(split, Split):
        raise InputError(
            f"split is a {type(split).__name__}, expected tuplet.data.Split(train, val, test) with row numbers of each part"
        )
    seen: dict[int, str] = {}
    for name in PARTS:
        rows = getattr(split, name)
        if len(rows) == 0:
            raise InputError(f"split.{name} is empty; every part needs rows")
        if rows.min() < 0 or rows.max() >= n:
            raise InputError(f"split.{name} has row numbers outside 0 .. {n - 1}; split the data that you pass")
        if len(np.unique(rows)) < len(rows):
            raise InputError(f"split.{name} lists a row twice")
        units = rows if group is None else np.unique(group[rows])
        for unit in units.tolist():
            if unit in seen:
                what = f"row {unit}" if group is None else f"group {as_array('group', names)[(group == unit).argmax()]}"
                raise InputError(f"{what} is in two parts of the split, {seen[unit]} and {name}; that leaks test data")
            seen[unit] = name


def _split_groups(n: int, labels: ArrayLike | None, group: NDArray[np.int64], shares: NDArray[np.float64], seed: int) -> Split:
    groups = int(group.max()) + 1
    if groups < 3:
        raise InputError(f"a part would be empty: {groups} groups for three parts; give more groups, or pass split=")
    home, filled = _placed(_codes(labels, n), group, shares, seed, seen=True)
    if not filled.all():
        raise InputError("a part would be empty: some classes occur in one group only; give more groups, or pass split=")
    return replace(Split.of(home[group]), seed=seed)


def folds_of(group: NDArray[np.int64], labels: ArrayLike | None, folds: int) -> NDArray[np.int64]:
    """Give every row the fold of its group (codes 0, 1 ..), so that folds are about equal in rows and in classes."""
    codes = _codes(labels, len(group))
    return _placed(codes, group, np.full(folds, 1 / folds), 0, seen=False)[0][group]


def _placed(
    codes: NDArray[np.int64], group: NDArray[np.int64], shares: NDArray[np.float64], seed: int, *, seen: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Place whole groups in parts, the largest first; ``seen``: part 0 gets every class. Also say which parts are filled."""
    groups = int(group.max()) + 1
    counts = np.zeros((groups, int(codes.max()) + 1), dtype=np.int64)  # rows of each class in each group
    np.add.at(counts, (group, codes), 1)
    order = np.random.default_rng(seed).permutation(groups)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    last = np.array([np.flatnonzero(column)[-1] for column in counts[order].T])  # step at which a class is seen last
    total = counts.sum(axis=0)
    placed = np.zeros((len(shares), len(total)), dtype=np.int64)
    home = np.empty(groups, dtype=np.int64)
    for step, g in enumerate(order):
        # the part whose squared distance to its shares shrinks most when it receives this group
        surplus = ((placed - shares[:, None] * total) / total * counts[g]).sum(axis=1)
        empty = placed.sum(axis=1) == 0
        if groups - step <= empty.sum():
            surplus[~empty] = np.inf
        unseen = seen & (last == step) & (placed[0] == 0)  # a class that train would never see
        s = 0 if unseen.any() else int(surplus.argmin())
        placed[s] += counts[g]
        home[g] = s
    return home, np.asarray(placed.sum(axis=1) > 0)


def _codes(labels: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Number the classes of rows; all are one class when there are none."""
    if labels is None:
        return np.zeros(n, dtype=np.int64)
    column = as_array("labels", labels)
    if column.shape != (n,):
        raise InputError(f"labels has shape {column.shape}, expected ({n},), one entry per row")
    return np.unique(column, return_inverse=True)[1].astype(np.int64)
