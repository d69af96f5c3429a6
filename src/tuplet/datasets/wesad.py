"""WESAD: wearable recordings of 15 subjects in three states, cut into windows.

``root/S{n}/S{n}.pkl``, one Python-2 pickle per subject: chest signals at 700 Hz, wrist signals at 4 to 64 Hz, a label at 700
Hz. Five seconds are 3,500 and 320 samples, as published; stride, purity, normalisation and the split are not published, so
their defaults are guessed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns
from tuplet.data._lazy import Lazy
from tuplet.data._scaling import fit_scale
from tuplet.datasets._reader import Content, Reader, Shape, opened
from tuplet.datasets.wesad_windows import ABOUT, SIGNALS, STATES, Cut, each_subject, windows
from tuplet.types import InputError, in_range, one_of

PUBLISHED = frozenset({*range(2, 18)} - {12})
PUBLISHED_CUT = Cut()
Normalisation = Literal["window", "subject", "train", "none"]


def load(
    root: str | Path,
    *,
    normalisation: Normalisation = "window",
    split: Literal["seeded", "leave-one-out"] = "seeded",
    held_out: int | None = None,
    seed: int = 0,
    signals: tuple[str, ...] = ("bvp", "ecg", "respiration"),
    states: tuple[str, ...] = ("baseline", "stress", "amusement"),
    seconds: float = 5.0,
    stride: float = 5.0,
    purity: float = 1.0,
) -> Source:
    """Load the windows, split by subject.

    Args:
        root: the folder of the subjects, or a file that `Reader.convert` wrote.
        normalisation: guessed. ``"window"`` gives every channel of every window mean 0 and deviation 1; ``"subject"`` does
            so over all windows of a subject, which needs recordings of test subjects but no labels; ``"train"`` over the
            training windows; ``"none"`` leaves the units.
        split: ``"seeded"`` draws 9 / 3 / 3 of 15 subjects (60 / 20 / 20 % of another number); ``"leave-one-out"`` tests on
            ``held_out`` and validates on a fifth of the others. Which subjects the papers used is unpublished.
        held_out: number of the subject to test on, such as 2.
        seed: of the draw.
        signals: names of two or more, as in `SIGNALS`; from a converted file, some of those in it.
        states: two or more of `STATES`; a converted file must have been made with the same.
        seconds: length of a window, at least 0.25; likewise.
        stride: seconds from one window to the next; likewise.
        purity: least share of a window's labels that must be its state, in (0.5, 1]; likewise.

    Returns:
        Modalities ``(channels, samples)`` by name, target ``state``; the subject in ``.group``. Windows of one
        subject are negatives of each other.

    Raises:
        InputError: naming the file, for damaged recordings; for an unknown option; for fewer than three subjects; or if the
            file was converted with other options.

    Source:
        Schmidt et al. (2018); windows as OVA-IB (Li et al., 2026).

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no S2/S2.pkl, S3/S3.pkl, ...; give the folder that holds the subjects
    """
    root = Path(root)
    one_of("normalisation", normalisation, get_args(Normalisation))
    one_of("split", split, ("seeded", "leave-one-out"))
    needed: dict[str, tuple[str, Shape]] = {"target.state": ("i", ()), "group": ("i", ())}
    needed |= {f"input.{k}": ("f", (None, None)) for k in signals if k in SIGNALS}
    how = Cut(signals, states, float(seconds), float(stride), float(purity))
    content = opened(root, ABOUT, needed, partial(read, how=how))
    if root.is_file():
        _same_options(root, content.about, how)
    made = content.columns
    subjects = np.asarray(made["group"])
    parts = _split(subjects, split, held_out, seed)
    return from_columns(
        {k: _normalised(k, made[f"input.{k}"], normalisation, subjects, parts.train) for k in signals},
        targets={"state": made["target.state"]},
        classes={"state": states},
        group=subjects,
        contrast="rows",
        split=parts,
        scaling="none",
        units={k: SIGNALS[k][3] for k in signals},
        rates={k: SIGNALS[k][2] for k in signals},
        **content.identity("wesad", root, normalisation),
    )


def read(root: Path, *, how: Cut = PUBLISHED_CUT) -> Content:
    """Cut every subject's recording into labelled windows."""
    made, about = windows(root, how)
    digest = hashlib.sha256()
    for name in sorted(made):
        digest.update(f"{name} {made[name].shape} {made[name].dtype}".encode())
        digest.update(np.ascontiguousarray(made[name]).view(np.uint8).data)
    return Content(made, about, digest.hexdigest())


