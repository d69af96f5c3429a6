"""What a command line names as its data: a source that ships, a reader with ``--root``, or a user's ``.npz`` file."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.data import Source


def opened(name: str, root: Path | None = None) -> Source:
    """Load the data that a command was given.

    Args:
        name: of a source or reader, or the path of an ``.npz`` file; options of a source or reader may follow, as in
            ``spoken_digits?structure=synergy&classes=2``, and kinds of
            modalities a file, as in ``my.npz?sound=signal``.
        root: where a reader's data lie; some readers find theirs in installed packages or in the cache.

    Returns:
        The source.

    Raises:
        InputError: for an unknown name or option, a reader without root that needs one, or as the loaders do.

    Example:
        >>> opened("mosei")
        Traceback (most recent call last):
        tuplet.types.InputError: mosei reads real data: say where they lie with --root
        >>> len(opened("digits?seed=1").train)
        1200
    """
    from tuplet.data import READERS, SOURCES, from_table
    from tuplet.data.npz import from_npz

    file, _, text = name.partition("?")
    if file.endswith(".npz"):
        kinds: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True))
        return from_npz(Path(file), kinds=kinds)
    if file.endswith(".safetensors"):
        return from_table(Path(file))
    if Path(file).is_dir() and file not in READERS and file not in SOURCES:
        raise InputError(f"source is {name!r}, a directory; give an .npz file, or a reader's name with --root {name}")
    name, _, text = name.partition("?")
    if name not in READERS and name not in SOURCES:
        raise InputError(
            f"source is {name!r}, expected one of {sorted([*SOURCES, *READERS])} or the path of an .npz or .safetensors file"
        )
    load: Callable[..., Source] = READERS[name].load if name in READERS else SOURCES[name]
    known = signature(load).parameters
    if name in SOURCES and root is not None:
        raise InputError(f"root is {root}, but {name} ships with tuplet; leave --root out")
    if name in READERS and root is None and known["root"].default is Parameter.empty:
        raise InputError(f"{name} reads real data: say where they lie with --root")
    options = {k: _value(v) for k, v in parse_qsl(text, keep_blank_values=True)}
    allowed = sorted(set(known) - {"root", "path"})
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(f"{name} has no option {unknown[0]!r}, expected some of {allowed}")
    try:
        return load(**options) if root is None else load(root, **options)
    except TypeError as error:  # a word where a number belongs
        raise InputError(f"{name} does not take {text!r}: {str(error).splitlines()[0]}") from None


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
