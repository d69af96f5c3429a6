"""What a bench compares: entries x tasks x seeds under one budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from tuplet.data import Source
from tuplet.evaluate import Result
from tuplet.model import AlignmentModel
from tuplet.study._columns import COLUMNS, Column
from tuplet.study._probes import Probes
from tuplet.train.config import Optimizer
from tuplet.types import Embeddings, InputError, Loss, Start

if TYPE_CHECKING:
    from tuplet.study._verdicts import Run, Verdict

Settings = dict[str, Any]
Objective = Callable[[Embeddings], Loss]
Make = Callable[[Settings, "Task"], Objective]
Kind = Literal["trained", "random", "inputs", "linear", "fusion", "single"]
TUNING_SEED = 1000
"""Seed of all trials; none of the reported seeds."""


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


@runtime_checkable
class Evaluation(Protocol):
    """What a task trains and measures."""

    def build(self, source: Source, budget: Budget) -> AlignmentModel:
        """Make the untrained model."""
        ...

    def measure(
        self, model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int
    ) -> list[Result]:
        """Evaluate a model with the seed of its run; the objective, if any, gives its own score."""
        ...

    def reference(self, kind: str, source: Source, task: Task, seed: int) -> list[Result]:
        """Measure a row that has no aligned model: an entry's kind."""
        ...


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
    protocol: Evaluation = field(default_factory=Probes)
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
    claims: Callable[[Run], list[Verdict]] | None = None
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
    """

    task: str
    entry: str
    variant: str
    seed: int

    @property
    def file(self) -> str:
        """Return the cell's file within a run folder."""
        return f"cells/{self.task}/{self.entry}.{self.variant}.s{self.seed}.jsonl"


def trials(pairs: Sequence[tuple[Task, Entry]]) -> list[Cell]:
    """List the cells that choose settings."""
    return [
        Cell(t.name, e.name, f"trial-{k}", TUNING_SEED)
        for t, e in pairs
        for k in range(len(e.trials) + 1 if e.trials else 0)
    ]


def reported(pairs: Sequence[tuple[Task, Entry]], seeds: Sequence[int]) -> list[Cell]:
    """List the cells of the tables."""
    return [
        Cell(t.name, e.name, variant, seed)
        for t, e in pairs
        for variant in (("default", "tuned") if e.trials else ("default",))
        for seed in seeds
    ]
