"""When alignment helps: the synthetic experiments of To Align or Not to Align, strength by amount of shared features.

One cell is one data set (a number of shared features and a data seed): all its strengths, seeds and learning rates are trained
side by side (`tuplet.train._many`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tuplet.data import Source
from tuplet.diagnose.similarity import cka, mutual_knn, svcca
from tuplet.functional._measures import hits
from tuplet.information import discrete
from tuplet.information.pid import PARTS, TERMS
from tuplet.io import parse_state, write_atomic
from tuplet.io.environment import environment
from tuplet.nets import MLP
from tuplet.simulators import redundancy
from tuplet.study._ledger import Ledger, plan_in
from tuplet.study._run import Report, run, silent
from tuplet.study.record import Record
from tuplet.study.suite import TUNING_SEED, Cell
from tuplet.suites.strategic_plan import NAME, PLAN, Plan, Regime
from tuplet.train import TrainConfig
from tuplet.train._many import Many, Member
from tuplet.types import Batch, InputError, in_range

WIDTH = 12
"""Width of the inputs and of every layer of an encoder."""


class DataSet(Cell):
    """All networks of one data set: task is the regime, seed that of the data."""

    @property
    def file(self) -> str:
        """Return the cell's file within a run folder."""
        return f"cells/{self.task}/{self.entry}.{self.variant}.jsonl"

    @property
    def title(self) -> str:
        """Return the cell's name for people."""
        return f"{self.task} rows, R = {(self.settings or {})['shared']}, data seed {self.seed}"


@dataclass(frozen=True)
class Strategic:
    """The study: a cell per data set and regime; ``told`` is where running cells tell how far they are."""

    plan: Plan
    seeds: int
    told: Path | None = None
    name: str = NAME

    @property
    def factory(self) -> str:
        """Return what marks a run folder."""
        return self.plan.factory

    def cells(self, ledger: Ledger) -> list[DataSet]:
        """List the cells."""
        plan = self.plan
        every = product(range(self.seeds), plan.regimes, plan.shared)
        return [DataSet(g.name, f"shared-{r}", f"data-{d}", d, {"shared": r}) for d, g, r in every]

    def run(self, cell: Cell) -> list[Record]:
        """Tune, train and measure all networks of one data set."""
        return run_data_set(self.plan, cell, told=self.told)


def run_strategic(
    out: Path,
    *,
    plan: Plan | None = None,
    seeds: int = 3,
    workers: int | None = None,
    executor: str | None = None,
    report: Report = silent,
) -> list[Record]:
    """Run the cells that are missing."""
    in_range("seeds", seeds, 1)
    if executor:  # the folder of what running cells tell is on this machine only
        return run(Strategic(plan or Plan(), seeds), out, workers=workers, executor=executor, report=report)
    with TemporaryDirectory() as told:
        study = Strategic(plan or Plan(), seeds, Path(told))

        def pulse() -> str:
            return "; ".join(sorted(f.read_text(encoding="utf-8") for f in Path(told).glob("[!.]*")))

        return run(study, out, workers=workers, report=report, pulse=pulse)


def read_strategic(out: Path) -> tuple[Plan, list[Record]]:
    """Read the finished cells of a run folder."""
    ledger = Ledger(out)
    name, factory = ledger.owner()
    if name != NAME:
        raise InputError(f"{out} holds the suite {name!r}, expected {NAME!r}")
    found = parse_state(plan_in(factory), PLAN, where=f"{out}/suite.json: the plan", fix="use another folder")
    regimes = tuple(Regime(**r) for r in found.pop("regimes"))
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    plan = Plan(regimes=regimes, **known)
    records = [r for cell in Strategic(plan, ledger.seeds("data-")).cells(ledger) if ledger.has(cell) for r in ledger.get(cell)]
    if not records:
        raise InputError(f"{out} has nothing finished yet; run `tuplet bench {NAME}` first")
    return plan, records


