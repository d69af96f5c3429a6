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
from tuplet.study._figures import short_paths, styled, svg
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


def write_samples(
    source: Source,
    out: Path,
    *,
    rows: int = 3,
    part: Literal["train", "val", "test"] = "train",
    words: Sequence[str] = (),
) -> Path:
    """Draw rows of a source into a file."""
    one_of("the ending of out", out.suffix, (".html", ".png", ".svg"))
    if out.suffix == ".html":
        from jinja2 import Environment, PackageLoader, StrictUndefined

        with styled():
            drawn = svg(show(source, rows=rows, part=part))
        loader = Environment(loader=PackageLoader("tuplet.study"), autoescape=True, undefined=StrictUndefined)
        page = loader.get_template("source.html").render(source=source, figure=drawn, words=words, part=part)
        content = page.encode()
    else:
        content = picture(source, format=out.suffix[1:], rows=rows, part=part)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, content)
    return out


def picture(source: Source, *, format: str = "svg", **options: Any) -> bytes:
    """Draw rows of a source on white."""
    import matplotlib as mpl

    out = BytesIO()
    metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
    with mpl.rc_context({"text.parse_math": False, "font.size": 8.5, "svg.fonttype": "none", "svg.hashsalt": "tuplet"}):
        show(source, **options).savefig(out, format=format, dpi=144, metadata=metadata)
    return short_paths(out.getvalue().decode()).encode() if format == "svg" else out.getvalue()


def about(load: Callable[..., Source]) -> list[str]:
    """Say what a source is, from its documentation."""
    notes = re.search(r"^Notes:\n((?:    .*\n|\n)+)", (inspect.getdoc(load) or "") + "\n", flags=re.M)
    text = (inspect.getdoc(sys.modules[load.__module__]) or "") + "\n\n" + inspect.cleandoc(notes[1] if notes else "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
