"""Sounds that a column or a list names by their paths, or holds as the bytes of their files: ``.wav``, or packed."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuplet.data._film import packed
from tuplet.io.memory import check_memory
from tuplet.types import InputError

SOUNDS = (".wav", ".wave", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".m4a")
"""Endings of files that are sounds."""
PACKED = {b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3", **{bytes((255, byte)): "mp3" for byte in b"\xfa\xfb\xf2\xf3\xe2\xe3"}}
"""First bytes of packed sounds, and what packed them."""


def is_sound(start: bytes) -> bool:
    """Tell by its first bytes whether a file is a sound."""
    return (start[:4] == b"RIFF" and start[8:12] == b"WAVE") or start.startswith(tuple(PACKED)) or start[4:12] == b"ftypM4A "


def read_sounds(
    argument: str, given: Sequence[Path | bytes | None], seconds: float = math.inf
) -> tuple[NDArray[np.float32], float, str]:
    """Read sounds of one rate as ``(n, C, T)`` from -1 to 1, zeros after their ends; also the rate, and the lengths."""
    found: dict[int, NDArray[np.float32]] = {}
    first, rate, held = "", 0, 0
    for i, entry in enumerate(given):
        if entry is None:
            continue
        name = str(entry) if isinstance(entry, Path) else f"row {i}"
        here, wave = _read(f"{argument}: {name}", entry, seconds)
        rate, first = rate or here, first or name
        if here != rate:
            raise InputError(
                f"{argument} has sounds of different rates: {first} has {rate} and {name} {here} samples a second; resample "
                f"them to one rate, for instance with scipy.signal.resample_poly"
            )
        before = next(iter(found.values()), wave)
        if len(wave) != len(before):
            raise InputError(
                f"{argument} has sounds of different channels: {first} has {len(before)}, {name} {len(wave)}; mix them to one"
            )
        found[i] = wave
        held += wave.nbytes
        check_memory(argument, held, "cut them, or give fewer")
    if not found:
        raise InputError(f"{argument} has no sound in any row; leave it out")
    lengths = [w.shape[1] for w in found.values()]
    shape = (len(given), len(next(iter(found.values()))), max(lengths))
    check_memory(argument, 4 * shape[0] * shape[1] * shape[2], f"the longest sound has {shape[2] / rate:.1f} s: cut it")
    out = np.zeros(shape, np.float32)
    for i, wave in found.items():
        out[i, :, : wave.shape[1]] = wave
    low, high = (f"{n / rate:.3g}" for n in (min(lengths), max(lengths)))
    return out, float(rate), f"{low} s" if low == high else f"{low} to {high} s"


def _read(name: str, source: Path | bytes, seconds: float) -> tuple[int, NDArray[np.float32]]:
    """Read one sound: its rate, and its samples ``(C, T)``."""
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise InputError(f"{name[:200]} cannot be read ({error.strerror}); copy it again") from None
    if content.startswith(b"ID3"):  # taggers put it before other sounds than MP3, too; a byte of its size has 7 bits
        tagged = content[10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(content[6:10])) :]
        content = tagged if tagged.startswith(tuple(PACKED)) else content
    if not content:
        raise InputError(f"{name[:200]} is an empty file; copy it again, or leave it out")
    form = next((v for k, v in PACKED.items() if content.startswith(k)), "mov" if content[4:8] == b"ftyp" else "")
    rate, wave = packed(name, content, form, seconds) if form else _wave(name, content)
    if not wave.size:
        raise InputError(f"{name[:200]} has 0 samples; leave the row out, or give None")
    if not np.isfinite(wave).all():
        raise InputError(f"{name[:200]} has NaN or infinite samples; write it again")
    return rate, wave


def _wave(name: str, content: bytes) -> tuple[int, NDArray[np.float32]]:
    """Read a sound that is not packed."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chunks that hold no samples
            warnings.filterwarnings("ignore" if content[4:8] == b"\xff" * 4 else "error", "Reached EOF")  # streamed, or cut
            rate, samples = wavfile.read(io.BytesIO(content))
        wave = np.asarray(samples)
        if wave.dtype.kind not in "iuf" or wave.ndim > 2 or rate < 1:
            raise ValueError(f"{wave.dtype} of shape {wave.shape} at {rate} samples a second")
    except Exception as error:  # SciPy raises what its reader meets
        why = " ".join(str(error).split())[:100]
        raise InputError(f"{name[:200]} is no readable sound file ({type(error).__name__}: {why}); write it again") from None
    if wave.dtype.kind == "u":  # 8 bits
        wave = (wave.astype(np.float32) - 128) / 128
    elif wave.dtype.kind == "i":
        wave = wave / np.float32(2 ** (8 * wave.dtype.itemsize - 1))
    return int(rate), np.atleast_2d(wave.astype(np.float32).T)
