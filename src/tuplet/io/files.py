"""Files that a killed process or a second one cannot spoil."""

from __future__ import annotations

import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tuplet.errors import InputError

BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, KeyError, EOFError, OSError, RuntimeError, ValueError)
"""What `zipfile` raises for a damaged file: seeking before its start, an unknown method or version, a header cut short."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one, whenever the process is killed.

    Args:
        path: the file.
        content: all of it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(Path(folder, "a"), b"abc")
        ...     Path(folder, "a").read_bytes()
        b'abc'
    """
    with atomic(path) as file:
        file.write(content)


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing, which takes the place of the old one at the end; after an error nothing is left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """Keep a run folder to this process; the lock ends with the process, however it ends.

    A folder that is new and stays empty is removed again: bad input leaves nothing behind.

    Args:
        folder: made if missing; None for nothing to lock.

    Yields:
        Nothing.

    Raises:
        InputError: if another process is writing there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     sorted(p.name for p in Path(folder).iterdir())
        ['.lock']
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise InputError(f"{folder} is in use by another run; wait for it, or choose another out folder") from None
    with lock:
        try:
            yield
        finally:
            if new and [p.name for p in folder.iterdir()] == [".lock"]:
                with suppress(OSError):
                    (folder / ".lock").unlink()
                    folder.rmdir()
