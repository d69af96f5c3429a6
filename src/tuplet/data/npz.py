"""A user's own data in one ``.npz`` file: an array per modality, a target, perhaps a group."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data.arrays import Arrays, from_arrays
from tuplet.data.npy import parse_npy
from tuplet.data.source import Provenance
from tuplet.types import InputError, Kind, kind_of, one_of

TARGETS = ("label", "target")


def from_npz(path: Path, *, kinds: Mapping[str, Kind] | None = None, seed: int = 0) -> Arrays:
    """Make a source from a file that ``numpy.savez`` wrote.

    Args:
        path: holds ``label`` (classes; whole numbers may be floats) or ``target`` (floats are real), each ``(n,)``; more of
            them as ``target.NAME``; perhaps ``group`` ``(n,)``, such as subject or file, which stays in one part of the split;
            and two or more modalities, each ``(n, ...)``, under any other names. A row that is NaN throughout is missing.
        kinds: modality -> what its rows are, as in `tuplet.data.Modality`; the shape says it when left out, and
            ``provenance.notes`` where that was a guess: ``(C, T)`` with ``C < T`` is taken as a signal of C channels. On the
            command line: ``my.npz?sound=sequence``.
        seed: of the split, 60 / 20 / 20, stratified.

    Returns:
        The source.

    Raises:
        InputError: naming the file and what is wrong with it.

    Notes:
        Nothing in the file is executed: objects are refused, as with ``allow_pickle=False``.

    Example:
        >>> import tempfile
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder, "my.npz"), force=x, sound=x[:, :2], label=np.arange(50) % 2)
        ...     source = from_npz(Path(folder, "my.npz"))
        >>> sorted(source.modalities), source.targets["label"].size
        (['force', 'sound'], 2)
    """
    arrays, checksum = _members(path)
    targets = {k: v for k, v in arrays.items() if k in TARGETS or k.startswith("target.")}
    inputs = {k: v for k, v in arrays.items() if k not in targets and k != "group"}
    if not targets:
        raise InputError(
            f"{path} has {sorted(arrays)}, but no label; add an array 'label' or 'target', one entry per row"
        )
    if len(inputs) < 2:
        raise InputError(
            f"{path} has {len(inputs)} modality ({', '.join(sorted(inputs)) or 'none'}) beside {sorted(targets)}, expected two "
            f"or more arrays with a row per label"
        )
    if "label" in targets:
        targets["label"] = _classes(path, targets["label"])
    for name, kind in (kinds or {}).items():
        one_of(f"the modality in {path}?{name}=", name, tuple(sorted(inputs)))
        one_of(f"{path}?{name}", kind, get_args(Kind))
    guesses, notes = _guesses(path, {k: v for k, v in inputs.items() if k not in (kinds or {})})
    return from_arrays(
        inputs,
        kinds={**guesses, **(kinds or {})},
        targets={k.removeprefix("target."): v for k, v in targets.items()},
        group=arrays.get("group"),
        seed=seed,
        name=path.stem,
        provenance=Provenance(title=path.name, origin=str(path), sha256=checksum, notes=notes),
    )


def _members(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    if path.is_dir():
        raise InputError(f"{path} is a directory; give a file that numpy.savez wrote")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a file that numpy.savez wrote")
    arrays = {}
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(path) as file:
            for name in file.namelist():
                array = parse_npy(file.read(name), name=f"{path}/{name}")
                if array.dtype.hasobject:
                    raise InputError(f"{path}/{name} holds Python objects, expected numbers or text; convert it first")
                arrays[name.removesuffix(".npy")] = array
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is no readable .npz file ({type(error).__name__}); save it again with numpy.savez"
        ) from None
    return arrays, hashlib.sha256(content).hexdigest()


def _guesses(path: Path, inputs: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """Choose kinds that shapes leave open, and note every choice that a user may not have meant."""
    found: dict[str, Kind] = {}
    notes = []
    for name, array in inputs.items():
        shape = array.shape[1:]
        if not shape and array.dtype.kind in "biu":
            notes.append(
                f"{name} holds one whole number per row and was taken as a modality: if it says who or where, name it "
                f"'group'; if it is to be predicted, 'target.{name}'"
            )
        if not shape or kind_of(shape) is not None:
            continue
        if len(shape) != 2 or shape[0] == shape[1]:
            raise InputError(
                f"{path} has {name} with rows of shape {shape}, which may mean several things; say which: "
                f"{path}?{name}=KIND with KIND one of {', '.join(get_args(Kind))}; pictures have channels first"
            )
        steps, channels = max(shape), min(shape)
        found[name] = "sequence" if shape[0] == steps else "signal"
        notes.append(
            f"{name} has rows of shape {shape}: taken as a {found[name]} of {steps} steps and {channels} channel"
            f"{'s' * (channels > 1)}; if it is another, say {path.name}?{name}=KIND, one of {', '.join(get_args(Kind))}"
        )
    return found, tuple(notes)


def _classes(path: Path, label: NDArray[Any]) -> NDArray[Any]:
    if label.dtype.kind != "f":
        return label
    if not np.isfinite(label).all() or (label != np.round(label)).any():
        raise InputError(f"{path} has a label that is not whole numbers; name it 'target' if it is a real number")
    return label.astype(np.int64)
