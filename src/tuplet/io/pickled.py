"""What the few names that a pickle may mention become: arrays, dtypes, scalars and plain containers."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pending:
    """An array or dtype between its creation and the instruction that gives its state; ``value`` once known."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def build(self, state: tuple[Any, ...]) -> None:
        """Take the state that NumPy wrote: of a dtype its byte order, of an array everything."""
        self.value = _from_state(*state[1:]) if self.value is None else _with_order(self.value, *state)


@dataclass(frozen=True)
class Name:
    """A name from the table, which a file may mention or apply."""

    apply: Callable[..., Any] | None


def resolved(value: Any) -> Any:
    """Return the array or dtype itself, once it is known."""
    return value.value if isinstance(value, Pending) and value.value is not None else value


def hashable(value: Any) -> Any:
    """Return a key of a dict or set; nested tuples are refused, as hashing deep ones overflows the interpreter's stack."""
    for part in value if isinstance(value, tuple) else (value,):
        if not isinstance(part, (str, bytes, int, float, complex, np.generic, type(None))):
            raise TypeError("key")
    return value


def _dtype(code: str, *_: Any) -> Pending:
    match = re.fullmatch(r"[<>|=]?([biufcSUO])([0-9]{0,9})", code)
    dtype = None if match is None else np.dtype("O" if match[1] == "O" else code)
    if dtype is None or dtype.itemsize == 0:
        raise ValueError("dtype")
    return Pending(dtype)


def _with_order(dtype: Any, version: int, order: str, *_: Any) -> Any:
    if not isinstance(dtype, np.dtype) or order not in ("<", ">", "|", "="):
        raise ValueError("state")
    return dtype if order == "|" else dtype.newbyteorder(order)  # type: ignore[arg-type]


def _from_state(shape: tuple[int, ...], dtype: Any, fortran: bool, content: Any) -> NDArray[Any]:
    if not isinstance(dtype, np.dtype):
        raise TypeError("dtype")
    if dtype.kind != "O":
        return _from_buffer(content, dtype, shape, "F" if fortran else "C")
    if not isinstance(content, list) or len(content) != math.prod(shape):
        raise ValueError("content")
    return np.fromiter(content, dtype=object).reshape(shape, order="F" if fortran else "C")


def _from_buffer(content: Any, dtype: Any, shape: tuple[int, ...], order: str = "C") -> NDArray[Any]:
    """Make the array; the sizes must agree exactly, so that no file asks for more memory than it fills."""
    if not isinstance(dtype, np.dtype):
        raise TypeError("dtype")
    raw = content.encode("latin-1") if isinstance(content, str) else content
    if dtype.kind == "O" or min(shape, default=0) < 0 or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError("content")
    flat = np.frombuffer(raw, dtype=dtype) if len(raw) else np.empty(0, dtype)
    flat.flags.writeable = False
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("encoding")
    return text.encode("latin-1")


def _made(kind: Callable[..., Any]) -> Callable[..., Any]:
    """Let a container be made from another one only: from a number it would be as large as the number says."""

    def make(content: Any = (), *encoding: Any) -> Any:
        if kind in (dict, OrderedDict):
            return kind((hashable(k), v) for k, v in content)
        if kind is bytearray:
            content = _encode(content, *encoding) if isinstance(content, str) else content
        if (encoding and kind is not bytearray) or not isinstance(content, (list, tuple, bytes)):
            raise ValueError("container")
        return kind([hashable(v) for v in content] if kind in (set, frozenset) else content)

    return make


NAMES = {
    "numpy.ndarray": Name(None),
    "numpy.dtype": Name(_dtype),
    "numpy.core.multiarray._reconstruct": Name(lambda *_: Pending()),
    "numpy.core.multiarray.scalar": Name(lambda dtype, content: _from_buffer(content, dtype, (1,))[0]),
    "numpy.core.numeric._frombuffer": Name(lambda raw, dtype, shape, order: _from_buffer(raw, dtype, shape, order)),
    "_codecs.encode": Name(_encode),
    "builtins.complex": Name(complex),
    "collections.OrderedDict": Name(_made(OrderedDict)),
    **{f"builtins.{kind.__name__}": Name(_made(kind)) for kind in (bytearray, bytes, dict, frozenset, list, set, tuple)},
}
"""All that a file may name; numpy 2 and Python 2 paths are brought to these first."""
