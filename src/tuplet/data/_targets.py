"""Turn a column of labels or measurements into a target: class codes or real numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.data._columns import as_array, bad_rows, codes_of, fits_float32
from tuplet.data.source import Source, Target
from tuplet.errors import plain_text
from tuplet.types import InputError, one_of, some_of

MOST_CODES = 20
"""Floats with at most so many different values, all of them whole, are classes."""


def encode_targets(
    targets: Mapping[str, Any] | None,
    n: int,
    *,
    units: Mapping[str, str] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, str] | str | None = None,
) -> tuple[dict[str, Tensor], dict[str, Target], tuple[str, ...]]:
    """Encode all targets of a source."""
    kinds = dict.fromkeys(targets or {}, kinds) if isinstance(kinds, str) else kinds
    some_of("target_kind", kinds or (), sorted(targets or ()))
    values, described, notes = {}, {}, []
    for name, column in (targets or {}).items():
        array = as_array(f"targets[{name!r}]", column)
        named, unit = (classes or {}).get(name), (units or {}).get(name, "")
        values[name], kind = encode_target(name, array, n, unit=unit, classes=named, kind=(kinds or {}).get(name))
        described[name] = kind
        if kind.kind == "class" and array.dtype.kind == "f" and named is None and name not in (kinds or {}):
            notes.append(
                f"target {name} has whole numbers as floats, {kind.size} different ones: taken as classes; if it is a "
                f"quantity, give target_kind={{{name!r}: 'real'}} (--target-kind {name}=real)"
            )
        if kind.kind == "class" and (gaps := int((values[name] < 0).sum())):
            notes.append(f"target {name} is missing in {gaps} of {n} rows: they are aligned, and no probe uses them")
    return values, described, tuple(notes)


def encode_target(
    name: str, column: Any, n: int, *, unit: str = "", classes: Sequence[str] | None = None, kind: str | None = None
) -> tuple[Tensor, Target]:
    """Encode one target."""
    label = f"targets[{name!r}]"
    if kind is not None:
        one_of(f"target_kind[{name!r}]", kind, ("class", "real"))
    array = as_array(label, column)
    if array.ndim == 0 or len(array) != n:
        raise InputError(f"{label} has shape {array.shape}, expected {n} rows to match the modalities")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.size == 0:
        raise InputError(f"{label} has shape {array.shape}, expected (n,) with one value per row")
    if kind is None and classes is None and _one_hot(array):
        raise InputError(_advice(label, array) + f", or, if they are quantities, say target_kind={{{name!r}: 'real'}}")
    if kind == "real" and array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if array.dtype.kind == "f" and kind != "class" and (kind == "real" or classes is not None or not _whole(array)):
        return _real(label, array, unit)
    if array.ndim != 1 or kind == "real":
        raise InputError(_advice(label, array))
    if classes is not None:
        if array.dtype.kind not in "biu" or array.min() < 0 or array.max() >= len(classes):
            raise InputError(f"{label} has values that are not codes in 0 .. {len(classes) - 1}; fix classes")
        return torch.from_numpy(array.astype(np.int64)), Target("class", len(classes), unit=unit, names=tuple(classes))
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise InputError(f"{label} has infinite values in {int(np.isinf(array).sum())} rows; remove them")
    codes, found = codes_of(label, array, n)
    if len(found) < 2:
        what = f"one class only ({str(found[0])[:80]!r})" if len(found) else "no value in any row"
        raise InputError(f"{label} has {what}; a label needs two or more, leave it out")
    if len(found) == n > 2:
        raise InputError(
            f"{label} has another value in each of {n} rows, such as {str(found[0])[:40]!a}: an id rather than a class; leave "
            f"it out" + f", or, if it is a quantity, say target_kind={{{name!r}: 'real'}}" * (array.dtype.kind in "iuf")
        )
    names = tuple(_printable(f) for f in found.tolist())
    return torch.from_numpy(codes), Target("class", len(found), unit=unit, names=names)


def _whole(array: NDArray[Any]) -> bool:
    """Tell whether floats are codes of classes: one column of whole numbers with few different values."""
    there = array[~np.isnan(array)] if array.ndim == 1 else array[:0]
    if not there.size or not (np.isfinite(there).all() and (there == np.round(there)).all()):
        return False
    return len(np.unique(there)) <= MOST_CODES


def _real(label: str, array: NDArray[Any], unit: str) -> tuple[Tensor, Target]:
    if not np.isfinite(array).all():
        bad = bad_rows(~np.isfinite(array))
        raise InputError(f"{label} has NaN or infinite values in {bad} of {len(array)} rows; leave those rows out")
    if not fits_float32(array):
        raise InputError(f"{label} has values up to {np.abs(array).max():.3g}, too large for float32; rescale them")
    real = torch.from_numpy(array.reshape(len(array), -1).astype(np.float32))
    return real, Target("real", real.shape[1], unit=unit)


def _advice(label: str, array: NDArray[Any]) -> str:
    """Say what is wrong with a target that is neither a column of classes nor floats."""
    seen = f"{label} has dtype {array.dtype} and shape {array.shape}"
    if _one_hot(array):
        return f"{seen}: one-hot classes; give .argmax(axis=1) of it"
    if array.ndim == 2 and array.dtype.kind in "biu" and np.isin(array, (0, 1)).all():
        return f"{seen}: several labels per row (multi-label); give one column per label, each as a target of its own"
    return f"{seen}, expected (n,) integers or strings for classes, or floats"


def _one_hot(array: NDArray[Any]) -> bool:
    """Tell whether each row has a single 1 among zeros."""
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        return False
    return bool(np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all())


def _printable(value: object) -> str:
    """Name a class by its value; integral floats as integers, and nothing that a terminal or a file cannot hold."""
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    return plain_text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def target_of(source: Source, name: str | None = None) -> str:
    """Choose what is predicted."""
    if not source.targets:
        raise InputError(f"{source.name} has no target; give it one, as in from_arrays(..., targets={{'label': y}})")
    if name is None and (len(source.targets) == 1 or "label" in source.targets):
        return next(iter(source.targets)) if len(source.targets) == 1 else "label"
    if name is None or name not in source.targets:
        raise InputError(f"target is {name!r}, expected one of {sorted(source.targets)}")
    return name


def class_names(where: str, target: str, text: str) -> list[str]:
    """Read the names of a target's classes from what a file says of it."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(n, str) for n in names):
        raise InputError(f"{where} has classes.{target} = {text[:80]!r}, expected a JSON list of two or more names")
    return [plain_text(n) for n in names]


def check_classes(values: Mapping[str, Tensor], kinds: Mapping[str, Target], train: NDArray[np.int64]) -> None:
    """Refuse a split whose training part lacks a class."""
    for name, kind in kinds.items():
        seen = set(values[name][train].tolist()) if kind.kind == "class" else set()
        if kind.kind == "class" and (absent := [c for i, c in enumerate(kind.names) if i not in seen]):
            raise InputError(
                f"targets[{name!r}] has {len(absent)} of {kind.size} classes that train lacks, such as {absent[0]!r}; "
                f"use another seed or a larger train part, or merge rare classes"
            )
