"""Sentences about an object that is touched, from templates and synonyms."""

from __future__ import annotations

import numpy as np

from tuplet.simulators._touch_surface import Thing

PATTERNS = {
    "smooth": ("no pattern", "a plain face", "no relief at all"),
    "grating": ("straight grooves", "parallel bars", "a grating of straight lines"),
    "weave": ("woven threads", "a weave like cloth", "threads that cross over and under"),
    "dots": ("raised dots", "a grid of studs", "small domes in rows"),
    "pebble": ("pebbles", "rounded stones side by side", "a leathery grain of lumps"),
    "ridges": ("wavy ridges", "ridges that meander", "ripples as on a fingertip"),
}
ROUGH = {True: ("rough", "gritty", "coarse", "scratchy"), False: ("smooth", "even", "sleek", "polished")}
HARD = {True: ("hard", "rigid", "firm", "stiff"), False: ("soft", "squishy", "yielding", "compliant")}
WIDE = {True: ("wide", "large", "widely spaced"), False: ("narrow", "small", "closely spaced")}
TEMPLATES = (
    "The object is {hard} and {rough}; it has {pattern}, {wide}.",
    "A {rough}, {hard} surface with {pattern}, {wide}.",
    "It feels {rough} and {hard}, and shows {pattern}, {wide}.",
    "{pattern}, {wide}, on something {hard} that is {rough} to the touch.",
)
WIDE_FROM = 2.1
"""Millimetres from which a pattern is called wide."""


def sentence(thing: Thing, rng: np.random.Generator) -> str:
    """Describe an object in other words each time."""

    def one(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    said = one(TEMPLATES).format(
        hard=one(HARD[thing.hard]),
        rough=one(ROUGH[thing.rough]),
        pattern=one(PATTERNS[thing.family]),
        wide=one(WIDE[thing.wave >= WIDE_FROM]),
    )
    if thing.family == "smooth":  # without a pattern, nothing has a width
        said = said.replace(", " + next(w for w in WIDE[True] + WIDE[False] if f", {w}" in said), "", 1)
    return said[0].upper() + said[1:]
