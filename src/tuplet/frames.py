"""Lists of results that become a frame, and that a notebook shows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from html import escape
from typing import Any, TypeVar

from tuplet.errors import importing

T = TypeVar("T")
SHOWN = 20
"""Lines of a table in a notebook."""


class Listed(list[T]):
    """A list of dataclasses of one class; a slice of it is a plain list."""

    def to_frame(self) -> Any:
        """Return a pandas frame: a row per entry, a column per field that holds one number or text."""
        return frame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the fields of every entry that hold one number or text."""
        kept = [f.name for f in fields(self[0]) if f.repr] if self else []  # type: ignore[arg-type]
        single = [k for k in kept if all(isinstance(getattr(r, k), str | int | float | None) for r in self)]
        return [{k: getattr(r, k) for k in single} for r in self]

    def _repr_html_(self) -> str:
        rows = self.rows()
        more = f", {SHOWN} of them shown" if len(rows) > SHOWN else ""
        return html(f"{len(rows)} numbers{more}; .to_frame() for all", rows[:SHOWN])


def frame(rows: Sequence[dict[str, Any]]) -> Any:
    """Make a pandas frame."""
    with importing("to_frame needs pandas; run pip install 'tuplet[tables]'"):
        import pandas as pd
    return pd.DataFrame(rows)


def html(caption: str, rows: Sequence[dict[str, Any]]) -> str:
    """Write a small table for a notebook."""
    head = "".join(f"<th>{escape(k)}</th>" for k in (rows[0] if rows else ()))
    lines = "".join(f"<tr>{''.join(f'<td>{escape(_cell(v))}</td>' for v in row.values())}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
