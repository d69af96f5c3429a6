"""CIFAR-10 and CIFAR-100, on which TLV-CoRe asks what a touch encoder knows of photographs.

``root`` is ``cifar-10-batches-py`` (``data_batch_1`` to ``data_batch_5``, ``test_batch``, ``batches.meta``) or
``cifar-100-python`` (``train``, ``test``, ``meta``): pickles, which are read as data and never run. There is no licence; the
pictures come from the web.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tuplet.data import Source
from tuplet.datasets._reader import Content, Reader
from tuplet.datasets._touch_files import Row, content, whole
from tuplet.datasets._touch_source import How, Normalisation, Tokenise, assemble, described
from tuplet.io.unpickle import read_pickle
from tuplet.types import InputError, one_of

FILES = {
    "batches.meta": ([*(f"data_batch_{i}" for i in range(1, 6))], "test_batch", {"label": ("labels", "label_names")}),
    "meta": (
        ["train"],
        "test",
        {"label": ("fine_labels", "fine_label_names"), "coarse": ("coarse_labels", "coarse_label_names")},
    ),
}
"""File of names -> files of the training, of the test, and target -> key of codes, key of names."""
ABOUT = {
    "name": "cifar",
    "title": "CIFAR-10 or CIFAR-100",
    "citation": "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    "licence": "none stated",
}


def read(root: Path, *, modality: Literal["vision", "touch"] = "vision", side: int = 224) -> Content:
    """Read every batch."""
    one_of("modality", modality, ("vision", "touch"))
    meta = next((m for m in FILES if (root / m).exists()), None)
    if meta is None:
        raise InputError(f"root {root} has neither {' nor '.join(FILES)}; give cifar-10-batches-py or cifar-100-python")
    train, test, targets = FILES[meta]
    names = _dict(root / meta)
    classes = {k: _names(names.get(key), f"{root / meta}: {key}") for k, (_, key) in targets.items()}
    rows = []
    for name, part in (*((name, 0) for name in train), (test, 2)):
        batch = _dict(root / name)
        pixels = batch.get("data")
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
            raise InputError(f"{root / name} has no data of shape (n, 3072) and dtype uint8; copy it again")
        codes: dict[str, Any] = {k: batch.get(key) for k, (key, _) in targets.items()}
        if any(not isinstance(v, list) or len(v) != len(pixels) for v in codes.values()):
            raise InputError(f"{root / name} has no list of {len(pixels)} labels; copy it again")
        for i, flat in enumerate(pixels):
            target = {k: whole(codes[k][i], 0, len(classes[k]) - 1, f"{root / name}, picture {i}: {k}") for k in targets}
            picture = flat.reshape(3, 32, 32).transpose(1, 2, 0)
            rows.append(Row(f"{name} {i}", {modality: picture}, target=target, part={"cifar": part}))
    return content(rows, ABOUT, classes, side=side, modality=modality)


def load(
    root: str | Path,
    *,
    modality: Literal["vision", "touch"] = "vision",
    side: int = 224,
    normalisation: Normalisation = "clip",
    tokenise: Tokenise | None = None,
    seed: int = 0,
) -> Source:
    """Load CIFAR as pictures of one modality; the others are absent.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        modality: which encoder is to read the pictures.
        side, normalisation, tokenise, seed: as in `tuplet.datasets.touch_and_go.load`; a tenth of the training rows validates.

    Returns:
        Modalities ``touch``, ``vision`` and ``text``; targets ``label`` (10 or 100), ``coarse`` (20, of CIFAR-100) and
        ``sensor``, which is unknown (-1).

    Raises:
        InputError: for a missing file, or a pickle of something else.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has neither batches.meta nor meta; give cifar-10-batches-py or cifar-100-python
    """
    reading, how = partial(read, modality=modality, side=side), How(side, normalisation, tokenise, seed)
    return assemble(root, ABOUT, reading, how, published="cifar", label="label")


def _dict(file: Path) -> dict[str, Any]:
    """Read a pickle of a dict, whose keys Python 3 may have as bytes."""
    found = read_pickle(file)
    if not isinstance(found, dict):
        raise InputError(f"{file} holds a {type(found).__name__}, expected the dict of CIFAR")
    return {k.decode("latin-1") if isinstance(k, bytes) else str(k): v for k, v in found.items()}


def _names(value: object, where: str) -> list[str]:
    """Read the names of classes."""
    plain = [v.decode("latin-1") if isinstance(v, bytes) else v for v in value] if isinstance(value, list) else []
    if not plain or not all(isinstance(v, str) and v.isprintable() for v in plain):
        raise InputError(f"{where} is no list of names; copy the file again")
    return plain


READER = Reader(load, read, partial(described, read=read), __doc__)
