"""An audit for readers: one self-contained HTML file, and a few lines for the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tuplet.audit.advice import FIRM
from tuplet.audit.audit import Audit, PairAudit
from tuplet.audit.figures import information_figure, pilot_figure, similarity_figure
from tuplet.audit.pilot import STEPS
from tuplet.bench.record import environment
from tuplet.information import PID
from tuplet.information import consistency as disagreements
from tuplet.information.pid import PARTS
from tuplet.io.files import write_atomic

HEAD = ("pair", "alignment", "strength", "gain", "shared", "unique 1", "unique 2", "jointly", "kNN (chance)")
LINES = 11
"""Pairs that a terminal shows."""
LR, BATCH = 3e-3, 128
"""What a sweep takes when left alone; with `tuplet.audit.pilot.STEPS` steps it is what a pilot takes."""


def write_report(audit: Audit, out: Path, *, given: str = "") -> Path:
    """Write report.html.

    Args:
        audit: the audit.
        out: folder to write to.
        given: what a command line calls the data, with ``--root`` where it needs one; without, no command
            to verify the advice is named.

    Returns:
        The file. It needs nothing from elsewhere, follows the reader's light or dark setting, and suits a phone.

    Example:
        >>> import tempfile
        >>> empty = Audit("none", "", "label", {"train": 0, "val": 0, "test": 0}, (), {}, 0.0, {})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(empty, Path(folder)).name
        'report.html'
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader("tuplet.audit"), PackageLoader("tuplet.bench")])
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("audit.html")
    text = page.render(
        audit=audit,
        conclusion=conclusion(audit),
        legend=legend(audit),
        baseline=baseline(audit),
        head=HEAD,
        lines=[row(p) for p in audit.pairs],
        pairs=[
            {
                "name": " + ".join(p.pair),
                "verdict": p.advice.verdict,
                "words": answer(p),
                "evidence": p.advice.evidence,
                "verify": verify(audit, p, given) if given else "",
                "warnings": p.pid.warnings,
                "figures": (information_figure(p), pilot_figure(p)),
            }
            for p in audit.pairs
        ],
        similarity=[similarity_figure(audit.pairs, metric) for metric in ("mutual_knn", "cka")],
        rest_head=("modality", "shared with the rest", "only in it", "only in the rest", "only jointly"),
        rest=[(name, *_parts(pid)) for name, pid in audit.rest.items()],
        consistency=consistency(audit),
        settings={"data": audit.data[:16], **{k: str(v) for k, v in audit.settings.items()}},
        environment=environment(),
    )
    write_atomic(Path(out) / "report.html", text.encode())
    return Path(out) / "report.html"


def unpaired(found: PairAudit) -> bool:
    """Tell whether a pair looks as if its rows did not belong together, as shuffled rows or unrelated sensors do.

    Args:
        found: the pair.

    Returns:
        True where shared information was looked for and not found, and every similarity lies within that of shuffled rows.

    Example:
        >>> from types import SimpleNamespace
        >>> alike = {"cka": {"value": 0.5, "high": 0.1}}
        >>> unpaired(SimpleNamespace(pid=SimpleNamespace(significant={"redundancy": False}), similarity=alike))
        False
    """
    looked = found.pid.significant or {}
    nulls = [n for n in found.similarity.values() if "high" in n]
    return bool(looked) and not looked.get("redundancy") and bool(nulls) and all(n["value"] <= n["high"] for n in nulls)


