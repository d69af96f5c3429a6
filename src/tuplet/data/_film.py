"""Films: frames at some seconds, and the sound track; and packed sounds. PyAV decodes them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.io.memory import check_memory
from tuplet.types import InputError, importing

FILMS = {".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi"}
"""Endings of files that are films, and the format each is read as. Left to guess, FFmpeg opens what a playlist names."""


def check_films() -> None:
    """Refuse films and packed sounds where the package that decodes them is absent."""
    with importing("films and packed sounds need PyAV; run pip install 'tuplet[video]'"):
        import av  # noqa: F401


@contextmanager
def _opened(file: Path | io.BytesIO, what: str, name: object = None, form: str | None = None) -> Iterator[Any]:
    """Open a film or a packed sound, and say in one line what cannot be read of it."""
    check_films()
    import av

    try:
        with av.open(file, format=form or FILMS.get(Path(str(file)).suffix.lower(), "mov"), metadata_errors="replace") as film:
            yield film
    except InputError:  # is a ValueError, and says more
        raise
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise InputError(
            f"{name or file} has no readable {what} ({type(error).__name__}); copy it again, or leave it out"
        ) from None


def decoded(file: Path, times: list[float], half: float) -> list[NDArray[np.uint8]]:
    """Decode the frames ``(H, W, 3)`` of a film at some seconds, to half a step."""
    with _opened(file, f"frame near second {times[0]:g}") as film:
        return _at(film, times, half)


def spread(file: Path, count: int) -> NDArray[np.uint8]:
    """Decode the frames ``(count, 3, H, W)`` in the middle of equal parts of a film."""
    with _opened(file, "frame") as film:
        stream = film.streams.video[0]
        step = float(1 / (stream.average_rate or 25))
        begin = float((stream.start_time or 0) * stream.time_base)
        end = (film.duration or 0) / 1e6  # microseconds; Matroska says no more, and counts them from 0
        length = float(stream.duration * stream.time_base) if stream.duration else end - begin
        times = [begin + max(length - step, 0.0) * (i + 0.5) / count for i in range(count)]
        return np.stack([np.moveaxis(frame, -1, 0) for frame in _at(film, times, step / 2)])


def sound(file: Path, rate: int) -> NDArray[np.float32]:
    """Decode the mean of a sound track's channels ``(T,)`` at a rate; of length 0 where a film is silent."""
    with _opened(file, "sound") as film:
        if not film.streams.audio:
            return np.empty(0, np.float32)
        from av import AudioResampler

        mixed = AudioResampler(format="fltp", rate=rate)
        pieces = [piece for frame in (*film.decode(film.streams.audio[0]), None) for piece in mixed.resample(frame)]
        return np.concatenate([np.empty(0, np.float32), *(piece.to_ndarray().mean(axis=0) for piece in pieces)])


def packed(name: str, content: bytes, form: str, seconds: float) -> tuple[int, NDArray[np.float32]]:
    """Decode the first track of a packed sound of so many seconds at most: its rate, and its samples ``(C, T)``."""
    with _opened(io.BytesIO(content), "sound", name[:200], form) as film:
        from av import AudioResampler

        plain, pieces, checked, size = AudioResampler(format="fltp"), [], 2**26, 0
        track = film.streams.audio[0]
        for frame in chain(film.decode(track), [None]):
            for piece in plain.resample(frame):
                pieces.append(piece.to_ndarray())
                size += pieces[-1].nbytes
                if size > 4 * len(pieces[-1]) * seconds * track.rate:
                    raise InputError(f"{name[:200]} is longer than {seconds:g} s; cut it")
            if size > checked:  # it may unpack to anything
                checked *= 2
                check_memory(name[:200], 2 * checked, "cut it")
        wave: NDArray[np.float32] = np.concatenate(pieces, axis=1)
        if track.duration and wave.shape[1] < 0.95 * (length := float(track.duration * track.time_base)) * track.rate:
            ends = f"{name[:200]} ends after {wave.shape[1] / track.rate:.2f} of {length:.2f} seconds"
            raise InputError(f"{ends}; copy it again, or leave it out")
        return int(track.rate), wave


def _at(film: Any, times: list[float], half: float) -> list[NDArray[np.uint8]]:
    stream, found = film.streams.video[0], []
    for second in times:
        film.seek(int(max(second - half, 0.0) / stream.time_base), stream=stream)  # to the key frame before it
        shown = (f for f in film.decode(stream) if f.time is not None and f.time >= second - half)
        found.append(next(shown).to_ndarray(format="rgb24"))
    return found
