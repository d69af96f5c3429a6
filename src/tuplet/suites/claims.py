"""The claims of OVA-IB and UniOMA, judged on a run of their suites."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tuplet.evaluate._paired import told_apart
from tuplet.study._stats import compare
from tuplet.study._verdicts import Run, Verdict, Word, against, counted, mean_ranks
from tuplet.study.suite import Task
from tuplet.suites.downstream import PAIR

COMPARED = ("pairwise", "bottleneck", "symile", "gram", "one_vs_all")
"""OVA-IB's rows that every number of modalities has."""
SCARCE = ("vision", "image")
"""What cameras are called: unequal sampling thins them out."""
USEFUL = {"accuracy": True, "mse": False}
"""Measure -> whether higher is better."""


def ova_ib_claims(run: Run) -> list[Verdict]:
    """Judge OVA-IB: gain over modalities, minimality, span, retrieval, subsets."""
    return [
        *_over_modalities(run),
        *counted("Minimality helps on 7 of 8 tasks", against(run, "one_vs_all", "one_vs_all_beta_0"), share=7 / 8),
        *counted(
            "The closed-form span is better than a learned MLP",
            against(run, "one_vs_all", "one_vs_all_mlp"),
            share=7 / 8,
        ),
        *_retrieval(run),
        *_subsets(run),
    ]


def uni_oma_claims(run: Run) -> list[Verdict]:
    """Judge UniOMA: structure gain per base objective, what the weights mean, unequal sampling."""
    found = []
    for entry in run.suite.entries:
        if any(e.name == f"{entry.name}_gw" for e in run.suite.entries):
            found += counted(
                f"The structure term improves {entry.label}", against(run, f"{entry.name}_gw", entry.name), share=1.0
            )
    return [*found, *_usefulness(run), *_unequal(run)]


def _over_modalities(run: Run) -> list[Verdict]:
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
    word: Word = "seen" if grows and clear else "partly seen" if grows and gains[-1] > 0 else "not seen"
    return [Verdict("The gain over Pairwise CLIP grows with M", word, "same trajectory or not, %", tuple(parts))]


def _retrieval(run: Run) -> list[Verdict]:
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
    word: Word = "seen" if all(first) else "partly seen" if any(first) else "not seen"
    return [Verdict("By its own score OVA-IB retrieves best", word, "mean average precision, %", tuple(parts))]


def _subsets(run: Run) -> list[Verdict]:
    ranks, best, count = mean_ranks(run, COMPARED)
    if not count:
        return []
    labels = {e.name: e.label for e in run.suite.entries}
    place = list(ranks).index("one_vs_all")
    word: Word = "seen" if place == 0 else "partly seen" if place == 1 else "not seen"
    listed = (f"{labels[k]} {ranks[k]:.2f}, best in {best[k]}" for k in ranks)
    return [
        Verdict(
            "Highest or near-highest whichever modalities are there",
            word,
            f"mean rank of {len(COMPARED)} over {count} targets and subsets without some modality",
            tuple(listed),
        )
    ]


def _weights(run: Run, task: Task) -> dict[str, list[float]]:
    """Collect the learned weights of a task over rows and seeds."""
    found: dict[str, list[float]] = {}
    for (name, _, metric, _), records in run.found.items():
        if name == task.name and metric.startswith("weight/"):
            found.setdefault(metric.removeprefix("weight/"), []).extend(r.value for r in records)
    return dict(sorted(found.items()))


def _usefulness(run: Run) -> list[Verdict]:
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
    word: Word = "seen" if part == 1 else "partly seen" if part > 0.5 else "not seen"
    return [
        Verdict(
            "lambda says which modality matters",
            word,
            f"the heaviest modality predicts best alone in {sum(agree)} of {len(agree)} targets",
            tuple(parts),
        )
    ]


def _unequal(run: Run) -> list[Verdict]:
    """Ask whether weight moves away from the modality that is sampled less."""
    found = []
    for task in run.suite.tasks:
        whole = next((t for t in run.suite.tasks if task.name == f"{t.name}, unequal"), None)
        before, after = (_weights(run, t) if t else {} for t in (whole, task))
        if whole is None or not before or not after:
            continue
        scarce = next(k for k in after if k in SCARCE)
        drop = float(np.mean(before[scarce]) - np.mean(after[scarce]))
        word: Word = "seen" if drop > np.std(before[scarce]) + np.std(after[scarce]) else "not seen"
        shares = tuple(f"{k} {_spread(before[k])} -> {_spread(after[k])}" for k in after)
        found.append(
            Verdict(
                "Under unequal sampling weight moves to the intact modalities",
                word,
                f"{whole.name}, {scarce} in all and in a quarter of the training rows",
                shares,
            )
        )
    return found


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"
