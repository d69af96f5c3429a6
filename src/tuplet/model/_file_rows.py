"""Raw rows of a user's file as a trained model takes them, all of them or some."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._inputs import arrays_of
from tuplet.io import read_state
from tuplet.model.alignment import AlignmentModel
from tuplet.model.folder import CONFIG
from tuplet.types import InputError

_TARGETS = {"data": {"targets": {"sensor": {"names": [str], ...: object}, ...: object}, ...: object}, ...: object}


@dataclass(frozen=True)
class FileRows:
    """Rows of a file, which may hold some of a model's modalities, and the arrays beside them."""

    file: Path
    model: AlignmentModel
    arrays: dict[str, Any]
    modalities: tuple[str, ...]
    number: int
    sensors: dict[str, NDArray[np.int64]]

    def encode(self, rows: slice, batch_size: int = 256) -> dict[str, NDArray[np.float32]]:
        """Embed some rows."""
        raw = {k: self.arrays[k][rows] for k in self.modalities}
        try:
            return self.model.encode(raw, aux={k: v[rows] for k, v in self.sensors.items()}, batch_size=batch_size)
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from None


def as_trained(model: AlignmentModel) -> tuple[dict[str, Sequence[str]], dict[str, float | None], list[str]]:
    """Return how tables were read in training: the columns of modalities, their rates, and which of them are words."""
    how = model.preprocessing.items()
    words = [k for k, h in how if h.modality.kind == "text"]
    return {k: h.columns or (k,) for k, h in how}, {k: h.modality.rate for k, h in how}, words


def file_rows(
    model: AlignmentModel,
    run: Path,
    file: Path,
    *,
    beside: Collection[str | None] = (),
    id: str | None = None,
    modalities: Sequence[str] = (),
) -> FileRows:
    """Read a file for the model of a folder: its modalities, with as many rows each, and what else is asked for."""
    columns, rates, words = as_trained(model)
    arrays = arrays_of(file, {*model.encoders, *modalities, *beside, id, "sensor"}, columns, id, rates, words)
    wanted = tuple(modalities) or tuple(k for k in model.encoders if k in arrays)
    if missing := [k for k in wanted if k not in arrays or k not in model.encoders]:
        raise InputError(
            f"modalities names {missing}, which {file} ({', '.join(sorted(arrays))}) and the model "
            f"({', '.join(model.encoders)}) do not both have"
        )
    if not wanted:
        raise InputError(
            f"{file} has {', '.join(sorted(arrays))}, but the model reads {', '.join(model.encoders)}; give some of these"
        )
    n = arrays[wanted[0]].shape[0] if arrays[wanted[0]].ndim else 0
    if uneven := [k for k in wanted if arrays[k].ndim < 1 or arrays[k].shape[0] != n]:
        raise InputError(
            f"{uneven[0]!r} in {file} has another number of rows than {wanted[0]!r}, which has {n}; expected arrays "
            f"(n, ...) of the same n items, a single item as row[None]"
        )
    column = arrays.get("sensor", arrays.get("target.sensor")) if any(map(model.takes_aux, wanted)) else None
    sensors = {} if column is None or column.shape != (n,) else {"sensor": _numbered(column, run, file)}
    return FileRows(file, model, arrays, wanted, n, sensors)


def _numbered(column: NDArray[Any], run: Path, file: Path) -> NDArray[np.int64]:
    """Number the sensors of a file as the model's own training did."""
    names = read_state(run / CONFIG, _TARGETS)["data"]["targets"]["sensor"]["names"]
    values = [str(int(v)) if column.dtype.kind in "iuf" and np.isfinite(v) else str(v) for v in column.tolist()]
    known = {k: i for i, k in enumerate(names)} | dict.fromkeys(("-1", "nan", ""), -1)
    if unknown := sorted(set(values) - set(known)):
        raise InputError(f"{file} has the sensors {unknown[:9]}, but the model knows {names}; write -1 for unknown")
    return np.array([known[v] for v in values])
