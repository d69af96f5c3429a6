"""The two calls that make a source: from arrays in memory, and from columns that are read on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike

from tuplet.data._columns import check_names, group_codes, is_frame, is_series
from tuplet.data._raw import OnDemand, Raw, on_demand, raw_rows, scaling_words
from tuplet.data._scaling import Column, Scaling
from tuplet.data._targets import check_classes, encode_targets
from tuplet.data.preprocessing import Preprocessing
from tuplet.data.source import Held, Provenance, Source
from tuplet.data.splits import Split, check_split, split_rows
from tuplet.types import InputError, Kind, one_of, some_of


def from_arrays(
    modalities: Mapping[str, Any],
    *,
    targets: Mapping[str, Any] | None = None,
    group: Any = None,
    present: Mapping[str, ArrayLike] | None = None,
    split: Split | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    units: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rates: Mapping[str, float] | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    name: str = "arrays",
    provenance: Provenance | None = None,
) -> Source:
    """Make a source from one array per modality, row ``i`` of all of them being the same thing.

    Args:
        modalities: name -> ``(n, ...)`` numbers, or ``n`` strings; two or more. A row that is NaN throughout is missing.
        targets: name -> ``(n,)`` integers, strings or booleans (classes), or ``(n,)`` or ``(n, dims)`` floats (real; whole
            numbers with up to 20 different values are classes). None or NaN: a row without a class.
        group: ``(n,)`` ids such as subject or file. A group stays in one part of the split, and its rows are not
            negatives of each other. A row without one (None, NaN) is a group of its own.
        present: name -> bool ``(n,)``, where the modality was recorded; names left out are taken from NaN rows.
        split: the parts; drawn with ``fractions`` and ``seed``, stratified by the first class target, when left out.
        fractions: shares of train, val and test.
        seed: for the split.
        scaling: for all modalities or by name: ``"standard"`` subtracts the mean and divides by the standard deviation of
            the training rows (per column of ``(n, d)`` input, one number for the whole of images and sequences; padding
            does not count and stays zero; a column that never changes in the training rows becomes 0); ``"channels"``
            does so per entry of the last axis; ``"none"`` leaves values as they are. Left out: ``"standard"``, but rows of
            unit length (ready embeddings) stay as they are. Pictures of integers are divided by the largest value that
            their dtype holds, unless ``scaling`` names them.
        units: modality or target name -> unit or meaning, for documentation.
        kinds: modality -> what a row is, as in `Modality`; the shape says it when left out. An ``"image"`` of shape
            ``(H, W, C)`` is turned to ``(C, H, W)``.
        rates: modality -> steps a second along its axis of time, for documentation.
        target_kind: ``"class"`` or ``"real"``, for all targets or by name, where the values shall not decide.
        name: what to call the source.
        provenance: where the data come from.

    Returns:
        The source: ``.train``, ``.val``, ``.test``, ``.modalities``, ``.targets``, ``.split``, ``.fingerprint``. Its
        ``.provenance.notes`` say what was taken as what.

    Raises:
        InputError: naming the argument and the fix, for a single modality, row counts that differ, NaN inside a row,
            infinite values, unknown names, a label with one class, or an empty part.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(50, 3))
        >>> s = from_arrays({"force": x, "sound": x[:, :2]}, targets={"label": np.arange(50) % 2})
        >>> s.modalities["force"].shape, len(s.train), s.targets["label"].size
        ((3,), 30, 2)
    """
    if not isinstance(modalities, Mapping):
        raise InputError(f"modalities is a {type(modalities).__name__}, expected a dict of name -> array")
    for word, argument in (("label", "targets={'label': ...}"), ("target", "targets={'target': ...}"), ("group", "group=")):
        values = modalities.get(word, [[]])  # a table, (n, ...), is a modality, whatever its name
        first = next(iter(values), ())
        if getattr(values, "ndim", 1) == 1 and (getattr(first, "ndim", 1) == 0 or not hasattr(first, "__len__")):
            raise InputError(f"modalities has {word!r} with one value per row; give it as {argument}, or rename it")
    names = _checked(modalities, targets, present=present, units=units, kinds=kinds, rates=rates)
    _one_index({**modalities, **(targets or {}), "group": group})
    scaling_words(scaling, names)
    return _made(
        {k: raw_rows(k, modalities[k], (kinds or {}).get(k)) for k in names},
        targets=targets,
        group=group,
        present=present,
        split=split,
        fractions=fractions,
        seed=seed,
        scaling=scaling,
        units=units,
        rates=rates,
        target_kind=target_kind,
        name=name,
        provenance=provenance,
    )


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
    target_kind: Mapping[str, str] | str | None = None,
    name: str = "columns",
    provenance: Provenance | None = None,
) -> Source:
    """Make a source whose inputs are read on demand; `from_arrays` for data that does not fit in memory.

    Args:
        modalities: name -> rows on demand, ``(n, ...)`` numbers; two or more. uint8 is an image and becomes 0 .. 1.
        checksum: of what the columns read; whoever opens the files knows how to compute it.
        targets: as in `from_arrays`, of numbers, strings or booleans.
        classes: target -> names of its classes, for a target of codes that count them from 0.
        group: ``(n,)`` ids such as subject or file. A group stays in one part of the split.
        contrast: ``"groups"``: rows of one group are not negatives of each other, for groups of near copies (frames of one
            recording); ``"rows"``: they are, for groups that only must not leak (windows of one person).
        present: name -> bool ``(n,)``, where the modality was recorded; everywhere when left out.
        split, fractions, seed, units, rates, target_kind, name, provenance: as in `from_arrays`.
        scaling: as in `from_arrays`; pictures of bytes are divided by 255 in any case. Statistics are those of the training
            rows, read once, here.
        kinds: as in `from_arrays`; pictures have channels first.

    Returns:
        The source, as from `from_arrays`.

    Raises:
        InputError: naming the argument and the fix. Values that are not finite are found when their rows are read.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.integers(0, 256, size=(50, 8, 8), dtype=np.uint8)
        >>> s = from_columns({"image": x, "force": x[:, 0] * 0.1}, checksum="none, an example")
        >>> s.modalities["image"].shape, float(s.train[:].inputs["image"].max()), len(s.train)
        ((8, 8), 1.0, 30)
    """
    names = _checked(modalities, targets, present=present, units=units, kinds=kinds, rates=rates, classes=classes)
    one_of("contrast", contrast, ("groups", "rows"))
    return _made(
        {k: on_demand(k, modalities[k], (kinds or {}).get(k)) for k in names},
        checksum=checksum,
        targets={k: (targets or {})[k] for k in sorted(targets or {})},
        classes=classes,
        group=group,
        contrast=contrast,
        present=present,
        split=split,
        fractions=fractions,
        seed=seed,
        scaling=scaling,
        units=units,
        rates=rates,
        target_kind=target_kind,
        name=name,
        provenance=provenance,
    )


def _checked(
    modalities: Mapping[str, Any], targets: Mapping[str, Any] | None, **options: Mapping[str, Any] | None
) -> list[str]:
    """Check the names of modalities and targets, and those in options; return the modalities, sorted."""
    if targets is not None and not isinstance(targets, Mapping):
        raise InputError(f"targets is {type(targets).__name__}, expected a dict such as {{'label': values}}")
    if len(modalities) < 2:
        raise InputError(f"modalities has {len(modalities)} entry, expected two or more to align with each other")
    names = check_names("modalities", modalities)
    aims = check_names("targets", targets or {})
    for argument, given in options.items():
        known = [*names, *aims] if argument == "units" else aims if argument == "classes" else names
        some_of(argument, given or (), known)
    return names


def _made(
    given: Mapping[str, Raw | OnDemand],
    *,
    targets: Mapping[str, Any] | None,
    group: Any,
    present: Mapping[str, ArrayLike] | None,
    split: Split | None,
    fractions: Sequence[float],
    seed: int,
    scaling: Scaling | Mapping[str, Scaling] | None,
    units: Mapping[str, str] | None,
    rates: Mapping[str, float] | None,
    target_kind: Mapping[str, str] | str | None,
    name: str,
    provenance: Provenance | None,
    classes: Mapping[str, Sequence[str]] | None = None,
    checksum: str | None = None,
    contrast: Literal["groups", "rows"] = "groups",
) -> Source:
    """Check everything that belongs to rows, draw the split, and scale each modality by the training rows."""
    names = list(given)
    words = scaling_words(scaling, names)
    n = given[names[0]].array.shape[0]
    for k in names:
        if (rows := given[k].array.shape[0]) != n:
            raise InputError(
                f"modalities[{k!r}] has {rows} rows, expected {n} to match modalities[{names[0]!r}]; "
                f"row i of every array must be the same thing"
            )
    masks = {k: given[k].mask(k, (present or {}).get(k)) for k in names}
    values, described, notes = encode_targets(targets, n, units=units, classes=classes, kinds=target_kind)
    codes = None if group is None else group_codes(group, n)
    labels = next((values[k].numpy() for k in described if described[k].kind == "class"), None)
    split = split_rows(n, labels=labels, group=codes, fractions=fractions, seed=seed) if split is None else split
    check_split(split, n, codes, group)
    check_classes(values, described, split.train)
    prepared: dict[str, Preprocessing] = {}
    columns: dict[str, Held | Column] = {}
    scaled: list[tuple[str, str]] = []
    for k in names:
        if not masks[k][split.train].any():
            raise InputError(f"modalities[{k!r}] is missing in every training row; drop it or give other rows")
        unit, rate = (units or {}).get(k, ""), (rates or {}).get(k)
        prepared[k], word, said = given[k].fit(k, masks[k], split.train, words.get(k), unit, rate)
        columns[k] = given[k].column(k, masks[k], prepared[k], word)
        scaled.append((k, word))
        notes += said
    padded = [k for k in names if prepared[k].modality.kind == "padded"]
    provenance = provenance or Provenance(title=name)
    return Source(
        name=name,
        columns=columns,
        preprocessing=prepared,
        present={k: torch.from_numpy(masks[k]) for k in names},
        values=values,
        group=None if codes is None else torch.from_numpy(codes),
        targets=described,
        split=split,
        provenance=replace(provenance, notes=(*provenance.notes, *notes)),
        content="" if checksum is None else f"{checksum} {scaled}" + f" padded {padded}" * bool(padded),
        contrast=contrast,
    )


def _one_index(given: Mapping[str, object]) -> None:
    """Refuse frames whose rows are in different orders, which pairing by position would mix up."""
    found = {k: v.index for k, v in given.items() if is_frame(v) or is_series(v)}  # type: ignore[attr-defined]
    first = next(iter(found), "")
    if other := [k for k, index in found.items() if not index.equals(found[first])]:
        raise InputError(
            f"{first!r} and {other[0]!r} have different indexes, and from_arrays pairs rows by position; use "
            f"tuplet.data.read, which joins them, or give .to_numpy() of both"
        )
