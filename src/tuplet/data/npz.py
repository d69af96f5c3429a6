"""A user's own data in one ``.npz`` file: an array per modality, a target, perhaps a group."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tuplet.data._memory import free_memory
from tuplet.data._named import RESERVED, from_named
from tuplet.data._scaling import Scaling
from tuplet.data.arrays import Arrays
from tuplet.data.source import Provenance
from tuplet.data.splits import Split
from tuplet.io.npy import parse_npy
from tuplet.types import InputError, Kind


def from_npz(
    path: str | Path,
    *,
    modalities: Iterable[str] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    seed: int = 0,
) -> Arrays:
    """Make a source from a file that ``numpy.savez`` wrote.

    Args:
        path: holds two or more modalities, each ``(n, ...)``; perhaps ``label`` or ``target`` ``(n,)`` (more of them as
            ``target.NAME``), ``group`` ``(n,)``, such as subject or file, which stays in one part of the split, and ``id``
            ``(n,)``, the ids of the rows. A row that is NaN throughout is missing.
        modalities: as in `tuplet.data.read`.
        target: as in `tuplet.data.read`.
        group: as in `tuplet.data.read`.
        id: as in `tuplet.data.read`.
        kinds: modality -> what its rows are, as in `tuplet.data.Modality`; the shape says it when left out, and
            ``provenance.notes`` where that was a guess: ``(C, T)`` with ``C < T`` is taken as a signal of C channels. On the
            command line: ``--kind sound=sequence`` or ``my.npz?sound=sequence``.
        scaling: as in `tuplet.data.from_arrays`.
        split: as in `tuplet.data.from_arrays`.
        target_kind: as in `tuplet.data.read`.
        seed: of the split, 60 / 20 / 20, stratified.

    Returns:
        The source.

    Raises:
        InputError: naming the file and what is wrong with it.

    Notes:
        Nothing in the file is executed: objects are refused, as with ``allow_pickle=False``.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder, "my.npz"), force=x, sound=x[:, :2], label=np.arange(50) % 2)
        ...     source = from_npz(Path(folder, "my.npz"))
        >>> sorted(source.modalities), source.targets["label"].size
        (['force', 'sound'], 2)
    """
    path = Path(path)
    named = (*target,) if isinstance(target, Mapping) else (target, group, id)
    modalities = [modalities] if isinstance(modalities, str) else modalities
    wanted = None if modalities is None else list(modalities)
    asked = None if wanted is None else {*wanted, *(v for v in named if isinstance(v, str))}
    arrays, checksum = members(path, asked)
    try:
        return from_named(
            arrays,
            modalities=wanted,
            target=target,
            group=group,
            id=id,
            kinds=kinds,
            scaling=scaling,
            split=split,
            target_kind=target_kind,
            seed=seed,
            name=path.stem,
            provenance=Provenance(title=path.name, origin=str(path), sha256=checksum),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_size(path: Path, packed: int, unpacked: int) -> None:
    """Refuse a file that would fill the memory, before any of it is unpacked."""
    most = free_memory() // 2
    if unpacked > most or (unpacked > 2**30 and unpacked > 200 * packed):
        raise InputError(
            f"{path} unpacks from {packed / 1e6:.1f} MB to {unpacked / 1e9:.1f} GB, more than half of the free memory "
            f"({most / 1e9:.1f} GB) or 200 times the file; write it as .safetensors with tuplet.data.write_table"
        )


def members(path: Path, asked: set[str] | None = None) -> tuple[dict[str, NDArray[Any]], str]:
    """Read the arrays of an ``.npz`` file."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; give a file that numpy.savez wrote")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a file that numpy.savez wrote")
    arrays = {}
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(path) as file:
            _check_size(path, len(content), sum(member.file_size for member in file.infolist()))
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
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is no readable .npz file ({type(error).__name__}); save it again with numpy.savez"
        ) from None
    return arrays, hashlib.sha256(content).hexdigest()