def run_data_set(plan: Plan, cell: Cell, *, told: Path | None = None) -> list[Record]:
    """Tune, train and measure all networks of one data set in this process."""
    began = time.perf_counter()
    regime, shared = next(g for g in plan.regimes if g.name == cell.task), (cell.settings or {})["shared"]
    data_seed = cell.seed
    seeds = {"features_seed": 1 + 2 * data_seed, "weights_seed": 2 + 2 * data_seed}
    task = redundancy.Task(shared, **seeds)
    source = redundancy.load(shared, rows=plan.rows, **seeds)
    common = Record(NAME, f"{regime.name}, R = {shared}", "task", "default", data_seed * plan.trainings, {}, "", 0.0)
    common = replace(common, data=source.fingerprint, environment=environment(), pool=len(source.test))
    pid = discrete(task.table)
    records = [replace(common, metric=f"pid/{k}", value=float(getattr(pid, k))) for k in (*PARTS, *TERMS, "gap")]
    records += [replace(common, metric="ceiling", detail=k, value=v) for k, v in task.ceilings.items()]

    def say(what: str, epoch: int) -> None:
        if told is not None:
            text = f"{cell.title}: {what}, epoch {epoch} of {regime.epochs}"
            write_atomic(told / f"{regime.name}.{shared}.{data_seed}", text.encode())

    decay, best = _tuned(plan, regime, source, say)
    chosen = [("default", s, best[0.0]) for s in plan.strengths]
    chosen += [("tuned", s, best[s]) for s in plan.strengths if best[s] != best[0.0]]
    runs = [(variant, s, t, lr, decay) for variant, s, lr in chosen for t in range(plan.trainings)]
    trained = _trained(plan, regime, source, [run[1:] for run in runs], partial(say, f"training {len(runs)} networks"))
    say("measuring similarity", regime.epochs)
    parts = {k: source.part(k)[:] for k in ("val", "test")}
    chance = float(parts["test"].target["label"].bincount().max()) / len(source.test)
    spent = {
        "batch_size": regime.batch_size,
        "epochs": regime.epochs,
        "parameters": trained[0][0].size,
        "weight_decay": decay,
        "rows": min(regime.rows or len(source.train), len(source.train)),
    }
    for (variant, strength, t, lr, _), network in zip(runs, trained, strict=True):
        here = replace(
            common,
            entry=f"{strength:g}",
            variant=variant,
            seed=data_seed * plan.trainings + t,
            settings={"regime": regime.name, "strength": strength, "tau": plan.tau, **seeds},
            budget=spent | {"lr": lr},
        )
        mine = [
            replace(here, metric=f"accuracy/{part}", detail=k, value=accuracy, chance=chance)
            for part, rows in parts.items()
            for k, accuracy in _right(*network, rows).items()
        ]
        if variant == "default":
            many, member = network
            h = (many.read(member, k, parts["test"].inputs[k][: plan.similar])[1] for k in member.names)
            mine += _similar(plan, *h, common=here, null=t == 0)
        records += mine
        if variant == "default" and best[strength] == best[0.0]:
            records += [replace(r, variant="tuned") for r in mine if r.metric.startswith("accuracy")]
    seconds = round(time.perf_counter() - began, 1)
    if told is not None:
        (told / f"{regime.name}.{shared}.{data_seed}").unlink(missing_ok=True)
    return [replace(r, seconds=seconds) for r in records]


def encoder(name: str) -> MLP:
    """Make one encoder, as the paper's synthetic experiments have it (appendix 4.1)."""
    return MLP(WIDTH, WIDTH, hidden=WIDTH, layers=3, activation="leaky_relu", norm="none")


def _trained(
    plan: Plan, regime: Regime, source: Source, runs: Sequence[tuple[float, int, float, float]], report: Callable[[int], None]
) -> list[tuple[Many, Member]]:
    """Train networks given by strength, seed, learning rate and weight decay; those of one rate and decay side by side."""
    rows = source.train[slice(0, regime.rows or len(source.train))]
    names, found = tuple(sorted(source.modalities)), dict[tuple[float, float], Many]()
    for lr, decay in dict.fromkeys((lr, decay) for _, _, lr, decay in runs):
        members = [Member(names, s, seed) for s, seed, *way in runs if way == [lr, decay]]
        many = found[lr, decay] = Many(source, members, tau=plan.tau, encoders=encoder, projector="none")
        config = TrainConfig(epochs=regime.epochs, batch_size=regime.batch_size, lr=lr, weight_decay=decay)
        many.fit(rows, config, report)
    return [(found[lr, decay], Member(names, s, seed)) for s, seed, lr, decay in runs]


def _right(many: Many, member: Member, rows: Batch) -> dict[str, float]:
    """Return the accuracy of a network's head per modality."""
    y = rows.target["label"]
    return {k: float(hits(many.read(member, k, rows.inputs[k])[0], y).double().mean()) for k in member.names}


def _tuned(plan: Plan, regime: Regime, source: Source, say: Callable[[str, int], None]) -> tuple[float, dict[float, float]]:
    """Return weight decay, and learning rate per strength, of the best mean validation accuracy; the first of equals."""
    val = source.val[:]

    def scores(tried: list[tuple[float, float, float]]) -> dict[tuple[float, float, float], float]:
        runs = [(s, TUNING_SEED, lr, decay) for s, lr, decay in tried]
        trained = _trained(plan, regime, source, runs, partial(say, f"tuning {len(tried)} networks"))
        found = [sum(right.values()) / len(right) for right in (_right(*network, val) for network in trained)]
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
    found |= {f"knn{k}": mutual_knn(a, b, k=k, queries=plan.queries, shuffles=0) for k in (10, 100) if k < plan.similar}
    records = []
    for name, score in found.items():
        chance = score.chance if score.null is None else score.null.high
        records.append(replace(common, metric=f"similarity/{name}", value=score.value, chance=chance, pool=score.n))
    return records
