"""What a command line names as its data: a source that ships, a reader with ``--root``, or a user's ``.npz`` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuplet.types import InputError

if TYPE_CHECKING:
    from tuplet.data import Source


def opened(name: str, root: Path | None = None) -> Source:
    """Load the data that a command was given.

    Args:
        name: of a source or reader, or the path of an ``.npz`` file.
        root: where a reader's data lie.

    Returns:
        The source.

    Raises:
        InputError: for an unknown name, a reader without root, or as the loaders do.

    Example:
        >>> opened("mosei")
        Traceback (most recent call last):
        tuplet.types.InputError: mosei reads real data: say where they lie with --root
    """
    from tuplet.data import READERS, SOURCES
    from tuplet.data.npz import from_npz

    if name.endswith(".npz"):
        return from_npz(Path(name))
    if name in READERS:
        if root is None:
            raise InputError(f"{name} reads real data: say where they lie with --root")
        return READERS[name].load(root)
    if name not in SOURCES:
        raise InputError(
            f"source is {name!r}, expected one of {sorted([*SOURCES, *READERS])} or the path of an .npz file"
        )
    if root is not None:
        raise InputError(f"root is {root}, but {name} ships with tuplet; leave --root out")
    return SOURCES[name]()
