"""What a bench compares: entries x tasks x seeds under one budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from tuplet.data import Source
from tuplet.evaluate import Result, evaluate, evaluate_inputs
from tuplet.model import AlignmentModel
from tuplet.study._columns import COLUMNS, Column
from tuplet.study.record import Finding, Record
from tuplet.train.config import Optimizer
from tuplet.types import Embeddings, InputError, Loss, Start

Settings = dict[str, Any]
Objective = Callable[[Embeddings], Loss]
Make = Callable[[Settings, "Task"], Objective]
Kind = Literal["trained", "random", "inputs", "linear", "fusion", "single"]
TUNING_SEED = 1000
"""Seed of all trials; none of the reported seeds."""
FEW = 6
"""Modalities up to which every subset is probed; beyond, single ones and all together."""


@dataclass(frozen=True)
class Budget:
    """What every trained entry gets, no more and no less.

    Attributes:
        dim: width of representations and embeddings.
        hidden: hidden width of the encoders.
        batch_size: rows per step.
        epochs: passes over the training rows.
        lr: peak learning rate.
        optimizer: as in `tuplet.train.TrainConfig`.
        trials: settings tried per entry on validation data, beside its defaults.
        keep: the weights that count, as in `tuplet.train.TrainConfig`.
        start: what the encoders begin as, as in `AlignmentModel.for_source`; the same for every objective.
    """

    dim: int = 32
    hidden: int = 64
    batch_size: int = 120
    epochs: int = 7
    lr: float = 4e-3
    optimizer: Optimizer = "adamw"
    trials: int = 2
    keep: Literal["last", "best"] = "last"
    start: Start = "random"


@dataclass(frozen=True)
class Probes:
    """What a task trains and measures: MLP encoders, probes of every subset, retrieval by leaving one out."""

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make an MLP encoder and a projection per modality."""
        shapes = {k: m.shape for k, m in source.modalities.items()}
        return AlignmentModel.mlp(shapes, dim=budget.dim, hidden=budget.hidden)

    def measure(
        self, model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int
    ) -> list[Result]:
        """Measure probes, subsets, retrieval and the space, as `evaluate` does; probes draw nothing from the seed."""
        return evaluate(model, objective, source, target=task.target or None, which=_subsets(task))

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure the inputs themselves; the only row without an aligned model that probes know."""
        if kind != "inputs":
            raise InputError(f"kind is {kind!r}, expected 'inputs'; late fusion and single modalities need `Downstream`")
        return evaluate_inputs(source, target=task.target or None, which=_subsets(task))


@dataclass(frozen=True)
class ByKind(Probes):
    """The same with encoders chosen by what the rows of each modality are."""

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make the encoders that suit the source."""
        return AlignmentModel.for_source(source, dim=budget.dim)


def _subsets(task: Task) -> list[tuple[str, ...]] | None:
    """Return the subsets that are probed: all (None), or single modalities and all together."""
    names = tuple(sorted(task.modalities))
    return None if len(names) <= FEW else [*((k,) for k in names), names]


@dataclass(frozen=True)
class Task:
    """A data set, the modalities taken from it, the encoders, and what is measured on them.

    Attributes:
        name: of the task.
        label: for people.
        load: gives the source.
        modalities: names of at least two modalities.
        target: what probes predict; empty for none.
        classes: number of classes of the target, or of its dimensions if it is real.
        budget: for every trained entry.
        at: the task's place on the suite's axis, if it has one.
        protocol: makes the encoders and measures what they are good for.
        columns: of the task's table.
        negatives: ``"groups"`` keeps rows of one group from being each other's negatives in training; ``"all"`` does not, as in
            the papers.
        joint: what two tasks that differ in the budget's start are called together, as they are answered together.
    """

    name: str
    label: str
    load: Callable[[], Source]
    modalities: tuple[str, ...]
    target: str
    classes: int
    budget: Budget = field(default_factory=Budget)
    at: float | None = None
    protocol: Probes = field(default_factory=Probes)
    columns: tuple[Column, ...] = COLUMNS
    negatives: Literal["groups", "all"] = "groups"
    joint: str = ""


