"""Read pandas frames and Series by what they can do, so that pandas need not be installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.types import InputError

WIDE = {"i": np.int64, "u": np.uint64, "f": np.float64, "b": np.bool_}


def is_series(values: object) -> bool:
    """Tell whether this is a pandas Series."""
    return hasattr(values, "iloc") and hasattr(values, "to_numpy") and not hasattr(values, "columns")


def is_frame(values: object) -> bool:
    """Tell whether this is a pandas frame."""
    return hasattr(values, "iloc") and hasattr(values, "to_numpy") and hasattr(values, "columns")


def frame_array(argument: str, values: Any) -> NDArray[Any]:
    """Read a frame or a Series as a plain array."""
    if is_series(values):
        return _column(values)
    if not is_frame(values):
        return np.asarray(values)
    kinds = set(values.dtypes)
    if len(kinds) == 1 and isinstance(kind := next(iter(kinds)), np.dtype) and kind.kind in "biuf":
        plain: NDArray[Any] = values.to_numpy()
        return plain
    names = list(values.columns)
    columns = [plain_objects(_column(values.iloc[:, i])) for i in range(len(names))]
    if len(columns) == 1:
        return columns[0]
    for name, column in zip(names, columns, strict=True):
        if column.dtype.kind not in "biuf":
            raise InputError(
                f"{argument} has the column {str(name)!r} of dtype {column.dtype} beside others, expected numbers; encode "
                f"it, drop it, or give it as a modality of its own, as target= or as group="
            )
    return np.column_stack(columns) if columns else np.empty((len(values), 0))


def plain_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Give an array of Python objects the plain dtype that its values have."""
    if array.dtype.kind != "O" or array.ndim == 0:
        return array
    flat = array.reshape(-1).tolist()
    absent = np.array([is_missing(v) for v in flat], dtype=bool)
    there = [v for v, gone in zip(flat, absent, strict=True) if not gone]
    if there and not absent.any() and all(isinstance(v, bool | np.bool_) for v in there):
        return np.array(there, dtype=bool).reshape(array.shape)
    numbers = all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in there)
    if numbers and there and not any(isinstance(v, complex | np.complexfloating) for v in there):
        whole = not absent.any() and all(isinstance(v, int | np.integer) for v in there)
        if whole and all(-(2**63) <= v < 2**63 for v in there):
            return np.array(there, dtype=np.int64).reshape(array.shape)
        out = np.full(len(flat), np.nan)
        try:
            out[~absent] = np.array(there, dtype=np.float64)
        except OverflowError:
            out[~absent] = np.inf
        return out.reshape(array.shape)
    if array.ndim == 1 and there and all(isinstance(v, list | tuple | np.ndarray) for v in there):
        return _stacked(array, there, absent)
    marked = np.empty(len(flat), dtype=object)
    for i, v in enumerate(flat):
        marked[i] = None if absent[i] else v.decode("utf-8", "replace") if isinstance(v, bytes) else v
    return marked.reshape(array.shape)


def _stacked(array: NDArray[Any], there: list[Any], absent: NDArray[np.bool_]) -> NDArray[Any]:
    """Stack rows of numbers of one shape, NaN where a row is absent; return the array itself where they are others."""
    try:
        rows = [np.asarray(r) for r in there]
    except ValueError:
        return array
    if len({r.shape for r in rows}) != 1 or any(r.dtype.kind not in "biuf" for r in rows):
        return array
    stacked = np.stack(rows)
    if not absent.any():
        return stacked
    out = np.full((len(array), *stacked.shape[1:]), np.nan)
    out[~absent] = stacked
    return out


def is_missing(value: object) -> bool:
    """Tell whether a value says that there is none: None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(value != value)


def _column(series: Any) -> NDArray[Any]:
    if isinstance(series.dtype, np.dtype):
        plain: NDArray[Any] = series.to_numpy()
        return plain
    kind = getattr(series.dtype, "kind", "O")
    if kind in WIDE:
        gaps = bool(series.isna().any())
        wide = np.float64 if gaps else WIDE[kind]
        numbers: NDArray[Any] = series.to_numpy(dtype=wide, **({"na_value": np.nan} if gaps else {}))
        return numbers
    objects: NDArray[Any] = series.astype(object).to_numpy()
    return objects
