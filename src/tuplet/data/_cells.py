"""The values of one column of an Arrow table, as an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuplet.data._arrow import arrow, readable
from tuplet.types import InputError


def column_values(argument: str, column: Any) -> Any:
    """Return the values of an Arrow column; None if all are absent."""
    pa = arrow()
    import pyarrow.compute as pc

    kinds = pa.types
    with readable(argument, "give every row a value of one type"):
        kind = column.type
        if column.null_count == len(column):
            return None
        if isinstance(kind, pa.ExtensionType):
            column = pa.chunked_array([c.storage for c in column.chunks])
            kind = column.type
        if kinds.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if kinds.is_struct(kind) and "bytes" in [f.name for f in kind]:  # a picture as Hugging Face data sets keep it
            column = pc.struct_field(column, "bytes")
            kind = column.type
        if kinds.is_decimal(kind):
            column = column.cast(pa.float64())
        elif _is_list(kind):
            return _lists(argument, column.combine_chunks())
        elif kinds.is_struct(kind) or kinds.is_map(kind) or kinds.is_union(kind):
            raise InputError(f"{argument} holds {kind}, expected numbers, text or lists of numbers; leave the column out")
        return np.asarray(column.to_numpy())


def _is_list(kind: Any) -> bool:
    kinds = arrow().types
    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


def _lists(argument: str, column: Any) -> Any:
    """Return lists of numbers as an array, of arrays where their lengths differ."""
    import pyarrow.compute as pc

    inner = column.flatten()  # an absent row has no entry here
    if _is_list(inner.type):
        flat = _lists(argument, inner)
        if flat.dtype.kind == "O":
            raise InputError(f"{argument} has lists of lists of different length; expected series of (steps, channels)")
    else:
        flat = inner.to_numpy(zero_copy_only=False)
        if flat.dtype.kind not in "biuf":
            raise InputError(f"{argument} holds lists of {inner.type}, expected lists of numbers; join texts into one")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    there = ~np.isnan(lengths) if lengths.dtype.kind == "f" else np.ones(len(lengths), dtype=bool)
    steps = lengths[there].astype(np.int64)
    if len(set(steps.tolist())) == 1 and there.all() and steps[0]:
        return flat.reshape(len(steps), steps[0], *flat.shape[1:])
    rows = iter(np.split(flat, np.cumsum(steps)[:-1]))
    return np.fromiter((next(rows) if here else None for here in there), dtype=object)
