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

from tuplet.bench.figures import short_paths, styled, svg
from tuplet.bench.suite import Task
from tuplet.data import Source, show
from tuplet.data.missing import Masked
from tuplet.io.files import write_atomic
from tuplet.types import InputError, one_of

KEPT = "samples.json"
"""In a run folder."""


@dataclass(frozen=True)
class Sample:
    """Rows of a source that tasks share.

    Attributes:
        title: of the source.
        tasks: names of the tasks that use it.
        figure: SVG that takes its ink from the page.
    """

    title: str
    tasks: tuple[str, ...]
    figure: str


def samples(tasks: Sequence[Task], *, rows: int = 3) -> list[Sample]:
    """Draw rows of every distinct source behind some tasks.

    Args:
        tasks: of a suite.
        rows: how many of each.

    Returns:
        One for each source, with every modality that a task takes from it; sources that are no longer there are left out.

    Example:
        >>> from tuplet.bench.suites.quickstart import quickstart
        >>> [s.title for s in samples(quickstart().tasks[:1], rows=1)]
        ['Multiple Features (handwritten Dutch utility-map numerals)']
    """
    found: dict[str, tuple[Source, list[Task]]] = {}
    for task in tasks:
        try:
            source = task.load()
        except (InputError, OSError):
            continue
        while isinstance(source, Masked):
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
    """Draw the sources behind some tasks and keep the pictures in a run folder, so that a report needs no data.

    Args:
        tasks: of a suite, whose data are in the cache or on disk.
        out: the run folder.

    Returns:
        The file, for `kept_samples`.

    Example:
        >>> import tempfile
        >>> from tuplet.bench.suites.quickstart import quickstart
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = keep_samples(quickstart().tasks[:1], Path(folder))
        ...     len(kept_samples(Path(folder)))
        1
    """
    write_atomic(out / KEPT, json.dumps([asdict(s) for s in samples(tasks)]).encode())
    return out / KEPT


def kept_samples(out: Path) -> list[Sample]:
    """Read the pictures of a run folder.

    Args:
        out: the run folder.

    Returns:
        What `keep_samples` drew there; nothing without its file.

    Raises:
        InputError: if the file is damaged.

    Example:
        >>> kept_samples(Path("nowhere"))
        []
    """
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
    """Draw rows of a source into a file.

    Args:
        source: any.
        out: file whose name ends in ``.html`` (a self-contained page with what is known of the source), ``.png`` or ``.svg``.
        rows: how many, as `tuplet.data.show`.
        part: of the split.
        words: paragraphs that the page begins with.

    Returns:
        ``out``. The same rows give the same bytes.

    Raises:
        InputError: for another ending, or as `tuplet.data.show`.

    Example:
        >>> import tempfile
        >>> from tuplet.data import SOURCES
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_samples(SOURCES["digits"](), Path(folder, "digits.html"), rows=1).stat().st_size > 10_000
        True
    """
    one_of("the ending of out", out.suffix, (".html", ".png", ".svg"))
    if out.suffix == ".html":
        from jinja2 import Environment, PackageLoader, StrictUndefined

        with styled():
            drawn = svg(show(source, rows=rows, part=part))
        loader = Environment(loader=PackageLoader("tuplet.bench"), autoescape=True, undefined=StrictUndefined)
        page = loader.get_template("source.html").render(source=source, figure=drawn, words=words, part=part)
        content = page.encode()
    else:
        content = picture(source, format=out.suffix[1:], rows=rows, part=part)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, content)
    return out


def picture(source: Source, *, format: str = "svg", **options: Any) -> bytes:
    """Draw rows of a source on white.

    Args:
        source: any.
        format: ``"svg"`` or ``"png"``.
        options: of `tuplet.data.show`.

    Returns:
        The bytes of the picture; the same for the same rows.

    Raises:
        InputError: as `tuplet.data.show`.

    Example:
        >>> from tuplet.data import SOURCES
        >>> picture(SOURCES["digits"](), format="png", rows=1)[1:4]
        b'PNG'
    """
    import matplotlib as mpl

    out = BytesIO()
    metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
    with mpl.rc_context({"text.parse_math": False, "font.size": 8.5, "svg.fonttype": "none", "svg.hashsalt": "tuplet"}):
        show(source, **options).savefig(out, format=format, dpi=144, metadata=metadata)
    return short_paths(out.getvalue().decode()).encode() if format == "svg" else out.getvalue()


def about(load: Callable[..., Source]) -> list[str]:
    """Say what a source is, from its documentation.

    Args:
        load: the function that loads it.

    Returns:
        The paragraphs of its module, then those of its notes: what is physical, modelled and not claimed.

    Example:
        >>> from tuplet.data import SOURCES
        >>> about(SOURCES["push"])[0]
        'Push: a finger pushes a puck over a table; where is the puck one step later?'
    """
    notes = re.search(r"^Notes:\n((?:    .*\n|\n)+)", (inspect.getdoc(load) or "") + "\n", flags=re.M)
    text = (inspect.getdoc(sys.modules[load.__module__]) or "") + "\n\n" + inspect.cleandoc(notes[1] if notes else "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
