"""Dog breeds (Kaggle's, from ImageNet), on which TLV-CoRe asks what a touch encoder knows of photographs.

``root/labels.csv`` (header ``id,breed``) and ``root/train/{id}.jpg``. The labels of Kaggle's test pictures are not public,
and the authors' split is not either: parts are drawn here, each breed 60 / 20 / 20. Licence: terms of the competition and of
ImageNet.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, inside, table
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.types import InputError, one_of

ABOUT = {
    "name": "dogs",
    "title": "Dog breed identification",
    "citation": "A. Khosla et al., Novel Dataset for Fine-Grained Image Categorization: Stanford Dogs, 2011",
    "licence": "terms of the competition",
}


def read(root: Path, *, modality: Literal["vision", "touch"] = "vision", side: int = 224) -> Content:
    """Read the labels."""
    one_of("modality", modality, ("vision", "touch"))
    file = root / "labels.csv"
    lines = [line for line in table(file, 2, "give the folder that holds it") if line[:2] != ["id", "breed"]]
    if odd := [breed for _, breed, *_ in lines if not breed or not breed.isprintable()]:
        raise InputError(f"{file} has breed {odd[0][:40]!a}, expected a name; copy it again")
    breeds = sorted({breed for _, breed, *_ in lines})
    code = {breed: i for i, breed in enumerate(breeds)}
    rows = [
        Row(name, {modality: inside(root / "train", f"{name}.jpg", file)}, target={"breed": code[breed]})
        for name, breed, *_ in lines
    ]
    return content(rows, ABOUT, {"breed": breeds}, side=side, modality=modality)


def load(
    root: str | Path,
    *,
    modality: Literal["vision", "touch"] = "vision",
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load dogs as pictures of one modality; the others are absent.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        modality: which encoder is to read the pictures.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``breed`` (120) and ``sensor``, which is unknown (-1).

    Raises:
        InputError: for a missing file or a damaged list.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/labels.csv cannot be read (No such file or directory); give the folder that holds it
    """
    reading, how = partial(read, modality=modality, side=side), How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, reading, how, label="breed")


READER = Reader(load, read, partial(described, read=read), __doc__)
