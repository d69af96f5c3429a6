"""A source in words: one line for a command that reads it, several for `tuplet data info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuplet.types import kind_of

if TYPE_CHECKING:
    from tuplet.data import Source


def contents(source: Source) -> str:
    """Say in a line what was taken as modality, target and group, and below it what a user may not have meant."""
    views = ", ".join(
        f"{k} {'x'.join(map(str, m.shape))} ({m.kind or kind_of(m.shape)}{_absent(source, k)})"
        for k, m in source.modalities.items()
    )
    asked = ", ".join(f"{k} ({t.size} {'classes' if t.kind == 'class' else 'real'})" for k, t in source.targets.items())
    line = f"modalities: {views}; target: {asked or 'none'}; groups: {_groups(source)}"
    return "\n".join([line, *_notes(source)])


def description(source: Source) -> str:
    """Describe a source: rows, modalities, targets, groups, where it comes from."""
    p = source.provenance
    lines = [f"{source.name}: {p.title}"]
    rows = f"train {len(source.train)}, val {len(source.val)}, test {len(source.test)}"
    lines.append(f"rows: {rows}  (split {source.split.sha256[:12]}, data {source.fingerprint[:12]})")
    for name, m in source.modalities.items():
        kind = m.kind or kind_of(m.shape)
        lines.append(f"  modality {name}: {m.shape} {m.dtype}{f', {kind}' if kind else ''}{_absent(source, name)}  {m.unit}")
    for name, t in source.targets.items():
        lines.append(f"  target {name}: {t.size} {'classes' if t.kind == 'class' else f'real numbers {t.unit}'}")
    lines.append(f"  group: {_groups(source)}")
    about = {"cite": p.citation, "licence": p.licence, "origin": p.origin, "sha256": p.sha256}
    return "\n".join([*lines, *(f"{k}: {v}" for k, v in about.items() if v), *_notes(source)])


def _absent(source: Source, modality: str) -> str:
    here = source.present[modality]
    gone = int((~here).sum())
    return f", absent in {gone} of {len(here)} rows" if gone else ""


def _groups(source: Source) -> str:
    return "none" if source.group is None else str(len(torch.unique(source.group)))


def _notes(source: Source) -> list[str]:
    return [f"note: {note}" for note in source.provenance.notes]
