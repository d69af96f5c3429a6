"""Emoji: 1,652 concepts, each drawn by three artists and named in several languages. What `tuplet demo` runs on.

``tools/emoji.py`` builds the shipped file from four npm packages. Skin tones, components and flags of countries are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Provenance, Source, from_arrays
from tuplet.datasets._files import shipped
from tuplet.types import some_of

SHA256 = "f085927684700175e26bbda07cdf1ecff0c8a2e5293386eb25168b521d91d82c"
PICTURES = ("noto", "fluent", "twemoji")
LANGUAGES = ("english", "french", "german", "spanish", "italian", "japanese")
PROVENANCE = Provenance(
    title="Emoji in three drawings and several languages",
    citation=(
        "Noto Emoji (Google), Fluent Emoji (Microsoft), Twemoji (Twitter, Inc. and other contributors), in the packages "
        "@iconify-json/noto 1.2.9, @iconify-json/fluent-emoji-flat 1.2.6, @iconify-json/twemoji 1.2.5; names and tags of "
        "Unicode CLDR in emojibase-data 17.0.0 (Miles Johnson)"
    ),
    licence="Noto: Apache-2.0; Fluent: MIT; Twemoji: CC BY 4.0; names and tags: MIT and Unicode License v3",
    origin="tools/emoji.py from npm packages; pictures drawn at 32 x 32 by resvg-py",
    sha256=SHA256,
)


@dataclass(frozen=True)
class Emoji:
    """What the shipped file holds, one entry per concept; `load` makes a source of it, in the same order."""

    characters: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    tags: dict[str, tuple[tuple[str, ...], ...]]
    pictures: dict[str, NDArray[np.uint8]]
    present: dict[str, NDArray[np.bool_]]
    group: tuple[str, ...]
    concept: tuple[str, ...]


@cache
def contents() -> Emoji:
    """Read the shipped file, once."""
    data = shipped(Path(__file__).with_suffix(".npz"), SHA256)
    texts = json.loads(data["texts"].tobytes())
    return Emoji(
        characters=tuple(texts["emoji"]),
        names={k: tuple(row[0] for row in texts[k]) for k in LANGUAGES},
        tags={k: tuple(tuple(row[1:]) for row in texts[k]) for k in LANGUAGES},
        pictures={k: data[k] for k in PICTURES},
        present={k: data[f"{k}.present"] for k in PICTURES},
        group=tuple(texts["group"]),
        concept=tuple(texts["concept"]),
    )


def load(*, languages: str = "english french german", seed: int = 0) -> Source:
    """Load pictures and names with a 60/20/20 split that keeps variants of one concept together.

    Args:
        languages: some of english, french, german, spanish, italian and japanese, separated by spaces or commas.
        seed: of the split.

    Returns:
        Pictures ``noto``, ``fluent`` (58 absent) and ``twemoji`` (3 x 32 x 32), and one text per language: the name and then
        the tags, as hashed n-grams. Target ``group`` with nine classes. Variants of one concept are one group: they are
        not negatives of each other.

    Raises:
        InputError: for an unknown language, or a damaged file.

    Example:
        >>> source = load(languages="english")
        >>> sorted(source.modalities), source.targets["group"].size
        (['english', 'fluent', 'noto', 'twemoji'], 9)
    """
    spoken = languages.replace(",", " ").split()
    some_of("languages", spoken, LANGUAGES)
    found = contents()
    columns: dict[str, NDArray[np.uint8] | list[str]] = {
        k: np.ascontiguousarray(v.transpose(0, 3, 1, 2)) for k, v in found.pictures.items()
    }
    for k in spoken:
        columns[k] = [f"{name}. {' '.join(tags)}" for name, tags in zip(found.names[k], found.tags[k], strict=True)]
    return from_arrays(
        columns,
        targets={"group": list(found.group)},
        group=list(found.concept),
        present={k: v for k, v in found.present.items() if not v.all()},
        units=dict.fromkeys(PICTURES, "colour") | dict.fromkeys(spoken, "name and tags"),
        kinds=dict.fromkeys(spoken, "text"),
        seed=seed,
        name="emoji",
        provenance=PROVENANCE,
    )
