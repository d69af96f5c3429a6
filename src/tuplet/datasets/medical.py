"""Four signals of one person at once: ECG, electrodermal activity, blood volume pulse and respiration, for two minutes.

The file ``medical.txt.bz2`` lies in the Python package pyphysio 4.10.0 (GPL-3.0: read from your copy, never shipped). Give its
wheel, its folder, the file, or install it; it is not imported. The package reads 2,048 samples a second, as the pulse of 69
a minute agrees with; the note beside the file says 1,024.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tuplet.data import Source, from_columns
from tuplet.data._columns import fits_float32
from tuplet.data._lazy import window_starts, windowed
from tuplet.datasets._files import packaged, unpacked
from tuplet.datasets._reader import Content, Needed, Reader, whole
from tuplet.types import InputError, in_range

FILE = "medical.txt.bz2"
SIGNALS = ("ecg", "eda", "bvp", "resp")
RATE = 128
"""Steps per second: means of 16 samples."""
NEEDED: Needed = {f"input.{k}": ("f", (1,)) for k in SIGNALS}
ABOUT = {
    "name": "medical",
    "title": "ECG, EDA, BVP and respiration of one person",
    "citation": (
        "A. Bizzego, A. Battisti, G. Gabrieli, G. Esposito, C. Furlanello, pyphysio: A physiological signal processing "
        "library for data science approaches in physiology, SoftwareX 10, 2019"
    ),
    "licence": "GPL-3.0 (package pyphysio)",
}


def read(root: Path | None = None) -> Content:
    """Read all four signals at `RATE`."""
    text = unpacked(packaged(root, "pyphysio", "4.10.0", f"test_data/{FILE}"), FILE)
    try:
        samples = np.array(text.split() if len(text) < 20_000_000 else [], dtype=np.float64).reshape(-1, 4)
    except ValueError:
        samples = np.zeros((0, 4))
    steps = len(samples) // 16
    if not steps or not fits_float32(samples):
        raise InputError(f"{FILE} is no table of 4 columns of finite numbers; copy it again")
    means = samples[: 16 * steps].reshape(steps, 16, 4).mean(axis=1).astype(np.float32)
    columns = {f"input.{k}": means[:, i : i + 1] for i, k in enumerate(SIGNALS)}
    return Content(columns, ABOUT)


def load(
    root: str | Path | None = None, *, window: float = 2.0, stride: float = 1.0, block: float = 6.0, seed: int = 0
) -> Source:
    """Load windows of the four signals, split by blocks of time.

    Args:
        root: as above, or a file that `Reader.convert` wrote.
        window: seconds of a row. The default is this library's, as those of the next two.
        stride: seconds from one window to the next; below ``window``, neighbours share samples.
        block: seconds of a block. Windows lie within one, and a block goes whole into one part.
        seed: of the split.

    Returns:
        Modalities ``ecg``, ``eda``, ``bvp`` and ``resp``, ``(128 window, 1)`` each; the block in ``.group``. No target.

    Raises:
        InputError: for a file that is absent or damaged, or blocks shorter than a window or fewer than three.

    Notes:
        Windows of a block are negatives of each other. One person: what is learned holds for this recording.

    Source:
        A. Bizzego et al., 2019.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no medical.txt.bz2; give its folder, or the wheel of pyphysio 4.10.0
    """
    for name, value in (("window", window), ("stride", stride), ("block", block)):
        in_range(name, value, 1 / RATE)
    content = whole(root, ABOUT, NEEDED, read)
    length, step, span = (round(RATE * v) for v in (window, stride, block))
    blocks = np.arange(len(content.columns["input.ecg"])) // span
    starts = window_starts(blocks, window=length, stride=step)
    return from_columns(
        {k: windowed(content.columns[f"input.{k}"], starts, window=length) for k in SIGNALS},
        group=blocks[starts],
        contrast="rows",
        seed=seed,
        kinds=dict.fromkeys(SIGNALS, "sequence"),
        rates=dict.fromkeys(SIGNALS, RATE),
        **content.identity("medical", "package pyphysio 4.10.0", length, step, span),
    )


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    n = len(columns["input.ecg"])
    spans = (f"{k}: {columns[f'input.{k}'].min():.4g} .. {columns[f'input.{k}'].max():.4g}" for k in SIGNALS)
    return [f"{n / RATE:.1f} seconds at {RATE} steps a second; published: 120", *spans]


READER = Reader(load, read, _report, __doc__)
