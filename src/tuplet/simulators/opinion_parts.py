"""Sentences with human labels, emoji with human counts and pictures, and synthetic speech: what `opinions` pairs."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuplet.datasets._files import contents, json_in
from tuplet.simulators.espeak import ACCENTS, RATE, Utterance, speak
from tuplet.simulators.sound import clip_features
from tuplet.types import InputError, importing

SITES = ("amazon", "imdb", "yelp")
AGAIN = "unpack the package again"
WORDS = 40
"""Words kept of a sentence; 0.7 % are longer."""
SIDE = 32
"""Pixels of a side of a picture."""
SEEN = 5
"""Tweets in which an emoji must occur."""
VOICES = tuple(f"{a}+{v}" for a, v in itertools.product(ACCENTS, ("m1", "m3", "m7", "f1", "f4", "linda")))
PITCH, RANGE, SPEED = (50, 8, 14), (50, 15, 20), (175, 10, 25)
"""Of the voice: middle, how far a polarity moves it, and the deviation between utterances. Ours: a model, no measurement."""
NEGATION = re.compile(r"not|no|never|nor|cannot|(?:do|does|did|is|was|wo|would|ca|could|are|has|have|should)n'?t")


@dataclass(frozen=True)
class Sentences:
    """Sentences, each once."""

    text: list[str]
    polarity: NDArray[np.int64]
    site: NDArray[np.int64]
    words: NDArray[np.int32]
    valence: NDArray[np.int8]
    negation: NDArray[np.int8]


def sentences(root: Path) -> Sentences:
    """Read the sentences and the word list of the npm package sentiment."""
    labels: dict[str, tuple[str, int, int]] = {}
    conflicting = set()
    for site, name in enumerate(SITES):
        file = _find(root, f"{name}.json", "the npm package sentiment 5.0.2")
        rows = json_in(file, AGAIN)
        if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("text"), str) for r in rows):
            raise InputError(f"{file} is no list of texts and classes; unpack the package again")
        for row in rows:
            key = " ".join(row["text"].lower().split())
            label = row.get("class")
            if not key and label is None:
                continue  # the last row of each file is empty
            if not tokens(key) or type(label) is not int or label not in (0, 1):
                raise InputError(f"{file} has the class {label!r} for {key[:40]!r}, expected 0 or 1 and some words")
            if key in labels and labels[key][1] != label:
                conflicting.add(key)
            labels.setdefault(key, (" ".join(row["text"].split()), label, site))
    kept = [v for k, v in labels.items() if k not in conflicting]
    if not kept:
        raise InputError(f"root {root} has no sentences; unpack the npm package sentiment 5.0.2 there")
    afinn = json_in(_find(root, "languages/en/labels.json", "the npm package sentiment 5.0.2"), AGAIN)
    if not isinstance(afinn, dict) or not all(type(v) is int and -5 <= v <= 5 for v in afinn.values()):
        raise InputError(f"root {root} has languages/en/labels.json without numbers -5 .. 5; unpack the package again")
    words, valence, negation = np.zeros((3, len(kept), WORDS), np.int64)
    for i, (text, _, _) in enumerate(kept):
        for j, word in enumerate(tokens(text)[:WORDS]):
            words[i, j] = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little") >> 1 or 1
            valence[i, j] = afinn.get(word, 0)
            negation[i, j] = NEGATION.fullmatch(word) is not None
    return Sentences(
        [t for t, _, _ in kept],
        np.array([c for _, c, _ in kept]),
        np.array([s for _, _, s in kept]),
        words.astype(np.int32),
        valence.astype(np.int8),
        negation.astype(np.int8),
    )


def tokens(text: str) -> list[str]:
    """Cut a text into lower-case words and marks of emphasis."""
    return re.findall(r"[a-z']*[a-z][a-z']*|[0-9]+|[!?]", text.lower())


def emoji(root: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Read how often people called tweets with an emoji negative, neutral or positive, and draw its picture."""
    file = _find(root, "Emoji_Sentiment_Data_v1.0.csv", "the npm package sentiment 5.0.2")
    folder = _find(root, "color/svg/*.svg", "the npm package openmoji").parent
    counts, pictures = [], []
    try:
        rows = list(csv.DictReader(io.StringIO(contents(file, AGAIN).decode())))
        table = [(int(r["Unicode codepoint"], 16), *(int(r[k]) for k in ("Negative", "Neutral", "Positive"))) for r in rows]
    except (ValueError, KeyError, TypeError, csv.Error):
        raise InputError(f"{file} is not the Emoji Sentiment Ranking 1.0; unpack the package again") from None
    for code, *votes in table:
        if min(votes) < 0 or max(votes) > 10**6:
            raise InputError(f"{file} has the counts {votes}, expected 0 .. 10^6")
        for name in (f"{code:04X}.svg", f"{code:04X}-FE0F.svg"):
            if sum(votes) >= SEEN and (folder / name).is_file():
                counts.append(votes)
                pictures.append(_drawn(folder / name))
                break
    made = np.array(counts, dtype=np.int32).reshape(-1, 3)
    if not (made[:, 0].any() and made[:, 2].any()):
        raise InputError(f"root {root} has no emoji of both polarities; unpack the npm packages sentiment and openmoji")
    return np.stack(pictures), made


def spoken(texts: Sequence[str]) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Let eSpeak NG say every sentence twice with one voice, as something bad and as something good."""
    rng = np.random.default_rng([0, 7])
    voice = rng.integers(0, len(VOICES), len(texts))
    middle, shift, spread = np.array([SPEED, PITCH, RANGE]).T
    numbers = middle + shift * np.array([-1, 1])[:, None] + spread * rng.normal(size=(len(texts), 2, 3))
    numbers = np.clip(numbers.round(), [90, 0, 0], [300, 99, 99]).astype(int)
    said = [
        Utterance(text[:600].replace("\0", " "), VOICES[voice[i]], *numbers[i, polarity].tolist())
        for i, text in enumerate(texts)
        for polarity in (0, 1)
    ]
    made = np.zeros((len(texts), 2, 64, 32), np.float16)
    for k, wave in enumerate(speak(said)):
        if not wave.any():
            raise InputError(f"eSpeak NG finds nothing to say in {said[k].text[:40]!r}; leave that sentence out")
        made[k // 2, k % 2] = clip_features(wave, rate=RATE, frames=64)
    return made, voice


def _drawn(file: Path) -> NDArray[np.uint8]:
    with importing("resvg-py and pillow are not installed; pip install resvg-py pillow to draw emoji"):
        import resvg_py
        from PIL import Image
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=contents(file, AGAIN).decode(), width=SIDE, height=SIDE, background="white", skip_system_fonts=True
        )
        with Image.open(io.BytesIO(bytes(png))) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever the drawing library raises
        raise InputError(f"{file} cannot be drawn ({type(error).__name__}); unpack openmoji again") from None
    if pixels.shape != (SIDE, SIDE, 3):
        raise InputError(f"{file} is drawn as {pixels.shape}, expected ({SIDE}, {SIDE}, 3); unpack openmoji again")
    return pixels.transpose(2, 0, 1)


def _find(root: Path, name: str, package: str) -> Path:
    found = next((p for p in sorted(root.rglob(name)) if p.is_file()), None) if root.is_dir() else None
    if found is None:
        raise InputError(f"root {root} has no {name}; unpack {package} there")
    return found
