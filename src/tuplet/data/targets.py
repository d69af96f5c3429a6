"""Turn a column of labels or measurements into a target: class codes or real numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.data.columns import as_array, bad_rows
from tuplet.data.source import Source, Target
from tuplet.types import InputError


def encode_target(
    name: str, column: ArrayLike, n: int, *, unit: str = "", classes: Sequence[str] | None = None
) -> tuple[Tensor, Target]:
    """Encode one target.

    Args:
        name: for messages.
        column: ``(n,)`` integers, strings or booleans (classes), or ``(n,)`` or ``(n, dims)`` floats (real).
        n: expected number of rows.
        unit: of a real target.
        classes: names of the classes, when the column holds codes that count them from 0; found in the column when left
            out.

    Returns:
        int64 codes ``(n,)``, in the sorted order of the labels unless ``classes`` sets it, or float32 ``(n, dims)``;
        and what they are.

    Raises:
        InputError: if rows or dtype are others, a number is not finite, or there is one class only.

    Example:
        >>> codes, kind = encode_target("object", ["cup", "ball", "cup"], 3)
        >>> codes.tolist(), kind.names
        ([1, 0, 1], ('ball', 'cup'))
    """
    array = as_array(f"targets[{name!r}]", column)
    if array.ndim == 0 or len(array) != n:
        raise InputError(f"targets[{name!r}] has shape {array.shape}, expected {n} rows to match the modalities")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"targets[{name!r}] has NaN or infinite values in {bad_rows(~np.isfinite(array))} rows")
        real = torch.from_numpy(array.reshape(n, -1).astype(np.float32))
        return real, Target("real", real.shape[1], unit=unit)
    if array.dtype.kind not in "biuUS" or array.ndim != 1:
        raise InputError(
            f"targets[{name!r}] has dtype {array.dtype} and shape {array.shape}, expected (n,) integers or strings for "
            f"classes, or floats"
        )
    if classes is not None:
        if array.dtype.kind not in "biu" or array.size == 0 or array.min() < 0 or array.max() >= len(classes):
            raise InputError(f"targets[{name!r}] has values that are not codes in 0 .. {len(classes) - 1}; fix classes")
        return torch.from_numpy(array.astype(np.int64)), Target("class", len(classes), unit=unit, names=tuple(classes))
    found, codes = np.unique(array, return_inverse=True)
    if len(found) < 2:
        raise InputError(f"targets[{name!r}] has one class only ({found[0]}); a label needs two or more")
    kind = Target("class", len(found), unit=unit, names=tuple(str(f) for f in found))
    return torch.from_numpy(codes.astype(np.int64)), kind


def target_of(source: Source, name: str | None = None) -> str:
    """Choose what is predicted.

    Args:
        source: with targets.
        name: of one of them; when left out, ``"label"`` or the only one.

    Returns:
        The name.

    Raises:
        InputError: for an unknown name, a source without targets, or several of which none is called ``"label"``.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = [[float(i)] for i in range(20)]
        >>> target_of(from_arrays({"a": x, "b": x}, targets={"force": [float(i) for i in range(20)]}))
        'force'
    """
    if not source.targets:
        raise InputError(f"{source.name} has no target; give it one, as in from_arrays(..., targets={{'label': y}})")
    if name is None and (len(source.targets) == 1 or "label" in source.targets):
        return next(iter(source.targets)) if len(source.targets) == 1 else "label"
    if name is None or name not in source.targets:
        raise InputError(f"target is {name!r}, expected one of {sorted(source.targets)}")
    return name


def check_classes(values: Mapping[str, Tensor], kinds: Mapping[str, Target], train: NDArray[np.int64]) -> None:
    """Refuse a split whose training part lacks a class.

    Args:
        values: target name -> encoded column.
        kinds: target name -> what it is.
        train: training row numbers.

    Raises:
        InputError: naming the target and a class.

    Example:
        >>> codes, kind = encode_target("object", ["cup", "ball", "cup"], 3)
        >>> check_classes({"object": codes}, {"object": kind}, np.array([0, 1]))
    """
    for name, kind in kinds.items():
        seen = set(values[name][train].tolist()) if kind.kind == "class" else set()
        if kind.kind == "class" and (absent := [c for i, c in enumerate(kind.names) if i not in seen]):
            raise InputError(
                f"targets[{name!r}] has {len(absent)} of {kind.size} classes that train lacks, such as {absent[0]!r}; "
                f"use another seed or a larger train part, or merge rare classes"
            )
