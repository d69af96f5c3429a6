"""Two representations of the same rows: what is checked, and how rows are prepared before neighbours are sought."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from tuplet.functional._given import LARGEST, numbers
from tuplet.types import InputError, one_of

Rows = Literal["unit", "clipped", "centred", "raw"]
"""How rows are prepared, see `prepared`."""
Array = Tensor | NDArray[np.generic]
"""Rows as a tensor or a NumPy array."""

CONVENTIONS = {
    "unit": "unit rows, uncentred, inner product, self excluded, ties by index",
    "clipped": "values clipped at the 0.95 quantile of |value|, unit rows, inner product, self excluded, ties by index",
    "centred": "centred columns, inner product, self excluded, ties by index",
    "raw": "rows as given, inner product, self excluded, ties by index",
}
"""What each way of preparing rows means for neighbours, in words."""


def paired(a: Array, b: Array, *, least: int = 4) -> tuple[Tensor, Tensor]:
    """Check two representations of the same rows."""
    x, y = _checked("a", a), _checked("b", b)
    if len(x) != len(y):
        raise InputError(f"b has {len(y)} rows, expected {len(x)} to match a; row i of both must be the same thing")
    if len(x) < least:
        raise InputError(f"a and b have {len(x)} rows, expected at least {least}; give more rows")
    return x, y.to(x.device)


def prepared(x: Float[Tensor, "n d"], *, rows: Rows = "unit") -> Float[Tensor, "n d"]:
    r"""Prepare rows as a convention has them."""
    one_of("rows", rows, tuple(CONVENTIONS))
    if rows == "raw":
        return x
    if rows == "centred":
        return x - x.mean(dim=0)
    if rows == "clipped":
        size = x.abs().flatten()
        limit = size.kthvalue(min(int(0.95 * size.numel()) + 1, size.numel())).values
        x = x.clamp(-limit, limit)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1.0)


def _checked(name: str, given: Array) -> Tensor:
    x = numbers(name, given).detach()
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"{name} has shape {tuple(x.shape)}, expected (n, d) with n, d >= 1; flatten or pool it first")
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float() if x.is_floating_point() else x.double()
    if not bool(torch.isfinite(x.sum())) and not bool((finite := torch.isfinite(x).all(dim=1)).all()):
        bad = int((~finite).sum())
        raise InputError(
            f"{name} has NaN or infinite values in {bad} of {len(x)} rows; leave those rows out on both sides"
        )
    if x.dtype == torch.float64 and not float(x.abs().max()) <= LARGEST:
        raise InputError(
            f"{name} has values up to {float(x.abs().max()):.0e}, whose squares overflow; divide it by a constant"
        )
    return x
