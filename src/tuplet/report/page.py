"""A page: sections of sentences, tables and pictures, written as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tuplet.io import write_atomic
from tuplet.report.grid import Grid
from tuplet.report.parts import Answers, Part, Picture, Section, Sheet, Text


def write_page(out: Path, *, title: str, sections: Sequence[Section], lead: str = "", name: str = "") -> Path:
    """Write a page."""
    page = _template().render(title=title, lead=lead, name=name or title, sections=sections)
    write_atomic(out, page.encode())
    return out


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    how: dict[str, Any] = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    made = Environment(loader=PackageLoader("tuplet.report"), **how)
    made.filters |= {"code": _code, "kind": _kind}
    return made.get_template("page.html")


def tight(text: str) -> str:
    """Let no line break before a unit or a deviation."""
    return text.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")


def _kind(part: Part) -> str:
    """Name the macro of the template that shows a part."""
    if isinstance(part, list | tuple):
        return "sheets" if part and isinstance(part[0], Sheet) else "points"
    if isinstance(part, dict):
        listed = any(isinstance(v, list | tuple) for v in part.values())
        return "answers" if isinstance(part, Answers) else "claims" if listed else "terms"
    return {Text: "text", Grid: "grid", Picture: "picture"}.get(type(part), "paragraph")


def _code(text: str) -> str:
    """Escape a text and set what stands between two back-ticks as code."""
    from markupsafe import Markup, escape

    if isinstance(text, Markup):
        return text
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one back-tick is alone
        parts = [*parts[:-2], "`".join(parts[-2:])]
    return Markup("").join(Markup("<code>{}</code>").format(t) if i % 2 else escape(t) for i, t in enumerate(parts))
