"""What a sweep decides about its pair: whether to align, how strongly, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuplet.evaluate._paired import Difference
from tuplet.report.words import SENTENCES
from tuplet.study.record import Record
from tuplet.suites.strengths import Curve, curve

METRICS = {"cka": "CKA", "svcca": "SVCCA", "mutual_knn": "mutual-kNN, k = 10"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a sweep says about its pair of modalities."""

    word: str
    strength: float
    quoted: float
    changes: dict[str, Difference]
    seeds: int


def decide(records: Sequence[Record]) -> Decision | None:
    """Decide whether to align: validation rows choose the strength, test rows say what it changes."""
    test, _ = curves_of(records)
    val = {k: curve(records, "score/val", detail=k) for k in test}
    chosen = [c.mean for c in val.values() if c is not None]
    strengths = next(iter(test.values())).strengths if test else ()
    if len(strengths) < 2 or not chosen:
        return None
    best = strengths[int(np.nan_to_num(np.mean(chosen, axis=0), nan=-np.inf).argmax())]
    quoted = best or strengths[-1]
    seeds = min(c.values.shape[1] for c in test.values())
    signs = {c.clear(quoted) for c in test.values()}
    if seeds == 1:
        word = "unknown"
    elif signs >= {1, -1}:
        word = "it depends"
    elif 1 in signs:
        word = "yes" if best else "no clear difference"  # test rows must not overrule the choice of validation rows
    else:
        word = "no" if -1 in signs else "no clear difference"
    return Decision(word, best, quoted, {k: c.change(quoted) for k, c in test.items()}, seeds)


def answer(records: Sequence[Record], metric: str = "score") -> str:
    """Answer in a line whether to align, how strongly, what is gained, and how sure that is."""
    d = decide(records)
    if d is None:
        return "Only strength 0 was tried, so there is nothing to compare: add strengths with --lambdas."
    names = list(d.changes)
    rows = max(r.pool or 0 for r in records if r.metric == "score/test")
    said = SENTENCES[d.word].format(" and ".join(names))
    said += f", at strength {d.strength:g}." if d.word == "yes" else "."
    if not d.strength and d.seeds > 1 and any(c.low > 0 for c in d.changes.values()):
        said = f"Validation and test rows disagree about {' and '.join(names)}, so nothing is recommended: give more rows."
    if not d.strength:
        where = f"Validation rows choose strength 0; at strength {d.quoted:g}, the largest, the"
    else:
        where = "The" if d.word == "yes" else f"At strength {d.quoted:g}, which validation rows choose, the"
    changes = " and ".join(f"{_said(c, metric)} for {k}" for k, c in d.changes.items())
    sure = f"{d.seeds} seeds and {rows} test rows" if d.seeds > 1 else "one seed, which shows no spread: ask for --seeds 3"
    largest = max(float(r.settings["strength"]) for r in records if "strength" in r.settings)
    edge = f" No strength above {d.quoted:g} was tried." if d.strength == d.quoted == largest else ""
    return f"{said} {where} test {metric} changes by {changes} ({sure}).{edge}"


def curves_of(records: Sequence[Record]) -> tuple[dict[str, Curve], dict[str, Curve]]:
    """Collect the test scores of each encoder and the similarities, over strengths."""
    names = sorted({r.detail for r in records if r.metric == "score/test"})
    test = {k: curve(records, "score/test", detail=k) for k in names}
    similar = {label: curve(records, f"similarity/{k}") for k, label in METRICS.items()}
    return {k: c for k, c in test.items() if c is not None}, {k: c for k, c in similar.items() if c is not None}


def unit_of(metric: str) -> str:
    """Name the unit of a change."""
    return "hundredths" if metric == "R2" else "points"


def _said(d: Difference, metric: str) -> str:
    """Write a change for a sentence."""
    sure = "" if d.low != d.low else f" (95 % interval {100 * d.low:+.1f} to {100 * d.high:+.1f})"
    return f"{100 * d.mean:+.1f} {unit_of(metric)}{sure}"
