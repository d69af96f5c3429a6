"""Vectors of films by frozen towers: frames and sound, a file per film, so that a job that was stopped goes on."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._film import FILMS, check_films, sound, spread
from tuplet.io import locked, read_state, write_atomic
from tuplet.model.frozen import Given, tower_for
from tuplet.nets import Pretrained
from tuplet.types import InputError, in_range, positive

NOTE = "films.json"
_SCHEMA = {"tower": str, "frames": int, "seconds": float}


@dataclass(frozen=True, slots=True)
class Films:
    """What became of a folder of films.

    Attributes:
        count: films in the folder.
        vectors: modality -> films that have vectors of it.
        silent: films without a sound track, as paths in the folder without their endings.
        unreadable: film -> why it cannot be decoded.
    """

    count: int
    vectors: Mapping[str, int]
    silent: tuple[str, ...]
    unreadable: Mapping[str, str]


def film_features(
    folder: str | Path,
    out: str | Path,
    towers: Mapping[str, Given],
    *,
    frames: int = 8,
    seconds: float = 10.0,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> Films:
    """Bring films to vectors by frozen towers: those of pictures see frames, those of sound the sound track.

    Args:
        folder: holds the films (.mp4, .m4v, .mov, .mkv, .webm, .avi), also in folders of its own.
        out: folder to write ``MODALITY/NAME.npy`` to, float32 ``(frames, D)`` or ``(pieces of sound, D)``, for the film
            ``NAME.mp4``: what the reader ``captions`` takes beside its annotations.
        towers: modality -> folder, file or module, as `tuplet.nets.pretrained` takes them.
        frames: pictures per film, in the middle of as many equal parts.
        seconds: length of the pieces that a tower of sound hears, one after the other; the last may be shorter.
        report: called with films done, films in all, and a line about the last one.

    Returns:
        `Films`: what was made. A film that cannot be read has no vector and is named; nothing stands in its place.

    Raises:
        InputError: without the extra ``video``, for a folder without films, a tower that reads neither pictures nor sound or
            refuses what a film shows, or an ``out`` whose vectors are of another tower or of other settings.

    Notes:
        Files that are there are kept, so the same call goes on where it was stopped.

    Source:
        Eight frames and the sound track, as VAST (Chen et al., 2023) and GRAM (Cicchetti et al., 2025) use.

    Example:
        >>> film_features("nowhere", "vectors", {"vision": "models/siglip"})
        Traceback (most recent call last):
        tuplet.types.InputError: folder nowhere holds no film (.mp4, .m4v, .mov, .mkv, .webm, .avi)
    """
    in_range("frames", frames, 1)
    positive("seconds", seconds)
    if "" in towers or not towers:
        raise InputError("towers names no modality, expected such as {'vision': PATH, 'audio': PATH} (--tower vision=PATH)")
    films = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in FILMS and p.is_file())
    if not films:
        raise InputError(f"folder {folder} holds no film ({', '.join(FILMS)})")
    made = {name: tower_for(given, "vision") for name, given in towers.items()}
    for name, tower in made.items():
        if tower.takes not in ("pictures", "sound"):
            raise InputError(f"towers[{name!r}] reads {tower.takes}, expected a tower of pictures or of sound")
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in films]
    if twice := [n for n, count in Counter(names).items() if count > 1]:
        raise InputError(f"folder {folder} has several films called {twice[0]}; rename one")
    check_films()
    counts, silent, unreadable = dict.fromkeys(made, 0), dict[str, None](), dict[str, str]()
    with locked(Path(out)):
        for name, tower in made.items():
            _claim(Path(out, name), {"tower": tower.sha256 or repr(tower), "frames": frames, "seconds": float(seconds)})
        for done, (film, film_name) in enumerate(zip(films, names, strict=True), 1):
            line = film_name
            for name, tower in made.items():
                file = Path(out, name, f"{film_name}.npy")
                if not file.exists():
                    try:
                        seen = _decoded(film, tower, frames, seconds)
                    except InputError as error:
                        unreadable[film_name] = line = str(error)
                        continue
                    if not seen:
                        silent[film_name] = None
                        continue
                    try:
                        _write(file, np.concatenate([tower.encode(rows) for rows in seen]))
                    except InputError as error:
                        raise InputError(f"{film}: {error}") from None
                counts[name] += 1
            report(done, len(films), line)
    return Films(len(films), counts, tuple(silent), unreadable)


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Mark a folder of vectors, or refuse one that holds others."""
    if (folder / NOTE).exists():
        before = read_state(folder / NOTE, _SCHEMA, fix="choose another out")
        if other := [k for k in about if about[k] != before[k]]:
            raise InputError(
                f"out {folder} has vectors made with another {other[0]} ({before[other[0]]!s:.60}); choose another"
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / NOTE, json.dumps(about).encode())


def _decoded(film: Path, tower: Pretrained, frames: int, seconds: float) -> list[NDArray[Any]]:
    """Return what a tower reads of a film, rows that go through it together: its frames, or pieces of its sound, if any."""
    if tower.takes == "pictures":
        return [spread(film, frames)]
    rate = tower.rate or 16_000
    wave, size = sound(film, rate), max(1, round(seconds * rate))
    pieces = [wave[None, i : i + size] for i in range(0, len(wave), size)]
    few = len(pieces) > 1 and pieces[-1].shape[1] < rate  # less than a second has little to hear
    return pieces[:-1] if few else pieces


def _write(file: Path, vectors: NDArray[np.float32]) -> None:
    content = io.BytesIO()
    np.save(content, vectors)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, content.getvalue())
