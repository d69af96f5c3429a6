"""Synthetic speech: eSpeak NG, loaded in a process of its own, which may crash without harm and always begins anew.

The library comes with the Python package espeakng-loader or with Debian's libespeak-ng1. What it says depends on what it said
before, so one call speaks one whole list, in order: the same list gives the same sound.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ACCENTS = ("en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
"""English of the United States, New York, Britain, Received Pronunciation, Scotland, Lancaster, West Midlands, Caribbean."""
VARIANTS = (*(f"m{i}" for i in range(1, 9)), "f1", "f4", "Andrea", "linda", "steph")
"""Eight men and five women; voices with breath (f2, f3, f5) are left out, as their noise is another each time."""
RATE = 22_050
"""Samples per second."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say and how."""

    text: str
    voice: str
    speed: int = 175
    pitch: int = 50
    range: int = 50


def library() -> tuple[str, str] | None:
    """Find the library without loading it."""
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        found = sorted(folder.glob("*espeak-ng.*"))
        if found:
            return str(found[0]), str(folder)
    system = ctypes.util.find_library("espeak-ng")
    return None if system is None else (system, "")


def speak(utterances: Sequence[Utterance]) -> Iterator[NDArray[np.int16]]:
    """Say everything, one after the other."""
    from tuplet.types import InputError

    where = library()
    if where is None:
        raise InputError("eSpeak NG is not installed; pip install espeakng-loader, or apt-get install libespeak-ng1")
    child = subprocess.Popen(
        [sys.executable, "-I", __file__, *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps([astuple(u) for u in utterances]).encode())  # all of it is read before sound comes
        child.stdin.close()
        for utterance in utterances:
            head = child.stdout.read(4)
            size = int.from_bytes(head, "little")
            content = child.stdout.read(2 * size)
            if len(head) < 4 or size == 0 or len(content) < 2 * size:
                raise InputError(
                    f"eSpeak NG ({where[0]}) failed at {utterance.text[:40]!r} with voice {utterance.voice!r}; install it again"
                )
            yield np.frombuffer(content, "<i2")
    except BrokenPipeError:
        raise InputError(f"eSpeak NG ({where[0]}) does not start; install it again") from None
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _serve(path: str, folder: str) -> None:
    """Speak what stands in the input, in the child process."""
    library = ctypes.CDLL(path)
    if library.espeak_Initialize(2, 0, folder.encode() or None, 0) != RATE:  # 2: speak while the caller waits
        raise SystemExit("no data")
    if sys.platform != "win32":
        ctypes.CDLL(None).srand(0)  # its noise is the C library's, and begins with the time of day
    parts: list[bytes] = []
    receiver = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

    def receive(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    kept = receiver(receive)
    library.espeak_SetSynthCallback(kept)
    for text, voice, *numbers in json.load(sys.stdin):
        parts.clear()
        said = text.encode()
        known = library.espeak_SetVoiceByName(voice.encode()) == 0
        for parameter, value in zip((1, 3, 4), numbers, strict=True):  # rate, pitch, range
            library.espeak_SetParameter(parameter, value, 0)
        if known:
            library.espeak_Synth(said, ctypes.c_size_t(len(said) + 1), 0, 0, 0, 1, None, None)  # 1: text is UTF-8
            library.espeak_Synchronize()
        wave = b"".join(parts)
        sys.stdout.buffer.write((len(wave) // 2).to_bytes(4, "little") + wave)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
