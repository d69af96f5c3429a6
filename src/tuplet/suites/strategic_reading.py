"""What the strategic suite measured, by regime, and what it says about the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuplet.information.pid import PARTS
from tuplet.simulators import redundancy
from tuplet.study.record import Finding, Record, averaged
from tuplet.suites.strategic_plan import METRICS, Plan
from tuplet.suites.strength_figures import LABELS
from tuplet.suites.strengths import Curve, Verdict, curve, judge

Variant = Literal["default", "tuned"]
ENCODERS = {"x1": "encoder 1", "x2": "encoder 2"}
LARGEST = 2.0
"""Of the paper's strengths for this task: its claims are judged up to here."""
WORDS = {
    "gain": "gains",
    "uneven": "gains unevenly",
    "inner": "gains, then loses",
    "decline": "declines",
    "flat": "no clear change",
}
CLAIMS = (
    ("Accuracy improves monotonically and saturates at R = 6 and 8", (6, 8), ("gain",)),
    ("Accuracy declines at R = 0 and 2", (0, 2), ("decline",)),
    ("Accuracy has an inner optimum at R = 4", (4,), ("inner",)),
)
"""Claim of the paper, where, and the verdicts that would bear it out."""


@dataclass(frozen=True)
class Section:
    """All that was measured in one regime, by number of shared features."""

    rows: int
    shared: tuple[int, ...]
    test: list[dict[str, Curve]]
    val: list[dict[str, Curve]]
    tuned: list[dict[str, Curve]]
    tuned_val: list[dict[str, Curve]]
    similarity: list[dict[str, Curve]]
    ceilings: list[dict[str, float]]
    chance: list[float]
    common: list[float]
    pid: list[dict[str, float]]

    @property
    def title(self) -> str:
        """Return what distinguishes the regime."""
        return f"{self.rows:,} training rows"

    def verdicts(self, r: int, variant: Variant = "default") -> dict[str, Verdict]:
        """Return encoder -> what alignment up to the paper's largest strength does to it at a number of shared features."""
        i = self.shared.index(r)
        test, val = (self.test, self.val) if variant == "default" else (self.tuned, self.tuned_val)
        return {k: judge(test[i][k].upto(LARGEST), val[i][k].upto(LARGEST)) for k in ENCODERS}

    def fraction(self, i: int, encoder: str) -> Curve:
        """Return accuracy over the best possible one."""
        found = self.test[i][encoder]
        return Curve(found.strengths, found.values / self.ceilings[i][encoder], found.blocks)


def sections(records: Sequence[Record], *, plan: Plan) -> list[Section]:
    """Sort the records of a run by regime and number of shared features."""
    every = [
        {r: found for r in plan.shared if (found := [x for x in records if x.task == f"{regime.name}, R = {r}"])}
        for regime in plan.regimes
    ]
    return [_section(by, plan.trainings) for by in every if by]


def _section(by: Mapping[int, Sequence[Record]], per_data: int) -> Section:
    """Collect what was measured in one regime."""

    def curves(asked: Mapping[str, tuple[str, str]], variant: str = "default") -> list[dict[str, Curve]]:
        return [
            {k: c for k, (m, d) in asked.items() if (c := curve(x, m, detail=d, variant=variant, per_data=per_data))}
            for x in by.values()
        ]

    test, val = ({k: (f"accuracy/{part}", k) for k in ENCODERS} for part in ("test", "val"))
    return Section(
        rows=next(int(x.budget["rows"]) for found in by.values() for x in found if "rows" in x.budget),
        shared=tuple(by),
        test=curves(test),
        val=curves(val),
        tuned=curves(test, "tuned"),
        tuned_val=curves(val, "tuned"),
        similarity=curves({label: (f"similarity/{k}", "") for k, label in METRICS.items()}),
        ceilings=[averaged((r.detail, r.value) for r in x if r.metric == "ceiling") for x in by.values()],
        chance=[float(np.mean([r.chance for r in x if r.metric == "accuracy/test"])) for x in by.values()],
        common=[_common(r, x) for r, x in by.items()],
        pid=[averaged((r.metric[4:], r.value) for r in x if r.metric.startswith("pid/")) for x in by.values()],
    )


