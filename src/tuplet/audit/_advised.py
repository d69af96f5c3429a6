"""What a finished audit advised on a pair, and whether a sweep confirms it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tuplet.audit._keep import COMPARED, DECOMPOSED, FILE, NAME, TRIED, restored
from tuplet.audit._words import probability
from tuplet.audit.advice import Advice, advise
from tuplet.audit.pilots import Pilot
from tuplet.audit.run import numbers
from tuplet.data import Source
from tuplet.information import PID
from tuplet.io import read_state
from tuplet.types import InputError

AGREES = {"yes": "yes", "perhaps": "yes", "no": "no", "rather not": "no", "no difference": "no clear difference"}
"""Answer of an audit -> that of a sweep which confirms it."""


def advised(folder: Path, source: Source, pair: tuple[str, str], target: str) -> tuple[Advice, int] | None:
    """Return what the audit in a folder advised on a pair of this source, and its steps; None if it holds no such audit."""
    file = folder / NAME
    if not file.exists():
        return None
    found = read_state(file, FILE)
    settings, pieces, (a, b) = found["settings"], found["pieces"], sorted(pair)
    names = [f"{what} {a!r} {b!r}" for what in ("pid", "pilot", "similarity")]
    same = (settings.get("data"), settings.get("target")) == (source.labelled(target).fingerprint, target)
    if not same or set(names) - set(pieces):
        return None
    read = partial(restored, file)
    pid, tried, near = names
    advice = advise(
        (a, b),
        read(pid, pieces[pid], DECOMPOSED, PID),
        read(near, pieces[near], COMPARED, numbers),
        read(tried, pieces[tried], TRIED, Pilot),
    )
    return advice, settings.get("steps", 0)


def named(folder: Path, source: Source, pair: tuple[str, str], target: str) -> tuple[Advice, int]:
    """Return the same of an audit that a user names; refuse a folder that does not hold it."""
    if (found := advised(folder, source, pair, target)) is None:
        raise InputError(
            f"audit is {folder}, which holds no finished audit of {' and '.join(sorted(pair))} in these data on {target!r}; "
            "name the folder that `tuplet audit` wrote, or leave it out"
        )
    return found


def confirmed(advice: Advice, word: str, where: Path, *, longer: str = "") -> str:
    """Say in a line whether a sweep's answer confirms an audit's advice."""
    chance = ", ".join(filter(None, (f"at strength {advice.strength:g}" if advice.strength else "", probability(advice))))
    told = f"The audit in {where} said: {advice.word}{f' ({chance})' if chance else ''}."
    if advice.word not in AGREES:
        return f"{told} There is nothing to confirm."
    if AGREES[advice.word] == word:
        return f"{told} This sweep confirms it."
    clear = word in ("yes", "no", "it depends")
    return f"{told} This sweep {'contradicts it' if clear else 'neither confirms nor contradicts it'}{longer}."
