"""AV-MNIST: pictures of handwritten digits and spoken digits, in the ``.npy`` layout of MultiBench.

``root/{image,audio}/{train,test}_data.npy`` and ``root/{train,test}_labels.npy``. Audio is a spectrogram ``(112, 112)``, or
in the MFCC variant ``(36, 20)``: coefficient by frame.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns, split_rows
from tuplet.data._lazy import Lazy
from tuplet.data._scaling import fit_scale
from tuplet.datasets._reader import Content, Needed, Reader, opened
from tuplet.io.npy import read_npy
from tuplet.types import InputError, in_range, one_of

AUDIO = {(112, 112): "spectrogram", (36, 20): "MFCC, coefficient by frame"}
ABOUT = {
    "name": "av_mnist",
    "title": "AV-MNIST",
    "citation": (
        "V. Vielzeuf, A. Lechervy, S. Pateux, F. Jurie, CentralNet: a multilayer approach for multimodal fusion, ECCV "
        "workshops 2018; P. P. Liang et al., MultiBench, NeurIPS 2021"
    ),
    "licence": "that of MNIST and of the recordings of spoken digits it was given to you with",
    "unit.image": "grey, 0 to 1",
}
Axes = Literal["coefficient-frame", "frame-coefficient"]


def read(root: Path) -> Content:
    """Open the files; only labels and checksums of the audio rows are loaded."""
    labels = [_labels(root / f"{part}_labels.npy") for part in ("train", "test")]
    made: dict[str, Any] = {
        "target.digit": np.concatenate(labels),
        "part": np.repeat(np.array([0, 2], np.int8), [len(v) for v in labels]),
    }
    about = dict(ABOUT)
    for name in ("image", "audio"):
        files = [root / name / f"{part}_data.npy" for part in ("train", "test")]
        arrays = [_numbers(file, name, len(v)) for file, v in zip(files, labels, strict=True)]
        if arrays[0].shape[1:] != arrays[1].shape[1:] or arrays[0].dtype != arrays[1].dtype:
            raise InputError(
                f"{files[1]} has rows of {arrays[1].shape[1:]} {arrays[1].dtype}, expected {arrays[0].shape[1:]} "
                f"{arrays[0].dtype} as in {files[0]}"
            )
        if name == "audio":
            made["clip"] = _clips(arrays)
            about["unit.audio"] = AUDIO[arrays[0].shape[1:]]
        made[f"input.{name}"] = _joined(name, arrays, files)
    return Content(made, about, _checksum(root))


def load(
    root: str | Path,
    *,
    split: Literal["published", "clip"] = "published",
    validation: int = 5000,
    image: Literal["picture", "patches"] = "picture",
    axes: Axes = "coefficient-frame",
    seed: int = 0,
) -> Source:
    """Load pictures and spoken digits.

    Args:
        root: the folder, or a file that `Reader.convert` wrote.
        split: ``"published"`` validates on the last rows of the training file, as MultiBench, though a recording occurs in
            many rows, so that validation audio is also in training; ``"clip"`` draws all rows anew, 11 : 1 : 2, with equal
            audio in one part.
        validation: rows at the end of the training file, for ``"published"``.
        image: ``"picture"`` is ``(1, 28, 28)``; ``"patches"`` is 49 patches of 16 numbers.
        axes: guessed: what the two axes of the MFCC variant's file are. Rows come out as (frame, coefficient), with mean 0
            and deviation 1 per coefficient over the training rows.
        seed: of the ``"clip"`` split.

    Returns:
        Modalities ``image`` (0 to 1) and ``audio``: ``(1, 112, 112)`` from 0 to 1, or ``(20, 36)`` (``(36, 20)`` for
        ``"frame-coefficient"``); target ``digit``; with ``"clip"``, group = recording.

    Raises:
        InputError: as `read`, or for an option out of range.

    Source:
        Vielzeuf et al. (2018); layout of MultiBench (Liang et al., 2021).

    Example:
        >>> load(Path("nowhere"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/train_labels.npy cannot be read (...); give an existing file that is not empty
    """
    root = Path(root)
    one_of("split", split, ("published", "clip"))
    one_of("image", image, ("picture", "patches"))
    one_of("axes", axes, get_args(Axes))
    needed: Needed = dict.fromkeys(("target.digit", "part", "clip"), ("i", ())) | {"input.image": ("uf", (1, 28, 28))}
    content = opened(root, ABOUT, needed, read)
    made = content.columns
    if "input.audio" not in made or made["input.audio"].shape[1:] not in ((1, 112, 112), (36, 20)):
        raise InputError(f"root {root} has no audio of a known shape; convert it again")
    digit, part, clip = (np.asarray(made[k]) for k in ("target.digit", "part", "clip"))
    if split == "published":
        first = np.flatnonzero(part == 0)
        in_range("validation", validation, 1, len(first))
        parts = Split(first[:-validation], first[-validation:], np.flatnonzero(part == 2))
    else:
        parts = split_rows(len(digit), labels=digit, group=clip, fractions=(11 / 14, 1 / 14, 2 / 14), seed=seed)
    pictures, audio = made["input.image"], made["input.audio"]
    if image == "patches":
        pictures = Lazy((len(digit), 49, 16), lambda at: _patches(np.asarray(made["input.image"][at])))
    if audio.shape[1:] == (36, 20):
        audio = _tokens(audio, axes, parts.train)
    return from_columns(
        {"image": pictures, "audio": audio},
        targets={"digit": digit},
        classes={"digit": [str(d) for d in range(10)]},
        group=clip if split == "clip" else None,
        split=parts,
        scaling="none",
        units=content.units(("image", "audio")),
        **content.identity("av_mnist", root, image, axes),
    )


def _labels(file: Path) -> NDArray[np.int64]:
    labels = read_npy(file)
    if labels.dtype.kind not in "iuf" or labels.size != max(labels.shape, default=0) or labels.size == 0:
        raise InputError(f"{file} has shape {labels.shape} and dtype {labels.dtype}, expected one digit per row")
    flat = labels.reshape(-1)
    if not np.isin(flat, range(10)).all():
        raise InputError(f"{file} has values other than 0 .. 9, expected digits")
    return flat.astype(np.int64)


def _numbers(file: Path, name: str, rows: int) -> NDArray[Any]:
    array = read_npy(file)
    if array.dtype.kind not in "uif" or len(array.shape) < 2 or len(array) != rows:
        raise InputError(f"{file} has shape {array.shape} and dtype {array.dtype}, expected {rows} rows of numbers")
    if name == "image" and array.shape[1:] not in ((784,), (28, 28)):
        raise InputError(f"{file} has rows of shape {array.shape[1:]}, expected 784 pixels")
    if name == "audio" and array.shape[1:] not in AUDIO:
        raise InputError(f"{file} has rows of shape {array.shape[1:]}, expected one of {list(AUDIO)}")
    return array


def _joined(name: str, arrays: list[NDArray[Any]], files: list[Path]) -> Lazy:
    """Return both files as one column; 0 .. 255 is divided by 255 unless it is uint8, which is left to the source."""
    mfcc = arrays[0].shape[1:] == (36, 20)
    rows, lengths = (36, 20) if mfcc else (1, 28, 28) if name == "image" else (1, 112, 112), [len(a) for a in arrays]
    largest = 0.0
    for array, file in zip(arrays, files, strict=True):
        for at in range(0, len(array), 1024):
            block = array[at : at + 1024]
            if not np.isfinite(block).all() or (not mfcc and (block.min() < 0 or block.max() > 255)):
                raise InputError(f"{file} has values outside 0 .. 255 or not finite, expected grey values")
            largest = max(largest, float(block.max()))
    whole = arrays[0].dtype == np.uint8
    divisor = np.float32(255 if largest > 1 and not mfcc else 1)

    def read_rows(at: NDArray[np.int64]) -> NDArray[Any]:
        second = at >= lengths[0]
        out = np.empty((len(at), *arrays[0].shape[1:]), np.uint8 if whole else np.float32)
        out[~second], out[second] = arrays[0][at[~second]], arrays[1][at[second] - lengths[0]]
        return (out if whole else out / divisor).reshape(len(at), *rows)

    return Lazy((sum(lengths), *rows), read_rows, np.dtype(np.uint8 if whole else np.float32))


def _clips(arrays: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Number the different audio rows; a recording that several pictures share has one number."""
    numbers: dict[bytes, int] = {}
    made = [numbers.setdefault(hashlib.sha256(row.tobytes()).digest(), len(numbers)) for a in arrays for row in a]
    return np.array(made, dtype=np.int64)


def _patches(pictures: NDArray[Any]) -> NDArray[np.float32]:
    n = len(pictures)
    values = pictures.astype(np.float32) / np.float32(255 if pictures.dtype == np.uint8 else 1)
    return values.reshape(n, 7, 4, 7, 4).transpose(0, 1, 3, 2, 4).reshape(n, 49, 16)


def _tokens(audio: Any, axes: Axes, train: NDArray[np.int64]) -> Lazy:
    turn = (0, 2, 1) if axes == "coefficient-frame" else (0, 1, 2)
    shape = tuple(audio.shape[i] for i in turn)
    raw = Lazy(shape, lambda at: np.asarray(audio[at], dtype=np.float32).transpose(turn))
    scale = fit_scale("audio", raw, np.sort(train), scaling="channels")
    return Lazy(shape, lambda at: scale(raw[at]))


def _checksum(root: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted([*root.glob("*/*_data.npy"), *root.glob("*_labels.npy")]):
        digest.update(str(file.relative_to(root)).encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _report(root: Path) -> list[str]:
    made, about, _ = read(root)
    clip, part = made["clip"], made["part"]
    tail = np.flatnonzero(part == 0)[-5000:]
    head = np.setdiff1d(np.flatnonzero(part == 0), tail)
    shared = {
        "validation (the last 5,000)": np.isin(clip[tail], clip[head]).mean(),
        "test": np.isin(clip[part == 2], clip[part == 0]).mean(),
    }
    return [
        f"rows: train file {int((part == 0).sum())}, test file {int((part == 2).sum())}; published: 60000 and 10000",
        f"audio: {about['unit.audio']}, {len(np.unique(clip))} different recordings in {len(clip)} rows",
        *(f"{k}: {100 * v:.1f} % of rows have audio that is also in the training file" for k, v in shared.items()),
    ]


READER = Reader(load, read, _report, __doc__)
