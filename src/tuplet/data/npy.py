"""Read ``.npy`` files as views of the mapped file; objects inside go through the restricted unpickler."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data.unpickle import mapped, unpickle
from tuplet.types import InputError


def read_npy(path: Path) -> NDArray[Any]:
    """Read one ``.npy`` file without loading it.

    Args:
        path: the file, of format version 1 or 2.

    Returns:
        The array, read-only; it shares memory with the file, which must not change meanwhile.

    Raises:
        InputError: naming the file, if it is absent, damaged, or holds anything but numbers, text and plain containers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder, "a.npy"), np.arange(3))
        ...     read_npy(Path(folder, "a.npy")).tolist()
        [0, 1, 2]
    """
    return parse_npy(mapped(path), name=str(path))


def parse_npy(data: bytes | memoryview, *, name: str) -> NDArray[Any]:
    """Read the content of an ``.npy`` file.

    Args:
        data: all its bytes.
        name: what to call it in errors.

    Returns:
        The array, a read-only view of ``data``.

    Raises:
        InputError: as `read_npy`.

    Example:
        >>> parse_npy(b"nothing", name="a.npy")
        Traceback (most recent call last):
        tuplet.types.InputError: a.npy is no readable .npy file (ValueError); copy it again
    """
    view = memoryview(data).cast("B")
    head = io.BytesIO(view[:70_000])  # longer headers only occur in structured arrays
    try:
        version = np.lib.format.read_magic(head)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = header(head)
        content = view[head.tell() :]
        if dtype.hasobject:
            array = unpickle(content, name=name)
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise ValueError("content")
            return array
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biufcSU" or min(shape, default=0) < 0 or dtype.itemsize == 0:
            raise ValueError("dtype")
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, SyntaxError, OverflowError, MemoryError, RecursionError) as error:
        raise InputError(f"{name} is no readable .npy file ({type(error).__name__}); copy it again") from None
    if len(content) != size:
        raise InputError(
            f"{name} holds {len(content)} bytes of data, expected {size} for {shape} {dtype}; copy it again"
        )
    flat = np.frombuffer(content, dtype=dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
