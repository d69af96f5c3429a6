"""The report of the strategic suite: which of the paper's claims hold here, with numbers, and what drives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuplet.io.files import write_atomic
from tuplet.study.record import Record
from tuplet.suites import strength_figures as figures
from tuplet.suites.strategic_plan import Plan
from tuplet.suites.strategic_reading import ENCODERS, LARGEST, WORDS, Section, claims, drivers, points, sections
from tuplet.suites.strengths import Curve


def write_strategic(records: Sequence[Record], out: Path, *, plan: Plan | None = None) -> Path:
    """Write report.html and table.md."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    plan = plan or Plan()
    made = sections(records, plan=plan)
    shown = [
        {"section": s, "claims": claims(s), "tuned": claims(s, "tuned"), "figures": _figures(s), "table": _table(s)}
        for s in made
    ]
    loader = Environment(loader=PackageLoader("tuplet.study"), autoescape=True, undefined=StrictUndefined)
    titles = [f"R = {r}" for r in made[0].shared] if made else []
    page = loader.get_template("strategic.html").render(
        plan=plan,
        shown=shown,
        summary=_summary(shown),
        drivers=drivers(made),
        parts=figures.parts_bars(made[0].pid, titles=titles) if made else "",
        seeds=len({r.seed for r in records}),
        data_seeds=len({r.seed // plan.trainings for r in records}),
        settings=_settings(records, plan),
        environment=records[0].environment if records else {},
        hours=sum({(r.task, r.seed // plan.trainings): r.seconds for r in records}.values()) / 3600,
    )
    write_atomic(out / "report.html", page.encode())
    write_atomic(out / "table.md", "\n".join(_markdown(part) for part in shown).encode())
    return out / "report.html"


def _summary(shown: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """List every claim with its verdict in each regime, at the learning rate of strength 0 and at each strength's own."""
    found = [{c.claim: c.word for c in part[kind]} for part in shown for kind in ("claims", "tuned")]
    return [(claim, [verdicts.get(claim, "-") for verdicts in found]) for claim in (found[0] if found else ())]


def _figures(s: Section) -> dict[str, str]:
    titles = [f"R = {r}" for r in s.shared]
    strengths = s.test[0]["x1"].strengths

    def named(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{ENCODERS[k]: v for k, v in some.items() if k in ENCODERS} for some in found]

    kept = strengths[1:]
    changes = {
        label: np.array([[100 * float((c[k].at(x) - c[k].at(0.0)).mean()) for x in kept] for c in s.test])
        for k, label in ENCODERS.items()
    }
    share = {label: changes[label] / np.array([[c[k]] for c in s.ceilings]) for k, label in ENCODERS.items()}
    marks = {label: np.array([[c[k].clear(x) != 0 for x in kept] for c in s.test]) for k, label in ENCODERS.items()}
    both = []
    for i in range(len(s.shared)):
        one, two = (s.fraction(i, k) for k in ENCODERS)
        both.append(Curve(one.strengths, (one.values + two.values) / 2, one.blocks))
    drawn = {
        "curves": figures.curves_over_strength(
            named(s.test),
            s.similarity,
            titles=titles,
            tuned=named(s.tuned),
            ceilings=named(s.ceilings),
            chance=s.chance,
            common=s.common,
        ),
        "scatter": figures.similarity_scatter(s.similarity, both, titles=titles),
    }
    if kept:
        drawn["points"] = figures.change_map(changes, rows=titles, strengths=kept, unit="points", marks=marks)
        drawn["share"] = figures.change_map(
            share, rows=titles, strengths=kept, unit="% of the best possible", marks=marks
        )
    return drawn


def _table(s: Section) -> dict[str, Any]:
    """List, per number of shared features and encoder, what strengths do."""
    last = s.test[0]["x1"].strengths[-1]
    head = [
        "R",
        "encoder",
        "best possible",
        "λ = 0",
        "best λ",
        "change there",
        f"change at {LARGEST:g}",
        f"change at {last:g}",
        f"verdict up to {LARGEST:g}",
    ]
    lines = []
    for i, r in enumerate(s.shared):
        for k, v in s.verdicts(r).items():
            start = s.test[i][k].spread(0.0)
            sd = f" ± {100 * start.sd:.1f}" if start.n > 1 else ""
            cells = (
                f"{100 * s.ceilings[i][k]:.1f}",
                f"{100 * start.mean:.1f}{sd}",
                f"{v.best:g}",
                points(v.gain),
                points(v.end),
                points(s.test[i][k].change(last)),
            )
            lines.append([f"R = {r}", ENCODERS[k], *cells, WORDS[v.kind]])
    return {"head": head, "lines": lines}


def _markdown(part: Mapping[str, Any]) -> str:
    table = part["table"]
    lines = [f"**{part['section'].title}** (accuracy %, changes in points with 95 % intervals)\n"]
    lines += [f"| {' | '.join(table['head'])} |", "| --- " * len(table["head"]) + "|"]
    lines += [f"| {' | '.join(line)} |" for line in table["lines"]]
    lines += ["", "| claim | verdict | numbers |", "| --- | --- | --- |"]
    lines += [f"| {c.claim} | {c.word} | {c.summary} |" for c in part["claims"]]
    lines += [f"| {c.claim}, tuned at each λ | {c.word} | {c.summary} |" for c in part["tuned"]]
    return "\n".join(lines) + "\n"


def _settings(records: Sequence[Record], plan: Plan) -> list[str]:
    """Say which learning rates and weight decays were chosen."""
    said = []
    for regime in plan.regimes:
        here = [
            r
            for r in records
            if r.task.startswith(f"{regime.name},") and r.metric == "accuracy/test" and r.detail == "x1"
        ]
        if here:
            frozen = sorted({(r.budget["lr"], r.budget["weight_decay"]) for r in here if r.variant == "default"})
            tuned = sorted({r.budget["lr"] for r in here if r.variant == "tuned"})
            pairs = ", ".join(f"{lr:g} with decay {wd:g}" for lr, wd in frozen)
            rates = ", ".join(f"{lr:g}" for lr in tuned)
            said.append(
                f"{int(here[0].budget['rows']):,} rows: {regime.epochs} epochs, batches of {regime.batch_size}; learning rate "
                f"chosen at λ = 0, by data set: {pairs}; at each λ: {rates}."
            )
    return said
