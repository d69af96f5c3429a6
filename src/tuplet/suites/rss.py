"""Robustness, synergy and stability of touch models: TLV-CoRe and its baselines on one base, every cell one training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuplet.io import parse_state
from tuplet.io.environment import environment
from tuplet.study._ledger import Ledger, plan_in
from tuplet.study._run import Report, run, silent
from tuplet.study.record import Record
from tuplet.study.runner import best_of
from tuplet.study.suite import TUNING_SEED, Cell
from tuplet.suites.rss_measure import Measuring, Number
from tuplet.suites.rss_plan import NAME, Plan, build
from tuplet.suites.rss_recorded import Recorded, paper_plan
from tuplet.train import TrainConfig, fit
from tuplet.types import InputError, in_range, some_of

CRITERION = "tuning/score"
BASE = Cell("base", "clip", "", 0)
"""Trains the towers that every method begins with."""


@dataclass(frozen=True)
class Rss:
    """The study: the base, trials of learning rates, then every method on every training set."""

    plan: Plan
    seeds: int
    out: Path
    only: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Return the name of the comparison."""
        return self.plan.name

    @property
    def factory(self) -> str:
        """Return what marks a run folder."""
        return self.plan.factory

    @property
    def base(self) -> Path:
        """Return the folder of the towers."""
        return self.out / "base"

    def cells(self, ledger: Ledger) -> list[Cell]:
        """List the base, the trials, and the cells; those that wait for others have no settings yet."""
        ready, found, main = ledger.has(BASE), [BASE], self.plan.world.main
        lrs = self.plan.lrs
        for method in (m for m in self.plan.methods if not self.only or m in self.only or m == "clip"):
            known: dict[str, Any] | None = {}
            if method != "clip":
                tried = [Cell(main, method, f"trial-{k}", TUNING_SEED, {"lr": lr}) for k, lr in enumerate(lrs) if len(lrs) > 1]
                found += tried if ready else [replace(c, settings=None) for c in tried]
                known = (best_of(tried, ledger) if tried else {"lr": lrs[0]}) if ready else None
            for seed in range(self.seeds):
                mine = [Cell(c, method, "default", seed, known) for c in self.plan.world.corpora]
                mine += [Cell(main, method, v, seed, known and known | more) for v, more in self.plan.variants(method).items()]
                found += mine if ready else [replace(c, settings=None) for c in mine]
        return found

    def run(self, cell: Cell) -> list[Record]:
        """Train one model and measure it."""
        began = time.perf_counter()
        common = Record(self.name, cell.task, cell.entry, cell.variant, cell.seed, cell.settings or {}, "", 0.0)
        common = replace(common, environment=environment())
        if cell == BASE:
            made = self.plan.world.make_base(self.base)
            return [replace(common, metric=made.metric, value=made.value, higher=False, seconds=_since(began))]
        numbers, budget = self._trained(cell)
        if _is_trial(cell):
            score = float(np.mean([n.value for n in numbers if n.metric == "probe/val"]))
            numbers = [Number(CRITERION, "", score)]
        common = replace(common, budget=budget, seconds=_since(began))
        return [replace(common, **vars(n)) for n in numbers]

    def _trained(self, cell: Cell) -> tuple[list[Number], dict[str, float]]:
        plan, settings = self.plan, dict(cell.settings or {})
        torch.manual_seed(cell.seed)
        towers, sensors = plan.world.towers(self.base), plan.world.corpora[cell.task]
        lr, batch = settings.pop("lr", 1e-3), settings.pop("batch_size", plan.batch_size)
        config = TrainConfig(epochs=plan.epochs, batch_size=batch, lr=lr, seed=cell.seed, accelerator=plan.accelerator)
        frozen = {"levels": 0, "modulate": False, "alpha": 0.0} if cell.entry == "clip" else settings
        model, objective, config = build(
            cell.entry, towers, sensors=len(sensors), settings=frozen, sizes=plan.sizes, config=config
        )
        weights = [*model.parameters(), *objective.parameters()]
        sizes = [sum(p.numel() for p in weights if p.requires_grad or every) for every in (False, True)]
        if plan.accelerator == "auto" and torch.cuda.is_available():
            model.to("cuda")  # frozen CLIP, too, which nothing else moves
        numbers: list[Number] = []
        if cell.entry != "clip":
            source = plan.world.corpus(cell.task, cell.seed)
            history = fit(model, objective, train=source.train, val=source.val, config=config).history
            falls = tuple(epoch["val"] for epoch in history if "val" in epoch)  # absent where no two rows can be compared
            numbers = [Number("training/val", "", falls[-1], items=falls)] if falls else []
            numbers += [Number("trainable", "", sizes[0] / sizes[1], pool=sizes[0])]
        measured = Measuring(model, plan.world, plan.head, cell.seed, known=sensors if len(sensors) > 1 else ())
        numbers += measured.probes()
        if not _is_trial(cell):
            numbers += measured.others()
        return numbers, {"lr": config.lr, "batch_size": config.batch_size, "epochs": config.epochs}


def run_rss(
    out: Path,
    *,
    plan: Plan | None = None,
    seeds: int = 3,
    only: Sequence[str] = (),
    workers: int | None = 1,
    executor: str | None = None,
    report: Report = silent,
) -> list[Record]:
    """Run the cells that are missing."""
    plan = plan or Plan()
    some_of("only", only, plan.methods)
    in_range("seeds", seeds, 1)
    study = Rss(plan, seeds, out, only)
    threads = 1 if plan.name == NAME else None  # large towers want all
    return run(study, out, workers=workers, executor=executor, threads=threads, report=report)


def planned(out: Path) -> Plan:
    """Return the plan of a run folder, whose data need not be there any more."""
    name, factory = Ledger(out).owner()
    if name == NAME:
        return Plan()
    shape = {"root": str, "tower": str, "sets": [str], "side": int, "length": int, "sha256": str}
    plan = parse_state(plan_in(factory), {"world": shape, ...: object}, where=str(out), fix="run it into another folder")
    return paper_plan(Recorded(**plan["world"] | {"sets": tuple(plan["world"]["sets"])}))


def read_rss(out: Path, plan: Plan | None = None) -> list[Record]:
    """Read the finished cells of a run folder."""
    ledger, plan = Ledger(out), plan or Plan()
    if ledger.owner() != (plan.name, plan.factory):
        raise InputError(
            f"{out} holds {ledger.owner()[0]!r} of other settings, expected {plan.name!r}; run it into another folder"
        )
    study = Rss(plan, ledger.seeds(), out)
    records = [r for c in study.cells(ledger) if not _is_trial(c) and ledger.has(c) for r in ledger.get(c)]
    if not records:
        raise InputError(f"{out} has nothing finished yet; run `tuplet bench {plan.name}` first")
    return records


def _is_trial(cell: Cell) -> bool:
    return cell.variant.startswith("trial-")


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 2)
