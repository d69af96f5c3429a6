"""What stands on a page: sections of paragraphs, lists, terms, tables, drawings and sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """A paragraph that looks different."""

    words: str  # what stands between back-ticks is set as code
    look: str = "soft"  # or "answer", "verdict", "strong"

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return bool(self.words)


@dataclass(frozen=True)
class Picture:
    """A drawing, or several side by side."""

    drawn: Sequence[str]  # from `tuplet.report.ink.svg`; empty ones are left out
    caption: str = ""
    title: str = ""  # stands in bold before the caption, both above the drawing

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return any(self.drawn)


@dataclass(frozen=True)
class Tile:
    """A picture in a sheet."""

    image: str  # a ``data:`` address
    label: str  # the picture's text for those who cannot see it
    note: str = ""  # a few characters below it
    right: bool = False  # whether it is what was looked for; it is framed


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures under one title."""

    title: str
    rows: Sequence[tuple[str, str, Sequence[Tile]]]  # label, a short remark, pictures
    wanted: Tile | None = None  # stands beside the title
    large: bool = False  # whether details matter


class Answers(dict[str, str]):
    """Questions and answers of the first screen."""


Part = Any
"""Of a section: str (paragraph), `Text`, list of str, dict (terms), `Answers`, `Grid`, `Picture`, or list of `Sheet`."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; parts that are empty are left out, and so is a section without any other."""

    title: str
    parts: Sequence[Part]
    minor: bool = False  # a smaller heading