@dataclass(frozen=True)
class Entry:
    """One row of the tables.

    Attributes:
        name: short name.
        label: for people.
        make: builds the objective from settings and task; None for rows that align nothing.
        kind: ``"trained"``, ``"random"`` (untrained encoders), ``"inputs"`` (no encoder), ``"linear"``
            (`tuplet.evaluate.linear_baseline`), ``"fusion"`` (encoders and predictor end to end on labels) or ``"single"`` (the
            same for the best single modality).
        defaults: the paper's settings.
        trials: other settings to try, as many for every tuned entry; empty for entries that are not tuned.
        sizes: numbers of modalities it is defined for (or affordable at); None for all.
        note: one line for readers of the table.
        aligns: False for trained entries that do not align modalities, such as supervised ones.
    """

    name: str
    label: str
    make: Make | None = None
    kind: Kind = "trained"
    defaults: Settings = field(default_factory=dict)
    trials: tuple[Settings, ...] = ()
    sizes: tuple[int, ...] | None = None
    note: str = ""
    aligns: bool = True

    @property
    def aligned(self) -> bool:
        """Return whether its row is one of the aligned ones, which are ranked and drawn."""
        return self.kind == "trained" and self.aligns


@dataclass(frozen=True)
class Suite:
    """A comparison.

    Attributes:
        name: of the suite; it names the kind of the run folder.
        factory: ``module:function`` that rebuilds it in a worker process.
        tasks: the tasks.
        entries: the entries; names are unique.
        baseline: the entry that differences are taken to.
        about: what a reader should know first.
        axis: what the tasks differ in, if it is one number (`Task.at`); the report then draws quality over it.
        claims: judges the claims of a paper on a run.
        first: seeds that are reported first, such as a paper's.
        title: for people; the name when left out.
        left_out: name of an entry that the data do not allow -> a line that says why.
    """

    name: str
    factory: str
    tasks: tuple[Task, ...]
    entries: tuple[Entry, ...]
    baseline: str
    about: str = ""
    axis: str = ""
    claims: Callable[[Suite, Sequence[Record]], list[Finding]] | None = None
    first: tuple[int, ...] = ()
    title: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [e.name for e in self.entries]
        if len(set(names)) < len(names):
            raise InputError(f"entries has a name twice: {sorted(names)}")
        for task in self.tasks:
            for entry in self.of(task):
                if entry.trials and len(entry.trials) != task.budget.trials:
                    raise InputError(
                        f"entry {entry.name} has {len(entry.trials)} trials, the budget of {task.name} gives every tuned entry "
                        f"{task.budget.trials}; a comparison needs equal numbers"
                    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a worker process as the factory, which rebuilds the suite there."""
        return load_suite, (self.factory,)

    def judge(self, records: Sequence[Record]) -> list[Finding]:
        """Judge the claims of the suite's paper on a run."""
        return self.claims(self, records) if self.claims else []

    def seeds(self, count: int) -> list[int]:
        """List the reported seeds: the first ones, then 0, 1, 2 and so on."""
        others = (seed for seed in range(count + len(self.first)) if seed not in self.first)
        return [*self.first, *others][:count]

    def of(self, task: Task) -> list[Entry]:
        """List the entries that a task can have; started encoders that are not trained are the linear closed form."""
        fits = [e for e in self.entries if e.sizes is None or len(task.modalities) in e.sizes]
        return fits if task.budget.start == "random" else [e for e in fits if e.kind != "random"]


@dataclass(frozen=True, order=True)
class Cell:
    """One training and its evaluation.

    Attributes:
        task: name of the task.
        entry: name of the entry.
        variant: ``"default"``, ``"tuned"`` or ``"trial-k"``.
        seed: of the run.
        settings: of the objective; None while trials have yet to choose them.
    """

    task: str
    entry: str
    variant: str
    seed: int
    settings: Settings | None = field(default_factory=dict, compare=False)

    @property
    def file(self) -> str:
        """Return the cell's file within a run folder."""
        name = ".".join(k for k in (self.entry, self.variant, f"s{self.seed}") if k)
        return "/".join(k for k in ("cells", self.task, f"{name}.jsonl") if k)

    @property
    def title(self) -> str:
        """Return the cell's name for people."""
        return " / ".join(k for k in (self.task, self.entry, self.variant, f"seed {self.seed}") if k)


@cache
def load_suite(factory: str) -> Suite:
    """Rebuild a suite from ``module:function``, or ``module:function?name=text&...`` with arguments."""
    module, _, function = factory.partition(":")
    function, _, arguments = function.partition("?")
    build = getattr(import_module(module), function)
    given, known = dict(parse_qsl(arguments)), signature(build).parameters
    if unknown := sorted(set(given) - set(known)):
        raise InputError(f"{function} takes no {', '.join(unknown)}, expected {sorted(known) or 'no options'}")
    if lacking := sorted(k for k, p in known.items() if p.default is p.empty and k not in given):
        raise InputError(f"{function} needs {', '.join(lacking)}; name it, as in --{lacking[0]} DIR")
    return cast(Suite, build(**given))
