"""The ``tuplet index`` and ``tuplet search`` commands: embeddings on disk, asked with words, pictures or stored rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.model import AlignmentModel
    from tuplet.store import Found, Stored

WIDEST = 40
"""Characters of a cell."""


@dataclass(frozen=True)
class Index:
    """Write embeddings as a folder that searches stay on disk with, or with graphs for a search in two stages."""

    emb: Positional[Path]
    """Embeddings, as `tuplet embed` writes them."""
    out: Path = Path("index")
    """Folder to write."""
    backend: Literal["exact", "faiss"] = "exact"
    """exact scores every item; faiss (needs tuplet[search]) scores those that a graph brings near the query."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: the mean cosine]."""
    modalities: tuple[str, ...] = ()
    """Of faiss: what is searched together [default: for each modality as the query, all the others]."""
    force: bool = False
    """Replace the index that stands at --out."""


@dataclass(frozen=True)
class Search:
    """Search embeddings with words, a picture or a stored row; several of these are one query together."""

    index: Positional[Path]
    """A folder of `tuplet index`, or embeddings as `tuplet embed` writes them."""
    text: str | None = None
    """Words to search with; NAME=WORDS where the model reads several modalities of text."""
    picture: str | None = None
    """A picture file to search with; NAME=FILE where the model reads several modalities of pictures."""
    like: str | None = None
    """The id of a stored item to search with; its modalities that are not searched are the query."""
    k: Annotated[int, arg(aliases=("-k",))] = 10
    """Items to find."""
    modalities: tuple[str, ...] = ()
    """What to search [default: the modalities that the query does not use]."""
    where: tuple[str, ...] = ()
    """NAME=VALUE: only items with this value in a column; several may follow, those of one column as alternatives."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: that of the index, or the mean cosine]."""
    model: Path | None = None
    """Folder of the model that reads words and pictures [default: the one that made the embeddings]."""
    json: bool = False
    """Print JSON."""
    out: Path | None = None
    """A page.html to write the found items to, with pictures where a column holds their paths."""


def index(command: Index) -> None:
    """Write an index folder, and measure what its searches in two stages find."""
    from tuplet.store import index as opened
    from tuplet.store import open_store
    from tuplet.store._folder import write_index

    known = tuple(open_store(command.emb).present)
    if unknown := sorted(set(command.modalities) - set(known)):
        raise InputError(f"modalities names {unknown}, but {command.emb} has {', '.join(known)}")
    others = [tuple(m for m in known if m != k) or known for k in known]
    sides = [tuple(sorted(set(command.modalities)))] if command.modalities else others
    how: dict[str, Any] = {"backend": command.backend, "objective": command.objective, "force": command.force}
    files = write_index(command.emb, command.out, sides=sides, **how)
    made = opened(command.out)
    print(f"{made} -> {command.out}: {', '.join(files)}")
    for into in sides if command.backend == "faiss" else ():
        query = tuple(m for m in known if m not in into) or known
        k = min(10, int(np.all([made.stored.present[m] for m in into], axis=0).sum()))
        if k:
            share = made.recall(query, k, modalities=into)
            print(f"{', '.join(query)} -> {', '.join(into)}: {share:.0%} of the exact first {k} are found")


def search(command: Search) -> None:
    """Search, and print what was found."""
    from tuplet.store import index as opened
    from tuplet.store._folder import named

    if command.out is not None and command.out.suffix.lower() != ".html":
        raise InputError(f"out is {command.out}, expected a file that ends with .html")
    made = opened(command.index)
    if command.objective is not None:
        ranking = named(command.objective, tuple(made.stored.present), made.stored.width)
        made = opened(command.index, objective=ranking)
    query = _like(command, made.stored) | _raw(command, made.stored)
    if not query:
        raise InputError("the query is empty; give --text, --picture or --like")
    found = made.search(query, command.k, modalities=command.modalities or None, where=_where(command.where))
    items = _items(found, made.stored)
    if command.json:
        import json

        about = {"query": sorted(query), "objective": type(made.objective).__name__, "pool": found.pool, "recall": found.recall}
        print(json.dumps(about | {"found": items}, ensure_ascii=False))
    else:
        from tuplet.report import Grid

        head = list(items[0])
        lines = [[f"{v:.3f}" if k == "score" else _cell(v) for k, v in item.items()] for item in items]
        print(Grid(head, lines, words=len(head)).text())
        exact = made.backend == "exact" or command.where
        how = "all of them scored" if exact else f"{found.recall:.0%} of the exact first {command.k} are found"
        ranked = "the mean cosine" if (name := type(made.objective).__name__) == "Pairwise" else f"the score of {name}"
        print(f"{found.pool} items searched by {', '.join(sorted(query))}, {how}; ranked by {ranked}")
    if command.out is not None:
        _page(command, items)
        print(f"page: {command.out}")


def _where(given: tuple[str, ...]) -> dict[str, list[str]]:
    """Read the filters, column -> values that pass."""
    wanted: dict[str, list[str]] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise InputError(f"where is {text!r}, expected NAME=VALUE such as label=dog")
        wanted.setdefault(name, []).append(value)
    return wanted


