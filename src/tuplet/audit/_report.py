"""An audit for readers: one self-contained HTML file, and a few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from tuplet.audit._figures import information_figure, pilot_figure, similarity_figure
from tuplet.audit._words import HEAD, WORDS, answer, baseline, conclusion, judged, legend, parts_of, row, verify
from tuplet.audit.run import Audit, PairAudit
from tuplet.information import consistency as disagreements
from tuplet.io.environment import environment
from tuplet.report import Grid, Picture, Section, Text, write_page
from tuplet.report.page import tight
from tuplet.report.words import cut

LINES = 11
"""Pairs that a terminal shows."""
_NAME = 12
"""Characters of a name in it."""
REST = ("modality", "shared with the rest", "only in it", "only in the rest", "only jointly")
BITS = (
    "The training loss is the task loss plus strength times the alignment loss. Each pilot training has {} steps. Bits say "
    "how far a modality narrows down the target, as small models read it: 1 bit tells two equally frequent classes apart. A "
    "number in brackets was not found above chance by both models and cluster codes. What both miss in one modality looks "
    "unique to the other."
)
EACH = "each row was judged once, by models that saw no row of its group; every group counts the same; "
PROBABLE = (
    "yes and no: probability 0.9 or more; perhaps and rather not: 0.7 or more; unknown: too few rows, or a pilot too noisy "
    "to tell; check the pairing: nothing shows that equal rows belong together."
)
BARS = (
    "Bars: information about the target that is shared, in one modality only, or visible only jointly. Lines are 95 % "
    "intervals (sampling error of the rows, not the error of the models); pale bars were not found by both models and "
    "clusters. Dotted: what chance reaches. Curve: change of the score against strength 0, averaged over both encoders. "
    "Points are what was measured, each with its standard error. The estimate starts at 0 and follows the points only as "
    "far as their noise allows, so it can lie between 0 and a noisy point; the answer is read from the estimate"
)
SIMILAR = (
    "Mutual kNN: share of the ten nearest neighbours that two encoders agree on. CKA: agreement of all distances between "
    "rows; 0 unrelated, 1 the same up to rotation and scale. Dots: representations of separately trained encoders on "
    "rows that they were not trained on. Grey: 95 % of shuffled pairs, which share nothing."
)
_SHORT = ("pair", "align?", "change [80 %]", "shared")


def write_report(audit: Audit, out: str | Path, *, given: str = "") -> Path:
    """Write report.html."""
    several = len(audit.pairs) > 1
    about = (
        f"The answer is about the accuracy of each modality's own encoder on {audit.target}. It comes from short trainings "
        f"of small encoders on {judged(audit)}; {EACH * (audit.settings.get('folds', 1) > 1)}test rows were not used. If "
        "you need a shared space, for retrieval for example, align anyway and read here what it costs. A verdict needs a "
        "probability of 0.7, so among many pairs some are wrong: check with `tuplet sweep`."
    )
    steps = BITS.format(audit.settings.get("steps", "some"))
    similar = [similarity_figure(audit.pairs, metric) for metric in ("mutual_knn", "cka")]
    rest = Grid(REST, [(name, *parts_of(pid)) for name, pid in audit.rest.items()])
    opening = [Text(conclusion(audit), "answer"), tight(baseline(audit)), Text(about)]
    opening += [Grid(HEAD, [row(p) for p in audit.pairs], note=f"Columns: {legend(audit)}."), Text(steps)]
    return write_page(
        Path(out) / "report.html",
        title=f"{audit.source}: should you align, and how strongly?",
        lead="tuplet audit",
        name=f"audit of {audit.source}",
        sections=[
            Section("", [*opening, Text(PROBABLE) if several else ""]),
            *(_pair(audit, p, given, several=several) for p in audit.pairs),
            Section("How similar the encoders are without alignment", [Picture(similar, SIMILAR)]),
            Section("Each modality against all others", [rest, Text(consistency(audit))] if rest else []),
            Section("Settings", [{"data": audit.data[:16], **{k: str(v) for k, v in audit.settings.items()}} | environment()]),
        ],
    )


def _pair(audit: Audit, p: PairAudit, given: str, *, several: bool) -> Section:
    """Show a pair: the answer, the evidence, how to check it, and two figures."""
    check = verify(audit, p, given) if given and p.advice.verdict != "unpaired" else ""
    helps = ", and green marks where the best strength lies" if p.advice.strength > 0 else ""
    return Section(
        f"{' + '.join(p.pair)}: {p.advice.word}",
        [
            Text(answer(p) if several else "", "strong"),
            [*p.advice.evidence, *p.pid.warnings],
            Text(f"Check it on test rows: `{check}`" if check else ""),
            Picture((information_figure(p), pilot_figure(p)), f"{BARS}{helps}."),
        ],
    )


def summary(audit: Audit, *, given: str = "") -> str:
    """Say the essentials in at most twenty lines."""
    pairs = sorted(audit.pairs, key=lambda p: (WORDS.index(p.advice.word), -max(p.advice.curve.mean)))
    lines = [conclusion(audit), f"Data: {audit.source}, target {audit.target}, {judged(audit)}"]
    if pairs:
        lines.append(Grid(_SHORT, [_short(p) for p in pairs[:LINES]], words=4).text())
        if len(pairs) > LINES:
            lines.append(f"and {len(pairs) - LINES} more in the report")
        lines += [legend(audit, short=True), baseline(audit)]
    check = (
        [f"Check on test rows: {verify(audit, pairs[0], given)}"]
        if pairs and given and pairs[0].advice.verdict != "unpaired"
        else []
    )
    anyway = [] if audit.plan else ["If you need a shared space, to search for example, align anyway: this is what it costs."]
    return "\n".join([*lines, *anyway, *check])


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
