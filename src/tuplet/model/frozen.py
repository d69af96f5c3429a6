"""Features of frozen towers as modalities of a source: computed once per data and weights, and kept on disk."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tuplet.data import Source, Table, read
from tuplet.data._cache import cached
from tuplet.data._columns import as_array, is_text
from tuplet.data._hints import noted
from tuplet.data._lazy import Lazy
from tuplet.data._ragged import pad, uneven
from tuplet.data._raw import raw_rows
from tuplet.data._scaling import Scaling
from tuplet.data.preprocessing import Weights
from tuplet.data.source import Held
from tuplet.data.splits import Split
from tuplet.io.pace import Pace
from tuplet.nets import Pretrained, pretrained
from tuplet.nets.raw import rows_here
from tuplet.types import InputError, Kind, some_of

EVERY = 10.0
"""Seconds between two lines that say how far a tower has come."""
BLOCK = 2**24
"""Bytes of rows that are read at a time for their checksum."""
Given = str | Path | nn.Module


def features(
    data: Any,
    towers: Mapping[str, Given],
    *,
    modalities: Iterable[str] | Mapping[str, Sequence[str]] | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Scaling | Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    target_kind: Mapping[str, str] | str | None = None,
    cache: bool = True,
) -> Source:
    """Read data with some modalities replaced by what frozen towers make of their raw rows.

    Args:
        data: what `tuplet.data.read` takes; or a source, for modalities that it keeps raw, such as bytes of pictures.
        towers: modality -> folder, file or module, as `tuplet.nets.pretrained` takes them, or a tower that it made.
        modalities: like all that follow, as in `tuplet.data.read`.
        target: a name, or name -> values.
        group: a name, or values.
        id: a name, values, or modality -> ids.
        kinds: modality -> kind of its raw rows.
        scaling: for all modalities or by name; of features, too, which are standardised unless they are of unit length.
        split: the parts.
        target_kind: ``"class"`` or ``"real"``.
        cache: whether features are kept in the folder TUPLET_CACHE, one file per rows and weights, with the same bits as
            without. Those of a module of your own are not kept: a checksum does not see its code.

    Returns:
        The source. The modality has vectors, a note says where they come from, and a model that is trained on it takes
        raw rows in `tuplet.AlignmentModel.encode`.

    Raises:
        InputError: for a tower that cannot be read, or that does not read such rows.

    Example:
        >>> import torch
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> source = features({"force": x, "sound": x}, {"force": torch.nn.Linear(3, 8)})
        >>> source.modalities["force"].shape
        (8,)
    """
    passed = {k: Passed(k, v, cache) for k, v in towers.items()}
    reading: dict[str, Any] = {"modalities": modalities, "target": target, "group": group, "id": id}
    reading |= {"kinds": kinds, "scaling": scaling, "split": split, "target_kind": target_kind}
    if isinstance(data, str | Path) and str(data).lower().endswith(".safetensors"):
        data, reading = read(data, **reading), {}
    source = _replaced(data, passed) if isinstance(data, Source) else read(data, **reading, encode=passed)
    return named(source, passed)


def named(source: Source, passed: Mapping[str, Passed]) -> Source:
    """Note the towers whose features some modalities of a source are."""
    prepared = {k: replace(source.preprocessing[k], tower=p.weights) for k, p in passed.items()}
    return replace(noted(source, (p.said for p in passed.values())), preprocessing=source.preprocessing | prepared)


class Passed:
    """The tower of one modality as a function of its raw rows."""

    def __init__(self, name: str, given: Given, cache: bool) -> None:
        self.name, self.given, self.cache = name, given, cache
        self.weights, self.said = Weights("", ""), ""

    def __call__(self, raw: NDArray[Any], rate: float | None) -> NDArray[Any]:
        """Return the features of raw rows, from the cache where they are there."""
        tower = tower_for(self.given, "text" if is_text(raw) else "vision")
        if tower.rate is not None and rate is not None and tower.rate != rate:
            raise InputError(f"{self.name} has {rate:g} samples a second, but {tower} reads {tower.rate}; resample the sound")
        self.weights = Weights(str(tower.path or ""), tower.sha256, tower.part)
        began, fresh = time.perf_counter(), []

        def make() -> dict[str, NDArray[np.float32]]:
            fresh.append(True)
            return {"features": encoded(self.name, tower, raw)}

        if self.cache and tower.sha256:
            key = {"rows": _checksum(raw), "tower": tower.sha256, "part": tower.part, "torch": str(torch.__version__)}
            file = cached("features", key, make)
            out, kept = Table.open(file).columns["features"], f"kept in {file}"
        else:
            out, kept = make()["features"], "not kept on disk"
        how = f"computed in {time.perf_counter() - began:.1f} s, {kept}" if fresh else f"read from the cache {file}"
        self.said = f"{self.name} has {out.shape[1]} features by the frozen tower {tower.path or tower}: {how}"
        return out


def encoded(name: str, tower: Pretrained, raw: Any) -> NDArray[np.float32]:
    """Run a tower on raw rows of a modality."""
    pace, said = Pace(), time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            print(f"{name}: {done:,} of {total:,} rows through the tower{pace.left(done, total)}", file=sys.stderr, flush=True)

    try:
        return tower.encode(raw, tell=tell)
    except InputError as error:
        raise InputError(f"modalities[{name!r}]: {error}") from None


def through_tower(name: str, raw: Any, known: Weights, towers: dict[str, Given], width: int) -> NDArray[np.float32]:
    """Run the tower of a trained modality on new raw rows, of which none may be there."""
    series = uneven(raw)
    array = as_array(f"raw[{name!r}]", raw) if series is None else pad(f"raw[{name!r}]", series)
    if not rows_here(array).any():
        return np.full((len(array), width), np.nan, np.float32)
    return encoded(name, known_tower(name, known, towers, text=is_text(array)), array)


def known_tower(name: str, known: Weights, towers: dict[str, Given], *, text: bool = False) -> Pretrained:
    """Return the tower of a trained modality; it is read when it is first needed."""
    given, fix = towers.get(name, known.path), f"say where it is: load(folder, towers={{{name!r}: PATH}}) (--tower {name}=PATH)"
    if not isinstance(given, Pretrained):
        if given == "":
            raise InputError(f"{name!r} was trained on features of a module that no file holds; {fix}")
        if isinstance(given, str | Path) and not Path(given).exists():
            raise InputError(f"{name!r} was trained on features of the tower {given}, which is not there; {fix}")
        given = tower_for(given, known.part or ("text" if text else ""))
        if known.sha256 and given.sha256 != known.sha256:
            raise InputError(f"{name!r} was trained on features of other weights than {given.path} holds now; {fix}")
        towers[name] = given
    return given


def tower_for(given: Given, part: str) -> Pretrained:
    """Make a tower; of a model that reads texts and pictures, the part that is named."""
    if isinstance(given, nn.Module):
        return pretrained(given, frozen=False)
    named: Any = part or None
    return pretrained(given, part=named)


def _replaced(source: Source, passed: Mapping[str, Passed]) -> Source:
    """Replace modalities of a source."""
    columns, prepared, content = dict(source.columns), dict(source.preprocessing), source.content
    some_of("towers", passed, sorted(columns))
    for name, function in passed.items():
        column, here = columns[name], source.present[name].numpy()
        if isinstance(column, Lazy) and column.words is not None:
            values = column.words()
        else:
            values = column.values.numpy() if isinstance(column, Held) else as_array(name, column[np.arange(column.shape[0])])
        if isinstance(column, Held) and values.dtype != np.uint8:
            what = "texts as hashed numbers" if prepared[name].modality.kind == "text" else "scaled rows"
            raise InputError(
                f"{source.name} holds {what} of {name!r}, but a tower reads raw ones; give tuplet.features raw rows"
            )
        rows = function(values[here], prepared[name].modality.rate)
        whole = np.full((len(here), rows.shape[1]), np.nan, np.float32)
        whole[here] = rows
        made = raw_rows(name, whole, None)
        mask = made.mask(name, None)
        prepared[name], word, _ = made.fit(name, mask, source.split.train, None, "", None)
        columns[name] = held = made.column(name, mask, prepared[name], word)
        content += f" {name} {held.checksum}" if content and isinstance(held, Held) else ""
    return replace(source, columns=columns, preprocessing=prepared, content=content)


def _checksum(raw: NDArray[Any]) -> str:
    """Return the checksum of raw rows: numbers by their bytes, texts by their letters."""
    digest = hashlib.sha256(f"{raw.dtype.kind} {raw.shape}".encode())
    if raw.dtype.kind in "biuf":
        digest.update(str(raw.dtype).encode())
        step = max(1, BLOCK // max(1, raw[:1].nbytes))
        for start in range(0, len(raw), step):
            digest.update(np.ascontiguousarray(raw[start : start + step]).view(np.uint8).data)
    else:
        for value in raw.tolist():
            text = b"" if value is None else b"+" + str(value).encode("utf-8", "surrogatepass")
            digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()
