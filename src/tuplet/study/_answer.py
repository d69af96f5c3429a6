"""The first lines of a report: which entry to use, which others are not told apart from it, and what it gains.

The entry is chosen on validation rows, by the score that chose its settings. What is said of it rests on test rows and on
`tuplet.evaluate._paired.told_apart` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuplet.evaluate._pairing import near, warning
from tuplet.evaluate.screen import listed
from tuplet.study._cell import CRITERION, VALIDATION
from tuplet.study._columns import Column
from tuplet.study._regimes import joined, together
from tuplet.study._tables import Row, Table
from tuplet.study.record import Record, read_cell
from tuplet.study.runner import unfinished
from tuplet.study.suite import Suite

MEASURES = {"retrieval/cosine/R@1": "retrieval by cosine (R@1)", "probe/linear": "the linear probe"}
NAMES = {"inputs": "plain inputs", "random": "random encoders", "linear": "the linear closed form"}
BOTH = "Started: encoders begin as the linear closed form of the training rows; from scratch: at random."
Scores = dict[tuple[str, str], float]
"""Task and entry -> best tuning score on validation rows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do about one task."""

    task: str
    first: str
    details: tuple[str, ...] = ()
    chosen: Row | None = None
    rows: tuple[Row, ...] = field(default=(), repr=False)
    table: Table | None = field(default=None, repr=False)
    covers: tuple[str, ...] = ()


def trial_scores(suite: Suite, out: Path) -> Scores:
    """Read the tuning scores of a run folder."""
    found: Scores = {}
    for task, entry, records in _trials(suite, out):
        for record in records:
            if record.metric == CRITERION and record.value == record.value:  # one that is not a number says nothing
                found[task, entry] = max(record.value, found.get((task, entry), record.value))
    return found


def doubtful(suite: Suite, made: Sequence[Table], out: Path) -> dict[str, str]:
    """Find tasks on whose validation rows no trial retrieves, so that their rows may not belong together."""
    best: dict[str, Record] = {}
    for task, _, records in _trials(suite, out):
        for r in records:
            if r.metric == VALIDATION and (task not in best or r.value > best[task].value):
                best[task] = r
    paired = {
        r.task
        for table in made
        for r in table.records
        if (r.entry, r.metric, r.detail) == ("linear", "retrieval/cosine/mAP", "mean") and not near(r.value, r.chance)
    }
    return {k: warning(r.value, r.chance) for k, r in best.items() if k not in paired and near(r.value, r.chance)}


def _trials(suite: Suite, out: Path) -> Iterator[tuple[str, str, list[Record]]]:
    """Read the trials of a run folder: task, entry, records."""
    for task in suite.tasks:
        for entry in suite.of(task):
            for path in sorted((out / "cells" / task.name).glob(f"{entry.name}.trial-*.jsonl")):
                yield task.name, entry.name, read_cell(path)


def answer(table: Table, scores: Scores, doubts: Mapping[str, str] | None = None) -> Answer | None:
    """Answer for one task."""
    rows = tuple(table.latest())
    aligned = [r for r in rows if r.entry.aligned]
    scored = [r for r in aligned if (table.task.name, r.entry.name) in scores]
    columns = {c: MEASURES[c.metric] for c in table.task.columns if c.metric in MEASURES}
    columns = {c: columns[c] for c in table.has(aligned, list(columns))}
    if not scored or not columns:
        return None
    best = max(scored, key=lambda r: scores[table.task.name, r.entry.name])
    others = [r for r in rows if r.entry.kind in NAMES]
    first = _first(table, best, others, columns)
    details = [d for c, words in columns.items() for d in _details(table, best, aligned, others, c, words)]
    details += _too_few(table, best, [r for r in rows if r is not best and (r.entry.aligned or r in others)], columns)
    if doubt := (doubts or {}).get(table.task.name):  # who wins among arrays that do not belong together means nothing
        details.insert(0, first)
        first = doubt
    random = [] if table.task.budget.start == "gcca" else ["random"]  # started ones are the closed form
    wanted = ("linear", *random, *(["inputs"] if any(c.metric == "probe/linear" for c in columns) else []))
    lacking = [NAMES[k] for k in wanted if k not in {r.entry.kind for r in others}]
    if lacking:
        details.append(f"Not run, so not compared: {listed(lacking)}.")
    return Answer(table.task.label, first, tuple(details), best, rows, table, (table.task.label,))


def answered(suite: Suite, made: Sequence[Table], out: Path) -> tuple[str, set[str], list[Answer]]:
    """Answer for the tasks of a run folder; also say what has not run yet, and which tasks that leaves without an answer."""
    left, waiting = unfinished(suite, out)
    told = [t for t in made if t.task.name not in waiting]
    return left, waiting, answers(told, trial_scores(suite, out), doubtful(suite, made, out))


def answers(made: Sequence[Table], scores: Scores, doubts: Mapping[str, str] | None = None) -> list[Answer]:
    """Answer for every task that can be answered for; once for a task under both starts."""
    found = []
    for group in together(made):
        said = answer(*joined(group, scores, doubts or {}))
        if said is not None:
            details = (*said.details, BOTH) if group[0].task.joint else said.details
            found.append(replace(said, details=details, covers=tuple(t.task.label for t in group)))
    return found


def _first(table: Table, best: Row, others: Sequence[Row], columns: dict[Column, str]) -> str:
    name = best.entry.label + (f" ({', '.join(f'{k} {v}' for k, v in best.settings.items())})" if best.settings else "")
    if best.seeds < 2:
        return (
            f"Nothing can be told from one seed. Validation rows chose {name}; run with --seeds 3 to learn whether it gains "
            f"anything."
        )
    wins, losses, beaten = [], [], []
    for column, words in columns.items():
        signs = {r.entry.kind: table.sign(best, r, column) for r in others if column.label in r.cells}
        if signs and all(s > 0 for s in signs.values()):
            wins.append(f"{listed([NAMES[k] for k in signs])} in {words}")
        if better := [NAMES[k] for k, s in signs.items() if s < 0]:
            losses.append(f"{listed(better)} in {words}")
        beaten += [words] * (signs.get("linear", 0) > 0)
    if not others:
        return f"Validation rows chose {name}. No baseline has run, so nothing is known of what it gains."
    if not wins:
        why = f" Better than it: {'; '.join(losses)}." if losses else ""
        if beaten:
            why = f" It beats the linear closed form in {listed(beaten)}.{why}"
        text = f"Nothing is gained for certain: {name}, chosen on validation rows, does not beat all baselines in any measure"
        return f"{text}.{why}"
    but = f" But it loses to {'; and to '.join(losses)}." if losses else ""
    return f"Use {name}, chosen on validation rows: it beats {'; and '.join(wins)}.{but}"


def _too_few(table: Table, best: Row, others: Sequence[Row], columns: Mapping[Column, str]) -> list[str]:
    """Say how large a gap has to be for so few seeds and rows, where rows are not told apart; once for all measures."""
    said = []
    for column, words in columns.items():
        apart = [table.apart(best, r, column) for r in others]
        widths = [(d.high - d.low) / 2 for d in apart if d and not d.clear and d.high > d.low]
        if widths:
            unit = " points" if column.percent else ""
            said.append(f"{column.text(max(widths))}{unit} in {words}")
    if not said:
        return []
    units = max((len(r.items) for r in table.records if r.entry == best.entry.name and r.metric in MEASURES), default=0)
    what = "groups of test rows" if units < table.pool else "test rows"
    seeds, rows = best.seeds, f" on {units} {what}" if units else ""
    more = " More seeds (--seeds 5) also separate smaller ones." if seeds < 5 else ""
    why = f"Where rows are not told apart, {seeds} seeds{rows} would separate only gaps above about {listed(said)}"
    return [f"{why}.{more}"]


def _details(table: Table, best: Row, aligned: Sequence[Row], others: Sequence[Row], column: Column, words: str) -> list[str]:
    """Say of one measure who is not told apart from the chosen entry, and how the baselines compare."""
    if column.label not in best.cells:
        return []
    said, name, unit = [], best.entry.label, " %" if column.percent else ""
    peers = [r for r in aligned if r is not best and column.label in r.cells]
    known = [r for r in others if column.label in r.cells]
    if peers and best.seeds > 1:
        compared = _compared((table.sign(best, r, column), r.entry.label) for r in peers)
        said.append(f"In {words}, {name} is " + "; ".join(f"{how} {', '.join(v)}" for how, v in compared) + ".")
    if known:
        values = [f"{NAMES[r.entry.kind]} ({column.text(r.cells[column.label].mean)}{unit})" for r in known]
        compared = _compared((table.sign(best, r, column), v) for r, v in zip(known, values, strict=True))
        beside = "; ".join(f"{how} {listed(v)}" for how, v in compared)
        said.append(f"{name} has {column.text(best.cells[column.label].mean)}{unit} in {words}: {beside}.")
    closed = next((r for r in known if r.entry.kind == "linear"), None)
    if closed and closed.seeds > 1 and not any(table.sign(r, closed, column) > 0 for r in (best, *peers)):
        said.append(f"No objective beats the linear closed form in {words}.")
    return said


def _compared(signs: Iterable[tuple[int, str]]) -> list[tuple[str, list[str]]]:
    """Group names by how the chosen entry compares with them."""
    pairs = list(signs)
    how = {1: "better than", -1: "worse than", 0: "not told apart from"}
    return [(words, names) for sign, words in how.items() if (names := [name for s, name in pairs if s == sign])]
