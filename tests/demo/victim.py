"""A small source, and its measurement in a process that a test kills."""

import numpy as np

from tuplet.data import from_arrays
from tuplet.demo.study import measure


def small():
    """Sixty things with a name, two drawings and a group."""
    rng = np.random.default_rng(0)
    names = [f"{a} {b}" for a in ("red", "blue", "green", "old", "new", "wide") for b in "abcdefghij"]
    pictures = rng.integers(0, 255, (60, 3, 8, 8), dtype=np.uint8)
    noise = rng.integers(0, 20, (60, 3, 8, 8), dtype=np.uint8)
    columns = {"noto": pictures, "twemoji": pictures // 2 + noise, "english": names}
    return from_arrays(columns, targets={"group": [n.split()[0] for n in names]}, kinds={"english": "text"}), names


def measured(out):
    """Measure the small source in a folder."""
    return measure(*small(), out=out, epochs=1)
