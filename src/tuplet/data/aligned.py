"""The one call that makes a source from a user's own arrays, row ``i`` of all of them being the same thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tuplet.data._columns import as_array, group_codes
from tuplet.data._frames import is_frame, is_series
from tuplet.data._names import check_names
from tuplet.data._raw import Raw, raw_rows, scaling_words
from tuplet.data._scaling import Scaling
from tuplet.data._targets import check_classes, encode_targets
from tuplet.data.arrays import Arrays
from tuplet.data.preprocessing import present_rows
from tuplet.data.source import Provenance
from tuplet.data.splits import Split, check_split, split_rows
from tuplet.types import InputError, Kind


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
    target_kind: Mapping[str, str] | None = None,
    name: str = "arrays",
    provenance: Provenance | None = None,
) -> Arrays:
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
        target_kind: target -> ``"class"`` or ``"real"``, where its values shall not decide.
        name: what to call the source.
        provenance: where the data come from.

    Returns:
        The source: ``.train``, ``.val``, ``.test``, ``.modalities``, ``.targets``, ``.split``, ``.fingerprint``. Its
        ``.provenance.notes`` say what was taken as what.

    Raises:
        InputError: naming the argument and the fix, for a single modality, row counts that differ, NaN inside a row,
            infinite values, unknown names, a label with one class, or an empty part.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(50, 3))
        >>> s = from_arrays({"force": x, "sound": x[:, :2]}, targets={"label": np.arange(50) % 2})
        >>> s.modalities["force"].shape, len(s.train), s.targets["label"].size
        ((3,), 30, 2)
    """
    if not isinstance(modalities, Mapping):
        raise InputError(f"modalities is a {type(modalities).__name__}, expected a dict of name -> array")
    if len(modalities) < 2:
        raise InputError(f"modalities has {len(modalities)} entry, expected two or more to align with each other")
    names = check_names("modalities", modalities)
    known = [*names, *check_names("targets", targets or {})]
    for argument, given, allowed in (
        ("present", present, names),
        ("units", units, known),
        ("kinds", kinds, names),
        ("rates", rates, names),
    ):
        if unknown := sorted(set(given or {}) - set(allowed)):
            raise InputError(f"{argument} names {unknown}, expected some of {allowed}")
    _one_index({**modalities, **(targets or {}), "group": group})
    words = scaling_words(scaling, names)
    raw = {k: raw_rows(k, modalities[k], (kinds or {}).get(k)) for k in names}
    n = len(raw[names[0]].array)
    for k in names:
        if len(raw[k].array) != n:
            raise InputError(
                f"modalities[{k!r}] has {len(raw[k].array)} rows, expected {n} to match modalities[{names[0]!r}]; "
                f"row i of every array must be the same thing"
            )
    masks = {k: _there(k, raw[k], (present or {}).get(k), n) for k in names}
    values, described, notes = encode_targets(targets, n, units=units, kinds=target_kind)
    codes = None if group is None else group_codes(group, n)
    classes = next((values[k].numpy() for k in described if described[k].kind == "class"), None)
    split = split_rows(n, labels=classes, group=codes, fractions=fractions, seed=seed) if split is None else split
    check_split(split, n, codes)
    check_classes(values, described, split.train)
    prepared, inputs, checksums = {}, {}, {}
    for k in names:
        if not masks[k][split.train].any():
            raise InputError(f"modalities[{k!r}] is missing in every training row; drop it or give other rows")
        unit, rate = (units or {}).get(k, ""), (rates or {}).get(k)
        prepared[k], word, said = raw[k].fit(k, masks[k], split.train, words.get(k), unit=unit, rate=rate)
        notes += said
        inputs[k] = raw[k].inputs(k, masks[k], prepared[k])
        checksums[k] = raw[k].checksum(masks[k], word)
    provenance = provenance or Provenance(title=name)
    return Arrays(
        name=name,
        inputs=inputs,
        present={k: torch.from_numpy(masks[k]) for k in names},
        values=values,
        group=None if codes is None else torch.from_numpy(codes),
        modalities={k: prepared[k].modality for k in names},
        targets=described,
        split=split,
        provenance=replace(provenance, notes=(*provenance.notes, *notes)),
        preprocessing=prepared,
        checksums=checksums,
    )


def _there(name: str, raw: Raw, given: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    """Return where a modality is present."""
    padded = f"series of different lengths: give kinds={{{name!r}: 'padded'}} (--kind {name}=padded)"
    return present_rows(f"modalities[{name!r}]", raw.array, _asked(name, given, raw, n), padded=padded)


def _asked(name: str, given: ArrayLike | None, raw: Raw, n: int) -> NDArray[np.bool_] | None:
    """Return where a modality was recorded, as far as the user or its text says."""
    if given is None:
        return raw.present
    asked = as_array(f"present[{name!r}]", given)
    if asked.shape != (n,) or asked.dtype != bool:
        raise InputError(f"present[{name!r}] has shape {asked.shape} and dtype {asked.dtype}, expected bool ({n},)")
    return asked if raw.present is None else asked & raw.present


def _one_index(given: Mapping[str, object]) -> None:
    """Refuse frames whose rows are in different orders, which pairing by position would mix up."""
    found = {k: v.index for k, v in given.items() if is_frame(v) or is_series(v)}  # type: ignore[attr-defined]
    first = next(iter(found), "")
    if other := [k for k, index in found.items() if not index.equals(found[first])]:
        raise InputError(
            f"{first!r} and {other[0]!r} have different indexes, and from_arrays pairs rows by position; use "
            f"tuplet.data.read, which joins them, or give .to_numpy() of both"
        )
