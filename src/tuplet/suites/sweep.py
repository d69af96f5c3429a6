"""Train at several alignment strengths on any source, measure on test rows, and decide whether to align."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from tuplet.data import Source
from tuplet.diagnose.similarity import similarity
from tuplet.evaluate._units import by_group
from tuplet.io.environment import environment
from tuplet.objectives import build
from tuplet.study._ledger import Ledger
from tuplet.study._run import Report, run, silent
from tuplet.study.record import Record
from tuplet.study.suite import Cell
from tuplet.suites.sweep_decision import METRICS
from tuplet.train import StrategicRun, TrainConfig, strategic
from tuplet.train._fits import check_rows, check_threshold, rows_with
from tuplet.train.recipe import DIM
from tuplet.train.strength import GRID
from tuplet.types import InputError, in_range, one_of, some_of

SIMILAR = 4096
"""Similarity is measured on at most this many test rows."""


@dataclass(frozen=True)
class Sweep:
    """Settings of a sweep."""

    pair: tuple[str, str]
    target: str = "label"
    strengths: tuple[float, ...] = GRID
    seeds: int = 3
    objective: str = "pairwise"
    projector: Literal["mlp", "none"] = "mlp"
    preset: Literal["small", "paper"] = "small"
    threshold: float | None = None
    config: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if len(set(self.pair)) != 2:
            raise InputError(f"pair is {self.pair}, expected two different modalities")
        build(self.objective, self.pair, DIM)
        one_of("projector", self.projector, ("mlp", "none"))
        one_of("preset", self.preset, ("small", "paper"))
        in_range("seeds", self.seeds, 1)
        if not all(0 <= s < float("inf") for s in self.strengths):
            raise InputError(f"strengths is {self.strengths}, expected numbers >= 0")
        object.__setattr__(self, "strengths", tuple(sorted({0.0, *map(float, self.strengths)})))
        object.__setattr__(self, "pair", tuple(sorted(self.pair)))

    def checked(self, source: Source) -> Source:
        """Return the source with the two modalities only; refuse a pair, target or threshold that does not fit it."""
        some_of("pair", self.pair, sorted(source.modalities))
        if not source.targets:
            raise InputError(
                f"{source.name} has no target, and a sweep measures what alignment does to the accuracy on one: add an array "
                "'label' or name one with --target"
            )
        one_of("target", self.target, tuple(sorted(source.targets)))
        check_threshold(self.threshold, self.target, source.targets[self.target])
        paired = source.select(self.pair).labelled(self.target)
        check_rows(rows_with(paired, ("train", "val", "test")), self.pair)
        return paired

    def identity(self, source: Source) -> str:
        """Return the text that marks a run folder: all that a run depends on except its strength and seed."""
        settings = {k: v for k, v in asdict(self).items() if k not in ("strengths", "seeds", "config")}
        fixed = {k: v for k, v in self.config.fixed().items() if k != "seed"}
        return "sweep?" + json.dumps({**settings, "config": fixed, "data": source.fingerprint}, sort_keys=True)


@dataclass(frozen=True)
class Swept:
    """The study of a sweep on a source: a cell per strength and seed."""

    source: Source
    sweep: Sweep
    name: str = "sweep"

    @property
    def factory(self) -> str:
        """Return what marks a run folder."""
        return self.sweep.identity(self.source)

    def cells(self, ledger: Ledger) -> list[Cell]:
        """List the cells; a finished one that lacks its scores is refused."""
        sweep = self.sweep
        cells = [Cell("", f"{s:g}", "", seed, {"strength": s}) for seed in range(sweep.seeds) for s in sweep.strengths]
        for cell in filter(ledger.has, cells):
            if lacking := {"score/test", "score/val"} - {r.metric for r in ledger.get(cell)}:
                raise InputError(
                    f"{ledger.folder / cell.file} is cut off: {min(lacking)} is missing; remove it to compute it again"
                )
        return cells

    def run(self, cell: Cell) -> list[Record]:
        """Train with one strength and seed."""
        return _cell(self.source, self.sweep, (cell.settings or {})["strength"], cell.seed)


def run_sweep(
    source: Source, sweep: Sweep, *, out: str | Path, executor: str | None = None, report: Report = silent
) -> list[Record]:
    """Train once for each strength and seed, and measure on test rows."""
    study = Swept(sweep.checked(source), sweep)
    workers = None if executor else 1
    return run(study, Path(out), workers=workers, executor=executor, threads=None, report=report, strict=True)


def _cell(source: Source, sweep: Sweep, strength: float, seed: int) -> list[Record]:
    made = strategic(
        source,
        target=sweep.target,
        strength=strength,
        objective=build(sweep.objective, sweep.pair, DIM),
        config=sweep.config,
        preset=sweep.preset,
        dim=DIM if sweep.preset == "small" else None,
        projector=sweep.projector,
        threshold=sweep.threshold,
        seed=seed,
    )
    common = Record("sweep", " + ".join(sweep.pair), f"{strength:g}", "default", seed, {"strength": strength}, "", 0.0)
    common = replace(
        common,
        data=source.fingerprint,
        environment=environment(),
        seconds=round(made.run.seconds, 2),
        pool=len(source.test),
        budget={"steps": made.run.steps, "lr": sweep.config.lr, "batch_size": sweep.config.batch_size},
    )
    records = []
    for name in sweep.pair:
        here = replace(common, detail=name, chance=made.chance[name])
        records.append(replace(here, metric="score/val", value=made.scores["val"][name]))
        records.append(replace(here, metric="score/test", value=made.scores["test"][name], items=_items(made, name)))
    emb = made.embeddings["test"]
    both = (emb.present[sweep.pair[0]] & emb.present[sweep.pair[1]]).nonzero()[:SIMILAR, 0]
    if len(both) > 11:
        found = similarity(*(emb.h[k][both] for k in sweep.pair), k=10, shuffles=20)
        for name in METRICS:
            null = found[name].null
            value = found[name].value
            if value == value:  # NaN where a representation does not vary
                chance = None if null is None else null.high
                records.append(replace(common, metric=f"similarity/{name}", value=value, chance=chance, pool=len(both)))
    return records


def _items(run: StrategicRun, name: str) -> tuple[float, ...]:
    """Return the outcome on each test row, or the mean outcome of each group where rows are not independent."""
    emb = run.embeddings["test"]
    values = run.items[name].double().numpy()
    if emb.group is None:
        return tuple(values.tolist())
    return by_group(values, emb.group[emb.present[name]].numpy())
