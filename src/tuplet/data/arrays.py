"""A source in memory, and the one call that makes it from a user's own arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tuplet.data.columns import as_array, bad_rows, group_codes, positions_in
from tuplet.data.scaling import Scale
from tuplet.data.source import Modality, Provenance, Target, check_selection
from tuplet.data.splits import Split, check_split, split_rows
from tuplet.data.targets import check_classes, encode_target
from tuplet.types import Batch, InputError, Kind


@dataclass(frozen=True)
class ArrayRows:
    """The rows of one split of an `Arrays`."""

    arrays: Arrays
    positions: Tensor

    @property
    def fingerprint(self) -> str:
        """Return the checksum of the source these rows belong to."""
        return self.arrays.fingerprint

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def __getitem__(self, rows: Sequence[int] | slice | Tensor) -> Batch:
        """Return the batch at these positions within the split."""
        where = self.positions[rows if isinstance(rows, slice) else positions_in(rows, len(self))]
        a = self.arrays
        return Batch(
            inputs={k: v[where] for k, v in a.inputs.items()},
            present={k: v[where] for k, v in a.present.items()},
            index=where,
            group=None if a.group is None else a.group[where],
            target={k: v[where] for k, v in a.values.items()},
        )


@dataclass(frozen=True)
class Arrays:
    """A `tuplet.data.Source` that lies in memory; made by `from_arrays`.

    Attributes:
        name: what to call it.
        inputs: modality -> float32 ``(n, *shape)``, scaled, zero where missing.
        present: modality -> bool ``(n,)``.
        values: target -> int64 ``(n,)`` class codes or float32 ``(n, dims)``.
        group: int64 ``(n,)`` or None.
        modalities: shapes and units.
        targets: kinds and sizes.
        split: row numbers of the parts.
        provenance: where the data come from.
        scales: modality -> how its values were shifted and divided.
        checksums: modality -> checksum of its values as given, before scaling, whose last bits depend on the processor.
        fingerprint: checksum of everything above that computation depends on.
    """

    name: str
    inputs: dict[str, Tensor] = field(repr=False)
    present: dict[str, Tensor] = field(repr=False)
    values: dict[str, Tensor] = field(repr=False)
    group: Tensor | None = field(repr=False)
    modalities: dict[str, Modality]
    targets: dict[str, Target]
    split: Split = field(repr=False)
    provenance: Provenance
    scales: dict[str, Scale] = field(repr=False)
    checksums: dict[str, str] = field(repr=False)
    fingerprint: str = field(default="")

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.split.sha256.encode())
        for name in sorted(self.inputs):
            digest.update(f"{name} {self.checksums[name]}".encode())
        columns = {f"present {k}": v for k, v in self.present.items()}
        columns |= {f"target {k}": v for k, v in self.values.items()}
        if self.group is not None:
            columns["group"] = self.group
        for name in sorted(columns):
            digest.update(f"{name} {tuple(columns[name].shape)} {columns[name].dtype}".encode())
            digest.update(columns[name].numpy().tobytes())
        object.__setattr__(self, "fingerprint", digest.hexdigest())

    @property
    def train(self) -> ArrayRows:
        """Return the training rows."""
        return self._rows("train")

    @property
    def val(self) -> ArrayRows:
        """Return the validation rows."""
        return self._rows("val")

    @property
    def test(self) -> ArrayRows:
        """Return the test rows."""
        return self._rows("test")

    def select(self, modalities: Sequence[str]) -> Arrays:
        """Return the same rows with fewer modalities."""
        names = check_selection(modalities, self.modalities)
        return replace(
            self,
            inputs={k: self.inputs[k] for k in names},
            present={k: self.present[k] for k in names},
            scales={k: self.scales[k] for k in names},
            modalities={k: self.modalities[k] for k in names},
        )

    def _rows(self, part: str) -> ArrayRows:
        return ArrayRows(self, torch.from_numpy(getattr(self.split, part)))


def from_arrays(
    modalities: Mapping[str, ArrayLike],
    *,
    targets: Mapping[str, ArrayLike] | None = None,
    group: ArrayLike | None = None,
    present: Mapping[str, ArrayLike] | None = None,
    split: Split | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    scaling: Literal["standard", "none"] = "standard",
    units: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rates: Mapping[str, float] | None = None,
    name: str = "arrays",
    provenance: Provenance | None = None,
) -> Arrays:
    """Make a source from one array per modality, row ``i`` of all of them being the same thing.

    Args:
        modalities: name -> ``(n, ...)`` numbers; two or more. A row that is NaN throughout is missing.
        targets: name -> ``(n,)`` integers, strings or booleans (classes), or ``(n,)`` or ``(n, dims)`` floats (real).
        group: ``(n,)`` ids such as subject or file. A group stays in one part of the split, and its rows are not
            negatives of each other.
        present: name -> bool ``(n,)``, where the modality was recorded; names left out are taken from NaN rows.
        split: the parts; drawn with ``fractions`` and ``seed``, stratified by the first class target, when left out.
        fractions: shares of train, val and test.
        seed: for the split.
        scaling: ``"standard"`` subtracts the mean and divides by the standard deviation of the training rows (per
            column of ``(n, d)`` input, one number for the whole of images and sequences; constant columns are only
            shifted);
            ``"none"`` leaves values as they are.
        units: modality or target name -> unit or meaning, for documentation.
        kinds: modality -> what a row is, as in `Modality`; the shape says it when left out.
        rates: modality -> steps a second along its axis of time, for documentation.
        name: what to call the source.
        provenance: where the data come from.

    Returns:
        The source: ``.train``, ``.val``, ``.test``, ``.modalities``, ``.targets``, ``.split``, ``.fingerprint``.

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
    if scaling not in ("standard", "none"):
        raise InputError(f"scaling is {scaling!r}, expected 'standard' or 'none'")
    if len(modalities) < 2:
        raise InputError(f"modalities has {len(modalities)} entry, expected two or more to align with each other")
    names = sorted(modalities)
    arrays = {k: _numbers(k, modalities[k]) for k in names}
    n = len(arrays[names[0]])
    for k in names:
        if len(arrays[k]) != n:
            raise InputError(
                f"modalities[{k!r}] has {len(arrays[k])} rows, expected {n} to match modalities[{names[0]!r}]; "
                f"row i of every array must be the same thing"
            )
    for argument, given, known in (
        ("present", present, names),
        ("units", units, [*names, *(targets or {})]),
        ("kinds", kinds, names),
        ("rates", rates, names),
    ):
        if unknown := sorted(set(given or {}) - set(known)):
            raise InputError(f"{argument} names {unknown}, expected some of {known}")
    masks = {k: _mask(k, arrays[k], (present or {}).get(k)) for k in names}
    values, described = {}, {}
    for k, column in (targets or {}).items():
        values[k], described[k] = encode_target(k, column, n, unit=(units or {}).get(k, ""))
    codes = None if group is None else group_codes(group, n)
    classes = next((values[k].numpy() for k in described if described[k].kind == "class"), None)
    split = split_rows(n, labels=classes, group=group, fractions=fractions, seed=seed) if split is None else split
    check_split(split, n, codes)
    check_classes(values, described, split.train)
    for k in names:
        if not masks[k][split.train].any():
            raise InputError(f"modalities[{k!r}] is missing in every training row; drop it or give other rows")
    scales = {k: _scale(k, arrays[k], masks[k], split.train, scaling) for k in names}
    return Arrays(
        name=name,
        inputs={k: _scaled(k, arrays[k], masks[k], scales[k]) for k in names},
        present={k: torch.from_numpy(masks[k]) for k in names},
        values=values,
        group=None if codes is None else torch.from_numpy(codes),
        modalities={
            k: Modality(
                arrays[k].shape[1:],
                unit=(units or {}).get(k, ""),
                kind=(kinds or {}).get(k),
                rate=(rates or {}).get(k),
            )
            for k in names
        },
        targets=described,
        split=split,
        provenance=provenance or Provenance(title=name),
        scales=scales,
        checksums={k: _checksum(arrays[k], masks[k], scaling) for k in names},
    )


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = as_array(f"modalities[{name!r}]", values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"modalities[{name!r}] has dtype {array.dtype}, expected numbers; encode it first")
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"modalities[{name!r}] has shape {array.shape}, expected (n, ...) with n > 0")
    wide = array.astype(np.float64)
    return wide if wide.ndim > 1 else wide[:, None]


