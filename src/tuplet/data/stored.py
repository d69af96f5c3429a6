"""Make a source that reads its rows on demand: from columns of any kind, or from one file that describes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tuplet.data._columns import as_array, group_codes
from tuplet.data._names import check_names, plain_text
from tuplet.data._raw import check_kind, scaling_words, still_note, unit_length, unit_note
from tuplet.data._scaling import Column, Scaling, fit_scale
from tuplet.data._targets import check_classes, encode_targets
from tuplet.data.modality import Modality
from tuplet.data.on_demand import Stored
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Provenance
from tuplet.data.splits import Split, check_split, split_rows
from tuplet.data.table import Table
from tuplet.types import InputError, Kind, one_of

__all__ = ["Stored", "from_columns", "from_table"]


def from_columns(
    modalities: Mapping[str, Column],
    *,
    checksum: str,
    targets: Mapping[str, ArrayLike] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    group: ArrayLike | None = None,
    contrast: Literal["groups", "rows"] = "groups",
    present: Mapping[str, ArrayLike] | None = None,
    split: Split | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    units: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rates: Mapping[str, float] | None = None,
    target_kind: Mapping[str, str] | None = None,
    name: str = "columns",
    provenance: Provenance | None = None,
) -> Stored:
    """Make a source whose inputs are read on demand; `tuplet.data.from_arrays` for data that does not fit in memory.

    Args:
        modalities: name -> rows on demand, ``(n, ...)`` numbers; two or more. uint8 is an image and becomes 0 .. 1.
        checksum: of what the columns read; whoever opens the files knows how to compute it.
        targets: name -> ``(n,)`` integers, strings or booleans (classes), or ``(n,)`` or ``(n, dims)`` floats (real).
        classes: target -> names of its classes, for a target of codes that count them from 0.
        group: ``(n,)`` ids such as subject or file. A group stays in one part of the split.
        contrast: ``"groups"``: rows of one group are not negatives of each other, for groups of near copies (frames of one
            recording); ``"rows"``: they are, for groups that only must not leak (windows of one person).
        present: name -> bool ``(n,)``, where the modality was recorded; everywhere when left out.
        split: the parts; drawn with ``fractions`` and ``seed``, stratified by the first class target, when left out.
        fractions: shares of train, val and test.
        seed: for the split.
        scaling: ``"standard"``, ``"channels"`` or ``"none"`` as in `tuplet.data._scaling.fit_scale`, for all modalities or
            by name (names left out: ``"standard"``, but rows of unit length stay as they are). Statistics are those of the
            training rows, read once, here.
        units: modality or target name -> unit or meaning, for documentation.
        kinds: modality -> what a row is, as in `tuplet.data.from_arrays`; pictures have channels first.
        rates: modality -> steps a second along its axis of time, for documentation.
        target_kind: as in `tuplet.data.from_arrays`.
        name: what to call the source.
        provenance: where the data come from.

    Returns:
        The source: ``.train``, ``.val``, ``.test``, ``.modalities``, ``.targets``, ``.split``, ``.fingerprint``.

    Raises:
        InputError: naming the argument and the fix. Values that are not finite are found when their rows are read.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.integers(0, 256, size=(50, 8, 8), dtype=np.uint8)
        >>> s = from_columns({"image": x, "force": x[:, 0] * 0.1}, checksum="none, an example")
        >>> s.modalities["image"].shape, float(s.train[:].inputs["image"].max()), len(s.train)
        ((8, 8), 1.0, 30)
    """
    if len(modalities) < 2:
        raise InputError(f"modalities has {len(modalities)} entry, expected two or more to align with each other")
    one_of("contrast", contrast, ("groups", "rows"))
    names = check_names("modalities", modalities)
    given = {k: (targets or {})[k] for k in check_names("targets", targets or {})}
    for k in names:
        shape, dtype = modalities[k].shape, modalities[k].dtype
        if len(shape) == 0 or 0 in shape or dtype.kind not in "biuf":
            raise InputError(f"modalities[{k!r}] has shape {shape} and dtype {dtype}, expected (n, ...) numbers, n > 0")
        check_kind(k, (kinds or {}).get(k), shape[1:] or (1,))
    n = modalities[names[0]].shape[0]
    if uneven := {k: modalities[k].shape[0] for k in names if modalities[k].shape[0] != n}:
        raise InputError(f"modalities have {uneven} rows, expected {n} to match {names[0]!r}; row i is the same thing")
    chosen = scaling_words(scaling, names)
    everything = [*names, *given]
    for argument, keys, known in (
        ("present", present or {}, names),
        ("units", units or {}, everything),
        ("kinds", kinds or {}, names),
        ("rates", rates or {}, names),
        ("classes", classes or {}, list(given)),
    ):
        if unknown := sorted(set(keys) - set(known)):
            raise InputError(f"{argument} names {unknown}, expected some of {known}")
    masks = {k: _mask(k, (present or {}).get(k), n) for k in names}
    values, described, notes = encode_targets(given, n, units=units, classes=classes, kinds=target_kind)
    codes = None if group is None else group_codes(group, n)
    labels = next((values[k].numpy() for k in described if described[k].kind == "class"), None)
    split = split_rows(n, labels=labels, group=codes, fractions=fractions, seed=seed) if split is None else split
    check_split(split, n, codes)
    check_classes(values, described, split.train)
    prepared = {}
    for k in names:
        seen = np.sort(split.train)
        seen = seen[masks[k][seen]]
        if not len(seen):
            raise InputError(f"modalities[{k!r}] is missing in every training row; drop it or give other rows")
        if k not in chosen and unit_length(modalities[k], seen[:256]):
            chosen[k] = "none"
            notes += (unit_note(k),)
        kind, word = (kinds or {}).get(k), chosen.get(k, "standard")
        scale = fit_scale(k, modalities[k], seen, scaling=word, padded=kind == "padded")
        notes += still_note(k, scale)
        unit, rate = (units or {}).get(k, ""), (rates or {}).get(k)
        prepared[k] = Preprocessing(Modality(modalities[k].shape[1:] or (1,), unit=unit, kind=kind, rate=rate), scale)
    provenance = provenance or Provenance(title=name)
    padded = [k for k in names if (kinds or {}).get(k) == "padded"]
    return Stored(
        name=name,
        columns={k: modalities[k] for k in names},
        preprocessing=prepared,
        present={k: torch.from_numpy(masks[k]) for k in names},
        values=values,
        group=None if codes is None else torch.from_numpy(codes),
        modalities={k: prepared[k].modality for k in names},
        targets=described,
        split=split,
        provenance=replace(provenance, notes=(*provenance.notes, *notes)),
        content=f"{checksum} {[(k, chosen.get(k, 'standard')) for k in names]}"
        + (f" padded {padded}" if padded else ""),
        contrast=contrast,
    )


def _mask(name: str, given: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    if given is None:
        return np.ones(n, dtype=bool)
    mask = as_array(f"present[{name!r}]", given)
    if mask.shape != (n,) or mask.dtype != bool:
        raise InputError(f"present[{name!r}] has shape {mask.shape} and dtype {mask.dtype}, expected bool ({n},)")
    return mask.astype(bool)


def from_table(
    table: Table | Path | str,
    *,
    modalities: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    group: str | None = None,
    contrast: Literal["groups", "rows"] = "groups",
    split: Split | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    units: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rates: Mapping[str, float] | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    name: str | None = None,
    provenance: Provenance | None = None,
) -> Stored:
    """Make a source from one file of columns.

    Args:
        table: a file that `tuplet.data.write_table` wrote; its docstring lists the names of columns.
        modalities: which ``input.<name>`` columns to take; all of them when left out.
        targets: which ``target.<name>`` columns to take; all of them when left out.
        classes: target -> names of its classes; the file's ``classes.<target>`` where left out.
        group: which column holds the groups; ``group`` when left out.
        contrast: as in `tuplet.data.from_columns`, for the groups.
        split: the parts; the file's ``split`` column when left out, and drawn with ``fractions`` and ``seed``, groups
            whole, when it has none.
        fractions: shares of train, val and test.
        seed: for the split.
        scaling: as in `tuplet.data.from_columns`.
        units: modality or target name -> unit; the file's ``unit.<name>`` where left out.
        kinds: as in `tuplet.data.from_columns`.
        rates: as in `tuplet.data.from_columns`.
        target_kind: as in `tuplet.data.from_arrays`; targets with names of classes are classes.
        name: what to call the source; the file's ``name``, or its file name, when left out.
        provenance: where the data come from; the file's title, citation, licence and origin when left out.

    Returns:
        The source. Its fingerprint covers every byte of the file, which is read once for it.

    Raises:
        InputError: naming the file or the argument.

    Example:
        >>> import tempfile
        >>> from tuplet.data.table import write_table
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> columns = {"input.force": x, "input.sound": x[:, :2], "target.label": np.arange(50) % 2}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write_table(Path(folder, "a.safetensors"), columns, about={"classes.label": '["up", "down"]'})
        ...     source = from_table(file)
        ...     source.modalities["force"].shape, source.targets["label"].names, len(source.train)
        ((3,), ('up', 'down'), 30)
    """
    opened = table if isinstance(table, Table) else Table.open(table)
    about, where = {k: plain_text(v) for k, v in opened.about.items()}, f"path {opened.path}"
    if group is not None and group not in opened.columns:
        raise InputError(f"group is {group!r}, which {where} does not have; it has {sorted(opened.columns)}")

    def named(prefix: str, wanted: Sequence[str] | None) -> dict[str, NDArray[np.generic]]:
        found = {k.removeprefix(prefix): v for k, v in opened.columns.items() if k.startswith(prefix)}
        if absent := sorted(set(wanted or ()) - set(found)):
            raise InputError(f"{where} has no column {prefix}{absent[0]}; it has {sorted(opened.columns)}")
        return {k: found[k] for k in (found if wanted is None else wanted)}

    inputs, labels = named("input.", modalities), named("target.", targets)
    known = {k: about[f"unit.{k}"] for k in [*inputs, *labels] if f"unit.{k}" in about}
    if split is None and "split" in opened.columns:
        part = opened.columns["split"]
        if part.ndim != 1 or not np.isin(part, (0, 1, 2)).all():
            raise InputError(f"{where} has a split column that is not 0 (train), 1 (val) or 2 (test) in every row")
        train, val, test = (np.flatnonzero(part == i).astype(np.int64) for i in range(3))
        split = Split(train, val, test)
    present = {k: v for k, v in named("present.", None).items() if k in inputs}
    named_classes = {k: _names(where, k, opened.about[f"classes.{k}"]) for k in labels if f"classes.{k}" in about}
    about_origin: dict[str, Any] = {k: about.get(k, "") for k in ("citation", "licence", "origin")}
    return from_columns(
        inputs,
        checksum=opened.sha256,
        targets=labels,
        classes=named_classes | dict(classes or {}),
        group=opened.columns.get(group or "group"),
        contrast=contrast,
        present=present,
        split=split,
        fractions=fractions,
        seed=seed,
        scaling=scaling,
        units=known | dict(units or {}),
        kinds=kinds,
        rates=rates,
        target_kind=dict.fromkeys(labels, target_kind) if isinstance(target_kind, str) else target_kind,
        name=name or about.get("name", "").replace("/", " ").replace("\\", " ").strip()[:80] or opened.path.stem,
        provenance=provenance
        or Provenance(about.get("title") or opened.path.stem, sha256=opened.sha256, **about_origin),
    )


def _names(where: str, target: str, text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(n, str) for n in names):
        raise InputError(f"{where} has classes.{target} = {text[:80]!r}, expected a JSON list of two or more names")
    return [plain_text(n) for n in names]
