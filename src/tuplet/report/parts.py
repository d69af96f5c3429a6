"""What stands on a page: sections of paragraphs, lists, terms, tables, drawings and sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """A paragraph that looks different.

    Attributes:
        words: the paragraph; what stands between back-ticks is set as code.
        look: ``"soft"``, ``"answer"``, ``"verdict"`` or ``"strong"``.
    """

    words: str
    look: str = "soft"

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return bool(self.words)


@dataclass(frozen=True)
class Picture:
    """A drawing, or several side by side.

    Attributes:
        drawn: SVG from `tuplet.report.ink.svg`; empty ones are left out.
        caption: what it shows.
        title: stands in bold before the caption, both above the drawing.
    """

    drawn: Sequence[str]
    caption: str = ""
    title: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return any(self.drawn)


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


class Answers(dict[str, str]):
    """Questions and answers of the first screen."""


Part = Any
"""Of a section: str (paragraph), `Text`, list of str, dict (terms), `Answers`, `Grid`, `Picture`, or list of `Sheet`."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; parts that are empty are left out, and so is a section without any other.

    Attributes:
        title: the heading; may be empty.
        parts: what stands below it, in order.
        minor: whether the heading is a smaller one.
    """

    title: str
    parts: Sequence[Part]
    minor: bool = False
