"""The ``tuplet data`` commands: list, describe, check and convert data sets."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from tuplet.types import InputError


@dataclass(frozen=True)
class List:
    """Name the data sets."""


@dataclass(frozen=True)
class Info:
    """Describe a data set."""

    name: Positional[str]
    """Name of the data set."""
    root: Path | None = None
    """Where real data lie; without it, what to put there is described."""


@dataclass(frozen=True)
class Verify:
    """Read real data whole and say what was found, or what is wrong with it."""

    name: Positional[str]
    """Name of the data set."""
    root: Path
    """Folder or file, as `tuplet data info NAME` says."""


@dataclass(frozen=True)
class Convert:
    """Clean real data once and write one file, which then loads at once: give it as root."""

    name: Positional[str]
    """Name of the data set."""
    root: Path
    """Folder or file, as `tuplet data info NAME` says."""
    out: Path
    """File to write, ending in .safetensors."""


@dataclass(frozen=True)
class Data:
    """List the data sets, describe one, check or convert real data."""

    do: Annotated[
        Annotated[List, subcommand("list")]
        | Annotated[Info, subcommand("info")]
        | Annotated[Verify, subcommand("verify")]
        | Annotated[Convert, subcommand("convert")],
        arg(name=""),
    ]


def data(command: Data) -> None:
    """Run one of the data commands.

    Args:
        command: the parsed options.

    Raises:
        InputError: for an unknown name, or as the readers do.
        OSError: if a file cannot be written.

    Example:
        >>> data(Data(Verify("mosei", root=Path("nowhere"))))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere holds none of mosei_senti_data.pkl, ...
    """
    from tuplet.data import READERS, SOURCES

    do = command.do
    if isinstance(do, List):
        print("\n".join([*SOURCES, *(f"{name} (real data: --root)" for name in READERS)]))
    elif isinstance(do, Info):
        _describe(do)
    elif do.name not in READERS:
        raise InputError(f"name is {do.name!r}, expected one of {sorted(READERS)}")
    elif isinstance(do, Verify):
        print("\n".join([*READERS[do.name].verify(do.root), "no fault found"]))
    else:
        _convert(do)


def _describe(do: Info) -> None:
    from tuplet.bench.show import print_source
    from tuplet.data import READERS, SOURCES

    if do.name in SOURCES:
        print_source(SOURCES[do.name]())
    elif do.name not in READERS:
        raise InputError(f"name is {do.name!r}, expected one of {sorted([*SOURCES, *READERS])}")
    elif do.root is None:
        print(inspect.getdoc(READERS[do.name]))
    else:
        print_source(READERS[do.name].load(do.root))


def _convert(do: Convert) -> None:
    from tuplet.data import READERS, Table

    if do.out.suffix != ".safetensors":
        raise InputError(f"out is {do.out}, expected a name that ends in .safetensors")
    table = Table.open(READERS[do.name].convert(do.root, do.out))
    print(f"{do.out}: {len(table)} rows, {do.out.stat().st_size / 1e6:.1f} MB, sha256 {table.sha256}")
    print(f"now: tuplet data info {do.name} --root {do.out}")
