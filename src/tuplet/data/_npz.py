"""Read the arrays of an ``.npz`` file, or refuse it before it fills the memory."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tuplet.data._named import RESERVED
from tuplet.io.files import BAD_ZIP
from tuplet.io.memory import free_memory
from tuplet.io.npy import parse_npy
from tuplet.types import InputError


def members(path: Path, asked: set[str] | None = None) -> tuple[dict[str, NDArray[Any]], str]:
    """Read the arrays of an ``.npz`` file."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; give a file that numpy.savez wrote")
    arrays = {}
    try:
        with zipfile.ZipFile(path) as file:
            _check_size(path, path.stat().st_size, sum(member.file_size for member in file.infolist()))
            for name in file.namelist():
                array = parse_npy(file.read(name), name=f"{path}/{name}")
                key = name.removesuffix(".npy")
                if not array.dtype.hasobject:
                    arrays[key] = array
                elif asked is None or key in asked or key in RESERVED or key.startswith("target."):
                    raise InputError(
                        f"{path}/{name} holds Python objects, expected numbers or text; save .astype(str) of text and "
                        f".astype(float) of numbers, or leave it out with --modalities (modalities=)"
                    )
        with path.open("rb") as whole:
            checksum = hashlib.file_digest(whole, "sha256").hexdigest()
    except BAD_ZIP as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no readable .npz file ({type(error).__name__}); save it again with numpy.savez") from None
    return arrays, checksum


def _check_size(path: Path, packed: int, unpacked: int) -> None:
    """Refuse a file that would fill the memory, before any of it is unpacked."""
    most = free_memory() // 2
    if unpacked > most or (unpacked > 2**30 and unpacked > 200 * packed):
        raise InputError(
            f"{path} unpacks from {packed / 1e6:.1f} MB to {unpacked / 1e9:.1f} GB, more than half of the free memory "
            f"({most / 1e9:.1f} GB) or 200 times the file; write it as .safetensors with tuplet.data.write_table"
        )
