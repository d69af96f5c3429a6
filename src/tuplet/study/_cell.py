"""Run one cell: build, train, evaluate."""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from tuplet.data import Source
from tuplet.evaluate import Result, embed, linear_baseline, linear_probe, mean_cosine
from tuplet.evaluate.evaluation import retrieval_results
from tuplet.evaluate.subset import joined
from tuplet.io.environment import environment
from tuplet.model import AlignmentModel
from tuplet.study.record import Record
from tuplet.study.suite import TUNING_SEED, Cell, Entry, Suite, Task
from tuplet.train import TrainConfig, fit
from tuplet.types import Embeddings, InputError, Loss

CRITERION = "tuning/score"
"""Metric by which a trial is chosen."""
VALIDATION = "tuning/mAP"
"""Metric of a trial: the better of its mean average precisions on validation rows, by its own score and by cosine."""


def run_cell(suite: Suite, cell: Cell) -> list[Record]:
    """Train and evaluate one cell in this process."""
    task = next(t for t in suite.tasks if t.name == cell.task)
    entry = next(e for e in suite.entries if e.name == cell.entry)
    source = _loaded(task.load, task.modalities).redrawn(cell.seed)  # what is hidden is part of the spread
    began = time.perf_counter()
    results, budget = _results(task, entry, source, cell)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    common = Record(
        suite=suite.name,
        task=cell.task,
        entry=cell.entry,
        variant=cell.variant,
        seed=cell.seed,
        settings=cell.settings or {},
        metric="",
        value=0.0,
        budget=budget,
        data=source.whole.fingerprint,
        environment=environment(),
        seconds=round(time.perf_counter() - began, 3),
        memory=round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1),
    )
    names = ("metric", "value", "detail", "higher", "chance", "pool", "items")
    return [replace(common, **{name: getattr(r, name) for name in names}) for r in results]


@cache
def _loaded(load: Callable[[], Source], modalities: tuple[str, ...]) -> Source:
    """Load the data of a task once per process."""
    return load().select(modalities)


def _results(task: Task, entry: Entry, source: Source, cell: Cell) -> tuple[list[Result], dict[str, float]]:
    if entry.kind == "linear":  # fitted to the rows that the others are trained on
        model = linear_baseline(source, dim=task.budget.dim)
        return task.protocol.measure(model, None, source.whole, task, cell.seed), {}
    if entry.kind not in ("trained", "random"):
        torch.manual_seed(cell.seed)
        return task.protocol.reference(entry.kind, source.whole, task, cell.seed), {}
    budget = task.budget
    torch.manual_seed(cell.seed)
    model = task.protocol.build(source, budget)
    if budget.start == "gcca":
        model = model.started(source, dim=budget.dim)
    size = sum(p.numel() for p in model.parameters())
    if entry.make is None:
        return task.protocol.measure(model, None, source.whole, task, cell.seed), {"parameters": size}
    objective = entry.make(cell.settings or {}, task)
    given: Any = {k: getattr(budget, k) for k in ("epochs", "batch_size", "lr", "optimizer", "keep")}
    config = TrainConfig(**given, seed=cell.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the gradient of")  # a comparison shows what comes of it
        seen = source.ungrouped() if task.negatives == "all" else source
        run = fit(model, objective, train=seen.train, val=seen.val, config=config)
    if run.stopped:
        raise KeyboardInterrupt
    spent = {
        "parameters": size,
        "batch_size": budget.batch_size,
        "steps": run.steps,
        "lr": budget.lr,
        "started": float(budget.start != "random"),
        "trials": len(entry.trials),
    }
    if cell.seed == TUNING_SEED:
        return _validated(model, objective, source, task.target), spent
    curves = [
        Result(f"training/{k}", run.history[-1][k], items=tuple(h[k] for h in run.history), higher=False)
        for k in ("loss", "val")
        if k in run.history[-1]
    ]
    return [*task.protocol.measure(model, objective, source.whole, task, cell.seed), *curves], spent


def _validated(model: AlignmentModel, objective: Callable[[Embeddings], Loss], source: Source, target: str) -> list[Result]:
    """Score a trial on validation rows, and keep how well it retrieves."""
    seen = source.labelled(target)
    train, val = embed(model, seen.train), embed(model, seen.val)
    names = list(train.modalities)
    probed = []
    if target:
        probe = linear_probe((joined(train.h, names), train.target[target]), (joined(val.h, names), val.target[target]))
        probed = [probe.value if probe.metric == "accuracy" else max(1 - probe.value / max(probe.chance, 1e-12), 0.0)]
    scores = {"own": getattr(objective, "score", None) or mean_cosine, "cosine": mean_cosine}
    found = [r for r in retrieval_results(val, scores) if r.metric.endswith("/mAP") and r.detail == "mean"]
    if not probed and not found:
        raise InputError("validation rows never have two modalities at once; give more rows that do")
    score = Result(CRITERION, float(np.mean([*probed, *(r.value for r in found)])))
    best = max(found, key=lambda r: r.value, default=None)
    return [score, *([Result(VALIDATION, best.value, chance=best.chance, pool=best.pool)] if best else [])]
