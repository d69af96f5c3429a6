"""Cut the recordings of WESAD into labelled windows; `tuplet.datasets.wesad` makes a source of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.io.unpickle import read_pickle
from tuplet.types import InputError, in_range

LABEL_RATE = 700
SIGNALS = {
    "ecg": ("chest", "ecg", 700, "mV"),
    "respiration": ("chest", "resp", 700, "%"),
    "bvp": ("wrist", "bvp", 64, ""),
    "chest_acceleration": ("chest", "acc", 700, "g"),
    "chest_eda": ("chest", "eda", 700, "microsiemens"),
    "chest_temperature": ("chest", "temp", 700, "degrees Celsius"),
    "emg": ("chest", "emg", 700, "mV"),
    "wrist_acceleration": ("wrist", "acc", 32, "1/64 g"),
    "wrist_eda": ("wrist", "eda", 4, "microsiemens"),
    "wrist_temperature": ("wrist", "temp", 4, "degrees Celsius"),
}
"""Name here -> device, name in the file (any case), samples per second, unit."""
STATES = {"baseline": 1, "stress": 2, "amusement": 3, "meditation": 4}
ABOUT = {
    "name": "wesad",
    "title": "WESAD, wearable stress and affect detection",
    "citation": (
        "P. Schmidt, A. Reiss, R. Duerichen, C. Marberger, K. Van Laerhoven, Introducing WESAD, a multimodal dataset for "
        "wearable stress and affect detection, ICMI 2018"
    ),
    "licence": "research, non-commercial use; read the terms it was given to you under",
}


@dataclass(frozen=True)
class Cut:
    """How recordings are cut into windows."""

    signals: tuple[str, ...] = ("bvp", "ecg", "respiration")
    states: tuple[str, ...] = ("baseline", "stress", "amusement")
    seconds: float = 5.0
    stride: float = 5.0
    purity: float = 1.0

    def check(self) -> None:
        """Refuse what cannot be cut."""
        for argument, given, known in (("signals", self.signals, SIGNALS), ("states", self.states, STATES)):
            if len(set(given)) < max(2, len(given)) or set(given) - set(known):
                raise InputError(f"{argument} is {list(given)}, expected two or more different ones of {sorted(known)}")
        in_range("seconds", self.seconds, 0.25)
        in_range("stride", self.stride, 0.01)
        if not 0.5 < self.purity <= 1:
            raise InputError(f"purity is {self.purity}, expected a share in (0.5, 1]")


def windows(root: Path, how: Cut) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Cut every subject's recording into labelled windows; return the columns, and what is known about them."""
    subjects = [rows for _, rows in each_subject(root, how)]
    joined = {name: np.concatenate([rows[name] for rows in subjects]) for name in subjects[0]}
    about = {**ABOUT, "options": json.dumps(asdict(how)), "origin": f"{len(subjects)} subjects"}
    about |= {f"unit.{s}": SIGNALS[s][3] for s in how.signals}
    return joined, about | {"classes.state": json.dumps(how.states)}


def each_subject(root: Path, how: Cut) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Cut one recording after the other, so that only one is in memory."""
    how.check()
    seen: dict[int, Path] = {}
    for file in _files(root):
        subject, recorded, label = _recording(file, how.signals)
        if subject in seen:
            raise InputError(f"subject {subject} is in {seen[subject]} and in {file}; a subject listed twice leaks test data")
        seen[subject] = file
        rows = _windows(recorded, label, how)
        yield subject, rows | {"group": np.full(len(rows["start"]), subject, dtype=np.int64)}


def _files(root: Path) -> list[Path]:
    """Return the subjects' pickles in the order of their numbers."""
    found = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        match = re.fullmatch(r"[sS](\d{1,3})", folder.name)
        if match and folder.is_dir():
            file = next((f for f in sorted(folder.iterdir()) if f.name.lower() == f"s{match[1]}.pkl"), None)
            if file is None:
                raise InputError(f"{folder} has no {folder.name}.pkl; remove the folder or copy the file")
            found[file] = int(match[1])
    if not found:
        raise InputError(f"root {root} has no S2/S2.pkl, S3/S3.pkl, ...; give the folder that holds the subjects")
    return sorted(found, key=lambda f: (found[f], f.name))