def _same_options(root: Path, about: Mapping[str, str], how: Cut) -> None:
    try:
        made = json.loads(about["options"])
        had = [made[k] for k in ("states", "seconds", "stride", "purity")]
        known = set(made["signals"])
    except (KeyError, ValueError, TypeError):
        raise InputError(f"root {root} is no converted WESAD file; give the folder of the subjects") from None
    asked = [list(how.states), how.seconds, how.stride, how.purity]
    if had != asked or not set(how.signals) <= known:
        raise InputError(f"root {root} was converted with {made}, asked for {list(how.signals)}, {asked}; load the raw folder")


def _split(subjects: NDArray[np.int64], split: str, held_out: int | None, seed: int) -> Split:
    in_range("seed", seed, 0)
    known = sorted(set(subjects.tolist()))
    if len(known) < 3:
        raise InputError(f"root has windows of subjects {known}, expected three or more to split by subject")
    if split == "leave-one-out" and held_out not in known:
        raise InputError(f"held_out is {held_out}, expected one of the subjects {known}")
    if split == "seeded" and held_out is not None:
        raise InputError(f"held_out is {held_out}, which split='seeded' does not use; pass split='leave-one-out'")
    order = [s for s in np.random.default_rng([seed]).permutation(known).tolist() if s != held_out]
    share = max(1, round(0.2 * len(order)))
    test = [held_out] if held_out is not None else order[-share:]
    order = order if held_out is not None else order[:-share]
    part = np.select([np.isin(subjects, test), np.isin(subjects, order[-share:])], [2, 1], 0)
    return replace(Split.of(part), seed=seed)


def _normalised(name: str, column: Any, how: Normalisation, subjects: NDArray[np.int64], train: NDArray[np.int64]) -> Lazy:
    n, channels, samples = column.shape
    centre, width = np.zeros((n, channels, 1)), np.ones((n, channels, 1))
    turned = Lazy((n, samples, channels), lambda at: np.asarray(column[at]).transpose(0, 2, 1))  # channels last
    over = {"train": [train], "subject": [np.flatnonzero(subjects == s) for s in np.unique(subjects)]}
    for rows in over.get(how, []):
        where = slice(None) if how == "train" else rows
        scale = fit_scale(name, turned, rows, scaling="channels")
        centre[where], width[where] = scale.mean[:, None], scale.deviation[:, None]

    def rows_of(at: NDArray[np.int64]) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore"):  # the source refuses NaN
            values = np.asarray(column[at], dtype=np.float64)
        if how != "window":
            return ((values - centre[at]) / width[at]).astype(np.float32)
        flat = values.max(axis=2, keepdims=True) == values.min(axis=2, keepdims=True)
        spread = np.where(flat, 1.0, values.std(axis=2, keepdims=True))
        return np.where(flat, 0.0, (values - values.mean(axis=2, keepdims=True)) / spread).astype(np.float32)

    return Lazy((n, channels, samples), rows_of)


def _report(root: Path) -> list[str]:
    counts = {
        subject: np.bincount(rows["target.state"], minlength=len(STATES))
        for subject, rows in each_subject(root, Cut(tuple(SIGNALS), tuple(STATES)))
    }
    missing, total = sorted(PUBLISHED - set(counts)), np.sum(list(counts.values()), axis=0)
    return [
        f"{len(counts)} subjects: {', '.join(f'S{s}' for s in counts)}",
        f"published but not here: {', '.join(f'S{s}' for s in missing)}" if missing else "all published subjects",
        *(f"{s}: {n} windows of 5 s, {100 * n / max(total.sum(), 1):.0f} %" for s, n in zip(STATES, total, strict=True)),
    ]


READER = Reader(load, read, _report, __doc__)