def answer(found: PairAudit) -> str:
    """Answer for one pair whether to align it, with the measured change.

    Args:
        found: the pair.

    Returns:
        One or two sentences.

    Example:
        >>> from tuplet.audit import audit
        >>> from tuplet.data.sources import blocks
        >>> few = audit(blocks.load(rows=200), seeds=(0, 1), strengths=(1.0,), steps=4, permutations=20, bootstrap=20)
        >>> answer(few.pairs[0])
        'Align x1 and x2: unknown. 40 validation rows are too few: below 50 nothing is concluded.'
    """
    advice, curve, (a, b) = found.advice, found.advice.curve, found.pair
    accuracy = found.pilot.metric == "accuracy"
    what, unit = ("validation accuracy", "points") if accuracy else ("validation R2", "hundredths")
    at = advice.strength or (1.0 if 1.0 in curve.strengths else curve.strengths[-1])
    i = curve.strengths.index(at)
    change = f"{what} {curve.mean[i]:+.1f} {unit}, 80 % interval {curve.low[i]:+.1f} to {curve.high[i]:+.1f}"
    ask = f"Align {a} and {b}:"
    if unpaired(found):
        return (
            f"{ask} check the pairing first. Nothing shows that row i of {a} and of {b} are the same thing: their shared bits "
            f"were not found, and separately trained encoders are no more alike than on shuffled rows."
        )
    if advice.verdict == "helps":
        if curve.helps >= FIRM:
            return f"{ask} yes, at strength {advice.strength:g} ({change})."
        return f"{ask} perhaps, at strength {advice.strength:g} ({change}). This is a guess: check it with a sweep."
    if advice.verdict == "hurts":
        sure = "no" if curve.hurts >= FIRM else "rather not"
        return f"{ask} {sure}. At strength {at:g}: {change}."
    if advice.verdict == "no difference":
        return f"{ask} not for the sake of {what}, which it hardly changes (at strength {at:g}: {change})."
    short = [e for e in advice.evidence if "too few" in e or "no encoder beats" in e]
    return f"{ask} unknown. " + (short[0] if short else f"The pilot is too noisy (at strength {at:g}: {change}).")


def conclusion(audit: Audit) -> str:
    """Answer whether to align, in a sentence or two.

    Args:
        audit: the audit.

    Returns:
        `answer` for one pair; for several, which to align how strongly, which not, and which cannot be told.

    Example:
        >>> conclusion(Audit("none", "", "label", {}, (), {}, 0.0, {}))
        'No pair was asked about.'
    """
    if not audit.pairs:
        return "No pair was asked about."
    if len(audit.pairs) == 1:
        return answer(audit.pairs[0])
    said = []
    for verdict, words in (
        ("helps", "Align"),
        ("hurts", "Do not align"),
        ("no difference", "It makes no difference to"),
        ("unclear", "There is not enough data to tell for"),
    ):
        there = [p for p in audit.pairs if p.advice.verdict == verdict]
        names = [
            " + ".join(p.pair) + (f" (strength {p.advice.strength:g})" if verdict == "helps" else "") for p in there
        ]
        if names:
            said.append(
                f"{words} {', '.join(names) if len(names) <= 4 else f'{len(names)} of {len(audit.pairs)} pairs'}."
            )
    return " ".join(said if audit.plan else ["Align no pair.", *said])


def verify(audit: Audit, found: PairAudit, given: str) -> str:
    """Write the command that tries a pair on test rows with the steps, learning rate and batches of its pilot.

    Args:
        audit: the audit.
        found: one of its pairs.
        given: as in `write_report`.

    Returns:
        The command.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> found = Made(pair=("a", "b"), pilot=Made(strengths=(0.0, 1.0)), advice=Made(strength=0.3))
        >>> verify(Made(target="label", settings={}), found, "my.npz")
        'tuplet sweep my.npz --pair a b --target label --lambdas 0 0.3 1'
    """
    tried = sorted({*found.pilot.strengths, found.advice.strength})
    words = ["--pair", *found.pair, "--target", audit.target, "--lambdas", *(f"{s:g}" for s in tried)]
    for option, name, default in (("steps", "steps", STEPS), ("lr", "lr", LR), ("batch-size", "batch_size", BATCH)):
        if (value := audit.settings.get(name, default)) != default:
            words += [f"--{option}", f"{value:g}"]
    if (seeds := len(audit.settings.get("seeds", range(3)))) != 3:
        words += ["--seeds", f"{seeds}"]
    return f"tuplet sweep {given} {shlex.join(words)}"


def baseline(audit: Audit) -> str:
    """Say what a constant prediction reaches, beside the encoders alone.

    Args:
        audit: the audit.

    Returns:
        A sentence; empty without pairs.

    Example:
        >>> baseline(Audit("none", "", "label", {}, (), {}, 0.0, {}))
        ''
    """
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
        f"Accuracy without alignment: {', '.join(f'{k} {v:.0%}' for k, v in alone.items())}; always the "
        f"most frequent class {chance:.0%}."
    )


