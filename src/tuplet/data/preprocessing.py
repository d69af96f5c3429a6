"""How raw rows of one modality become what its encoder reads; kept with the source and with a trained model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import as_numbers, bad_rows, is_frame
from tuplet.data._mapped import Mapped
from tuplet.data._padding import filled_ends, lengths, nan_ends_only, spread
from tuplet.data._ragged import pad, uneven
from tuplet.data._scaling import BLOCK, Column, Scale, held_steps
from tuplet.data._sparse import Sparse, is_sparse
from tuplet.data._text import FEATURES, hashed
from tuplet.io import AnyOf, Between, parse_state
from tuplet.io.memory import check_memory
from tuplet.types import InputError, Kind


@dataclass(frozen=True, slots=True)
class Modality:
    """One modality of a source.

    Attributes:
        shape: shape of one row, without the batch dimension.
        dtype: name of the dtype the rows are handed out in.
        unit: physical unit or meaning of the values before scaling; empty when unknown.
        kind: what a row is, for the choice of an encoder (`tuplet.nets.encoders`); None when the shape says it.
        rate: steps a second along the axis of time; None when unknown or without such an axis.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""
    kind: Kind | None = None
    rate: float | None = None


class Weights(NamedTuple):
    """A frozen tower that raw rows pass first: where its weights lie, their checksum, and which part of a model it is."""

    path: str
    sha256: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How raw rows of one modality become what its encoder reads.

    Attributes:
        modality: shape, kind and unit of the rows that come out.
        scale: what is subtracted, and what the rest is divided by.
        channels_last: whether raw pictures are ``(H, W, C)`` and are turned to ``(C, H, W)``.
        columns: names of the columns, where the rows came as a frame; other frames are brought to this order.
        library: what the counts of a row are scaled to before log1p, where the rows came as a sparse matrix of counts; or 0.
        tower: the frozen tower whose features the rows are; `apply` takes those, `tuplet.AlignmentModel.encode` raw rows.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = np.arange(40.0).reshape(20, 2)
        >>> force = from_arrays({"force": x, "sound": x}, scaling="none").preprocessing["force"]
        >>> rows, present = force.apply([[1, 2], [float("nan"), float("nan")]])
        >>> rows.tolist(), present.tolist()
        ([[1.0, 2.0], [0.0, 0.0]], [True, False])
    """

    modality: Modality
    scale: Scale
    channels_last: bool = False
    columns: tuple[str, ...] = ()
    library: float = 0.0
    tower: Weights | None = None

    def apply(self, raw: Any, *, name: str = "rows") -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Treat raw rows exactly as the source did that this comes from.

        Args:
            raw: ``(n, ...)`` numbers, or ``n`` strings for text; an array, a tensor, a list, a frame or a Series. A row
                that is NaN throughout, or None, is absent.
            name: what messages call them.

        Returns:
            float32 ``(n, *shape)``, zero where absent, and bool ``(n,)``, where the modality is present.

        Raises:
            InputError: if rows have another shape, or are not finite.
        """
        if self.modality.kind == "text":
            return hashed(name, raw)
        if hasattr(raw, "var_names") and hasattr(raw, "X"):  # AnnData
            raw = self._matrix(name, raw)
        if self.library or is_sparse(raw):
            return self._counts(name, raw)
        padded = self.modality.kind == "padded"
        if padded and (series := uneven(raw, unlike=self.modality.shape[0])) is not None:
            raw = pad(name, series)
        ragged = "fill the ends with zeros or NaN" if padded else "give every row the shape of the training rows"
        array = self._shaped(name, as_numbers(name, self._in_order(name, raw), ragged=ragged))
        if padded:
            array = filled_ends(array)
        present = present_rows(name, array)
        if self.of_bytes and array.dtype.kind == "f" and 0 < np.max(array, where=~np.isnan(array), initial=0) <= 1:
            raise InputError(
                f"{name} has pictures of floats up to 1, but those of the training were whole numbers, divided by "
                f"{self.scale.deviation:g}; give whole numbers from 0 to {self.scale.deviation:g}"
            )
        return self.rows(name, array, present), present

    def _matrix(self, name: str, raw: Any) -> Any:
        """Return the matrix of AnnData, its columns in the order of the training."""
        if lacking := sorted(set(self.columns) - set(raw.var_names)):
            raise InputError(f"{name} lacks the columns {lacking[:20]}, expected all those of the training")
        return (raw[:, list(self.columns)] if self.columns else raw).X

    def _counts(self, name: str, raw: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Treat rows of a sparse matrix, or dense ones where the training had sparse ones."""
        from scipy.sparse import csr_array

        present = np.ones(raw.shape[0], dtype=bool) if is_sparse(raw) else present_rows(name, as_numbers(name, raw))
        sparse = Sparse.of(name, raw if is_sparse(raw) else csr_array(np.where(present[:, None], as_numbers(name, raw), 0)))
        if sparse.shape[1:] != self.modality.shape:
            raise InputError(f"{name} has shape {sparse.shape}, expected (n, {self.modality.shape[0]}) as in training")
        check_memory(name, 4 * math.prod(sparse.shape), "give fewer rows at a time")
        return self.rows(name, replace(sparse, library=self.library), present), present

    def _in_order(self, name: str, raw: Any) -> Any:
        """Bring the columns of a frame to the order of the training; columns that are no names stay as they are."""
        if not self.columns or not is_frame(raw) or not all(isinstance(c, str) for c in raw.columns):
            return raw
        if lacking := [c for c in self.columns if c not in raw.columns]:
            raise InputError(f"{name} lacks the columns {lacking[:20]}, expected {list(self.columns)[:20]} as in training")
        return raw[list(self.columns)]

    def _shaped(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Bring rows to the shape of the training; series that are padded may be shorter."""
        shape = self.modality.shape
        wanted = (*shape[1:], shape[0]) if self.channels_last else shape
        if array.ndim == 1 and wanted == (1,):
            array = array[:, None]
        if self.modality.kind == "padded" and array.shape[2:] == shape[1:] and array.shape[1] < shape[0]:
            array = np.pad(array, ((0, 0), (0, shape[0] - array.shape[1]), (0, 0)))
        if self.modality.kind == "signal" and array.ndim == 3 and array.shape[1] == shape[0] and array.shape[2] < shape[1]:
            gone = np.isnan(array).all(axis=(1, 2)) if array.dtype.kind == "f" else np.zeros(len(array), dtype=bool)
            array = np.pad(array, ((0, 0), (0, 0), (0, shape[1] - array.shape[2])))  # a sound that ends earlier
            array = np.where(gone[:, None, None], np.nan, array) if gone.any() else array
        if array.shape[1:] != wanted:
            fix = "; give row[None] for a single row (of a list: [row])" if array.shape == wanted else ""
            longer = self.modality.kind == "padded" and array.shape[2:] == shape[1:]
            fix = f"; cut them to {shape[0]} steps" if longer else fix
            expected = ", ".join(["n", *map(str, wanted)])
            raise InputError(f"{name} has shape {array.shape}, expected ({expected}) as in training{fix}")
        return np.moveaxis(array, -1, 1) if self.channels_last else array

    @property
    def of_bytes(self) -> bool:
        """Whether rows are pictures of whole numbers, divided by the largest one."""
        scale = self.scale
        return scale.dtype == np.float32 and not scale.mean.any() and scale.deviation.tolist() in (255, 65535)

    def rows(self, argument: str, array: Column, present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scale rows whose shape and presence are known; a few at a time, so that memory holds little beside the result."""
        out = np.empty((array.shape[0], *self.modality.shape), np.float32)
        step = max(1, BLOCK // max(1, math.prod(self.modality.shape)))
        for start in range(0, array.shape[0], step):
            some = slice(start, start + step)
            out[some] = self.block(np.asarray(array[some]).reshape(-1, *self.modality.shape), present[some])
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out.reshape(len(out), -1)).all(axis=1))[0])
            raise InputError(f"{argument} has values too large for float32 after scaling in row {row}; rescale or clip them")
        return out

    def block(self, values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scale some rows; absent rows and padding become exactly zero."""
        scaled = self.scale(values)
        if self.modality.kind == "padded":
            _keep_padding(values, scaled)
        scaled[~present] = 0.0
        return scaled

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values; `from_json` gives an equal object back."""
        m = self.modality
        return {
            "shape": list(m.shape),
            "kind": m.kind,
            "unit": m.unit,
            "dtype": m.dtype,
            "rate": m.rate,
            "mean": self.scale.mean.tolist(),
            "deviation": self.scale.deviation.tolist(),
            "precision": np.dtype(self.scale.dtype).name,
            "channels_last": self.channels_last,
            **({"columns": list(self.columns)} if self.columns else {}),
            **({"library": self.library} if self.library else {}),
            **({"tower": self.tower._asdict()} if self.tower else {}),
        }

    @classmethod
    def from_json(cls, state: Any) -> Preprocessing:
        """Read what `to_json` wrote.

        Args:
            state: of any form; what is not valid is refused.

        Returns:
            The preprocessing.

        Raises:
            InputError: naming the entry that is missing or has another form.
        """
        fix = "write it again"
        found = parse_state(json.dumps(state, default=str), _STATE, where="preprocessing", fix=fix)
        shape, kind, columns = found["shape"], found["kind"], found.get("columns", [])
        fits = 1 <= len(shape) <= 8 and math.prod(shape) <= 2**40 and (kind != "text" or shape == [FEATURES])
        if not fits or (found["channels_last"] and len(shape) != 3):
            raise InputError(f"preprocessing has shape {str(shape)[:80]}, which its rows cannot have; {fix}")
        if columns and shape != [len(columns)]:
            raise InputError(f"preprocessing has columns {str(columns)[:80]}, expected one name for each of {shape}")
        mean, deviation = (np.asarray(found[k], dtype=np.float64) for k in ("mean", "deviation"))
        if mean.shape != deviation.shape or mean.shape not in ((), (shape[-1],)):
            raise InputError(f"preprocessing has mean or deviation of another size than {shape[-1]}; {fix}")
        scale = Scale(mean, deviation, np.float32 if found["precision"] == "float32" else np.float64)
        rate = None if found["rate"] is None else float(found["rate"])
        modality = Modality(tuple(shape), found["dtype"], found["unit"], kind, rate)
        tower = Weights(**found["tower"]) if "tower" in found else None
        return cls(modality, scale, found["channels_last"], tuple(columns), float(found.get("library", 0.0)), tower)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preprocessing) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(str(self.to_json()))


def present_rows(
    argument: str, array: NDArray[Any] | Mapped, given: NDArray[np.bool_] | None = None, *, padded: str = ""
) -> NDArray[np.bool_]:
    """Tell which rows are there: those that are not NaN throughout."""
    here = np.ones(len(array), dtype=bool)
    if array.dtype.kind == "f":
        partly = infinite = first = 0
        step = max(1, BLOCK // max(1, math.prod(array.shape[1:])))
        for start in range(0, len(array), step):
            some = slice(start, start + step)
            values = array[some].reshape(len(array[some]), -1)
            nan = np.isnan(values)
            here[some] = ~nan.all(axis=1)
            seen = here[some] if given is None else here[some] & given[some]
            if not partly and (holed := (nan & seen[:, None]).any(axis=1)).any():
                first = start + int(holed.argmax())
            partly += bad_rows(nan & seen[:, None])
            infinite += bad_rows(np.isinf(values) & seen[:, None])
        if partly:
            if padded and not isinstance(array, Mapped) and nan_ends_only(array):
                steps = spread(lengths(array)[0])
                raise InputError(f"{argument} has NaN at the ends of {partly} of {len(array)} rows ({steps}); {padded}")
            if not isinstance(array, Mapped) and array.ndim == 2 and len(array) > 1:
                dead = [c for c in range(array.shape[1]) if np.isnan(array[:, c]).all()]
                if dead:
                    raise InputError(f"{argument} has NaN in every row of column {dead[0]}; leave that column out, or fill it")
            raise InputError(
                f"{argument} has NaN inside {partly} of {len(array)} rows, such as row {first}; fill those values, or make the "
                f"whole row NaN to mark it as missing"
            )
        if infinite:
            raise InputError(f"{argument} has infinite values in {infinite} rows; remove or clip them")
    return here if given is None else here & given


def _keep_padding(values: NDArray[Any], scaled: NDArray[np.float32]) -> None:
    """Set the padding of scaled series to zero, and only the padding: the steps at both ends stay different from zero."""
    held = held_steps(values)
    scaled[~held] = 0.0
    rows = np.flatnonzero(held.any(axis=1))
    for end in (held.argmax(axis=1), held.shape[1] - 1 - np.flip(held, axis=1).argmax(axis=1)):
        empty = rows[~scaled[rows, end[rows]].any(axis=1)]
        scaled[empty, end[empty], 0] = 2.0**-20  # a step that equals the mean is still a step


_STATE = {
    "shape": [Between(int, 1, 2**40)],
    "kind": AnyOf(None, set(get_args(Kind))),
    "unit": str,
    "dtype": str,
    "rate": AnyOf(None, float),
    "mean": AnyOf(float, [float]),
    "deviation": AnyOf(Between(float, 0), [Between(float, 0)]),
    "precision": {"float32", "float64"},
    "channels_last": bool,
    "columns?": [str],
    "library?": Between(float, 0),
    "tower?": {"path": str, "sha256": str, "part": {"", "text", "vision"}},
}
"""What `Preprocessing.to_json` writes."""