def claims(section: Section, variant: Variant = "default") -> list[Finding]:
    """Hold the paper's claims against one regime."""
    found = []
    for text, where, wanted in CLAIMS:
        if set(where) <= set(section.shared):
            judged = [(r, k, v) for r in where for k, v in section.verdicts(r, variant).items()]
            right, n = sum(v.kind in wanted for _, _, v in judged), len(judged)
            word = "holds" if right == n else "does not hold" if right == 0 else f"holds in {right} of {n}"
            numbers = "; ".join(f"R = {r}, {ENCODERS[k]} {WORDS[v.kind]}: {_said(v)}" for r, k, v in judged)
            found.append(Finding(text, word, numbers))
    trends = {k: [some[k].trend() for some in section.similarity if k in some] for k in METRICS.values()}
    trends = {k: v for k, v in trends.items() if v}
    if trends and variant == "default":
        rising = {k: sum(t.low > 0 if t.n > 1 else t.mean > 0 for t in v) for k, v in trends.items()}
        everywhere = all(rising[k] == len(v) for k, v in trends.items())
        numbers = "; ".join(
            f"{k}: rank correlation {min(t.mean for t in v):.2f} to {max(t.mean for t in v):.2f}, rises at {rising[k]} of "
            f"{len(v)} R"
            for k, v in trends.items()
        )
        word = "holds" if everywhere else "partly"
        found.append(Finding("All similarity metrics rise with λ at every R", word, numbers))
    return found


def drivers(made: Sequence[Section]) -> list[str]:
    """Say what the changes go with, from the numbers."""
    said = []
    for s in made[:1]:
        first, last, p = s.shared[0], s.shared[-1], s.pid[0]
        largest = max(PARTS, key=lambda k: p[k])
        low, high = s.ceilings[0], s.ceilings[-1]
        said += [
            f"R counts shared features, not redundancy. At R = {first} the largest part of {sum(p[k] for k in PARTS):.2f} bits "
            f"is {LABELS[largest]} ({p[largest]:.2f}); redundancy is {p['redundancy']:.2f} bits, what is unique "
            f"{p['unique1']:.2f} and {p['unique2']:.2f}.",
            f"The best possible accuracy of encoders 1 and 2 changes along the axis, from {_percent(low)} at R = {first} to "
            f"{_percent(high)} at R = {last}: raw accuracies at different R do not compare.",
        ]
    for s in made:
        each = [(i, k) for i in range(len(s.shared)) for k in ENCODERS]
        start = [100 * float(s.fraction(i, k).at(0.0).mean()) for i, k in each]
        gains = [100 * s.verdicts(s.shared[i])[k].gain.mean for i, k in each]
        said.append(
            f"{s.title}: alone, encoders reach {min(start):.1f} to {max(start):.1f} % of the possible; the rest is room for "
            f"alignment to help. At the strength that validation picks, test accuracy changes by {min(gains):+.2f} to "
            f"{max(gains):+.2f} points."
        )
        if len(each) > 4:
            said.append(_losses(s, each))
    return said


def _losses(s: Section, each: Sequence[tuple[int, str]]) -> str:
    """Say what the change at the largest strength goes with."""
    from scipy.stats import spearmanr

    last = s.test[0]["x1"].strengths[-1]
    loss = [100 * float((s.fraction(i, k).at(last) - s.fraction(i, k).at(0.0)).mean()) for i, k in each]
    own = {"x1": "unique1", "x2": "unique2"}
    parts = {
        "redundancy": [s.pid[i]["redundancy"] for i, _ in each],
        "the encoder's unique information": [s.pid[i][own[k]] for i, k in each],
        "synergy": [s.pid[i]["synergy"] for i, _ in each],
    }
    ranks = ", ".join(f"{k} {float(spearmanr(v, loss).statistic):+.2f}" for k, v in parts.items())
    end = ", ".join(
        f"{100 * float(np.mean([s.test[i][k].at(last).mean() for k in ENCODERS])):.1f}" for i in range(len(s.shared))
    )
    common = ", ".join(f"{100 * c:.1f}" for c in s.common)
    there = ", ".join(map(str, s.shared))
    return (
        f"{s.title}: λ = {last:g} changes accuracy by {min(loss):+.1f} to {max(loss):+.1f} % of the possible. Strong alignment "
        f"keeps what the views share: their common bits allow {common} % at R = {there}; encoders reach {end} % (mean of "
        f"both). Over {len(each)} encoders the change has rank correlations with exact bits of: {ranks}. These parts move "
        f"together along this axis, so it cannot tell them apart."
    )


def _percent(found: dict[str, float]) -> str:
    return f"{100 * found['x1']:.1f} and {100 * found['x2']:.1f} %"


def _said(v: Verdict) -> str:
    where = f"{v.gain.points(2)} at λ = {v.best:g}, " if v.best else "best at λ = 0, "
    return f"{where}{v.end.points(2)} at λ = {v.largest:g}"


def _common(r: int, records: Sequence[Record]) -> float:
    """Return the best accuracy that the bits which both encoders see allow."""
    seeds = {(x.settings["features_seed"], x.settings["weights_seed"]) for x in records if "features_seed" in x.settings}
    found = []
    for features, weights in sorted(seeds):
        p = redundancy.Task(r, features_seed=features, weights_seed=weights).conditional
        found.append(p.reshape(2**r, -1, p.shape[1]).mean(axis=1).max(axis=1).mean())
    return float(np.mean(found))