def legend(audit: Audit) -> str:
    """Explain the columns of the table.

    Args:
        audit: the audit.

    Returns:
        A line; empty without pairs.

    Example:
        >>> legend(Audit("none", "", "label", {}, (), {}, 0.0, {}))
        ''
    """
    if not audit.pairs:
        return ""
    unit = "points of accuracy" if audit.pairs[0].pilot.metric == "accuracy" else "hundredths of R2"
    return (
        f"strength: weight of the alignment loss [80 % interval of the best]; gain: {unit} [80 % interval]; shared, unique 1, "
        "2 (only the first, second of the pair), jointly (only both together): bits about the target, in (brackets) if not "
        "found by both models and clusters; kNN: nearest neighbours in common (by chance)"
    )


def summary(audit: Audit, *, given: str = "") -> str:
    """Say the essentials in at most twenty lines.

    Args:
        audit: the audit.
        given: as in `write_report`.

    Returns:
        The conclusion, a table of pairs, those that alignment helps first, and the command that checks the first.

    Example:
        >>> print(summary(Audit("none", "", "label", {"train": 0, "val": 0, "test": 0}, (), {}, 0.0, {})))
        No pair was asked about.
        Data: none, target label, 0 training and 0 validation rows
    """
    order = ("helps", "hurts", "unclear", "no difference")
    pairs = sorted(audit.pairs, key=lambda p: (order.index(p.advice.verdict), -max(p.advice.curve.mean)))
    lines = [
        conclusion(audit),
        f"Data: {audit.source}, target {audit.target}, {audit.rows['train']} training and {audit.rows['val']} validation rows",
    ]
    if pairs:
        grid = [HEAD, *(row(p) for p in pairs[:LINES])]
        wide = [max(len(line[i]) for line in grid) for i in range(len(HEAD))]
        lines += [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, wide, strict=True))
            )
            for line in grid
        ]
        if len(pairs) > LINES:
            lines.append(f"and {len(pairs) - LINES} more in the report")
        lines += [legend(audit), baseline(audit)]
    check = [f"Check on test rows: {verify(audit, pairs[0], given)}"] if pairs and given else []
    return "\n".join([*lines, *check])


def row(found: PairAudit) -> tuple[str, ...]:
    """Write a pair as a line of a table.

    Args:
        found: the pair.

    Returns:
        Cells below `HEAD`.

    Example:
        >>> len(HEAD)
        9
    """
    advice, curve = found.advice, found.advice.curve
    i = curve.strengths.index(advice.strength) if advice.strength else curve.strengths.index(1.0)
    at = "" if advice.strength else " at 1"
    knn = found.similarity["mutual_knn"]
    return (
        " + ".join(found.pair),
        advice.verdict,
        f"{advice.strength:g}" + (f" [{advice.interval[0]:g}, {advice.interval[1]:g}]" if advice.strength else ""),
        f"{curve.mean[i]:+.1f} [{curve.low[i]:+.1f}, {curve.high[i]:+.1f}]{at}",
        *_parts(found.pid),
        f"{knn['value']:.2f} ({knn['chance']:.2f})",
    )


def consistency(audit: Audit) -> str:
    """Say whether a modality's information about the target depends on its partner, which it must not.

    Args:
        audit: of three modalities or more.

    Returns:
        A sentence.

    Example:
        >>> consistency(Audit("none", "", "label", {}, (), {}, 0.0, {}))
        'A modality has one partner only, so there is nothing to compare.'
    """
    count: dict[str, int] = {}
    for p in audit.pairs:
        for name in p.pair:
            count[name] = count.get(name, 0) + 1
    if max(count.values(), default=0) < 2:
        return "A modality has one partner only, so there is nothing to compare."
    faults = disagreements({p.pair: p.pid for p in audit.pairs})
    if faults:
        return " ".join(f"{fault}." for fault in faults)
    return "What a modality says about the target does not depend on its partner, as it must not: the pairs agree."


def _parts(pid: PID) -> Sequence[str]:
    there = pid.significant or dict.fromkeys(PARTS, True)
    return tuple(f"{getattr(pid, k):.2f}" if there[k] else f"({max(getattr(pid, k), 0.0):.2f})" for k in PARTS)
