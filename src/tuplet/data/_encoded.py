"""Raw rows that pass a function before anything else: the frozen tower of a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import as_array
from tuplet.data._mapped import Mapped
from tuplet.data._sparse import Sparse
from tuplet.types import InputError, some_of

Encode = Callable[[NDArray[Any], float | None], NDArray[Any]]
"""Raw rows that are there, and their samples a second where known -> numbers ``(n, ...)``, NaN where a row holds nothing."""


def encode_rows(
    arrays: dict[str, Any],
    present: Mapping[str, NDArray[np.bool_]],
    encode: Mapping[str, Encode] | None,
    rates: Mapping[str, float],
) -> None:
    """Replace raw rows by what their function makes of them, in place; absent rows become NaN."""
    some_of("encode (--tower)", encode or (), sorted(arrays))
    for name, function in (encode or {}).items():
        if isinstance(arrays[name], Sparse):
            raise InputError(f"modalities[{name!r}] is a sparse matrix, which no tower reads; leave its tower out")
        given = arrays[name]
        raw = given[:] if isinstance(given, Mapped) else as_array(f"modalities[{name!r}]", given)
        here = present.get(name)
        if here is None or here.all():
            arrays[name] = function(raw, rates.get(name))
            continue
        if not here.any():
            raise InputError(f"modalities[{name!r}] has no row; leave it out")
        rows = function(raw[here], rates.get(name))
        arrays[name] = np.full((len(here), *rows.shape[1:]), np.nan, np.float32)
        arrays[name][here] = rows
