"""When alignment helps: the synthetic experiments of To Align or Not to Align, strength by amount of shared features.

One cell is one data set (a number of shared features and a data seed): all its strengths, seeds and learning rates are trained
side by side (`tuplet.train._many`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlencode

import torch

from tuplet.data import Source
from tuplet.diagnose.similarity import cka, mutual_knn, svcca
from tuplet.information import discrete
from tuplet.information.pid import PARTS, TERMS
from tuplet.io import AnyOf, Between, locked, parse_state, write_atomic
from tuplet.processes import Workers
from tuplet.simulators import redundancy
from tuplet.study._ledger import claim, read_marker
from tuplet.study.record import Record, environment, read_cell, write_cell
from tuplet.study.suite import TUNING_SEED
from tuplet.train import TrainConfig
from tuplet.train._many import Member, Stack
from tuplet.types import InputError

NAME = "strategic"
SECONDS = 2.0
"""Between looks at what the running cells have told."""
METRICS = {"cka": "CKA", "svcca": "SVCCA", "knn10": "mutual-kNN, k = 10", "knn100": "mutual-kNN, k = 100"}
"""Similarity -> its label."""


@dataclass(frozen=True)
class Regime:
    """How much there is to learn from, and how long."""

    name: str
    rows: int | None
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Plan:
    """What the suite runs."""

    shared: tuple[int, ...] = (0, 2, 4, 6, 8)
    regimes: tuple[Regime, ...] = (Regime("all", None, 10, 512), Regime("few", 1024, 100, 256))
    strengths: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0)
    lrs: tuple[float, ...] = (1e-3, 5e-3, 1e-2, 5e-2)
    decays: tuple[float, ...] = (0.0, 0.1)
    trainings: int = 5
    rows: int = redundancy.ROWS
    similar: int = 4096
    queries: int = 512
    tau: float = 0.07

    @property
    def factory(self) -> str:
        """Return what marks a run folder; other settings need another folder."""
        return "strategic?" + urlencode({"plan": json.dumps(asdict(self))})


_COUNT = Between(int, 1, 10**9)
PLAN = {
    "shared": [Between(int, 0, 10**3)],
    "regimes": [
        {"name": str, "rows": AnyOf(None, _COUNT), "epochs": _COUNT, "batch_size": _COUNT},
    ],
    "strengths": [Between(float, 0)],
    "lrs": [Between(float, 0)],
    "decays": [Between(float, 0)],
    "trainings": _COUNT,
    "rows": _COUNT,
    "similar": _COUNT,
    "queries": _COUNT,
    "tau": Between(float, 0),
}
"""A `Plan` in the marker of a run folder."""


def run_strategic(
    out: Path,
    *,
    plan: Plan | None = None,
    seeds: int = 3,
    workers: int | None = None,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> list[Record]:
    """Run the cells that are missing."""
    plan = plan or Plan()
    if seeds < 1:
        raise InputError(f"seeds is {seeds}, expected 1 or more")
    with locked(out):
        claim(out, NAME, plan.factory)
        files = {
            (g, r, d): out / "cells" / g.name / f"shared-{r}.data-{d}.jsonl"
            for d in range(seeds)
            for g in plan.regimes
            for r in plan.shared
        }
        todo = [key for key, file in files.items() if not file.exists()]
        done = len(files) - len(todo)
        if done:
            report(done, len(files), "kept from before")
        workers = max(1, min(workers or os.cpu_count() or 1, len(todo)))
        with TemporaryDirectory() as told, Workers(workers) as pool:
            running = {pool.submit(run_data_set, plan, *key, told=Path(told)): key for key in todo}
            while running:
                finished = wait(running, timeout=SECONDS, return_when=FIRST_COMPLETED).done
                for job in finished:
                    regime, r, d = running.pop(job)
                    write_cell(files[regime, r, d], job.result())
                    done += 1
                    (Path(told) / f"{regime.name}.{r}.{d}").unlink(missing_ok=True)
                    report(done, len(files), f"{_name(regime, r, d)} done")
                if not finished:
                    report(
                        done,
                        len(files),
                        "; ".join(sorted(f.read_text(encoding="utf-8") for f in Path(told).glob("[!.]*"))),
                    )
        return [record for file in files.values() for record in read_cell(file)]


def read_strategic(out: Path) -> tuple[Plan, list[Record]]:
    """Read the finished cells of a run folder."""
    name, factory = read_marker(out)
    if name != NAME:
        raise InputError(f"{out} holds the suite {name!r}, expected {NAME!r}")
    text = dict(parse_qsl(factory.partition("?")[2])).get("plan", "")
    found = parse_state(text, PLAN, where=f"{out}/suite.json: the plan", fix="use another folder")
    regimes = tuple(Regime(**r) for r in found.pop("regimes"))
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    plan = Plan(regimes=regimes, **known)
    files = [
        out / "cells" / g.name / f"shared-{r}.data-{d}.jsonl" for g in regimes for r in plan.shared for d in range(99)
    ]
    records = [r for file in files if file.exists() for r in read_cell(file)]
    if not records:
        raise InputError(f"{out} has nothing finished yet; run `tuplet bench {NAME}` first")
    return plan, records


def run_data_set(plan: Plan, regime: Regime, shared: int, data_seed: int, *, told: Path | None = None) -> list[Record]:
    """Tune, train and measure all networks of one data set in this process."""
    began = time.perf_counter()
    seeds = {"features_seed": 1 + 2 * data_seed, "weights_seed": 2 + 2 * data_seed}
    task = redundancy.Task(shared, **seeds)
    source = redundancy.load(shared, rows=plan.rows, **seeds)
    config = TrainConfig(epochs=regime.epochs, batch_size=regime.batch_size)
    common = Record(NAME, f"{regime.name}, R = {shared}", "task", "default", data_seed * plan.trainings, {}, "", 0.0)
    common = replace(common, data=source.fingerprint, environment=environment(), pool=len(source.test))
    pid = discrete(task.table)
    records = [replace(common, metric=f"pid/{k}", value=float(getattr(pid, k))) for k in (*PARTS, *TERMS, "gap")]
    records += [replace(common, metric="ceiling", detail=k, value=v) for k, v in task.ceilings.items()]

    def say(what: str, epoch: int) -> None:
        if told is not None:
            text = f"{_name(regime, shared, data_seed)}: {what}, epoch {epoch} of {regime.epochs}"
            write_atomic(told / f"{regime.name}.{shared}.{data_seed}", text.encode())

    decay, best = _tuned(plan, regime, source, config, say)
    chosen = [("default", s, best[0.0]) for s in plan.strengths]
    chosen += [("tuned", s, best[s]) for s in plan.strengths if best[s] != best[0.0]]
    runs = [(variant, s, lr, t) for variant, s, lr in chosen for t in range(plan.trainings)]
    stack = Stack(source, [Member(s, t, lr, decay) for _, s, lr, t in runs], tau=plan.tau, rows=regime.rows)
    stack.fit(config, partial(say, f"training {len(runs)} networks"))
    say("measuring similarity", regime.epochs)
    parts = {k: getattr(source, k)[slice(0, len(getattr(source, k)))] for k in ("val", "test")}
    right = {k: stack.correct(rows.inputs, rows.target["label"]) for k, rows in parts.items()}
    chance = float(parts["test"].target["label"].bincount().max()) / len(source.test)
    h = stack.represent({k: v[: plan.similar] for k, v in parts["test"].inputs.items()})
    spent = {
        "batch_size": regime.batch_size,
        "epochs": regime.epochs,
        "parameters": stack.weights.shape[1],
        "weight_decay": decay,
        "rows": len(stack.train),
    }
    for i, (variant, strength, lr, t) in enumerate(runs):
        here = replace(
            common,
            entry=f"{strength:g}",
            variant=variant,
            seed=data_seed * plan.trainings + t,
            settings={"regime": regime.name, "strength": strength, "tau": plan.tau, **seeds},
            budget=spent | {"lr": lr},
        )
        mine = [
            replace(here, metric=f"accuracy/{part}", detail=k, value=float(v[i]), chance=chance)
            for part, found in right.items()
            for k, v in found.items()
        ]
        if variant == "default":
            mine += _similar(plan, *(h[k][i] for k in stack.names), common=here, null=t == 0)
        records += mine
        if variant == "default" and best[strength] == best[0.0]:
            records += [replace(r, variant="tuned") for r in mine if r.metric.startswith("accuracy")]
    seconds = round(time.perf_counter() - began, 1)
    return [replace(r, seconds=seconds) for r in records]


def _name(regime: Regime, shared: int, data_seed: int) -> str:
    return f"{regime.name} rows, R = {shared}, data seed {data_seed}"


def _tuned(
    plan: Plan, regime: Regime, source: Source, config: TrainConfig, say: Callable[[str, int], None]
) -> tuple[float, dict[float, float]]:
    """Return weight decay, and learning rate per strength, of the best mean validation accuracy; the first of equals."""
    val = source.val[slice(0, len(source.val))]

    def scores(tried: list[tuple[float, float, float]]) -> dict[tuple[float, float, float], float]:
        members = [Member(s, TUNING_SEED, lr, decay) for s, lr, decay in tried]
        stack = Stack(source, members, tau=plan.tau, rows=regime.rows)
        stack.fit(config, partial(say, f"tuning {len(tried)} networks"))
        found = torch.stack(list(stack.correct(val.inputs, val.target["label"]).values())).mean(dim=0).tolist()
        return dict(zip(tried, found, strict=True))

    alone = scores([(0.0, lr, decay) for decay in plan.decays for lr in plan.lrs])
    _, first, decay = max(alone, key=lambda key: alone[key])
    aligned = [(s, lr, decay) for s in plan.strengths if s for lr in plan.lrs]
    found = scores(aligned) if aligned else {}
    best = {s: max(plan.lrs, key=lambda lr, s=s: found[s, lr, decay]) for s in plan.strengths if s}  # type: ignore[misc]
    return decay, {0.0: first} | best


def _similar(plan: Plan, a: torch.Tensor, b: torch.Tensor, *, common: Record, null: bool) -> list[Record]:
    shuffles = 20 if null else 0
    found = {"cka": cka(a, b, shuffles=shuffles), "svcca": svcca(a, b, shuffles=shuffles)}
    found |= {f"knn{k}": mutual_knn(a, b, k=k, queries=plan.queries, shuffles=0) for k in _sizes(plan)}
    records = []
    for name, score in found.items():
        chance = score.chance if score.null is None else score.null.high
        records.append(replace(common, metric=f"similarity/{name}", value=score.value, chance=chance, pool=score.n))
    return records


def _sizes(plan: Plan) -> Sequence[int]:
    return [k for k in (10, 100) if k < plan.similar]
