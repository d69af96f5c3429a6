"""The one function that makes a source of whatever a user has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuplet.data._frames import is_frame
from tuplet.data._hints import with_hints
from tuplet.data._named import from_named
from tuplet.data._padding import padding_note
from tuplet.data._scaling import Scaling
from tuplet.data.npz import from_npz
from tuplet.data.source import Provenance, Source
from tuplet.data.splits import Split
from tuplet.data.stored import from_table
from tuplet.data.table import Table
from tuplet.types import InputError, Kind


def read(
    x: Any,
    *,
    modalities: Iterable[str] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    target_kind: Mapping[str, str] | str | None = None,
) -> Source:
    """Make a source of your own data.

    Args:
        x: name -> array, torch tensor, list of strings, pandas frame or Series; or the path of an ``.npz`` or
            ``.safetensors`` file. Frames and Series are joined by their index: rows that a modality lacks are absent in it,
            and the same ids in another order give the same pairs. Plain arrays are paired by position.
        modalities: names of those to take; all when left out.
        target: name of an array or of a column of a frame, or a dict of name -> values. ``label``, ``target`` and
            ``target.NAME`` are targets by their name.
        group: likewise one name, or values ``(n,)``, such as subject or file: a group stays in one part of the split. An
            array called ``group`` is one by its name.
        id: name of an array with the ids of all rows or of a column that each frame has, values ``(n,)``, or a dict of
            modality -> ids; the index of frames when left out.
        kinds: modality -> ``"vector"``, ``"sequence"``, ``"padded"``, ``"image"``, ``"signal"`` or ``"text"``.
        scaling: ``"standard"``, ``"channels"`` or ``"none"``, for all modalities or by name; see `tuplet.data.from_arrays`.
        split: the parts; 60 / 20 / 20 by label and group when left out.
        target_kind: ``"class"`` or ``"real"``, for all targets or by name, where the values shall not decide.

    Returns:
        The source. ``source.provenance.notes`` say what was taken as what, and what you may not have meant.

    Raises:
        InputError: naming the argument, what was seen, and the fix.

    Example:
        >>> import numpy as np
        >>> force = np.random.default_rng(0).normal(size=(50, 3))
        >>> source = read({"force": force, "note": ["soft", "hard"] * 25, "label": ["cup", "ball"] * 25})
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["label"].names
        ({'force': (3,), 'note': (1024,)}, ('ball', 'cup'))
    """
    if isinstance(x, str | Path):
        path = Path(x)
        suffix = path.suffix.lower()
        try:
            path.exists()
        except (OSError, ValueError) as error:
            raise InputError(f"path {str(x)[:80]!a} cannot be read: {error}"[:200]) from None
        if suffix == ".npz":
            return from_npz(
                path,
                modalities=modalities,
                target=target,
                group=group,
                id=id,
                kinds=kinds,
                scaling=scaling,
                split=split,
                target_kind=target_kind,
            )
        if suffix == ".safetensors":
            return _table(path, modalities, target, group, id, kinds, scaling, split, target_kind)
        what = "is a directory" if path.is_dir() else f"ends in {suffix[:20]!a}" if suffix else "has no ending"
        raise InputError(
            f"path {str(path)[:200]!a} {what}, expected a file that ends in .npz or .safetensors; save the arrays with "
            f"numpy.savez, or read the file with pandas and give tuplet.data.read({{name: frame, ...}})"
        )
    if not isinstance(x, Mapping):
        fix = "; give one entry per modality, such as {'imu': frame[['ax', 'ay']], 'note': frame['note']}" * is_frame(x)
        raise InputError(
            f"x is a {type(x).__name__}, expected a dict of name -> array, text, frame or Series, or the path of an .npz or "
            f".safetensors file{fix}"
        )
    return from_named(
        x,
        modalities=modalities,
        target=target,
        group=group,
        id=id,
        kinds=kinds,
        scaling=scaling,
        split=split,
        target_kind=target_kind,
    )


def _table(
    path: Path,
    modalities: Iterable[str] | None,
    target: str | Mapping[str, Any] | None,
    group: Any,
    id: Any,
    kinds: Mapping[str, Kind] | None,
    scaling: Scaling | Mapping[str, Scaling] | None,
    split: Split | None,
    target_kind: Mapping[str, str] | str | None,
) -> Source:
    """Read a file of columns; where none is called ``input.NAME``, as an ``.npz`` file of the same arrays."""
    table = Table.open(path)
    if not any(k.startswith("input.") for k in table.columns):
        return from_named(
            table.columns,
            modalities=modalities,
            target=target,
            group=group,
            id=id,
            kinds=kinds,
            scaling=scaling,
            split=split,
            target_kind=target_kind,
            name=path.stem,
            provenance=Provenance(title=path.name, origin=str(path), sha256=table.sha256),
        )
    if isinstance(target, Mapping) or id is not None or not (group is None or isinstance(group, str)):
        raise InputError(
            f"path {path} names its targets, group and rows itself; give target= and group= as names, and leave id out"
        )
    source = from_table(
        table,
        modalities=None if modalities is None else [modalities] if isinstance(modalities, str) else list(modalities),
        targets=None if target is None else [target],
        group=group,
        kinds=kinds,
        scaling=scaling,
        split=split,
        target_kind=target_kind,
    )
    inputs = {k: table.columns[f"input.{k}"] for k in source.modalities}
    notes = tuple(note for k, v in inputs.items() for note in padding_note(k, v, source.modalities[k].kind))
    return with_hints(replace(source, provenance=replace(source.provenance, notes=(*source.provenance.notes, *notes))))
