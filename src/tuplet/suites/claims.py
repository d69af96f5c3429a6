"""The claims of OVA-IB and UniOMA, judged on a run of their suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tuplet.evaluate._paired import told_apart
from tuplet.study._columns import Column
from tuplet.study._stats import average_ranks, compare, spread
from tuplet.study._tables import number
from tuplet.study.record import Finding, Record, grouped
from tuplet.study.suite import Suite, Task
from tuplet.suites.downstream import PAIR

COMPARED = ("pairwise", "bottleneck", "symile", "gram", "one_vs_all")
"""OVA-IB's rows that every number of modalities has."""
SCARCE = ("vision", "image")
"""What cameras are called: unequal sampling thins them out."""
USEFUL = {"accuracy": True, "mse": False}
"""Measure -> whether higher is better."""


class Run:
    """The untuned cells of a run, looked up by what they measure."""

    def __init__(self, suite: Suite, records: Sequence[Record]) -> None:
        self.suite = suite
        self.found = grouped(((r.task, r.entry, r.metric, r.detail), r) for r in records if r.variant == "default")

    def of(self, task: Task, entry: str, metric: str, detail: str = "") -> list[Record]:
        """List the records of one number, one per seed."""
        return self.found.get((task.name, entry, metric, detail), [])

    def mean(self, task: Task, entry: str, metric: str, detail: str = "") -> float | None:
        """Return the mean over seeds, or None where it was not measured."""
        records = self.of(task, entry, metric, detail)
        return float(np.mean([r.value for r in records])) if records else None

    def text(self, task: Task, entry: str, column: Column) -> str:
        """Print a cell of the tables."""
        return number(spread([r.value for r in self.of(task, entry, column.metric, column.detail)]), column)

    def headlines(self) -> Iterator[tuple[Task, Column]]:
        """Go through the columns of the table over all tasks."""
        for task in self.suite.tasks:
            yield from ((task, c) for c in task.columns if c.headline)

    def subsets(self, task: Task) -> Iterator[tuple[str, str, bool]]:
        """Go through metric, subset and whether higher is better, of all proper subsets of the modalities."""
        whole = "+".join(sorted(task.modalities))
        for column in task.columns:
            if column.ranked and column.metric.startswith("predict/"):
                there = {d for t, _, m, d in self.found if (t, m) == (task.name, column.metric)}
                for detail in sorted(there - {whole, "no input"}):
                    if not detail.startswith("best single"):
                        yield column.metric, detail, column.higher


@dataclass(frozen=True, slots=True)
class Comparison:
    """One entry against another over the headline columns."""

    better: int
    clear: int
    clearly_worse: int
    columns: int
    cells: tuple[str, ...]


def against(run: Run, entry: str, other: str) -> Comparison | None:
    """Compare two entries over the headline columns."""
    better = clear = worse = 0
    cells = []
    for task, column in run.headlines():
        sides = [run.of(task, k, column.metric, column.detail) for k in (entry, other)]
        d = compare(*sides)
        if d is None:
            continue
        gain = d.mean if column.higher else -d.mean
        better += gain > 0
        sign = told_apart(d, higher=column.higher)
        clear += sign > 0
        worse += sign < 0
        cells.append(f"{column.headline} {run.text(task, entry, column)} against {run.text(task, other, column)}")
    return Comparison(better, clear, worse, len(cells), tuple(cells)) if cells else None


def counted(claim: str, found: Comparison | None, *, share: float) -> list[Finding]:
    """Judge a claim of being better on most columns."""
    if found is None:
        return []
    part = found.better / found.columns
    counts = (
        f"better in {found.better} of {found.columns} columns, clearly in {found.clear}, clearly worse in {found.clearly_worse}"
    )
    return [Finding(claim, _word(part >= share, part > 0.5), counts, found.cells)]


def _word(seen: bool, partly: bool) -> str:
    return "seen" if seen else "partly seen" if partly else "not seen"


def mean_ranks(run: Run, entries: Sequence[str]) -> tuple[dict[str, float], dict[str, int], int]:
    """Rank entries over all proper subsets of the modalities of all tasks."""
    columns, directions = [], []
    for task in run.suite.tasks:
        for metric, detail, higher in run.subsets(task):
            values = {k: v for k in entries if (v := run.mean(task, k, metric, detail)) is not None}
            if len(values) == len(entries):
                columns.append(values)
                directions.append(higher)
    tops = [max(v.values()) if up else min(v.values()) for v, up in zip(columns, directions, strict=True)]
    best = {k: sum(v[k] == top for v, top in zip(columns, tops, strict=True)) for k in entries}
    return average_ranks(columns, directions), best, len(columns)


def ova_ib_claims(suite: Suite, records: Sequence[Record]) -> list[Finding]:
    """Judge OVA-IB: gain over modalities, minimality, span, retrieval, subsets."""
    run = Run(suite, records)
    free, learned = (against(run, "one_vs_all", other) for other in ("one_vs_all_beta_0", "one_vs_all_mlp"))
    return [
        *_over_modalities(run),
        *counted("Minimality helps on 7 of 8 tasks", free, share=7 / 8),
        *counted("The closed-form span is better than a learned MLP", learned, share=7 / 8),
        *_retrieval(run),
        *_subsets(run),
    ]


def uni_oma_claims(suite: Suite, records: Sequence[Record]) -> list[Finding]:
    """Judge UniOMA: structure gain per base objective, what the weights mean, unequal sampling."""
    run = Run(suite, records)
    found = []
    for entry in run.suite.entries:
        if any(e.name == f"{entry.name}_gw" for e in run.suite.entries):
            found += counted(
                f"The structure term improves {entry.label}", against(run, f"{entry.name}_gw", entry.name), share=1.0
            )
    return [*found, *_usefulness(run), *_unequal(run)]


