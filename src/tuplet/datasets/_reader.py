"""What reads a published data set: from the files as published, or from the one file that they were converted to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Provenance, Source, Table, write_table
from tuplet.types import InputError

Shape = tuple[int | None, ...]
Needed = Mapping[str, tuple[str, Shape]]
"""Column -> letters of its dtype's kind, and the shape of a row."""

PUBLISHED = (".whl", ".npy", ".bz2", ".RData")
"""Endings of single files that are published, not converted."""


class Content(NamedTuple):
    """What published files hold: columns in the names of `tuplet.data.from_table` and some more."""

    columns: dict[str, Any]
    about: Mapping[str, str]
    checksum: str = ""

    def provenance(self, origin: object) -> Provenance:
        """Return where it comes from."""
        title, citation, licence = (self.about[k] for k in ("title", "citation", "licence"))
        return Provenance(title, citation, licence, str(origin), self.checksum)

    def identity(self, name: str, origin: object, *how: object) -> dict[str, Any]:
        """Return name, origin and checksum of a source of them, read as told, for `tuplet.data.from_columns`."""
        return {"name": name, "provenance": self.provenance(origin), "checksum": " ".join(map(str, (self.checksum, *how)))}

    def units(self, names: Iterable[str]) -> dict[str, str]:
        """Return the units of some modalities."""
        return {k: self.about.get(f"unit.{k}", "") for k in names}


@dataclass(frozen=True)
class Reader:
    """Reads real data, which lie in a folder of the user's."""

    load: Callable[..., Source]  # of root (the folder, or a file that `convert` wrote), and options by name
    read: Callable[..., Content]  # of root: all that the published files hold, checked
    report: Callable[[Path], list[str]]  # of root: what was found, after all rows are read
    about: str | None  # what the data set is, and which files are expected

    def verify(self, root: str | Path) -> list[str]:
        """Read everything and return what was found."""
        return self.report(Path(root))

    def convert(self, root: str | Path, out: str | Path, **options: Any) -> Path:
        """Clean once and write one file, which `load` takes as root; options are those of ``read``."""
        if Path(out).suffix != ".safetensors":
            raise InputError(f"out is {out}, expected a name that ends in .safetensors")
        content = self.read(Path(root), **options)
        return write_table(out, content.columns, about=content.about)


def opened(root: Path, about: Mapping[str, str], needed: Needed, read: Callable[[Path], Content]) -> Content:
    """Read published files, or a file that `Reader.convert` wrote."""
    if not root.is_file() or root.suffix in PUBLISHED:
        return read(root)
    table = converted(root, about["name"], needed)
    return Content(dict(table.columns), {**table.about, **about}, table.sha256)  # the file's own words may be damaged


def whole(root: str | Path | None, about: Mapping[str, str], needed: Needed, read: Callable[[Path | None], Content]) -> Content:
    """Read a small set likewise, or what is installed: the columns that are needed, in memory, and their checksum."""
    content = read(None) if root is None else opened(Path(root), about, needed, read)
    columns = {k: np.asarray(content.columns[k]) for k in needed}
    return content._replace(columns=columns, checksum=checksum(*columns.values()))


def converted(file: Path, name: str, needed: Needed) -> Table:
    """Open a converted file and check that it holds what the reader needs."""
    table = Table.open(file)
    if table.about.get("name") != name:
        raise InputError(f"root {file} was not converted from {name}; give such a file, or the published ones")
    for column, (kinds, shape) in needed.items():
        seen = table.columns.get(column)
        fits = (
            seen is not None
            and seen.dtype.kind in kinds
            and len(seen.shape) == len(shape) + 1
            and all(want in (None, got) for want, got in zip(shape, seen.shape[1:], strict=True))
        )
        if not fits:
            what = "no such column" if seen is None else f"shape {seen.shape} and dtype {seen.dtype}"
            raise InputError(f"root {file} has {what} for {column}, expected rows of {shape}; convert it again")
    return table


def spanned(column: Iterable[NDArray[Any]], fault: str) -> str:
    """Read a whole column and say from where to where it reaches; raise the fault if a value is not finite."""
    low, high = np.inf, -np.inf
    for block in column:
        if not np.isfinite(block).all():
            raise InputError(fault)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    return f"{low:.4g} .. {high:.4g}"


def checksum(*columns: NDArray[Any]) -> str:
    """Return one checksum of several arrays."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(f"{column.shape} {column.dtype}".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
