"""Keep what was generated: one file per set of parameters, written once, however many processes ask for it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def cache_folder() -> Path:
    """Return where generated files are kept.

    Returns:
        ``$TUPLET_CACHE``, or ``~/.cache/tuplet`` when it is not set.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    return Path(os.environ.get("TUPLET_CACHE") or "~/.cache/tuplet").expanduser().absolute()


def cached(
    name: str, parameters: Mapping[str, str | int | float], make: Callable[[], Mapping[str, NDArray[Any]]]
) -> Path:
    """Return the file of these parameters, making it first if it is not there.

    Args:
        name: first part of the file's name.
        parameters: all that the content depends on, the version of the generator included.
        make: gives the columns.

    Returns:
        ``<cache folder>/<name>-<first 16 digits of the hash of the parameters>.safetensors``.

    Notes:
        Processes that ask for one file at one time wait for each other. To free space, delete the folder.

    Example:
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.environ["TUPLET_CACHE"] = folder
        ...     path = cached("noise", {"seed": 0}, lambda: {"x": np.zeros(3)})
        ...     again = cached("noise", {"seed": 0}, lambda: {})  # the file is there: this is not called
        ...     del os.environ["TUPLET_CACHE"]
        >>> path == again, path.suffix
        (True, '.safetensors')
    """
    from filelock import FileLock

    about = {"name": name, "parameters": json.dumps(dict(sorted(parameters.items())))}
    key = hashlib.sha256(f"{name} {about['parameters']}".encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            write_table(path, make(), about=about)
    return path


def write_table(path: Path, columns: Mapping[str, NDArray[Any]], *, about: Mapping[str, str]) -> None:
    """Write columns to one file, whole or not at all.

    Args:
        path: ``.safetensors`` file; its folder must exist.
        columns: name -> array.
        about: what the file says of itself.

    Example:
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(Path(folder, "t.safetensors"), {"x": np.zeros(2)}, about={})
    """
    from safetensors.numpy import save_file

    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        save_file(dict(columns), part, metadata=dict(about))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
