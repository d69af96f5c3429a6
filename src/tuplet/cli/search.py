"""The ``tuplet index`` and ``tuplet search`` commands: embeddings on disk, asked with words, pictures, sounds or ids."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from tyro.conf import Positional, arg

from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.store._ask import Desk

WIDEST = 40
"""Characters of a cell."""


@dataclass(frozen=True)
class Index:
    """Write embeddings as a folder that searches stay on disk with, or with codes for a search in two stages."""

    emb: Positional[Path]
    """Embeddings, as `tuplet embed` writes them."""
    out: Path = Path("index")
    """Folder to write."""
    backend: Literal["exact", "faiss"] = "exact"
    """exact scores every item; faiss (needs tuplet[search]) scores those whose short codes are near the query."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: the mean cosine]."""
    modalities: tuple[str, ...] = ()
    """Of faiss: what is searched together [default: for each modality as the query, all the others]."""
    force: bool = False
    """Replace the index that stands at --out."""


@dataclass(frozen=True)
class Search:
    """Search embeddings with words, a picture, a sound or a stored row; several of these are one query together."""

    index: Positional[Path]
    """A folder of `tuplet index`, or embeddings as `tuplet embed` writes them."""
    text: tuple[str, ...] = ()
    """Words to search with, in quotes; NAME=WORDS, once each, where the model reads several modalities of text."""
    picture: tuple[str, ...] = ()
    """A picture file to search with; NAME=FILE where the model reads several modalities of pictures."""
    sound: tuple[str, ...] = ()
    """A sound file to search with; NAME=FILE where the model reads several modalities of sound."""
    like: str | None = None
    """The id of a stored item to search with; its modalities that are not searched are the query. It is not found itself."""
    rows: Path | None = None
    """A file of raw rows to search with, as `tuplet embed` takes it: a new reading of a sensor."""
    row: int | None = None
    """Which of those rows, counted from 0; its modalities that are not searched are the query [default: the first]."""
    k: Annotated[int, arg(aliases=("-k",))] = 10
    """Items to find."""
    modalities: tuple[str, ...] = ()
    """What to search [default: the modalities that the query does not use]."""
    where: tuple[str, ...] = ()
    """NAME=VALUE: only items with this value in a column; several may follow, those of one column as alternatives."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: that of the index, or the mean cosine]."""
    model: Path | None = None
    """Folder of the model that reads words, pictures and sounds [default: the one that made the embeddings]."""
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
    from tuplet.store._ask import said

    if command.out is not None and command.out.suffix.lower() != ".html":
        raise InputError(f"out is {command.out}, expected a file that ends with .html")
    desk = desk_of(command.index, command.objective, command.model)
    given = (("text", command.text), ("picture", command.picture), ("sound", command.sound))
    raw = [desk.split(kind, one) for kind, texts in given for one in texts]
    into = command.modalities
    if command.rows is None and command.row is not None:
        raise InputError(f"row is {command.row}, but rows names no file; give --rows FILE")
    vectors = {} if command.rows is None else desk.reading(command.rows, command.row or 0, into)
    answer = desk.ask(raw, vectors, like=command.like, k=command.k, modalities=into, where=command.where)
    items = answer["found"]
    if command.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        from tuplet.report import Grid

        head = list(items[0])
        lines = [[f"{v:.3f}" if k == "score" else _cell(v) for k, v in item.items()] for item in items]
        print(Grid(head, lines, words=len(head)).text())
        print(said(desk, answer, command.k, bool(command.where)) + _own_score(desk))
    if command.out is not None:
        _page(command, items)
        print(f"page: {command.out}", file=sys.stderr if command.json else sys.stdout)


def desk_of(path: Path, objective: str | None, model: Path | None, kept: int = 0) -> Desk:
    """Open what `tuplet search` and `tuplet serve` ask."""
    from tuplet.store import index as opened
    from tuplet.store._ask import Desk
    from tuplet.store._folder import named

    made = opened(path, kept=kept)
    if objective is not None:
        made = opened(path, objective=named(objective, tuple(made.stored.present), made.stored.width), kept=kept)
    return Desk(made, model)


def _own_score(desk: Desk) -> str:
    """Name the score that the model was trained for, where the mean cosine ranks in its place."""
    from tuplet.cli.runs import NOTE, read_note
    from tuplet.objectives import Pairwise
    from tuplet.store._folder import named

    made = desk.index
    if not isinstance(made.objective, Pairwise) or desk.place is None or not (desk.place / NOTE).is_file():
        return ""
    trained = read_note(desk.place)["objective"]
    try:
        own = named(trained, tuple(made.stored.present), made.stored.width)
    except InputError:  # it has no score, or one that was learned
        return ""
    if isinstance(own, Pairwise) or (trained == "cone" and len(made.stored.present) == 2):  # then the cone ranks as the cosine
        return ""
    return f" (the model was trained for another score: --objective {trained})"


def _cell(value: Any) -> str:
    from tuplet.io import shortened

    return shortened(str(value), length=WIDEST)


def _page(command: Search, items: list[dict[str, Any]]) -> None:
    """Write what was found as a page, a picture each where a column holds their paths."""
    from tuplet.data._media import picture_paths
    from tuplet.report import Grid, Section, Sheet, Tile, write_page

    assert command.out is not None
    columns = list(items[0])
    pictured = None
    for k in columns:
        with suppress(InputError):  # files that are not here are shown by their names
            if picture_paths([i[k] for i in items]) is not None:
                pictured = k
                break
    parts: list[Any] = []
    if pictured is not None:
        tiles = [Tile(_thumbnail(i[pictured]), str(i["id"]), f"{i['score']:.2f}") for i in items]
        parts.append([Sheet("Found, best first", [("", "", tiles)])])
    parts.append(Grid(columns, [[_cell(i[k]) for k in columns] for i in items], words=len(columns)))
    given = {"text": command.text, "picture": command.picture, "sound": command.sound}
    given["like"] = () if command.like is None else (command.like,)
    given["row"] = () if command.rows is None else (f"{command.row or 0} of {command.rows.name}",)
    asked = [f"{k} {' '.join(v)}" for k, v in given.items() if v]
    write_page(command.out, title=f"Search: {', '.join(asked)}", sections=[Section("", parts)])


def _thumbnail(file: str) -> str:
    """Read a picture for a page, every so many pixels of a large one."""
    from tuplet.data._media import read_pictures
    from tuplet.report import data_uri

    pixels = np.moveaxis(read_pictures("picture", [Path(file)])[0], 0, -1)
    step = max(1, max(pixels.shape[:2]) // 128)
    return data_uri(np.ascontiguousarray(np.broadcast_to(pixels[::step, ::step], (*pixels[::step, ::step].shape[:2], 3))))
