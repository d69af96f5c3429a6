"""One modality as a user gave it: what its rows are, how they are scaled, and the checksum that names them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tuplet.data._columns import as_array, as_numbers, as_strings, is_text
from tuplet.data._mapped import Mapped
from tuplet.data._padding import filled_ends
from tuplet.data._scaling import BLOCK, Column, Scale, Scaling, blocks, fit_array, fit_scale
from tuplet.data._sparse import Sparse, is_sparse
from tuplet.data._text import hashed
from tuplet.data.preprocessing import Modality, Preprocessing, present_rows
from tuplet.data.source import Held
from tuplet.types import InputError, Kind, kind_of, one_of, some_of

Mask = NDArray[np.bool_]
DIMENSIONS = {"sequence": 2, "padded": 2, "signal": 2, "image": 3}
"""Kind -> dimensions of a row."""


def scaling_words(scaling: Scaling | Mapping[str, Scaling] | None, names: Sequence[str]) -> dict[str, Scaling]:
    """Check what a user asks for and give it by name."""
    if scaling is None:
        return {}
    words = dict(scaling) if isinstance(scaling, Mapping) else dict.fromkeys(names, scaling)
    some_of("scaling", words, sorted(names))
    for name, word in words.items():
        one_of("scaling" if isinstance(scaling, str) else f"scaling[{name!r}]", word, get_args(Scaling))
    return words


@dataclass(frozen=True)
class Raw:
    """One modality as a user gave it."""

    array: NDArray[Any]
    kind: Kind | None
    channels_last: bool = False
    present: Mask | None = None
    text: str = ""

    def mask(self, name: str, given: ArrayLike | None) -> Mask:
        """Tell where the modality is there, by what the user says and by its values."""
        asked = None if given is None else _asked(name, given, len(self.array))
        if self.present is not None:
            asked = self.present if asked is None else self.present & asked
        padded = f"series of different lengths: give kinds={{{name!r}: 'padded'}} (--kind {name}=padded)"
        return present_rows(f"modalities[{name!r}]", self.array, asked, padded=padded)

    def fit(
        self, name: str, present: Mask, train: NDArray[np.int64], word: Scaling | None, unit: str, rate: float | None
    ) -> tuple[Preprocessing, str, tuple[str, ...]]:
        """Find the preprocessing from the training rows; also return the word for the checksum, and notes."""
        notes = []
        if self.channels_last:
            rows = self.array.shape[1:]
            notes.append(f"{name} has pictures of {rows[1]} x {rows[2]} x {rows[0]} numbers: channels were put first")
        scale, said = self._scale(name, present, train, word)
        if self.kind == "padded" and said != "none":
            said += " padded"
        if said == "unit":
            notes.append(unit_note(name))
        notes += still_note(name, scale)
        modality = Modality(self.array.shape[1:], unit=unit, kind=self.kind, rate=rate)
        return Preprocessing(modality, scale, self.channels_last), said, tuple(notes)

    def _scale(self, name: str, present: Mask, train: NDArray[np.int64], word: Scaling | None) -> tuple[Scale, str]:
        none = Scale(np.zeros(()), np.ones(()))
        if self.text or word == "none":
            return none, "none"
        seen = train[present[train]]
        picture = (self.kind or kind_of(self.array.shape[1:])) == "image"
        if picture and word is None and self.array.dtype.kind in "iu":
            most = _largest(self.array)
            if most:
                return Scale(np.zeros(()), np.full((), float(most)), np.float32), f"of {most}"
        if word is None and self.kind in (None, "vector") and unit_length(self.array, np.flatnonzero(present)):
            return none, "unit"
        said = word or "standard"
        return fit_array(name, self.array, seen, scaling=said, padded=self.kind == "padded"), said

    def column(self, name: str, present: Mask, how: Preprocessing, word: str) -> Held:
        """Return all rows as the source keeps them: scaled float32, or the bytes of pictures."""
        if self.text:
            rows = np.where(present[:, None], self.array, np.float32(0))
        elif self.array.dtype == np.uint8 and how.scale.dtype == np.float32:
            rows = np.array(self.array, order="C")
        else:
            rows = how.rows(f"modalities[{name!r}]", self.array, present)
        return Held(torch.from_numpy(rows), self._checksum(present, word))

    def _checksum(self, present: Mask, word: str) -> str:
        """Return the checksum of the values as given and of how they are scaled."""
        digest = hashlib.sha256(f"{'none' if word == 'unit' else word} {self.array.shape}".encode())
        if self.text:
            digest.update(self.text.encode())
        step = max(1, BLOCK // max(1, math.prod(self.array.shape[1:])))
        for start in range(0, len(self.array), step):
            some = slice(start, start + step)
            digest.update(self.array[some][present[some]].astype(np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class OnDemand:
    """One modality that is read on demand."""

    array: Column
    kind: Kind | None

    def mask(self, name: str, given: ArrayLike | None) -> Mask:
        """Tell where the modality is there, by what the user says."""
        n = self.array.shape[0]
        return np.ones(n, dtype=bool) if given is None else _asked(name, given, n)

    def fit(
        self, name: str, present: Mask, train: NDArray[np.int64], word: Scaling | None, unit: str, rate: float | None
    ) -> tuple[Preprocessing, str, tuple[str, ...]]:
        """Find the preprocessing from the training rows, as `Raw.fit` does."""
        seen = np.sort(train)
        seen = seen[present[seen]]
        ready = word is None and unit_length(self.array, seen[:256])
        said: Scaling = "none" if ready else word or "standard"
        scale = fit_scale(name, self.array, seen, scaling=said, padded=self.kind == "padded")
        modality = Modality(self.array.shape[1:] or (1,), unit=unit, kind=self.kind, rate=rate)
        return Preprocessing(modality, scale), said, (unit_note(name),) * ready + still_note(name, scale)

    def column(self, name: str, present: Mask, how: Preprocessing, word: str) -> Column:
        """Return the column itself, which is scaled when it is read."""
        return self.array


@dataclass(frozen=True)
class SparseRows(OnDemand):
    """One modality that is a sparse matrix in memory."""

    array: Sparse

    def fit(
        self, name: str, present: Mask, train: NDArray[np.int64], word: Scaling | None, unit: str, rate: float | None
    ) -> tuple[Preprocessing, str, tuple[str, ...]]:
        """Find the preprocessing from the training rows; values that shall stay as they are, are not normalised either."""
        array = replace(self.array, library=0.0) if word == "none" else self.array
        prepared, said, notes = OnDemand(array, self.kind).fit(name, present, train, word, unit, rate)
        return replace(prepared, library=array.library), said, (array.note(name),) * (word != "none") + notes

    def column(self, name: str, present: Mask, how: Preprocessing, word: str) -> Sparse:
        """Return the column with its checksum."""
        return replace(self.array, library=how.library).marked(word)


@dataclass(frozen=True)
class MappedRows(OnDemand):
    """One modality that lies on disk; rows that are NaN throughout are absent."""

    array: Mapped

    def mask(self, name: str, given: ArrayLike | None) -> Mask:
        """Tell where the modality is there, by what the user says and by its values, a block at a time."""
        asked = None if given is None else _asked(name, given, len(self.array))
        return present_rows(f"modalities[{name!r}]", self.array, asked)

    def fit(
        self, name: str, present: Mask, train: NDArray[np.int64], word: Scaling | None, unit: str, rate: float | None
    ) -> tuple[Preprocessing, str, tuple[str, ...]]:
        """Find the preprocessing from the training rows; whether all are of unit length is looked at in every row."""
        ready = self.kind in (None, "vector") and word is None and unit_length(self.array, np.flatnonzero(present))
        prepared, said, notes = super().fit(name, present, train, word if word or ready else "standard", unit, rate)
        return prepared, said, notes

    def column(self, name: str, present: Mask, how: Preprocessing, word: str) -> Mapped:
        """Return the column with the checksum of how it is scaled and where it is there."""
        return self.array.marked(word.encode() + present.tobytes())


def on_demand(name: str, column: Column, kind: Kind | None) -> OnDemand:
    """Check one column."""
    shape, dtype = column.shape, column.dtype
    if len(shape) == 0 or 0 in shape or dtype.kind not in "biuf":
        raise InputError(f"modalities[{name!r}] has shape {shape} and dtype {dtype}, expected (n, ...) numbers, n > 0")
    check_kind(name, kind, shape[1:] or (1,))
    return OnDemand(column, kind)


def _asked(name: str, given: ArrayLike, n: int) -> Mask:
    """Check where a user says that a modality was recorded."""
    asked = as_array(f"present[{name!r}]", given)
    if asked.shape != (n,) or asked.dtype != bool:
        raise InputError(f"present[{name!r}] has shape {asked.shape} and dtype {asked.dtype}, expected bool ({n},)")
    return asked.astype(bool)


def raw_rows(name: str, values: Any, kind: Kind | None) -> Raw | OnDemand:
    """Read one modality."""
    argument = f"modalities[{name!r}]"
    if kind is not None:
        one_of(f"kinds[{name!r}]", kind, get_args(Kind))
    if is_sparse(values) or isinstance(values, Sparse):
        if kind not in (None, "vector"):
            raise InputError(f"kinds[{name!r}] is {kind!r}, but {argument} is a sparse matrix, whose rows are vectors")
        return SparseRows(values if isinstance(values, Sparse) else Sparse.of(argument, values), kind)
    if isinstance(values, Mapped):
        last = kind == "image" and values.shape[-1] in (1, 3, 4) and values.shape[1] not in (1, 3, 4)
        if kind != "padded" and not last:
            check_kind(name, kind, values.shape[1:])
            return MappedRows(values, kind)
        values = values[:]
    array = as_array(argument, values)
    if is_text(array):
        if kind not in (None, "text"):
            raise InputError(f"kinds[{name!r}] is {kind!r}, but {argument} holds strings; leave the kind out")
        rows, present = hashed(argument, array)
        return Raw(rows, "text", present=present, text=_strings_checksum(as_strings(argument, array)))
    if kind == "text":
        raise InputError(f"kinds[{name!r}] is 'text', but {argument} holds {array.dtype}; give strings, or leave the kind out")
    array = as_numbers(argument, array)
    array = array[:, None] if array.ndim == 1 else array
    check_kind(name, kind, array.shape[1:])
    if kind == "padded":
        array = filled_ends(array)
    last = kind == "image" and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4)
    return Raw(np.moveaxis(array, -1, 1) if last else array, kind, channels_last=last)


def check_kind(name: str, kind: Kind | None, shape: Sequence[int]) -> None:
    """Refuse an unknown kind, or one whose rows have another number of dimensions."""
    if kind is None:
        return
    one_of(f"kinds[{name!r}]", kind, get_args(Kind))
    wanted = DIMENSIONS.get(kind, len(shape))
    if len(shape) != wanted:
        raise InputError(
            f"modalities[{name!r}] has rows of shape {tuple(shape)}, expected {wanted} dimensions for kind {kind!r}"
        )


def unit_note(name: str) -> str:
    """Say that ready embeddings are left alone."""
    return (
        f"{name} has rows of unit length (ready embeddings): left as they are, not standardised; to standardise them, give "
        f"scaling={{{name!r}: 'standard'}} (--scaling {name}=standard)"
    )


def still_note(name: str, scale: Scale) -> tuple[str, ...]:
    """Say which values never change."""
    still = int(np.count_nonzero(scale.deviation == 0))
    if not still:
        return ()
    of = f"{still} of {scale.deviation.size} columns that never change" if scale.deviation.ndim else "one value only"
    return (f"{name} has {of} in the training rows: 0 everywhere",)


def _strings_checksum(strings: Sequence[str | None]) -> str:
    digest = hashlib.sha256()
    for text in strings:
        encoded = b"" if text is None else b"+" + text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def _largest(array: NDArray[Any]) -> int:
    """Return what pictures of integers are divided by; 0 if some are negative."""
    if array.dtype in (np.uint8, np.uint16):
        return int(np.iinfo(array.dtype).max)
    low, high = int(array.min()), int(array.max())
    return 0 if low < 0 or high > 65535 else 255 if high <= 255 else 65535


def unit_length(column: Column, rows: NDArray[np.int64]) -> bool:
    """Tell whether rows are vectors of length 1, as ready embeddings are."""
    if len(column.shape) != 2 or column.shape[1] < 8 or column.dtype.kind != "f" or not len(rows):
        return False
    spread = False
    for block in blocks(column, rows):
        values = np.asarray(block, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt((values**2).sum(axis=1))
            if not (np.abs(length - 1) < 1e-3).all():
                return False
        spread = spread or bool((np.count_nonzero(values, axis=1) > 1).any())
    return spread
