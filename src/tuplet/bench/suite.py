"""What a bench compares: entries x tasks x seeds under one budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tuplet.bench.columns import COLUMNS, Column
from tuplet.data import Source
from tuplet.evaluate import Result, evaluate
from tuplet.model import AlignmentModel
from tuplet.types import Embeddings, InputError, Loss

Settings = dict[str, Any]
Objective = Callable[[Embeddings], Loss]
Make = Callable[[Settings, "Task"], Objective]
Build = Callable[[Source, "Budget"], AlignmentModel]
Measure = Callable[[AlignmentModel, Objective | None, Source, "Task", int], list[Result]]
Train = Callable[[AlignmentModel, Source, "Task", int], list[Result]]
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
        trials: settings tried per entry on validation data, beside its defaults.
    """

    dim: int = 32
    hidden: int = 64
    batch_size: int = 120
    epochs: int = 7
    lr: float = 4e-3
    trials: int = 2


def perceptrons(source: Source, budget: Budget) -> AlignmentModel:
    """Build an MLP encoder and a projection per modality.

    Args:
        source: gives the shapes.
        budget: gives the widths.

    Returns:
        The model.

    Example:
        >>> from tuplet.data import SOURCES
        >>> len(perceptrons(SOURCES["digits"](), Budget()).encoders)
        6
    """
    shapes = {k: m.shape for k, m in source.modalities.items()}
    return AlignmentModel.mlp(shapes, dim=budget.dim, hidden=budget.hidden)


def probes(model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int) -> list[Result]:
    """Measure probes, subsets, retrieval and the space, as `evaluate` does.

    Args:
        model: trained or not.
        objective: gives its own score.
        source: the task's.
        task: names the target.
        seed: not used; probes are deterministic.

    Returns:
        The results.
    """
    return evaluate(model, objective, source, target=task.target)


@dataclass(frozen=True)
class Task:
    """A data set, the modalities taken from it, the encoders, and what is measured on them.

    Attributes:
        name: of the task.
        label: for people.
        load: gives the source.
        modalities: names of at least two modalities.
        target: what probes predict.
        classes: number of classes of the target.
        budget: for every trained entry.
        at: the task's place on the suite's axis, if it has one.
        build: makes the untrained model.
        measure: evaluates a trained one; the seed is that of the run.
        columns: of the task's table.
        about: a sentence or two on the data: what they stand for, and what is simulated.
    """

    name: str
    label: str
    load: Callable[[], Source]
    modalities: tuple[str, ...]
    target: str
    classes: int
    budget: Budget = field(default_factory=Budget)
    at: float | None = None
    build: Build = perceptrons
    measure: Measure = probes
    columns: tuple[Column, ...] = COLUMNS
    about: str = ""


@dataclass(frozen=True)
class Entry:
    """One row of the tables.

    Attributes:
        name: short name.
        label: for people.
        make: builds the objective from settings and task; None for rows that align nothing.
        train: for rows that train otherwise, such as end to end on labels: trains the model and measures it.
        kind: ``"trained"``, ``"random"`` (untrained encoders) or ``"inputs"`` (scaled inputs, no encoder).
        defaults: the paper's settings.
        trials: other settings to try, as many for every tuned entry; empty for entries that are not tuned.
        sizes: numbers of modalities it is defined for (or affordable at); None for all.
        note: one line for readers of the table.
        aligns: False for trained entries that do not align modalities, such as supervised ones.
    """

    name: str
    label: str
    make: Make | None = None
    train: Train | None = None
    kind: Literal["trained", "random", "inputs"] = "trained"
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
        name: of the suite.
        factory: ``module:function`` that rebuilds it in a worker process.
        tasks: the tasks.
        entries: the entries; names are unique.
        baseline: the entry that differences are taken to.
        about: what a reader should know first.
        axis: what the tasks differ in, if it is one number (`Task.at`); the report then draws quality over it.
    """

    name: str
    factory: str
    tasks: tuple[Task, ...]
    entries: tuple[Entry, ...]
    baseline: str
    about: str = ""
    axis: str = ""

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

    def of(self, task: Task) -> list[Entry]:
        """List the entries that a task can have."""
        return [e for e in self.entries if e.sizes is None or len(task.modalities) in e.sizes]


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
