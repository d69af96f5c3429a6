"""The report of the strategic suite: which of the paper's claims hold here, with numbers, and what drives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuplet.io import write_atomic
from tuplet.report import Grid, Picture, Text, write_page
from tuplet.report import Section as Shown
from tuplet.study.record import Record
from tuplet.suites import strength_figures as figures
from tuplet.suites.strategic_plan import Plan
from tuplet.suites.strategic_reading import ENCODERS, LARGEST, WORDS, Section, claims, drivers, sections
from tuplet.suites.strengths import Curve

ABOUT = (
    "Two encoders learn the same label from two views, each with its own head; λ times InfoNCE between their "
    "representations is added. Of the eight features behind the label, R are seen by both encoders. This repeats the "
    "synthetic experiments of To Align or Not to Align (Fang, Zhang, Chan), with exact information and best possible "
    "accuracies beside them."
)
INTERVALS = (
    "paired with the run at λ = 0 that shares data, initial weights and batches. Intervals are those of the runs; runs of "
    "one data set are not independent, so a change counts as clear only if its interval leaves 0 out and all data sets "
    "agree on its sign. Strengths are chosen on validation rows, numbers are of test rows."
)
JUDGED = (
    "Judged for λ up to 2, the paper's largest. The learning rate is chosen at λ = 0 and kept, or chosen again at each λ. The "
    "evidence is below, encoder by encoder."
)
EXACT = "Exact decomposition of what the two views say about the label (BROJA), from the generator's table; mean over sets."
CURVES = (
    "Above: test accuracy of each encoder over the strength of alignment, mean and 95 % interval over runs. Solid: learning "
    "rate chosen at λ = 0 and kept; dashed: chosen again at each λ; dotted: the best possible accuracy. Below: similarity "
    "of the two encoders' outputs h on {rows} test rows; chance of mutual-kNN is k / {others}. Inputs are bits, so many "
    "rows tie and neighbours stop changing where rows with the same shared bits lie together."
)
CHANGE = "Change of test accuracy against λ = 0. Blue: better, red: worse; bold: clear. Colours end at 5."
SHARE = "The same as a share of each encoder's best possible accuracy."
SCATTER = (
    "Similarity against accuracy (mean of both encoders), a path over λ per R; rings: λ = 0. Being more similar is not "
    "being better."
)
HOW = (
    "Encoders: three linear layers of width 12, LeakyReLU in between, a linear head on their output; alignment on that "
    "output scaled to unit length, no projector; tau {tau} (the paper states none). {hours:.2f} hours of one core in all, "
    "on a machine that may have been busy."
)


def write_strategic(records: Sequence[Record], out: Path, *, plan: Plan | None = None) -> Path:
    """Write report.html and table.md."""
    plan = plan or Plan()
    made = sections(records, plan=plan)
    judged = [(claims(s), claims(s, "tuned")) for s in made]
    seeds, data = len({r.seed for r in records}), len({r.seed // plan.trainings for r in records})
    hours = sum({(r.task, r.seed // plan.trainings): r.seconds for r in records}.values()) / 3600
    verdicts = [{c.claim: c.word for c in kind} for both in judged for kind in both]
    head = ["claim", *(h for s in made for h in (s.title, "same, tuned at each λ"))]
    summary = Grid(head, [[claim, *(v.get(claim, "-") for v in verdicts)] for claim in (verdicts[0] if verdicts else ())])
    parts = figures.parts_bars(made[0].pid, titles=[f"R = {r}" for r in made[0].shared]) if made else ""
    page = write_page(
        out / "report.html",
        title="strategic: when does alignment help an encoder, and how strong should it be?",
        lead="tuplet bench",
        name="strategic",
        sections=[
            Shown("", [ABOUT, f"{seeds} runs per point ({data} data sets, {plan.trainings} trainings each), {INTERVALS}"]),
            Shown("The paper's claims", [summary, Text(JUDGED)] if summary else []),
            Shown("What drives it", [drivers(made), Picture([parts], EXACT)]),
            *(_shown(s, *both, plan) for s, both in zip(made, judged, strict=True)),
            Shown(
                "How it was run",
                [[*_settings(records, plan), HOW.format(tau=plan.tau, hours=hours)], records[0].environment if records else {}],
            ),
        ],
    )
    text = "\n".join(_markdown(s, *both) for s, both in zip(made, judged, strict=True))
    write_atomic(out / "table.md", text.encode())
    return page


def _shown(s: Section, kept: Sequence[Any], tuned: Sequence[Any], plan: Plan) -> Shown:
    """Show a regime: the claims with their numbers, the figures, the table."""
    said = {f"{c.claim}: {c.word}": [c.summary] for c in kept}
    said |= {f"{c.claim}, learning rate tuned at each λ: {c.word}": [c.summary] for c in tuned}
    note = "Accuracy in %, mean ± standard deviation; changes in points with their intervals."
    captions = (CURVES.format(rows=plan.similar, others=plan.similar - 1), CHANGE, SHARE, SCATTER)
    drawn = (Picture([f], caption) for f, caption in zip(_figures(s), captions, strict=True))
    return Shown(s.title, [said, *drawn, _table(s), Text(note)])


def _figures(s: Section) -> list[str]:
    """Draw curves, changes in points, changes as a share of the possible, and similarity against accuracy."""
    titles = [f"R = {r}" for r in s.shared]
    kept = s.test[0]["x1"].strengths[1:]

    def named(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{ENCODERS[k]: v for k, v in some.items() if k in ENCODERS} for some in found]

    both = []
    for i in range(len(s.shared)):
        one, two = (s.fraction(i, k) for k in ENCODERS)
        both.append(Curve(one.strengths, (one.values + two.values) / 2, one.blocks))
    curves = figures.curves_over_strength(
        named(s.test),
        s.similarity,
        titles=titles,
        tuned=named(s.tuned),
        ceilings=named(s.ceilings),
        chance=s.chance,
        common=s.common,
    )
    scatter = figures.similarity_scatter(s.similarity, both, titles=titles)
    if not kept:
        return [curves, "", "", scatter]
    changes = {
        label: np.array([[100 * float((c[k].at(x) - c[k].at(0.0)).mean()) for x in kept] for c in s.test])
        for k, label in ENCODERS.items()
    }
    share = {label: changes[label] / np.array([[c[k]] for c in s.ceilings]) for k, label in ENCODERS.items()}
    marks = {label: np.array([[c[k].clear(x) != 0 for x in kept] for c in s.test]) for k, label in ENCODERS.items()}
    maps = [
        figures.change_map(values, rows=titles, strengths=kept, unit=unit, marks=marks)
        for values, unit in ((changes, "points"), (share, "% of the best possible"))
    ]
    return [curves, *maps, scatter]


def _table(s: Section) -> Grid:
    """List, per number of shared features and encoder, what strengths do."""
    last = s.test[0]["x1"].strengths[-1]
    head = ["R", "encoder", "best possible", "λ = 0", "best λ", "change there"]
    head += [f"change at {LARGEST:g}", f"change at {last:g}", f"verdict up to {LARGEST:g}"]
    lines = []
    for i, r in enumerate(s.shared):
        for k, v in s.verdicts(r).items():
            start = s.test[i][k].spread(0.0)
            sd = f" ± {100 * start.sd:.1f}" if start.n > 1 else ""
            cells = [f"{100 * s.ceilings[i][k]:.1f}", f"{100 * start.mean:.1f}{sd}", f"{v.best:g}"]
            cells += [d.points(2) for d in (v.gain, v.end, s.test[i][k].change(last))]
            lines.append([f"R = {r}", ENCODERS[k], *cells, WORDS[v.kind]])
    return Grid(head, lines, words=2)


def _markdown(s: Section, kept: Sequence[Any], tuned: Sequence[Any]) -> str:
    lines = [[c.claim, c.word, c.summary] for c in kept]
    lines += [[f"{c.claim}, tuned at each λ", c.word, c.summary] for c in tuned]
    title = f"**{s.title}** (accuracy %, changes in points with 95 % intervals)"
    return _table(s).markdown(title) + "\n" + Grid(["claim", "verdict", "numbers"], lines, words=3).markdown()


def _settings(records: Sequence[Record], plan: Plan) -> list[str]:
    """Say which learning rates and weight decays were chosen."""
    said = []
    for regime in plan.regimes:
        mine = [r for r in records if r.task.startswith(f"{regime.name},")]
        here = [r for r in mine if (r.metric, r.detail) == ("accuracy/test", "x1")]
        if here:
            frozen = sorted({(r.budget["lr"], r.budget["weight_decay"]) for r in here if r.variant == "default"})
            tuned = sorted({r.budget["lr"] for r in here if r.variant == "tuned"})
            pairs = ", ".join(f"{lr:g} with decay {wd:g}" for lr, wd in frozen)
            said.append(
                f"{int(here[0].budget['rows']):,} rows: {regime.epochs} epochs, batches of {regime.batch_size}; learning rate "
                f"chosen at λ = 0, by data set: {pairs}; at each λ: {', '.join(f'{lr:g}' for lr in tuned)}."
            )
    return said
