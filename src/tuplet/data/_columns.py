"""Read what a user passes (lists, tensors, pandas frames by what they can do) as plain arrays; refuse what would be guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.errors import plain_text
from tuplet.types import InputError

RAGGED = "rows of different lengths, expected equal ones; "
FILL = "pool them, or fill the short ones with zeros at their ends and say kinds={NAME: 'padded'}"
AS_TEXT = "use .astype(str) on the array, or [str(v) for v in ...] of a list"
WIDE = {"i": np.int64, "u": np.uint64, "f": np.float64, "b": np.bool_}


def as_array(argument: str, values: Any, *, ragged: str = FILL) -> NDArray[Any]:
    """Turn lists, tensors, frames and Series into a plain array."""
    if isinstance(values, np.ma.MaskedArray):
        return _filled(values)
    if isinstance(values, Tensor):
        return plain_objects(_dense(argument, values, ragged))
    if isinstance(values, list | tuple) and any(isinstance(v, Tensor) for v in values):
        values = [_dense(argument, v, ragged) if isinstance(v, Tensor) else v for v in values]
    if hasattr(values, "nnz") and hasattr(values, "toarray"):
        raise InputError(f"{argument} is a sparse matrix, expected a dense one; use tuplet.data.read, or give .toarray()")
    if is_frame(values) or is_series(values):
        return plain_objects(frame_array(argument, values))
    if isinstance(values, list | tuple) and any(isinstance(v, str) for v in values):
        return plain_objects(np.fromiter(values, dtype=object))  # np.array would turn None and numbers beside text into text
    try:
        array = np.asarray(values)
        return plain_objects(array.astype(object) if array.dtype.kind == "T" else array)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{argument} has {RAGGED}{ragged}") from None


def _dense(argument: str, tensor: Tensor, ragged: str) -> NDArray[Any]:
    """Turn a tensor into an array; types that NumPy lacks become float32."""
    if tensor.is_nested:
        raise InputError(f"{argument} has {RAGGED}{ragged}")
    fix = "dequantize" if tensor.is_quantized else "to_dense" if tensor.layout != torch.strided else ""
    if fix or tensor.is_meta:
        what = "quantized" if tensor.is_quantized else "without values (meta)" if tensor.is_meta else str(tensor.layout)
        raise InputError(f"{argument} is a tensor that is {what}, expected a dense one" + f"; call .{fix}()" * bool(fix))
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    return np.asarray((plain.float() if plain.is_floating_point() and plain.itemsize < 4 else plain).numpy())


def _filled(values: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """Turn a masked array into a plain one, with gaps where the mask is."""
    mask = np.ma.getmaskarray(values)
    plain: NDArray[Any] = np.asarray(values.data)
    if not mask.any():
        return plain_objects(plain)
    if plain.dtype.kind in "biuf":
        plain = plain.astype(np.promote_types(plain.dtype, np.float16) if plain.dtype.kind in "bf" else np.float64)
        return np.where(mask, plain.dtype.type(np.nan), plain)
    plain = plain.astype(object)
    plain[mask] = None
    return plain_objects(plain)


def as_numbers(argument: str, values: Any, *, ragged: str = FILL) -> NDArray[Any]:
    """Turn what a user passes as rows of numbers into an array."""
    array = as_array(argument, values, ragged=ragged)
    if array.dtype.kind not in "biuf":
        if array.dtype.kind == "O" and array.ndim == 1 and len(array) and all(v is None for v in array):
            raise InputError(f"{argument} has no value in any row; leave it out")
        if array.dtype.kind == "O" and array.ndim == 1 and isinstance(array[0], list | tuple | np.ndarray):
            raise InputError(f"{argument} has {RAGGED}{ragged}")
        what = _objects(array) if array.dtype.kind == "O" else f"dtype {array.dtype}"
        raise InputError(f"{argument} has {what}, expected numbers; {_to_numbers(array)}")
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"{argument} has shape {array.shape}, expected (n, ...) with n > 0")
    return array


def _to_numbers(array: NDArray[Any]) -> str:
    """Say how such an array becomes one of numbers."""
    first = array.reshape(-1)[0] if array.size else None
    if array.dtype.kind in "mM" or hasattr(first, "timestamp"):
        return "give dates and times as numbers, such as the seconds since the first one"
    if array.dtype.kind == "c":
        return "give the real and the imaginary part as columns"
    if array.ndim:
        try:
            array.astype(np.float64)
        except (TypeError, ValueError):
            pass
        else:
            return "call .astype(float) on the array"
    return "give an array of numbers, or one string per row"


def is_text(array: NDArray[Any]) -> bool:
    """Tell whether an array holds a string per row."""
    if array.ndim != 1 or not array.size:
        return False
    if array.dtype.kind == "O":
        return any(isinstance(v, str) for v in array) and all(v is None or isinstance(v, str) for v in array)
    return array.dtype.kind in "US"


def as_strings(argument: str, values: Any) -> list[str | None]:
    """Turn what a user passes as text into strings."""
    array = as_array(argument, values)
    if array.ndim != 1 or not (is_text(array) or all(is_missing(v) for v in array.tolist())):
        what = _objects(array) if array.dtype.kind == "O" else f"dtype {array.dtype} and shape {array.shape}"
        single = "; give [text] for a single row" if array.ndim == 0 and array.dtype.kind == "U" else ""
        raise InputError(f"{argument} has {what}, expected one string per row{single}")
    if array.dtype.kind == "S":
        return [v.decode("utf-8", "replace") for v in array.tolist()]
    return [None if is_missing(v) else str(v) for v in array.tolist()]


def texts_of(values: Any) -> list[str | None] | None:
    """Return what a user passes as strings, None where it is numbers."""
    array = as_array("texts", values)
    return as_strings("texts", array) if is_text(array) else None


def _objects(array: NDArray[Any]) -> str:
    """Say what Python objects an array holds."""
    kinds = sorted({type(v).__name__ for v in array.reshape(-1)[:1000]})
    return f"objects of type {', '.join(kinds)[:80]}"


def group_codes(group: ArrayLike | Tensor, n: int) -> NDArray[np.int64]:
    """Number the distinct groups in sorted order."""
    codes, found = codes_of("group", group, n)
    gaps = codes < 0
    codes[gaps] = len(found) + np.arange(int(gaps.sum()))
    return codes


def codes_of(argument: str, values: Any, n: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Number the distinct values of a column in sorted order."""
    array = as_array(argument, values)
    if array.shape != (n,):
        raise InputError(f"{argument} has shape {array.shape}, expected ({n},), one entry per row")
    if array.dtype.kind == "O":
        gaps = np.array([v is None for v in array], dtype=bool)
        kinds = {str if isinstance(v, str) else bool if isinstance(v, bool | np.bool_) else type(v) for v in array[~gaps]}
        if len(kinds) > 1 or not kinds <= {str, bool}:
            raise InputError(f"{argument} has {_objects(array)}, expected integers or strings; {AS_TEXT}")
        there = array[~gaps]
    elif array.dtype.kind in "biufUS":
        gaps = np.isnan(array) if array.dtype.kind == "f" else np.zeros(n, dtype=bool)
        there = array[~gaps] if gaps.any() else array
    else:
        raise InputError(f"{argument} has dtype {array.dtype}, expected integers or strings; {AS_TEXT}")
    found, inverse = np.unique(there, return_inverse=True)
    codes = np.full(n, -1, dtype=np.int64)
    codes[~gaps] = inverse.reshape(-1)
    return codes, found


