"""A source in a few lines, for people: what ``repr`` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tuplet.data.source import Source
from tuplet.types import kind_of

SHOWN = 4
"""Modalities that have a line of their own; of more, the others share one."""


def described(source: Source, *, present: Mapping[str, Any], group: Any, hidden: str = "") -> str:
    """Describe a source: modalities with shape, kind and share of absent rows, rows per part, targets, groups."""
    parts = ", ".join(f"{len(getattr(source.split, part))} {part}" for part in ("train", "val", "test"))
    lines = [f"{type(source).__name__} {source.name[:60]!r}: {parts} rows{hidden}"]
    names = list(source.modalities)
    few = names if len(names) <= SHOWN else names[: SHOWN - 1]
    wide = max(len(k[:30]) for k in few)
    lines += [f"  {k[:30]:<{wide}}  {_modality(source, k, present)}" for k in few]
    if rest := names[len(few) :]:
        lines.append(f"  and {len(rest)} more: {_short(', '.join(rest))}")
    targets = [f"{k} ({t.size} {'classes' if t.kind == 'class' else 'real'})" for k, t in source.targets.items()]
    groups = "none" if group is None else str(len(np.unique(np.asarray(group))))
    lines.append(f"  target: {_short(', '.join(targets)) or 'none'}; groups: {groups}")
    if notes := len(source.provenance.notes):
        lines.append(f"  {notes} note{'s' * (notes > 1)} in .provenance.notes")
    return "\n".join(lines)


def rows_described(source: Source, count: int, part: str = "") -> str:
    """Describe rows of a source in one line."""
    return f"{count} {part}{' ' * bool(part)}rows of {source.name[:60]!r} ({_short(', '.join(source.modalities))})"


def _modality(source: Source, name: str, present: Mapping[str, Any]) -> str:
    about = source.modalities[name]
    kind = about.kind or kind_of(about.shape)
    here = np.asarray(present[name]) if name in present else np.ones(1, dtype=bool)
    gone = int((~here).sum())
    missing = f", absent in {gone} of {len(here)} rows ({100 * gone / len(here):.0f} %)" if gone else ""
    return " x ".join(map(str, about.shape)) + (f" ({kind})" if kind else "") + missing


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
