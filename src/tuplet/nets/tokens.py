"""Words to the ids that a text tower reads: CLIP's byte pairs from a vocabulary on disk, or hashed words for tests."""

from __future__ import annotations

import gzip
import importlib.util
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.types import InputError, importing

Ids = Callable[[str], list[int]]
MERGES = "bpe_simple_vocab_16e6.txt.gz"
"""CLIP's byte pairs, as the `open_clip` wheel ships them."""


class Tokeniser:
    """Turns texts into int64 ids ``(N, length)``, padded with 0 after the end; made by `tokeniser`."""

    def __init__(self, encode: Ids, *, source: str, length: int, vocabulary: int) -> None:
        self.encode, self.length = encode, length
        self.about = {"source": source, "length": length, "vocabulary": vocabulary}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return the ids of some texts."""
        out = torch.zeros(len(texts), self.length, dtype=torch.int64)
        for row, text in enumerate(texts):
            found = self.encode(str(text))
            if len(found) > self.length:
                raise InputError(
                    f"text {row} has {len(found)} tokens, expected at most {self.length}; shorten it: {str(text)[:60]!r}"
                )
            out[row, : len(found)] = torch.tensor(found)
        return out

    def rows(self, texts: Sequence[str | None]) -> NDArray[np.float32]:
        """Return the ids as raw rows of a modality: a text that is None is NaN throughout."""
        ids: NDArray[np.float32] = self([text or "" for text in texts]).numpy().astype(np.float32)
        ids[[text is None for text in texts]] = np.nan
        return ids


def tokeniser(source: str | Path = "open_clip", *, length: int = 77, vocabulary: int = 49408) -> Tokeniser:
    """Make a tokeniser; nothing is downloaded.

    Args:
        source: ``"open_clip"`` reads the byte pairs of an installed `open_clip`, without importing it. A path is the file of
            byte pairs, or a folder with ``vocab.json`` and ``merges.txt``. ``"words"`` hashes whole words: for tests, and for
            towers that are trained from nothing.
        length: ids per text; longer texts are refused.
        vocabulary: number of ids of ``"words"``.

    Returns:
        A function from texts to ids. The end has the largest id, where CLIP pools.

    Raises:
        InputError: if the vocabulary is not there; from the function, for a text that is too long.

    Source:
        Radford et al. (2021); Sennrich et al. (2016) for byte pairs.

    Example:
        >>> tokeniser("words", length=6, vocabulary=50)(["rough wood", "glass"]).argmax(dim=1)  # where each text ends
        tensor([3, 2])
    """
    if source == "words":
        first, last = vocabulary - 2, vocabulary - 1

        def hashed(text: str) -> list[int]:
            words = re.findall(r"\w+", text.lower())
            return [first, *(1 + zlib.crc32(w.encode()) % (vocabulary - 3) for w in words), last]

        encode: Ids = hashed
    else:
        encode = _byte_pairs(source)
    place = str(source) if source in ("words", "open_clip") else str(Path(source).resolve())
    return Tokeniser(encode, source=place, length=length, vocabulary=vocabulary)


def tokeniser_of(tower: Path, length: int) -> Tokeniser:
    """Make the tokeniser of a tower's folder: by the vocabulary in it, or by that of an installed `open_clip`."""
    if (tower / "vocab.json").is_file():
        return tokeniser(tower, length=length)
    try:
        return tokeniser("open_clip", length=length)
    except InputError:
        raise InputError(
            f"{tower} has no vocab.json and merges.txt to read texts with; copy CLIP's two files into it, or pip install "
            f"--no-deps open_clip_torch"
        ) from None


def _byte_pairs(source: str | Path) -> Ids:
    """Read CLIP's vocabulary and build its tokeniser."""
    with importing("byte pairs need transformers; pip install 'tuplet[towers]'"):
        from transformers import CLIPTokenizer
    if source == "open_clip":
        spec = importlib.util.find_spec("open_clip")  # finds the package without running it
        folders = list(spec.submodule_search_locations or []) if spec else []
        if not folders:
            raise InputError(
                "source is 'open_clip', which is not installed; pip install --no-deps open_clip_torch, or give a path"
            )
        source = Path(folders[0]) / MERGES
    path = Path(source)
    if path.is_dir():
        files = [path / "vocab.json", path / "merges.txt"]
        if not all(f.is_file() for f in files):
            raise InputError(f"source {str(path)!r} lacks vocab.json or merges.txt")
        tokenizer = CLIPTokenizer.from_pretrained(path, local_files_only=True)
    elif path.is_file():
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
        letters = list(_letters().values())
        words = [*letters, *(c + "</w>" for c in letters), *("".join(m) for m in merges), "<|startoftext|>", "<|endoftext|>"]
        tokenizer = CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=cast(Any, merges))
    else:
        raise InputError(
            f"source {str(path)!r} is no file or folder; give {MERGES}, or a folder with vocab.json and merges.txt"
        )
    return lambda text: list(tokenizer(text).input_ids)


def _letters() -> dict[int, str]:
    """Byte -> the printable character that stands for it."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + k) for k, b in enumerate(hidden)}
