"""The words of an audit: one answer per pair, and the sentences and cells around it, for terminal and page alike."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from tuplet.audit.advice import Advice
from tuplet.audit.pilots import STEPS
from tuplet.audit.run import Audit, PairAudit
from tuplet.information import PID
from tuplet.information.pid import PARTS
from tuplet.report.words import SENTENCES

HEAD = (
    "pair", "align?", "change [80 %]", "best strength [80 %]", "shared", "only in 1st", "only in 2nd", "only jointly",
    "neighbours in common (chance)",
)  # fmt: skip
WORDS = ("yes", "perhaps", "check the pairing", "no", "rather not", "unknown", "no difference")
"""Answers to "should I align?", those first that ask for something to be done."""
LR, BATCH = 3e-3, 128
"""What a sweep takes when left alone; with `tuplet.audit.pilots.STEPS` steps it is what a pilot takes."""


def answer(found: PairAudit) -> str:
    """Answer for one pair whether to align it, with the measured change."""
    advice, (a, b) = found.advice, found.pair
    what, unit = ("accuracy", "points") if _classes(found) else ("R2", "hundredths")
    what = f"{'validation' if found.pilot.folds == 1 else 'held-out'} {what}"
    mean, low, high, at = _change(found)
    change = f"{what} {mean:+.1f} {unit}, 80 % interval {low:+.1f} to {high:+.1f}"
    if advice.verdict == "unpaired":
        return (
            f"Check the pairing of {a} and {b} first. Nothing shows that row i of {a} and row i of {b} are the same thing: no "
            f"shared bits were found, and separately trained encoders are no more alike than on shuffled rows."
        )
    said = SENTENCES[advice.word].format(f"{a} and {b}")
    full = advice.full and f" {advice.full}"
    if advice.verdict == "helps":
        guess = " This is a guess: check it with a sweep." * (advice.word == "perhaps")
        return f"{said}, at strength {at:g} ({change}; {probability(found.advice)}).{guess}"
    if advice.verdict == "unclear":
        return f"{said}. {advice.lacks or f'The pilot is too noisy (at strength {at:g}: {change}).'}{full}"
    return f"{said}. At strength {at:g}: {change}{'; ' * bool(chance := probability(found.advice))}{chance}.{full}"


def conclusion(audit: Audit) -> str:
    """Answer whether to align, in a sentence or two."""
    if not audit.pairs:
        return "No pair was asked about."
    if len(audit.pairs) == 1:
        return answer(audit.pairs[0])
    count = len(audit.plan)
    sure = any(p.advice.word == "yes" for p in audit.pairs)
    said = [f"{'Align' if sure or not count else 'Perhaps align'} {count or 'none'} of {len(audit.pairs)} pairs."]
    for word in WORDS:
        there = [p for p in audit.pairs if p.advice.word == word]
        names = []
        for p in there:
            strength = f"strength {p.advice.strength:g}" if p.advice.strength else ""
            more = ", ".join(filter(None, (strength, probability(p.advice))))
            names.append(" + ".join(p.pair) + (f" ({more})" if more else ""))
        shown = ", ".join(names) if len(names) <= 4 else f"{len(names)} pairs"
        if len(there) == len(audit.pairs) and word == "unknown":
            return f"Unknown for all {len(there)} pairs{f': {shown}' if len(names) <= 4 else ''}."
        if names:
            said.append(f"{word.capitalize()}: {shown}.")
    return " ".join(said)


def verify(audit: Audit, found: PairAudit, given: str) -> str:
    """Write the command that tries a pair on test rows with the steps, learning rate and batches of its pilot."""
    tried = sorted({*found.pilot.strengths, found.advice.strength})
    words = ["--pair", *found.pair, "--target", audit.target, "--lambdas", *(f"{s:g}" for s in tried)]
    for option, name, default in (("steps", "steps", STEPS), ("lr", "lr", LR), ("batch-size", "batch_size", BATCH)):
        if (value := audit.settings.get(name, default)) != default:
            words += [f"--{option}", f"{value:g}"]
    if (seeds := len(audit.settings.get("seeds", range(3)))) != 3:
        words += ["--seeds", f"{seeds}"]
    return f"tuplet sweep {given} {shlex.join(words)}"


def baseline(audit: Audit) -> str:
    """Say what a constant prediction reaches, beside the encoders alone."""
    if not audit.pairs:
        return ""
    alone: dict[str, float] = {}
    for p in audit.pairs:
        for name, scores in p.pilot.scores.items():
            alone.setdefault(name, sum(scores[0]) / len(scores[0]))
    if audit.pairs[0].pilot.metric != "accuracy":
        return f"R2 without alignment: {', '.join(f'{k} {v:.2f}' for k, v in alone.items())}; a constant prediction 0."
    chance = audit.pairs[0].pilot.chance
    return (
        f"Accuracy without alignment: {', '.join(f'{k} {100 * v:.0f} %' for k, v in alone.items())}; always the "
        f"most frequent class {100 * chance:.0f} %."
    )


def legend(audit: Audit, *, short: bool = False) -> str:
    """Explain the columns of a table."""
    if not audit.pairs:
        return ""
    unit = "points of accuracy" if _classes(audit.pairs[0]) else "hundredths of R2"
    held = "validation" if audit.pairs[0].pilot.folds == 1 else "held-out"
    change = f"change: {unit} on {held} rows at that strength of alignment [80 % interval]"
    if short:
        return f"{change}; shared: bits about {audit.target} in both, in (brackets) if not surely there"
    return (
        f"{change}; best strength: for pairs to align; shared, only in 1st, only in 2nd (modality of the pair), only jointly "
        f"(visible in neither alone): bits about {audit.target}, in (brackets) if not found above chance by both models and "
        "clusters; neighbours in common: share of the ten nearest neighbours that separately trained encoders agree on"
    )


def row(found: PairAudit) -> tuple[str, ...]:
    """Write a pair as a line of a table."""
    advice, knn = found.advice, found.similarity["mutual_knn"]
    mean, low, high, at = _change(found)
    return (
        " + ".join(found.pair),
        advice.word,
        f"{mean:+.1f} [{low:+.1f}, {high:+.1f}] at {at:g}",
        f"{advice.strength:g} [{advice.interval[0]:g}, {advice.interval[1]:g}]" if advice.strength else "none",
        *parts_of(found.pid),
        f"{knn['value']:.2f} ({knn['chance']:.2f})",
    )


def parts_of(pid: PID) -> Sequence[str]:
    """Write the four parts of a decomposition, those in brackets that were not found."""
    there = pid.significant or dict.fromkeys(PARTS, True)
    return [f"{getattr(pid, k):.2f}" if there[k] else f"({max(getattr(pid, k), 0.0):.2f})" for k in PARTS]


def judged(audit: Audit) -> str:
    """Say how many rows train and judge: two parts, or folds."""
    rows, folds = audit.rows, audit.settings.get("folds", 1)
    if folds == 1 or not audit.pairs:
        return f"{rows['train']} training and {rows['val']} validation rows"
    tried = audit.pairs[0].pilot
    over = f"{tried.rows} rows" if tried.groups is None else f"{tried.groups} groups ({tried.rows} rows)"
    return f"{folds} folds over {over}"


def probability(advice: Advice) -> str:
    """Say how probable the answer is."""
    chance = advice.probability
    of = {"helps": "of a gain ", "hurts": "of a loss "}.get(advice.verdict, "")
    return "" if chance is None else f"probability {of}{min(math.floor(100 * chance) / 100, 0.99):.2f}"  # never seem above it


def _classes(found: PairAudit) -> bool:
    return found.pilot.metric == "accuracy"


def _change(found: PairAudit) -> tuple[float, float, float, float]:
    """Return the change that is quoted, its interval, and the strength: the recommended one, otherwise 1."""
    curve = found.advice.curve
    at = found.advice.strength or 1.0
    i = curve.strengths.index(at)
    return curve.mean[i], curve.low[i], curve.high[i], at
