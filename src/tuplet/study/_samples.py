"""Pictures of a source's rows on a page of their own, and of the sources behind the tasks of a suite."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from tuplet.data import Source, show
from tuplet.io.files import write_atomic
from tuplet.report import Picture, Section, Text, write_page
from tuplet.report.ink import PLAIN, short_paths, styled, svg
from tuplet.study.suite import Task
from tuplet.types import InputError, one_of

KEPT = "samples.json"
"""In a run folder."""


@dataclass(frozen=True)
class Sample:
    """Rows of a source that tasks share."""

    title: str
    tasks: tuple[str, ...]
    figure: str


def samples(tasks: Sequence[Task], *, rows: int = 3) -> list[Sample]:
    """Draw rows of every distinct source behind some tasks."""
    found: dict[str, tuple[Source, list[Task]]] = {}
    for task in tasks:
        try:
            source = task.load()
        except (InputError, OSError):
            continue
        source = source.whole
        found.setdefault(source.fingerprint, (source, []))[1].append(task)
    made = []
    for source, users in found.values():
        some = source.select(sorted({m for task in users for m in task.modalities}))
        with styled():
            drawn = svg(show(some, rows=rows))
        made.append(Sample(source.provenance.title, tuple(t.name for t in users), drawn))
    return made


def keep_samples(tasks: Sequence[Task], out: Path) -> Path:
    """Draw the sources behind some tasks and keep the pictures in a run folder, so that a report needs no data."""
    write_atomic(out / KEPT, json.dumps([asdict(s) for s in samples(tasks)]).encode())
    return out / KEPT


def kept_samples(out: Path) -> list[Sample]:
    """Read the pictures of a run folder."""
    file = out / KEPT
    if not file.is_file():
        return []
    try:
        return [Sample(str(s["title"]), tuple(s["tasks"]), str(s["figure"])) for s in json.loads(file.read_bytes())]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{file} is damaged; delete it and run the suite again") from None


def pictures(out: Path) -> list[Section]:
    """Show the pictures of a run folder."""
    about = (
        "Each column is one row of the training part, as every sensor has it; rows take turns over classes, else they are "
        "spread evenly. Values are in the unit named in bold, on one scale for all columns."
    )
    found = [Picture([s.figure], ", ".join(s.tasks), s.title) for s in kept_samples(out)]
    return [Section("What the data look like", [Text(about), *found])] if found else []


def write_samples(
    source: Source, out: Path, *, rows: int = 3, part: Literal["train", "val", "test"] = "train", words: Sequence[str] = ()
) -> Path:
    """Draw rows of a source into a file."""
    one_of("the ending of out", out.suffix, (".html", ".png", ".svg"))
    if out.suffix != ".html":
        write_atomic(out, picture(source, format=out.suffix[1:], rows=rows, part=part))
        return out
    with styled():
        drawn = svg(show(source, rows=rows, part=part))
    caption = (
        f"Rows of the {part} part, a column each; every modality in the unit it had before scaling, on one scale for all "
        f"columns."
    )
    return write_page(
        out,
        title=source.provenance.title,
        lead="tuplet data show",
        name=source.name,
        sections=[
            Section("", [*(w.replace("`", "") for w in words), Picture([drawn], caption)]),
            Section("What there is", [_terms(source)]),
        ],
    )


def _terms(source: Source) -> dict[str, str]:
    """List rows, modalities, targets and provenance of a source."""
    found = {"rows": f"{len(source.train)} train, {len(source.val)} val, {len(source.test)} test"}
    for name, m in source.modalities.items():
        rate = f", {m.rate:g} a second" if m.rate else ""
        found[name] = " x ".join(map(str, m.shape)) + (f", {m.unit}" if m.unit else "") + rate
    for name, t in source.targets.items():
        found[f"{name} (target)"] = ", ".join(t.names) if t.names else f"{t.size} numbers {t.unit}"
    p = source.provenance
    return found | {k: v for k, v in (("cite", p.citation), ("licence", p.licence), ("origin", p.origin)) if v}


def picture(source: Source, *, format: str = "svg", **options: Any) -> bytes:
    """Draw rows of a source on white."""
    import matplotlib as mpl

    out = BytesIO()
    metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
    with mpl.rc_context(PLAIN):
        show(source, **options).savefig(out, format=format, dpi=144, metadata=metadata)
    return short_paths(out.getvalue().decode()).encode() if format == "svg" else out.getvalue()


def about(load: Callable[..., Source]) -> list[str]:
    """Say what a source is, from its documentation."""
    notes = re.search(r"^Notes:\n((?:    .*\n|\n)+)", (inspect.getdoc(load) or "") + "\n", flags=re.M)
    text = (inspect.getdoc(sys.modules[load.__module__]) or "") + "\n\n" + inspect.cleandoc(notes[1] if notes else "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
