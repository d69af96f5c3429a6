"""Read ``.npy`` files as views of the mapped file; objects inside go through the restricted unpickler."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.io.unpickle import mapped, unpickle
from tuplet.types import InputError

HEADER = re.compile(
    rb"\{'descr': '([<>|=](?:[iu][1248]|f[248]|c8|c16|b1|[SU][0-9]{1,6}|O))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,15}[lL]?, ?)*(?:[0-9]{1,15}[lL]?)?)\), \}\s*"
)
"""What NumPy writes for arrays without fields; matched rather than evaluated."""


def read_npy(path: Path) -> NDArray[Any]:
    """Read one ``.npy`` file without loading it."""
    return parse_npy(mapped(path), name=str(path))


def parse_npy(data: bytes | memoryview, *, name: str) -> NDArray[Any]:
    """Read the content of an ``.npy`` file."""
    view = memoryview(data).cast("B")
    wide = bytes(view[6:7]) != b"\x01"  # versions 2 and 3 have four bytes for the length of the header
    start = 12 if wide else 10
    content = start + int.from_bytes(view[8:start], "little")
    match = HEADER.fullmatch(bytes(view[start : min(content, start + 10_000)]))
    if bytes(view[:6]) != b"\x93NUMPY" or match is None or content > len(view):
        raise InputError(f"{name} is no readable .npy file of one plain array; copy it again")
    shape = tuple(int(n.rstrip(b"lL")) for n in match[3].replace(b" ", b"").split(b",") if n)
    if match[1] == b"|O":
        array = unpickle(view[content:], name=name)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            raise InputError(f"{name} holds something else than its header says, expected objects of shape {shape}")
        return array
    dtype = np.dtype(match[1].decode())
    size = math.prod(shape) * dtype.itemsize
    if len(view) - content != size or dtype.itemsize == 0:
        raise InputError(f"{name} holds {len(view) - content} bytes of data, expected {size} for {shape} {dtype}")
    flat = np.frombuffer(view[content:], dtype=dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if match[2] == b"True" else "C")
