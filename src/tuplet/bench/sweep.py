"""Sweep the strength of alignment on any source: what every encoder gains or loses, beside how similar they become."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tuplet.bench import strength_figures as figures
from tuplet.bench.folder import claim
from tuplet.bench.record import Record, environment, read_cell, write_cell
from tuplet.bench.stats import Difference, by_group
from tuplet.bench.strengths import Curve, curve, judge
from tuplet.data import Source
from tuplet.diagnose.similarity import similarity
from tuplet.train import StrategicRun, TrainConfig, strategic
from tuplet.train.files import locked, write_atomic
from tuplet.train.recipe import DIM, OBJECTIVES
from tuplet.train.strategic import GRID
from tuplet.types import InputError

METRICS = {"cka": "CKA", "svcca": "SVCCA", "mutual_knn": "mutual-kNN, k = 10"}
SIMILAR = 4096
"""Test rows that similarity is measured on, at most."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep runs.

    Attributes:
        pair: two modalities.
        target: what the heads predict.
        strengths: lambda; 0 is always among them.
        seeds: of weights and batches: 0 .. seeds - 1, the same for all strengths.
        objective: one of `tuplet.train.recipe.OBJECTIVES`.
        projector: as in `tuplet.train.strategic`.
        preset: likewise.
        threshold: likewise.
        config: how to train.

    Raises:
        InputError: for two equal modalities, a negative strength, no seed, or an unknown objective.

    Example:
        >>> Sweep(("a", "b"), strengths=(1.0, 0.5)).strengths
        (0.0, 0.5, 1.0)
    """

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
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective is {self.objective!r}, expected one of {sorted(OBJECTIVES)}")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}, expected 1 or more")
        if not all(0 <= s < float("inf") for s in self.strengths):
            raise InputError(f"strengths is {self.strengths}, expected numbers >= 0")
        object.__setattr__(self, "strengths", tuple(sorted({0.0, *map(float, self.strengths)})))
        object.__setattr__(self, "pair", tuple(sorted(self.pair)))

    def identity(self, source: Source) -> str:
        """Return what marks a run folder: everything that a cell depends on but its strength and seed."""
        settings = {k: v for k, v in asdict(self).items() if k not in ("strengths", "seeds", "config")}
        fixed = {k: v for k, v in self.config.fixed().items() if k != "seed"}
        return "sweep?" + json.dumps({**settings, "config": fixed, "data": source.fingerprint}, sort_keys=True)


def run_sweep(
    source: Source, sweep: Sweep, *, out: Path, report: Callable[[int, int, str], None] = lambda done, total, line: None
) -> list[Record]:
    """Train the cells that are missing, one per strength and seed.

    Args:
        source: the data.
        sweep: what to run.
        out: run folder; cells found there are kept. More strengths or seeds may be asked for later.
        report: told after each cell.

    Returns:
        The records of this sweep's cells.

    Raises:
        InputError: for a folder of another sweep, or as `tuplet.train.strategic` does.

    Example:
        >>> import tempfile
        >>> from tuplet.data import SOURCES
        >>> sweep = Sweep(("fourier", "zernike"), strengths=(0.5,), seeds=1, config=TrainConfig(epochs=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     records = run_sweep(SOURCES["digits"](), sweep, out=Path(folder))
        >>> sorted({r.metric for r in records})
        ['score/test', 'score/val', 'similarity/cka', 'similarity/mutual_knn', 'similarity/svcca']
    """
    if unknown := sorted(set(sweep.pair) - set(source.modalities)):
        raise InputError(f"pair names {unknown}, expected two of {sorted(source.modalities)}")
    paired = source.select(sweep.pair)
    with locked(out):
        claim(out, "sweep", sweep.identity(paired))
        cells = [(s, seed) for seed in range(sweep.seeds) for s in sweep.strengths]
        records = []
        for number, (strength, seed) in enumerate(cells, 1):
            file = out / "cells" / f"{strength:g}.s{seed}.jsonl"
            if not file.exists():
                write_cell(file, _cell(paired, sweep, strength, seed))
            records += read_cell(file)
            report(number, len(cells), f"λ = {strength:g}, seed {seed}")
    return records


def _cell(source: Source, sweep: Sweep, strength: float, seed: int) -> list[Record]:
    run = strategic(
        source,
        target=sweep.target,
        strength=strength,
        objective=OBJECTIVES[sweep.objective](sweep.pair, DIM),
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
        seconds=round(run.run.seconds, 2),
        pool=len(source.test),
        budget={"steps": run.run.steps, "lr": sweep.config.lr, "batch_size": sweep.config.batch_size},
    )
    records = []
    for name in sweep.pair:
        here = replace(common, detail=name, chance=run.chance[name])
        records.append(replace(here, metric="score/val", value=run.scores["val"][name]))
        records.append(replace(here, metric="score/test", value=run.scores["test"][name], items=_items(run, name)))
    emb = run.embeddings["test"]
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
    """Return outcomes per test row, or per group of rows that are not independent."""
    emb = run.embeddings["test"]
    values = run.items[name].double().numpy()
    if emb.group is None:
        return tuple(values.tolist())
    return by_group(values, emb.group[emb.present[name]].numpy())


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """List, per strength, scores with their change against 0, and similarities.

    Args:
        records: of a sweep.

    Returns:
        Head and lines.

    Example:
        >>> table([])
        ([], [])
    """
    test, similar = _curves(records)
    if not test:
        return [], []
    head = ["λ", *(text for k in test for text in (k, "change [95 %]")), *similar]
    lines = []
    for s in next(iter(test.values())).strengths:
        line = [f"{s:g}"]
        for c in test.values():
            found = c.spread(s)
            line.append(f"{100 * found.mean:.1f}" + (f" ± {100 * found.sd:.1f}" if found.n > 1 else ""))
            line.append(_points(c.change(s)) if s else "")
        lines.append([*line, *(f"{c.spread(s).mean:.2f}" for c in similar.values())])
    chances = {r.detail: r.chance for r in records if r.metric == "score/test"}
    levels = {label: [r.chance for r in records if r.metric == f"similarity/{k}"] for k, label in METRICS.items()}
    last = ["chance"]
    for k in test:
        last += [f"{100 * (chances[k] or 0.0):.1f}", ""]
    lines.append(
        [*last, *(f"{max(x for x in levels[k] if x is not None):.2f}" if any(levels[k]) else "" for k in similar)]
    )
    return head, lines


def reading(records: Sequence[Record]) -> list[str]:
    """Say in a sentence per encoder what alignment did.

    Args:
        records: of a sweep.

    Returns:
        Sentences.

    Example:
        >>> reading([])
        []
    """
    said = []
    for name, test in _curves(records)[0].items():
        val = curve(records, "score/val", detail=name)
        if val is None or len(test.strengths) < 2:
            continue
        v, last = judge(test, val), test.strengths[-1]
        where = f"At λ = {v.best:g}, which validation picks, {name} changes by {_points(v.gain)} points"
        if not v.best:
            where = f"Validation picks λ = 0 for {name}"
        end = f"at λ = {last:g} it changes by {_points(v.end)}"
        what = {
            "gain": "alignment helps it",
            "uneven": "alignment helps it, not steadily",
            "inner": "alignment helps it, but not too much of it",
            "decline": "alignment hurts it",
            "flat": "no clear effect",
        }[v.kind]
        said.append(f"{where}; {end}: {what}.")
    return said


def write_sweep(records: Sequence[Record], sweep: Sweep, source: Source, out: Path) -> Path:
    """Write report.html, table.md and curve.svg.

    Args:
        records: from `run_sweep`.
        sweep: what was run.
        source: the data.
        out: folder to write to.

    Returns:
        The HTML file.

    Example:
        >>> import tempfile
        >>> from tuplet.data import SOURCES
        >>> sweep = Sweep(("fourier", "zernike"), strengths=(0.5,), seeds=1, config=TrainConfig(epochs=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = run_sweep(SOURCES["digits"](), sweep, out=Path(folder))
        ...     write_sweep(found, sweep, SOURCES["digits"](), Path(folder)).name
        'report.html'
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    test, similar = _curves(records)
    about = source.targets[sweep.target]
    metric = "accuracy" if about.kind == "class" or sweep.threshold is not None else "R2"
    chance = [r.chance or 0.0 for r in records if r.metric == "score/test"]
    drawn = figures.curves_over_strength(
        [test], [similar], titles=[""], chance=[sum(chance) / len(chance)], ylabel=f"test {metric} of {sweep.target}"
    )
    head, lines = table(records)
    loader = Environment(loader=PackageLoader("tuplet.bench"), autoescape=True, undefined=StrictUndefined)
    page = loader.get_template("sweep.html").render(
        sweep=sweep,
        name=source.name,
        rows={k: len(getattr(source, k)) for k in ("train", "val", "test")},
        metric=metric,
        head=head,
        lines=lines,
        reading=reading(records),
        drawn=drawn,
        environment=records[0].environment,
    )
    write_atomic(out / "report.html", page.encode())
    write_atomic(out / "table.md", markdown(records).encode())
    write_atomic(out / "curve.svg", drawn.replace("currentColor", "#7a848d").encode())
    return out / "report.html"


def markdown(records: Sequence[Record]) -> str:
    """Write the table and its reading as Markdown.

    Args:
        records: of a sweep.

    Returns:
        The text.

    Example:
        >>> markdown([])
        ''
    """
    head, lines = table(records)
    if not head:
        return ""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    text = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *rows, "", *(f"- {s}" for s in reading(records))]
    return "\n".join(text) + "\n"


def _curves(records: Sequence[Record]) -> tuple[dict[str, Curve], dict[str, Curve]]:
    names = sorted({r.detail for r in records if r.metric == "score/test"})
    test: dict[str, Any] = {k: curve(records, "score/test", detail=k) for k in names}
    similar: dict[str, Any] = {label: curve(records, f"similarity/{k}") for k, label in METRICS.items()}
    return {k: c for k, c in test.items() if c is not None}, {k: c for k, c in similar.items() if c is not None}


def _points(d: Difference) -> str:
    if d.low != d.low:
        return f"{100 * d.mean:+.2f}"
    return f"{100 * d.mean:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"
