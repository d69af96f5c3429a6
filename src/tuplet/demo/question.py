"""Whether to align the emoji's names and pictures: a short audit of one pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuplet.audit import Audit, audit
from tuplet.data import Source


def ask(source: Source, out: Path, report: Callable[[int, int, str], None]) -> Audit:
    """Audit English names and Noto's pictures, with few and short pilot trainings."""
    return audit(
        source.select(["english", "noto"]),
        target="group",
        pairs=[("english", "noto")],
        strengths=(0.3,),
        seeds=(0, 1),
        steps=60,
        permutations=20,
        bootstrap=10,
        out=out,
        report=report,
    )
