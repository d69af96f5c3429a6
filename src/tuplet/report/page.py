"""A page: sections of sentences, picture sheets and tables, written as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuplet.io import write_atomic


@dataclass(frozen=True)
class Tile:
    """A picture in a sheet.

    Attributes:
        image: a ``data:`` address, from `tuplet.report.data_uri`.
        label: what it shows; the picture's text for those who cannot see it.
        note: a few characters below it, such as a count.
        right: whether it is what was looked for; it is framed.
    """

    image: str
    label: str
    note: str = ""
    right: bool = False


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures under one title.

    Attributes:
        title: such as the word that was typed.
        rows: label of a row, a short remark on it, its pictures.
        wanted: the picture beside the title, if there is one.
    """

    title: str
    rows: Sequence[tuple[str, str, Sequence[Tile]]]
    wanted: Tile | None = None


@dataclass(frozen=True)
class Table:
    """Numbers.

    Attributes:
        columns: headings; the first one is of the rows' names.
        rows: cells as text.
        note: what a reader must know to read it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        title: the heading.
        text: paragraphs.
        sheets: of pictures.
        table: of numbers.
    """

    title: str
    text: Sequence[str] = ()
    sheets: Sequence[Sheet] = ()
    table: Table | None = None


def write_page(
    out: Path, *, title: str, lead: str, verdict: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> Path:
    """Write a page.

    Args:
        out: the file.
        title: of the page.
        lead: one sentence below it.
        verdict: questions and answers of the first screen.
        sections: what follows.

    Returns:
        The file. All text is escaped, and what stands between back-ticks is set as code; the page follows the reader's light or
        dark setting and suits a phone.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_page(Path(folder, "a.html"), title="A < B", lead="", verdict=[("Why?", "So.")], sections=[])
        ...     "A &lt; B" in page.read_text()
        True
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("tuplet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = _code
    page = made.get_template("page.html").render(title=title, lead=lead, verdict=verdict, sections=sections)
    write_atomic(out, page.encode())
    return out


def _code(text: str) -> str:
    """Escape a text and set what stands between two back-ticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:  # one back-tick is alone
        parts = [*parts[:-2], "`".join(parts[-2:])]
    return Markup("").join(Markup("<code>{}</code>").format(t) if i % 2 else escape(t) for i, t in enumerate(parts))
