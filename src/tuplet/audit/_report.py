"""An audit for readers: one self-contained HTML file, and a few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from tuplet.audit._figures import information_figure, pilot_figure, similarity_figure
from tuplet.audit._words import HEAD, WORDS, answer, baseline, conclusion, legend, parts_of, row, verify
from tuplet.audit.run import Audit, PairAudit
from tuplet.information import consistency as disagreements
from tuplet.io.environment import environment
from tuplet.io.files import write_atomic
from tuplet.suites.strength_figures import cut

LINES = 11
"""Pairs that a terminal shows."""
_NAME = 12
"""Characters of a name in it."""
_SHORT = ("pair", "align?", "change [80 %]", "shared")


def write_report(audit: Audit, out: str | Path, *, given: str = "") -> Path:
    """Write report.html."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader("tuplet.audit"), PackageLoader("tuplet.study")])
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
                "verdict": p.advice.word,
                "helps": p.advice.strength > 0,
                "words": answer(p),
                "evidence": p.advice.evidence,
                "verify": verify(audit, p, given) if given and p.advice.verdict != "unpaired" else "",
                "warnings": p.pid.warnings,
                "figures": (information_figure(p), pilot_figure(p)),
            }
            for p in audit.pairs
        ],
        similarity=[similarity_figure(audit.pairs, metric) for metric in ("mutual_knn", "cka")],
        rest_head=("modality", "shared with the rest", "only in it", "only in the rest", "only jointly"),
        rest=[(name, *parts_of(pid)) for name, pid in audit.rest.items()],
        consistency=consistency(audit),
        settings={"data": audit.data[:16], **{k: str(v) for k, v in audit.settings.items()}},
        environment=environment(),
    )
    write_atomic(Path(out) / "report.html", text.encode())
    return Path(out) / "report.html"


def summary(audit: Audit, *, given: str = "") -> str:
    """Say the essentials in at most twenty lines."""
    pairs = sorted(audit.pairs, key=lambda p: (WORDS.index(p.advice.word), -max(p.advice.curve.mean)))
    lines = [
        conclusion(audit),
        f"Data: {audit.source}, target {audit.target}, {audit.rows['train']} training and {audit.rows['val']} validation rows",
    ]
    if pairs:
        grid = [_SHORT, *(_short(p) for p in pairs[:LINES])]
        wide = [max(len(line[i]) for line in grid) for i in range(len(_SHORT))]
        lines += ["  ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip() for line in grid]
        if len(pairs) > LINES:
            lines.append(f"and {len(pairs) - LINES} more in the report")
        lines += [legend(audit, short=True), baseline(audit)]
    check = (
        [f"Check on test rows: {verify(audit, pairs[0], given)}"]
        if pairs and given and pairs[0].advice.verdict != "unpaired"
        else []
    )
    return "\n".join([*lines, *check])


def consistency(audit: Audit) -> str:
    """Say whether a modality's information about the target depends on its partner, which it must not."""
    count: dict[str, int] = {}
    for p in audit.pairs:
        for name in p.pair:
            count[name] = count.get(name, 0) + 1
    if max(count.values(), default=0) < 2:
        return ""
    faults = disagreements({p.pair: p.pid for p in audit.pairs})
    if faults:
        return " ".join(f"{fault}." for fault in faults)
    return "What a modality says about the target does not depend on its partner, as it must not: the pairs agree."


def _short(found: PairAudit) -> tuple[str, ...]:
    """Write a pair as a line of the terminal's table."""
    names = [cut(k, _NAME) for k in found.pair]
    _, word, change, _, shared, *_ = row(found)
    return " + ".join(names), word, change, shared
