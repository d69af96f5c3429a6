"""A table of text, once: for a terminal, a page, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

GAP = 2
"""Spaces between columns in a terminal."""
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}


@dataclass(frozen=True)
class Grid:
    """A table."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1  # leading columns that hold words; the others hold numbers
    marks: Sequence[Sequence[str]] = ()  # for each cell the words "best", "up", "down" that apply
    chance: bool = False  # the last line is what chance reaches
    folds: bool = False  # the second and third column fold into the first on a phone
    note: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return bool(self.lines)

    def markdown(self, title: str = "") -> str:
        """Print as Markdown, the best cells bold."""
        rule = ["---"] * self.words + ["---:"] * (len(self.head) - self.words)
        rows = [list(map(_escaped, self.head)), rule, *([_escaped(c) for c in line] for line in self.marked("**"))]
        return "\n".join([*([f"{title}\n"] if title else []), *(f"| {' | '.join(row)} |" for row in rows), ""])

    def marked(self, bold: str = "") -> Sequence[Sequence[str]]:
        """Write the marks into the lines."""

        def cell(text: str, mark: str) -> str:
            return (f"{bold}{text}{bold}" if "best" in mark else text) + " ▲" * ("up" in mark) + " ▼" * ("down" in mark)

        if not self.marks:
            return self.lines
        return [list(map(cell, line, marks)) for line, marks in zip(self.lines, self.marks, strict=True)]

    def csv(self) -> str:
        """Print as comma-separated values."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.head, *self.lines])
        return out.getvalue()

    def latex(self, title: str) -> str:
        """Print as LaTeX (booktabs)."""

        def row(cells: Sequence[str]) -> str:
            return " & ".join(map(_tex, cells)) + r" \\"

        width = len(self.head)
        lines = [rf"\begin{{tabular}}{{{'l' * self.words}{'r' * (width - self.words)}}}", r"\toprule"]
        lines += [rf"\multicolumn{{{width}}}{{l}}{{{_tex(title)}}} \\", row(self.head), r"\midrule"]
        return "\n".join([*lines, *map(row, self.lines), r"\bottomrule", r"\end{tabular}", ""])

    def text(self) -> str:
        """Print for a terminal."""
        from rich.cells import cell_len

        wide = self._widths()
        rows = []
        for line in (self.head, *self.lines):
            gaps = [" " * (w - cell_len(c)) for c, w in zip(line, wide, strict=True)]
            cells = [c + g if i < self.words else g + c for i, (c, g) in enumerate(zip(line, gaps, strict=True))]
            rows.append((" " * GAP).join(cells).rstrip())
        return "\n".join(rows)

    def blocks(self, width: int) -> list[Grid]:
        """Break a table that is too wide into several that repeat the first column."""
        wide = self._widths()
        parts: list[list[int]] = []
        left = 0
        for i in range(1, len(wide)):
            if not parts or wide[i] + GAP > left:
                parts.append([0])
                left = width - wide[0]
            parts[-1].append(i)
            left -= wide[i] + GAP
        return [
            replace(self, head=[self.head[i] for i in part], lines=[[line[i] for i in part] for line in self.lines])
            for part in parts
        ]

    def _widths(self) -> list[int]:
        from rich.cells import cell_len

        return [max(map(cell_len, column)) for column in zip(self.head, *self.lines, strict=True)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(c, "\\" + c if c in "&%_#${}" else c) for c in text)