def _recording(file: Path, signals: tuple[str, ...]) -> tuple[int, dict[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Return the subject's number, its signals ``(samples, channels)`` and its labels, checked."""
    content = _lower(file, read_pickle(file), "the file")
    signal, subject = _lower(file, content.get("signal"), "signal"), content.get("subject")
    subject = subject.decode("latin-1") if isinstance(subject, bytes) else subject
    match = re.fullmatch(r"[sS](\d{1,3})", subject) if isinstance(subject, str) else None
    if match is None:
        raise InputError(f"{file} has subject {str(subject)[:20]!r}, expected such as 'S2'")
    label = content.get("label")
    if not isinstance(label, np.ndarray) or label.dtype.kind not in "iu" or label.size not in label.shape:
        raise InputError(f"{file} has no label of integers, expected one per sample at {LABEL_RATE} Hz")
    label = label.reshape(-1).astype(np.int64)
    recorded = {}
    for name in signals:
        device, key, rate, _ = SIGNALS[name]
        value = _lower(file, signal.get(device), f"signal/{device}").get(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.ndim not in (1, 2) or not value.size:
            raise InputError(f"{file} has no numbers at signal/{device}/{key}, expected (samples, channels)")
        with np.errstate(over="ignore", invalid="ignore"):  # counted below
            value = value.reshape(len(value), -1).astype(np.float32)
        wanted = 3 if key == "acc" else 1
        if value.shape[1] != wanted or abs(len(value) / rate - len(label) / LABEL_RATE) > 1:
            raise InputError(
                f"{file} has signal/{device}/{key} of shape {value.shape}, expected {wanted} channels and about "
                f"{len(label) * rate // LABEL_RATE} samples, {rate} a second for {len(label) / LABEL_RATE:.0f} s of labels"
            )
        if bad := int((~np.isfinite(value)).sum()):
            raise InputError(f"{file} has {bad} NaN or infinite values in signal/{device}/{key}, expected none")
        recorded[name] = value
    return int(match[1]), recorded, label


def _lower(file: Path, value: Any, where: str) -> dict[str, Any]:
    """Return a dict with its keys in lower case, as writers of this format disagree on it."""
    if not isinstance(value, dict):
        raise InputError(f"{file} has no dict at {where}, expected signal/chest, signal/wrist, label and subject")
    lowered = {(k.decode("latin-1") if isinstance(k, bytes) else str(k)).lower(): v for k, v in value.items()}
    if len(lowered) < len(value):
        raise InputError(f"{file} has keys at {where} that differ in case only: {sorted(map(str, value))[:8]}")
    return lowered


def _windows(recorded: dict[str, NDArray[np.float32]], label: NDArray[np.int64], how: Cut) -> dict[str, NDArray[Any]]:
    ends = [len(v) / SIGNALS[k][2] for k, v in recorded.items()] + [len(label) / LABEL_RATE]
    starts = np.arange(0, max(min(ends) - how.seconds, -1) + 1e-9, how.stride)
    length, kept, codes = round(how.seconds * LABEL_RATE), [], []
    for start in starts:
        first = round(start * LABEL_RATE)
        values, counts = np.unique(label[first : first + length], return_counts=True)
        most = int(counts.argmax())
        for code, state in enumerate(how.states):
            if values[most] == STATES[state] and counts[most] >= how.purity * length:
                kept.append(start)
                codes.append(code)
    made: dict[str, NDArray[Any]] = {"start": np.array(kept), "target.state": np.array(codes, dtype=np.int64)}
    for name, value in recorded.items():
        rate = SIGNALS[name][2]
        length = round(how.seconds * rate)
        rows = [value[round(t * rate) : round(t * rate) + length].T for t in kept]
        made[f"input.{name}"] = np.stack(rows) if rows else np.zeros((0, value.shape[1], length), np.float32)
    return made
