"""Measures a small source in a process that a test kills: python -m tests.demo.victim FOLDER."""

import sys
from pathlib import Path

import numpy as np
import torch

from tuplet.data import from_arrays
from tuplet.demo import measure


def small():
    """Sixty things with a name, two drawings and a group."""
    rng = np.random.default_rng(0)
    names = [f"{a} {b}" for a in ("red", "blue", "green", "old", "new", "wide") for b in "abcdefghij"]
    pictures = rng.integers(0, 255, (60, 3, 8, 8), dtype=np.uint8)
    noise = rng.integers(0, 20, (60, 3, 8, 8), dtype=np.uint8)
    columns = {"noto": pictures, "twemoji": pictures // 2 + noise, "english": names}
    return from_arrays(columns, targets={"group": [n.split()[0] for n in names]}, kinds={"english": "text"}), names


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure(*small(), out=Path(sys.argv[1]), epochs=1)