def _like(command: Search, stored: Stored) -> dict[str, NDArray[Any]]:
    """Take the vectors of a stored item as the query."""
    if command.like is None:
        return {}
    rows = np.flatnonzero(stored.ids.astype(np.str_) == command.like)
    if not len(rows):
        some = ", ".join(map(str, stored.ids[:5].tolist()))
        raise InputError(f"like is {command.like!r}, which is no id of {command.index}; its ids are {some}, ...")
    row = int(rows[0])
    here = [k for k, present in stored.present.items() if present[row]]
    views = stored.vectors()
    return {k: np.array(views[k][row]) for k in [k for k in here if k not in command.modalities] or here}


def _raw(command: Search, stored: Stored) -> dict[str, NDArray[Any]]:
    """Embed words and a picture with the model of the embeddings."""
    given = {kind: text for kind, text in (("text", command.text), ("picture", command.picture)) if text is not None}
    if not given:
        return {}
    from tuplet.model import load

    folder = command.model or Path(stored.about.get("model", ""))
    if command.model is None and not (stored.about.get("model") and folder.is_dir()):
        raise InputError(f"{command.index} names no model that is still there; give its folder with --model")
    stored.check_model(folder)
    model = load(folder)
    raw: dict[str, Any] = {}
    for kind, text in given.items():
        if not text.strip():
            raise InputError(f"{kind} is empty; give some")
        names = [k for k in model.encoders if k in stored.present and _reads(model, k) == kind]
        name, sign, rest = text.partition("=")
        if not (sign and name in names):
            if len(names) != 1:
                some = f"give --{kind} NAME=..., with one of {', '.join(names)}" if names else "search with --like"
                raise InputError(f"the model in {folder} reads {len(names) or 'no'} modalities of {kind}; {some}")
            name, rest = names[0], text
        raw[name] = [rest] if kind == "text" else _pixels(model, name, rest)
    return {k: z[0] for k, z in model.encode(raw).items()}


def _reads(model: AlignmentModel, name: str) -> str:
    """Say whether a modality of a model is text, pictures or something else."""
    if name in model.words:
        return "text"
    modality = model.preprocessing[name].modality if name in model.preprocessing else None
    if modality is None or modality.kind == "text":
        return "text" if modality else ""
    pictured = modality.kind == "image" or (modality.kind is None and len(modality.shape) == 3 and modality.shape[0] in (1, 3))
    return "picture" if pictured else ""


def _pixels(model: AlignmentModel, name: str, file: str) -> NDArray[Any]:
    """Read a picture as the rows that a modality of the model was trained on."""
    from tuplet.data._media import read_pictures

    if not Path(file).is_file():
        raise InputError(f"picture is {file}, which is not there")
    rows: NDArray[Any] = read_pictures("picture", [Path(file)])
    how = model.preprocessing[name]
    channels, height, width = how.modality.shape
    if rows.shape[2:] != (height, width):
        seen = f"{rows.shape[3]} x {rows.shape[2]}"
        raise InputError(f"picture {file} has {seen} pixels, but {name!r} was trained on {width} x {height}; resize it")
    if rows.shape[1] != channels:
        rows = np.repeat(rows[:, :1], channels, axis=1) if rows.shape[1] == 1 else rows.mean(axis=1, keepdims=True)
    rows = np.moveaxis(rows, 1, -1) if how.channels_last else rows
    return rows if how.of_bytes else rows / 255  # pictures that were no bytes are numbers up to 1


def _items(found: Found, stored: Stored) -> list[dict[str, Any]]:
    """List what was found, with all that the store knows of it."""
    items = []
    for place, row in enumerate(found.rows[0].tolist(), 1):
        if row >= 0:
            known = {k: v[row].tolist() for k, v in stored.columns.items() if k != "part" or (v != "").any()}
            score = float(found.scores[0, place - 1])
            items.append({"place": place, "score": score, "id": stored.ids[row].item(), "row": row, **known})
    return items


def _cell(value: Any) -> str:
    from tuplet.io import shortened

    return shortened(str(value), length=WIDEST)


def _page(command: Search, items: list[dict[str, Any]]) -> None:
    """Write what was found as a page, a picture each where a column holds their paths."""
    from tuplet.data._media import picture_paths
    from tuplet.report import Grid, Section, Sheet, Tile, write_page

    assert command.out is not None
    columns = list(items[0])
    pictured = next((k for k in columns if picture_paths([i[k] for i in items]) is not None), None)
    parts: list[Any] = []
    if pictured is not None:
        tiles = [Tile(_thumbnail(i[pictured]), str(i["id"]), f"{i['score']:.2f}") for i in items]
        parts.append([Sheet("Found, best first", [("", "", tiles)])])
    parts.append(Grid(columns, [[_cell(i[k]) for k in columns] for i in items], words=len(columns)))
    asked = [f"{k} {v}" for k, v in (("text", command.text), ("picture", command.picture), ("like", command.like)) if v]
    write_page(command.out, title=f"Search: {', '.join(asked)}", sections=[Section("", parts)])


def _thumbnail(file: str) -> str:
    """Read a picture for a page, every so many pixels of a large one."""
    from tuplet.data._media import read_pictures
    from tuplet.report import data_uri

    pixels = np.moveaxis(read_pictures("picture", [Path(file)])[0], 0, -1)
    step = max(1, max(pixels.shape[:2]) // 128)
    return data_uri(np.ascontiguousarray(np.broadcast_to(pixels[::step, ::step], (*pixels[::step, ::step].shape[:2], 3))))
