"""Captioned videos, sounds and pictures: annotation files of VAST and GRAM, or VGGSound's CSV, beside ready vectors.

``root/*.json``, each a list of ``{"video_id": ..., "desc": ...}``: the id stands under ``clip_id``, ``video_id``,
``image_id``, ``image`` or ``id``, captions (a text, or several) under ``desc``, ``caption`` or ``vast_cap``; the first key that
is there counts. MSR-VTT, DiDeMo, ActivityNet, VATEX, AudioCaps and VAST-27M come so. Or ``root/*.csv`` without a header:
YouTube id, start in seconds, label, ``train`` or ``test``, as VGGSound; its media ids are ``ID_000030``, which is guessed.
Vectors per media id, a modality each: ``root/NAME.npz`` with an array per id, or with arrays ``id`` and ``vector``; or a folder
``root/NAME`` of ``ID.npy``. An array ``(T, D)`` is averaged over its T frames.

A row is a caption, a group is an item, and rows of one item hold the same vectors. Files whose names say train, val or test are
the parts; of one file, parts are drawn by item. Every caption is to be a query, every item one candidate:
``retrieve(emb, ("text",), ("video",), relevance="group", once=("video",))``. ``captions="first"`` takes the first caption of
each item alone, as GRAM does. Unlike GRAM, which drops an item without sound from everything, an item stays as long as it has a
vector; `verify` counts what is left out. Media ids are never cut at dots.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_columns
from tuplet.data._hints import noted
from tuplet.data._lazy import taken
from tuplet.data._npz import members
from tuplet.data.splits import PARTS
from tuplet.datasets._files import json_in
from tuplet.datasets._reader import Content, Reader, opened
from tuplet.datasets._touch_files import homes, inside, same_options, table, text_rows, whole
from tuplet.datasets._touch_source import Tokenise, class_targets, parts_of, text_column
from tuplet.io.npy import read_npy
from tuplet.types import InputError, one_of

Kind = Literal["caption", "vision", "audio", "subtitle"]
IDS = ("clip_id", "video_id", "image_id", "image", "id")
KEYS: dict[str, tuple[str, ...]] = {
    "caption": ("desc", "caption", "vast_cap"),
    "vision": ("vision_cap",),
    "audio": ("audio_cap", "audio_caption"),
    "subtitle": ("subtitle",),
}
"""Kind of text -> keys that it may stand under, the first one counts."""
ABOUT = {
    "name": "captions",
    "title": "Captioned media",
    "citation": "S. Chen et al., VAST: A Vision-Audio-Subtitle-Text Omni-Modality Foundation Model and Dataset, NeurIPS 2023",
    "licence": "that of the annotations",
}
Vectors = dict[str, NDArray[np.float32]]


class Item(NamedTuple):
    """One entry of an annotation file."""

    id: str
    texts: list[str]
    part: int | None = None


def entries(file: Path, kind: Kind = "caption") -> list[Item]:
    """Read an annotation file: every item in order, its texts as they stand there, none where it has none."""
    if file.suffix == ".csv":
        rows = table(file, 4, "copy it again")
        if odd := [row[3] for row in rows if row[3] not in PARTS]:
            raise InputError(f"{file} has part {odd[0][:40]!a}, expected train or test; copy it again")
        where = f"{file} has a start that"
        return [Item(f"{r[0]}_{whole(r[1], 0, 999_999, where):06d}", [r[2]], PARTS.index(r[3])) for r in rows]
    found = json_in(file, "give the folder that holds it", expected="expected a list of entries; copy it again")
    if not isinstance(found, list):
        raise InputError(f"{file} holds no list of entries; copy it again")
    items = []
    for number, entry in enumerate(found):
        id = next((entry[k] for k in IDS if k in entry), None) if isinstance(entry, dict) else None
        if not isinstance(id, str | int) or not str(id):
            raise InputError(f"{file} has no id in entry {number}, expected one of {', '.join(IDS)}; copy it again")
        texts: Any = next((entry[k] for k in KEYS[kind] if k in entry), [])
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise InputError(f"{file} has {kind} that is no text in entry {number}; copy it again")
        items.append(Item(str(id), texts))
    return items


def read(root: Path, *, kind: Kind = "caption", captions: Literal["all", "first"] = "all") -> Content:
    """Read the annotations and the vectors, a row per caption of an item that has a vector."""
    one_of("kind", kind, get_args(Kind))
    one_of("captions", captions, ("all", "first"))
    texts, part = _annotated(root, kind)
    vectors = {name: _vectors(place, texts) for name, place in _places(root).items()}
    if not vectors:
        raise InputError(f"root {root} has no vectors; give NAME.npz or a folder NAME of .npy files, an array per media id")
    items = [k for k, found in texts.items() if found and any(k in v for v, _ in vectors.values())]
    if not items:
        raise InputError(f"root {root} has no item with {kind} texts and a vector; are the ids of both the same?")
    used = {k: texts[k][:1] if captions == "first" else texts[k] for k in items}
    group = np.repeat(np.arange(len(items)), [len(t) for t in used.values()])
    columns: dict[str, Any] = {"group": group}
    columns["text.text"] = text_rows([t for found in used.values() for t in found], f"root {root} has a text")
    notes = [f"{len(texts)} items, {len(items)} of them with {kind} texts and a vector; the others are left out"]
    digest = hashlib.sha256(columns["text.text"].tobytes() + group.tobytes())
    for name, (found, unused) in vectors.items():
        here = np.array([k in found for k in items])
        lacking = f", {int((~here).sum())} lack one, such as {items[int(here.argmin())][:40]}" if not here.all() else ""
        notes.append(
            f"{name}: {int(here.sum())} of {len(items)} items have a vector{lacking}; vectors without an item: {unused}"
        )
        if here.any():
            width = len(next(iter(found.values())))
            every = np.stack([found.get(k, np.zeros(width, np.float32)) for k in items])
            columns[f"input.{name}"] = taken(every, group)
            columns[f"present.{name}"] = here[group]
            digest.update(name.encode() + every.tobytes())
    codes = np.array([part.get(k, 0) for k in items], np.int8)[group]
    if {0, 2} <= set(codes.tolist()):
        columns["split.published"] = codes
        digest.update(codes.tobytes())
    else:
        notes.append("no files of train and test items: parts are drawn by item")
    about = {**ABOUT, "option.kind": kind, "option.captions": captions, "notes": json.dumps(notes)}
    if any(file.suffix == ".csv" for file in _files(root)):
        labels = sorted({t for found in used.values() for t in found})
        about["classes.label"] = json.dumps(labels)
        columns["target.label"] = np.array([labels.index(t) for found in used.values() for t in found])
    return Content(columns, about, digest.hexdigest())


def load(
    root: str | Path,
    *,
    kind: Kind = "caption",
    captions: Literal["all", "first"] = "all",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load captions and vectors.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        kind: which texts: ``"caption"``, ``"vision"`` (``vision_cap``), ``"audio"`` (``audio_cap``, ``audio_caption``) or
            ``"subtitle"``.
        captions: ``"all"`` of an item, or its ``"first"``.
        tokenise: turns texts into token ids ``(n, length)``; hashed words when left out.
        seed: of the parts that are drawn.

    Returns:
        Modality ``text`` and one per file or folder of vectors; group = item; of VGGSound the target ``label``. Rows of an item
        without a vector of some modality lack it. ``source.provenance.notes`` says what is missing.

    Raises:
        InputError: for a missing or damaged file, an item in two parts, vectors of different lengths, or a path in an id that
            leaves its folder.

    Source:
        Formats of VAST (Chen et al., 2023) and GRAM (Cicchetti et al., 2025); VGGSound (Chen et al., 2020).

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no .json or .csv of annotations; give the folder that holds it
    """
    root = Path(root)
    reading = partial(read, kind=kind, captions=captions)
    found = opened(root, ABOUT, {"group": ("i", ()), "text.text": ("u", (None,))}, reading)
    same_options(root, found.about, reading.keywords)
    group = np.unique(np.asarray(found.columns["group"]), return_inverse=True)[1].astype(np.int64)
    digest, n = hashlib.sha256(found.checksum.encode()), len(group)
    inputs, present = {}, {}
    inputs["text"], present["text"] = text_column(found, "text", n, tokenise, digest, root)
    for column in sorted(k for k in found.columns if k.startswith("input.")):
        name, values = column.removeprefix("input."), found.columns[column]
        here = found.columns.get(f"present.{name}")
        if len(values.shape) != 2 or len(values) != n or values.dtype != np.float32 or here is None or here.dtype != np.bool_:
            raise InputError(f"root {root} has damaged vectors of {name}; convert it again")
        inputs[name], present[name] = values, np.asarray(here).view(np.uint8) != 0
    targets, about = class_targets(found, root)
    published = "published" if "split.published" in found.columns else None
    source = from_columns(
        inputs,
        checksum=digest.hexdigest(),
        targets=targets,
        classes={k: t.names for k, t in about.items()},
        group=group,
        present=present,
        split=parts_of(found, group, published, targets.get("label"), seed, root)[0],
        scaling="none",
        name="captions",
        provenance=found.provenance(root),
    )
    return noted(source, _notes(found))