def _mask(name: str, array: NDArray[np.float64], given: ArrayLike | None) -> NDArray[np.bool_]:
    nan = np.isnan(array).reshape(len(array), -1)
    mask = np.logical_not(nan.all(axis=1))
    if given is not None:
        asked = as_array(f"present[{name!r}]", given)
        if asked.shape != (len(array),) or asked.dtype != bool:
            raise InputError(
                f"present[{name!r}] has shape {asked.shape} and dtype {asked.dtype}, expected bool ({len(array)},)"
            )
        mask = np.logical_and(mask, asked)
    if partly := bad_rows(nan & mask[:, None]):
        raise InputError(
            f"modalities[{name!r}] has NaN inside {partly} of {len(array)} rows; fill those values, or make the "
            f"whole row NaN to mark it as missing"
        )
    if infinite := bad_rows(np.isinf(array).reshape(nan.shape) & mask[:, None]):
        raise InputError(f"modalities[{name!r}] has infinite values in {infinite} rows; remove or clip them")
    return mask


def _checksum(array: NDArray[np.float64], mask: NDArray[np.bool_], scaling: str) -> str:
    digest = hashlib.sha256(f"{scaling} {array.shape}".encode())
    digest.update(array[mask].tobytes())
    return digest.hexdigest()


def _scale(name: str, array: NDArray[Any], mask: NDArray[np.bool_], train: NDArray[np.int64], scaling: str) -> Scale:
    if scaling == "none":
        return Scale(np.zeros(()), np.ones(()))
    seen = array[train[mask[train]]]
    axes = 0 if array.ndim == 2 else None
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = seen.mean(axis=axes), seen.std(axis=axes)
    if not np.isfinite(deviation).all():
        raise InputError(f"modalities[{name!r}] has values too large for a variance; rescale them")
    # max == min and no threshold: a threshold would erase sensors whose unit makes all numbers small, such as farad
    constant = (seen.max(axis=axes) == seen.min(axis=axes)) | (deviation == 0)
    return Scale(np.asarray(mean), np.where(constant, 1.0, deviation))


def _scaled(name: str, array: NDArray[Any], mask: NDArray[np.bool_], scale: Scale) -> Tensor:
    with np.errstate(over="ignore", invalid="ignore"):  # missing rows may hold anything
        array = (array - scale.mean) / scale.deviation
    array = np.where(mask.reshape(-1, *[1] * (array.ndim - 1)), array, 0.0)
    with np.errstate(over="ignore"):
        small = array.astype(np.float32)
    if not np.isfinite(small).all():
        raise InputError(f"modalities[{name!r}] has values too large for float32 after scaling; rescale or clip them")
    return torch.from_numpy(small)