def bad_rows(bad: NDArray[np.bool_]) -> int:
    """Count rows with a mark in them."""
    return int(bad.reshape(len(bad), -1).any(axis=1).sum())


def positions_in(rows: Sequence[int] | Tensor, n: int) -> Tensor:
    """Check positions that a user asks for."""
    given = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows)
    if given.dtype == bool and given.shape == (n,):
        return torch.from_numpy(np.flatnonzero(given))
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InputError(f"rows is {rows!r}, expected positions such as [0, 5, 2] or a slice such as 0:64")
    if given.size and not (-n <= given.min() and given.max() < n):
        raise InputError(
            f"rows reach from {given.min()} to {given.max()}, expected positions below {n}; they count "
            f"within this part of the split, not over all rows"
        )
    return torch.from_numpy(given.astype(np.int64))


def fits_float32(values: NDArray[Any]) -> bool:
    """Tell whether all values are finite, as float32 too."""
    return bool((np.abs(values) <= np.finfo(np.float32).max).all())


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
        return np.asarray(values.to_numpy())
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
    texts = (v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in flat)
    marked = np.fromiter((None if gone else v for v, gone in zip(texts, absent, strict=True)), dtype=object)
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
        return np.asarray(series.to_numpy())
    kind = getattr(series.dtype, "kind", "O")
    if kind in WIDE:
        gaps = bool(series.isna().any())
        wide = np.float64 if gaps else WIDE[kind]
        return np.asarray(series.to_numpy(dtype=wide, **({"na_value": np.nan} if gaps else {})))
    return np.asarray(series.astype(object).to_numpy())


def check_names(argument: str, names: Iterable[object]) -> list[str]:
    """Refuse names that no terminal, file or log can hold; any other non-empty string is a name."""
    checked = []
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{argument} has the name {str(name)[:80]!r} of type {type(name).__name__}, expected text")
        if not name:
            raise InputError(f"{argument} has an empty name, expected text such as 'force'")
        if plain_text(name) != name:
            raise InputError(f"{argument} has the name {name[:80]!a}, which has characters that no line can hold; rename it")
        checked.append(name)
    return sorted(checked)
