"""Where files are kept that can be computed again: one per set of parameters, made once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tuplet.data.table import write_table
from tuplet.types import InputError

Chunks = NDArray[Any] | Iterable[NDArray[Any]]


def cache_folder() -> Path:
    """Return where such files are kept."""
    try:
        return Path(os.environ.get("TUPLET_CACHE") or "~/.cache/tuplet").expanduser().absolute()
    except RuntimeError:  # a user without a home
        raise InputError("there is no home folder to keep a cache in; set TUPLET_CACHE to a folder") from None


def cached(
    name: str,
    parameters: Mapping[str, str | int | float],
    make: Callable[[], Mapping[str, Chunks]],
    *,
    about: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Path:
    """Return the file of these parameters, making it first if it is not there."""
    from filelock import FileLock

    text = {"name": name, **(about or {}), "parameters": json.dumps(dict(parameters), sort_keys=True)}
    key = hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()[:16]
    path = (folder or cache_folder()) / f"{name}-{key}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                write_table(path, make(), about=text)
    except OSError as error:
        raise InputError(f"the cache {path.parent} is not writable ({error}); set TUPLET_CACHE to a folder") from None
    return path
