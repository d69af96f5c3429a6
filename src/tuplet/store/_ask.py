"""What people ask an index: words, pictures, sounds and ids become one query, and the answer is ready to print as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._media import read_pictures
from tuplet.data._sound import read_sounds
from tuplet.data.preprocessing import Weights
from tuplet.model import AlignmentModel, load
from tuplet.model._file_rows import file_rows
from tuplet.model.frozen import known_tower
from tuplet.nets import Pretrained
from tuplet.store.search import Found, Index
from tuplet.types import InputError

LONGEST = 600.0
"""Seconds of a sound that is packed: a small file may unpack to any length."""
KINDS = ("text", "picture", "sound")
"""What a model reads of people."""


@dataclass(frozen=True)
class Raw:
    """One part of a query: words, or a picture or a sound as a path or as the bytes of its file."""

    kind: str
    given: str | Path | bytes
    name: str = ""
    """The modality; not needed where the model reads one of this kind."""


@dataclass(frozen=True)
class Desk:
    """Answers what people ask: an index, and the folder of the model that reads words, pictures and sounds."""

    index: Index
    folder: Path | None = None
    """None: the model that made the embeddings."""

    @property
    def place(self) -> Path | None:
        """Return the folder of the model, if it is known and there."""
        noted = Path(self.index.stored.about.get("model", ""))
        return self.folder or (noted if noted.name and noted.is_dir() else None)

    @cached_property
    def model(self) -> AlignmentModel:
        """Load the model, once."""
        if self.place is None:
            raise InputError(f"{self.index.stored.path} names no model that is still there; give its folder with --model")
        self.index.stored.check_model(self.place)
        return load(self.place)

    def names(self, kind: str) -> list[str]:
        """Name the modalities of the index that the model reads as text, pictures or sounds."""
        return [k for k in self.model.encoders if k in self.index.stored.present and _reads(self.model, k) == kind]

    def split(self, kind: str, text: str) -> Raw:
        """Read NAME=WORDS or NAME=FILE, with the name of a modality of that kind, or what stands there without a name."""
        name, sign, rest = text.partition("=")
        named = bool(sign) and name in self.names(kind)
        value = rest if named else text
        return Raw(kind, value if kind == "text" or not value.strip() else Path(value), name if named else "")

    def ask(
        self,
        raw: Sequence[Raw],
        vectors: Mapping[str, NDArray[Any]] | None = None,
        *,
        like: str | None = None,
        k: int = 10,
        modalities: Sequence[str] = (),
        where: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Search with raw parts, vectors and a stored item as one query; that item is left out of the answer."""
        query, without = ({}, None) if like is None else self._like(like, modalities)
        own = [vectors or {}, self._encoded(raw)]
        if twice := sorted(set(own[0]) & set(own[1])):
            raise InputError(
                f"the row of rows has {', '.join(twice)}, which text, picture or sound give, too; give one of them"
            )
        query |= {**own[0], **own[1]}  # what is given anew takes the place of the stored item's
        if not query:
            raise InputError("the query is empty; give text, picture, sound, rows or like")
        found = self.index.search(query, k, modalities=tuple(modalities) or None, where=_where(where), without=without)
        recall = found.recall if found.recall == found.recall else None  # JSON has no NaN
        about = {"query": sorted(query), "objective": type(self.index.objective).__name__}
        return about | {"pool": found.pool, "recall": recall, "found": self._items(found)}

    def reading(self, file: Path, row: int, modalities: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Embed one row of a file of raw rows: its modalities that are not searched, or all where all are."""
        stored = self.index.stored
        read = file_rows(self.model, self.place or Path(), file)
        if not 0 <= row < read.number:
            raise InputError(f"row is {row}, but {file} has {read.number} rows, counted from 0")
        if not set(read.modalities) & set(stored.present):
            held, given = (", ".join(names) for names in (stored.present, read.modalities))
            raise InputError(f"rows is {file}, which has {given}, but the index holds {held}; give rows of these")
        vectors = {k: z for k, z in read.encode(slice(row, row + 1)).items() if k in stored.present}
        there = {k: z[0] for k, z in vectors.items() if z.any()}  # what is absent is zero
        if not there:
            raise InputError(f"row {row} of {file} has no value in {', '.join(read.modalities)}; give another row")
        return {k: z for k, z in there.items() if k not in modalities} or there

    def _like(self, id: str, modalities: Sequence[str]) -> tuple[dict[str, NDArray[Any]], int]:
        """Take the vectors of a stored item as the query, and say where it stands."""
        stored = self.index.stored
        try:
            rows = np.flatnonzero(stored.ids == (id if stored.ids.dtype.kind == "U" else stored.ids.dtype.type(id)))
        except (ValueError, OverflowError):  # no number, or none of that size
            rows = np.empty(0, np.int64)
        if not len(rows):
            some = ", ".join(map(str, stored.ids[:5].tolist()))
            raise InputError(f"like is {id[:80]!r}, which is no id of {stored.path}; its ids are {some}, ...")
        row = int(rows[0])
        here = [k for k, present in stored.present.items() if present[row]]
        views = stored.vectors()
        return {k: np.array(views[k][row]) for k in [k for k in here if k not in modalities] or here}, row

    def _encoded(self, parts: Sequence[Raw]) -> dict[str, NDArray[Any]]:
        """Embed raw parts with the model."""
        raw: dict[str, Any] = {}
        for part in parts:
            if not (part.given.strip() if isinstance(part.given, str | bytes) else part.given):
                raise InputError(f"{part.kind} is empty; give some")
            names = self.names(part.kind)
            if part.name not in names if part.name else len(names) != 1:
                asked = f", and not {part.name[:80]!r}" if part.name else ""
                fix = f"name one of {', '.join(names)}" if names else "search with like"
                raise InputError(f"the model reads {len(names) or 'no'} modalities of {part.kind}{asked}; {fix}")
            name = part.name or names[0]
            if name in raw:
                raise InputError(f"{part.kind} is given twice for {name!r}; give each modality once")
            if isinstance(part.given, str):
                raw[name] = [part.given]
            else:
                raw[name] = (pixels if part.kind == "picture" else _samples)(self.model, name, part.given)
        return {k: z[0] for k, z in self.model.encode(raw).items()} if raw else {}

    def _items(self, found: Found) -> list[dict[str, Any]]:
        """List what was found, with all that the store knows of it."""
        stored = self.index.stored
        columns = {k: v for k, v in stored.columns.items() if k != "part" or (v != "").any()}
        items = []
        for place, (row, score) in enumerate(zip(found.rows[0].tolist(), found.scores[0].tolist(), strict=True), 1):
            if row >= 0:
                known = {k: _plain(v[row]) for k, v in columns.items()}
                items.append({"place": place, "score": score, "id": _plain(stored.ids[row]), "row": row, **known})
        return items


def _where(given: Sequence[str]) -> dict[str, list[str]]:
    """Read the filters, column -> values that pass."""
    wanted: dict[str, list[str]] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise InputError(f"where is {text[:80]!r}, expected NAME=VALUE such as label=dog")
        wanted.setdefault(name, []).append(value)
    return wanted


def _plain(value: Any) -> Any:
    """Return a scalar or an array of NumPy as JSON has it, which lacks NaN and infinity."""
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        return np.where(np.isfinite(value), value.astype(object), np.array(None)).tolist()
    return value.tolist()


def _reads(model: AlignmentModel, name: str) -> str:
    """Say whether a modality of a model is text, pictures, sound or something else."""
    if name in model.words:
        return "text"
    how = model.preprocessing.get(name)
    if how is not None and how.tower is not None:
        with suppress(InputError):  # a tower that is gone reads nothing
            return {"text": "text", "pictures": "picture", "sound": "sound"}.get(_tower(model, name).takes, "")
        return ""
    modality = None if how is None else how.modality
    if modality is None or modality.kind == "text":
        return "text" if modality else ""
    if modality.kind == "signal":
        return "sound" if modality.rate else ""
    pictured = modality.kind == "image" or (modality.kind is None and len(modality.shape) == 3 and modality.shape[0] in (1, 3))
    return "picture" if pictured else ""


def _tower(model: AlignmentModel, name: str) -> Pretrained:
    """Return the frozen tower that the raw rows of a modality pass."""
    return known_tower(name, model.preprocessing[name].tower or Weights("", ""), model.towers)


def pixels(model: AlignmentModel, name: str, given: Path | bytes) -> NDArray[Any]:
    """Read a picture as the rows that a modality of the model was trained on."""
    file = _called("picture", given)
    rows: NDArray[Any] = read_pictures("picture", [given])
    how = model.preprocessing[name]
    if how.tower is not None:
        return rows
    channels, height, width = how.modality.shape
    if rows.shape[2:] != (height, width):
        seen = f"{rows.shape[3]} x {rows.shape[2]}"
        raise InputError(f"{file} has {seen} pixels, but {name!r} was trained on {width} x {height}; resize it")
    if rows.shape[1] != channels:
        rows = np.repeat(rows[:, :1], channels, axis=1) if rows.shape[1] == 1 else rows.mean(axis=1, keepdims=True)
    rows = np.moveaxis(rows, 1, -1) if how.channels_last else rows
    return rows if how.of_bytes else rows / 255  # pictures that were no bytes are numbers up to 1


def _samples(model: AlignmentModel, name: str, given: Path | bytes) -> NDArray[Any]:
    """Read a sound as the rows that a modality of the model was trained on."""
    file, trained = _called("sound", given), model.preprocessing[name].modality
    rows, rate, _ = read_sounds("sound", [given], LONGEST)
    tower = _tower(model, name) if model.preprocessing[name].tower else None
    expected = trained.rate if tower is None else tower.rate
    if rate != expected:
        raise InputError(f"{file} has {rate:g} samples a second, but {name!r} was trained on {expected or 0:g}; resample it")
    if tower is not None:
        return rows
    if rows.shape[1] != trained.shape[0] or rows.shape[2] > trained.shape[1]:
        seen, most = f"{rows.shape[1]} x {rows.shape[2]}", f"{trained.shape[0]} x {trained.shape[1]}"
        raise InputError(f"{file} has {seen} samples (channels x length), but {name!r} takes at most {most}; cut or mix it")
    return rows


def _called(kind: str, given: Path | bytes) -> str:
    """Name a file for messages, if it has a name and is there."""
    if isinstance(given, bytes):
        return f"the {kind}"
    if not given.is_file():
        raise InputError(f"{kind} is {given}, which is not there")
    return f"{kind} {given}"


def said(desk: Desk, answer: Mapping[str, Any], k: int, filtered: bool) -> str:
    """Say in one line what was searched, and how."""
    recall = "an unknown share" if answer["recall"] is None else f"{answer['recall']:.0%}"
    exact = desk.index.backend == "exact" or filtered
    how = "all of them scored" if exact else f"{recall} of the exact first {k} are found"
    score = "the mean cosine" if answer["objective"] == "Pairwise" else f"the score of {answer['objective']}"
    return f"{answer['pool']} items searched with {', '.join(answer['query'])}, {how}; ranked by {score}"