def _over_modalities(run: Run) -> list[Finding]:
    gains, parts, clear = [], [], False
    for task in sorted(run.suite.tasks, key=lambda t: len(t.modalities)):
        column = next((c for c in task.columns if c.metric == f"predict/{PAIR}/accuracy"), None)
        if column is None:
            continue
        sides = [run.of(task, k, column.metric, column.detail) for k in ("one_vs_all", "pairwise")]
        if d := compare(*sides):
            gains.append(d.mean)
            clear = told_apart(d) > 0  # of the largest M, the last one
            parts.append(
                f"M = {len(task.modalities)}: {run.text(task, 'one_vs_all', column)} against "
                f"{run.text(task, 'pairwise', column)}, difference {100 * d.mean:.1f} [{100 * d.low:.1f}, {100 * d.high:.1f}]"
            )
    if len(gains) < 2:
        return []
    grows = all(a < b for a, b in pairwise(gains))
    word = _word(grows and clear, grows and gains[-1] > 0)
    return [Finding("The gain over Pairwise CLIP grows with M", word, "same trajectory or not, %", tuple(parts))]


def _retrieval(run: Run) -> list[Finding]:
    first, parts = [], []
    for task, column in run.headlines():
        if column.metric.startswith("retrieval/own/"):
            entries = [e for e in run.suite.of(task) if e.aligned]
            means = {e.name: m for e in entries if (m := run.mean(task, e.name, column.metric, column.detail))}
            if "one_vs_all" in means and len(means) > 1:
                order = sorted(means, key=lambda k: -means[k])
                first.append(means["one_vs_all"] == means[order[0]])
                labels = {e.name: e.label for e in entries}
                listed = ", ".join(f"{labels[k]} {run.text(task, k, column)}" for k in order)
                parts.append(f"{column.headline}: {listed}")
    if not first:
        return []
    word = _word(all(first), any(first))
    return [Finding("By its own score OVA-IB retrieves best", word, "mean average precision, %", tuple(parts))]


def _subsets(run: Run) -> list[Finding]:
    ranks, best, count = mean_ranks(run, COMPARED)
    if not count:
        return []
    labels = {e.name: e.label for e in run.suite.entries}
    place = list(ranks).index("one_vs_all")
    listed = tuple(f"{labels[k]} {ranks[k]:.2f}, best in {best[k]}" for k in ranks)
    summary = f"mean rank of {len(COMPARED)} over {count} targets and subsets without some modality"
    claim = "Highest or near-highest whichever modalities are there"
    return [Finding(claim, _word(place == 0, place == 1), summary, listed)]


def _weights(run: Run, task: Task) -> dict[str, list[float]]:
    """Collect the learned weights of a task over rows and seeds."""
    here = (r for (name, *_), records in run.found.items() if name == task.name for r in records)
    found = grouped((r.metric.removeprefix("weight/"), r.value) for r in here if r.metric.startswith("weight/"))
    return dict(sorted(found.items()))


def _usefulness(run: Run) -> list[Finding]:
    """Ask whether the modality with the largest weight is the one that predicts best alone."""
    agree, parts = [], []
    rows = [e.name for e in run.suite.entries if e.name.endswith("_gw")]
    for task in run.suite.tasks:
        weights = _weights(run, task)
        for column in task.columns:
            kind = column.metric.split("/")[-1]
            if not (weights and column.metric.startswith("predict/") and kind in USEFUL):
                continue
            alone = {k: [m for e in rows if (m := run.mean(task, e, column.metric, k)) is not None] for k in weights}
            if not all(alone.values()):
                continue
            values = {k: float(np.mean(v)) for k, v in alone.items()}
            best = max(values, key=lambda k, v=values, up=USEFUL[kind]: v[k] if up else -v[k])  # type: ignore[misc]
            heaviest = max(weights, key=lambda k: float(np.mean(weights[k])))
            agree.append(best == heaviest)
            shares = ", ".join(f"{k} {_spread(v)}" for k, v in weights.items())
            parts.append(f"{task.name} {column.label}: {shares}; best alone {best} ({column.text(values[best])})")
    if not agree:
        return []
    part = sum(agree) / len(agree)
    summary = f"the heaviest modality predicts best alone in {sum(agree)} of {len(agree)} targets"
    return [Finding("lambda says which modality matters", _word(part == 1, part > 0.5), summary, tuple(parts))]


def _unequal(run: Run) -> list[Finding]:
    """Ask whether weight moves away from the modality that is sampled less."""
    found = []
    for task in run.suite.tasks:
        whole = next((t for t in run.suite.tasks if task.name == f"{t.name}, unequal"), None)
        before, after = (_weights(run, t) if t else {} for t in (whole, task))
        if whole is None or not before or not after:
            continue
        scarce = next(k for k in after if k in SCARCE)
        drop = float(np.mean(before[scarce]) - np.mean(after[scarce]))
        word = _word(bool(drop > np.std(before[scarce]) + np.std(after[scarce])), False)
        shares = tuple(f"{k} {_spread(before[k])} -> {_spread(after[k])}" for k in after)
        summary = f"{whole.name}, {scarce} in all and in a quarter of the training rows"
        found.append(Finding("Under unequal sampling weight moves to the intact modalities", word, summary, shares))
    return found


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"
