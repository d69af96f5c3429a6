"""Touch100k: touch pictures of GelSights with photographs, a sentence and a phrase each.

``root/touch/{name}``, ``root/vision/{name}`` and ``root/data_list.json``, a JSON object per line: ``img``,
``sentence_desc``, ``phrase_desc``.

From published code: all of this; sensor id 0. The pictures come from videos of Touch and Go and VisGel, and nothing here
says which: every row is a group, so that frames of one video may be in two parts. Take it to train on, not to test on. No
split is published: parts are drawn. Licence: CC BY-NC.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tuplet.data import Source
from tuplet.datasets._files import contents
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, inside
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError

KEYS = {"img": "", "sentence_desc": "text", "phrase_desc": "phrase"}
"""Key of a line -> modality."""
ABOUT = {
    "name": "touch100k",
    "title": "Touch100k",
    "citation": (
        "N. Cheng et al., Touch100k: A Large-Scale Touch-Language-Vision Dataset for Touch-Centric Multimodal "
        "Representation, 2024"
    ),
    "licence": "CC BY-NC",
}


def read(root: Path, *, side: int = 224) -> Content:
    """Read the lines."""
    file = root / "data_list.json"
    rows = []
    for number, raw in enumerate(contents(file, "give the folder that holds it").splitlines(), 1):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict) or not all(isinstance(line.get(k), str) for k in KEYS):
            raise InputError(f"{file} has line {number} without the texts {', '.join(KEYS)}; copy it again")
        pictures = {k: inside(root / k, line["img"], file) for k in ("touch", "vision")}
        rows.append(Row(str(number), pictures, 0, {m: line[k] for k, m in KEYS.items() if m}))
    return content(rows, ABOUT, {}, side=side)


def load(
    root: str | Path, *, side: int = 224, normalisation: Normalisation = "clip", tokenise: Tokenise | None = None, seed: int = 0
) -> Source:
    """Load touch, vision, sentences and phrases.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision``, ``text`` (the sentence, which TLV-CoRe takes alone) and ``phrase``; target and ``aux``
        ``sensor``. Leave the phrase out with ``.select(["text", "touch", "vision"])``.

    Raises:
        InputError: for a missing file or a damaged line.

    Example:
        >>> load("no")
        Traceback (most recent call last):
        tuplet.types.InputError: no/data_list.json cannot be read (No such file or directory); give the folder that holds it
    """
    how = How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, partial(read, side=side), how, texts=("text", "phrase"))


READER = Reader(load, read, partial(described, read=read), __doc__)