def _files(root: Path) -> list[Path]:
    files = [p for p in sorted(root.glob("*")) if p.suffix in (".json", ".csv") and p.is_file()]
    if not files:
        raise InputError(f"root {root} has no .json or .csv of annotations; give the folder that holds it")
    return files


def _places(root: Path) -> dict[str, Path]:
    """Find the vectors: modality -> file or folder."""
    places = {p.stem if p.is_file() else p.name: p for p in sorted(root.iterdir()) if p.suffix == ".npz" or p.is_dir()}
    if "text" in places:
        raise InputError(f"root {root} has vectors called text, which is the name of the captions; rename {places['text']}")
    return places


def _annotated(root: Path, kind: Kind) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Read all files: id -> its texts, in order of appearance, and id -> its part, where the files say it."""
    texts: dict[str, list[str]] = {}
    said: list[tuple[Path, int, list[str]]] = []
    for file in _files(root):
        named = re.search("train|val|test", file.stem.lower())
        for item in entries(file, kind):
            texts.setdefault(item.id, []).extend(item.texts)
            code = item.part if item.part is not None else PARTS.index(named.group()) if named else None
            said += [] if code is None else [(file, code, [item.id])]
    part = homes(said, "item")
    return texts, part if len(part) == len(texts) else {}


def _vectors(place: Path, wanted: Mapping[str, object]) -> tuple[Vectors, int]:
    """Read the vector of every item, and count those that belong to none."""
    if place.is_dir():
        paths = {k: inside(place, f"{k}.npy", place) for k in wanted}
        raw = {k: read_npy(p) for k, p in paths.items() if p.is_file()}
        unused = sum(p.is_file() for p in place.rglob("*.npy")) - len(raw)
    else:
        arrays = members(place)[0]
        ids, rows = arrays.get("id"), arrays.get("vector")
        if ids is not None and rows is not None:
            if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
                raise InputError(f"{place} has id {ids.shape} and vector {rows.shape}, expected (n,) and (n, D)")
            arrays = dict(zip(map(str, ids.tolist()), rows, strict=True))
        raw = {k: v for k, v in arrays.items() if k in wanted}
        unused = len(arrays) - len(raw)
    found: Vectors = {}
    for id, array in raw.items():
        good = array.dtype.kind == "f" and array.ndim in (1, 2) and array.size
        vector = array.reshape(-1, array.shape[-1]).mean(axis=0, dtype=np.float64).astype(np.float32) if good else None
        if vector is None or not np.isfinite(vector).all():
            seen = f"{array.dtype} of shape {array.shape}"
            raise InputError(f"{place} has {seen} for {id[:80]!a}, expected finite floats (D,) or (T, D); write it again")
        if len(vector) != len(first := next(iter(found.values()), vector)):
            raise InputError(f"{place} has vectors of {len(first)} and of {len(vector)} numbers; write one length")
        found[id] = vector
    if not found:
        raise InputError(f"{place} has no vector of any item; are its ids those of the annotations?")
    return found, unused


def _notes(found: Content) -> list[str]:
    """Return what the reading said of items without captions or vectors."""
    try:
        notes = json.loads(found.about.get("notes", "[]"))
    except (ValueError, RecursionError):
        notes = None
    if not isinstance(notes, list) or not all(isinstance(n, str) and n.isprintable() for n in notes):
        raise InputError("the notes of the converted file are damaged; convert it again")
    return notes


def _report(root: Path) -> list[str]:
    found = read(root)
    counts = np.bincount(found.columns["group"])
    part = found.columns.get("split.published")
    parts = "" if part is None else "; " + ", ".join(f"{int((part == i).sum())} {p}" for i, p in enumerate(PARTS))
    return [f"{counts.sum()} captions of {len(counts)} items, {counts.min()} to {counts.max()} each{parts}", *_notes(found)]


READER = Reader(load, read, _report, __doc__)
