"""A small source, and its measurement in a process that a test kills."""

from unittest.mock import patch

import numpy as np

from tuplet.data import from_arrays
from tuplet.demo import study


def small():
    """Sixty things with a name, two drawings and a group."""
    rng = np.random.default_rng(0)
    names = [f"{a} {b}" for a in ("red", "blue", "green", "old", "new", "wide") for b in "abcdefghij"]
    pictures = rng.integers(0, 255, (60, 3, 8, 8), dtype=np.uint8)
    noise = rng.integers(0, 20, (60, 3, 8, 8), dtype=np.uint8)
    columns = {"noto": pictures, "twemoji": pictures // 2 + noise, "english": names}
    return from_arrays(columns, targets={"group": [n.split()[0] for n in names]}, kinds={"english": "text"}), names


def measured(out):
    """Measure one method of each kind on the small source, with one seed."""
    kinds = ("gram", "scratch", "linear", "random", "inputs")
    with patch.object(study, "METHODS", {k: study.METHODS[k] for k in kinds}), patch.object(study, "SEEDS", (0,)):
        return study.measure(*small(), out=out, epochs=1)
