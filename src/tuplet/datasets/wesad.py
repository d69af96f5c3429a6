"""WESAD: wearable recordings of 15 subjects in three states, cut into windows.

``root/S{n}/S{n}.pkl``, one Python-2 pickle per subject: chest signals at 700 Hz, wrist signals at 4 to 64 Hz, a label at 700
Hz. Five seconds are 3,500 and 320 samples, as published; stride, purity, normalisation and the split are not published, so
their defaults are guessed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data._lazy import Lazy
from tuplet.data._scaling import fit_scale
from tuplet.data.source import Provenance
from tuplet.data.splits import Split
from tuplet.data.stored import Stored, from_columns
from tuplet.data.table import write_table
from tuplet.datasets.converted import converted
from tuplet.datasets.wesad_windows import ABOUT, SIGNALS, STATES, columns, each_subject
from tuplet.types import InputError, in_range, one_of

PUBLISHED = frozenset({*range(2, 18)} - {12})
Normalisation = Literal["window", "subject", "train", "none"]


def verify(root: str | Path) -> list[str]:
    """Read everything and say what was found."""
    root = Path(root)
    counts = {
        subject: np.bincount(rows["target.state"], minlength=len(STATES))
        for subject, rows in each_subject(
            root, signals=tuple(SIGNALS), states=tuple(STATES), seconds=5.0, stride=5.0, purity=1.0
        )
    }
    missing, total = sorted(PUBLISHED - set(counts)), np.sum(list(counts.values()), axis=0)
    return [
        f"{len(counts)} subjects: {', '.join(f'S{s}' for s in counts)}",
        f"published but not here: {', '.join(f'S{s}' for s in missing)}" if missing else "all published subjects",
        *(
            f"{s}: {n} windows of 5 s, {100 * n / max(total.sum(), 1):.0f} %"
            for s, n in zip(STATES, total, strict=True)
        ),
    ]


def convert(root: str | Path, out: str | Path) -> Path:
    """Write the windows of the default options to one file, which loads without the pickles."""
    root, out = Path(root), Path(out)
    made, about = columns(root)
    return write_table(out, made, about=about)


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
) -> Stored:
    """Load the windows, split by subject.

    Args:
        root: the folder of the subjects, or a file that `convert` wrote.
        normalisation: guessed. ``"window"`` gives every channel of every window mean 0 and deviation 1; ``"subject"`` does
            so over all windows of a subject, which needs recordings of test subjects but no labels; ``"train"`` over the
            training windows; ``"none"`` leaves the units.
        split: ``"seeded"`` draws 9 / 3 / 3 of 15 subjects (60 / 20 / 20 % of another number); ``"leave-one-out"`` tests on
            ``held_out`` and validates on a fifth of the others. Which subjects the papers used is unpublished.
        held_out: number of the subject to test on, such as 2.
        seed: of the draw.
        signals: as `columns`; from a converted file, some of those in it.
        states: as `columns`; a converted file must have been made with the same.
        seconds: likewise.
        stride: likewise.
        purity: likewise.

    Returns:
        Modalities ``(channels, samples)`` by name, target ``state``; the subject in ``.group``. Windows of one
        subject are negatives of each other.

    Raises:
        InputError: as `columns`; for an unknown option; for fewer than three subjects; or if the file was converted with
            other options.

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
    if root.is_file():
        needed = {"target.state": ("i", ()), "group": ("i", ())}
        table = converted(root, "wesad", needed | {f"input.{k}": ("f", (None, None)) for k in signals if k in SIGNALS})
        made, about, checksum = dict[str, Any](table.columns), table.about, table.sha256
        _same_options(root, about, signals, states, seconds, stride, purity)
    else:
        made, about = columns(root, signals=signals, states=states, seconds=seconds, stride=stride, purity=purity)
        checksum = _checksum(made)
    subjects = np.asarray(made["group"])
    parts = _split(subjects, split, held_out, seed)
    return from_columns(
        {k: _normalised(k, made[f"input.{k}"], normalisation, subjects, parts.train) for k in signals},
        checksum=f"{checksum} {normalisation}",
        targets={"state": made["target.state"]},
        classes={"state": states},
        group=subjects,
        contrast="rows",
        split=parts,
        scaling="none",
        units={k: SIGNALS[k][3] for k in signals},
        rates={k: SIGNALS[k][2] for k in signals},
        name="wesad",
        provenance=Provenance(ABOUT["title"], ABOUT["citation"], ABOUT["licence"], str(root), checksum),
    )


def _same_options(root: Path, about: dict[str, str], signals: tuple[str, ...], *rest: Any) -> None:
    try:
        made = json.loads(about["options"])
        had = [made[k] for k in ("states", "seconds", "stride", "purity")]
        known = set(made["signals"])
    except (KeyError, ValueError, TypeError):
        raise InputError(f"root {root} is no converted WESAD file; give the folder of the subjects") from None
    asked = [list(rest[0]), *map(float, rest[1:])]
    if had != asked or not set(signals) <= known:
        raise InputError(
            f"root {root} was converted with {made}, asked for {list(signals)}, {asked}; load the raw folder"
        )


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
    parts = (order[:-share], order[-share:], test)
    train, val, test_rows = (np.flatnonzero(np.isin(subjects, p)) for p in parts)
    return Split(train, val, test_rows, seed)


def _normalised(
    name: str, column: Any, how: Normalisation, subjects: NDArray[np.int64], train: NDArray[np.int64]
) -> Lazy:
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


def _checksum(made: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(made):
        digest.update(f"{name} {made[name].shape} {made[name].dtype}".encode())
        digest.update(np.ascontiguousarray(made[name]).view(np.uint8).data)
    return digest.hexdigest()
