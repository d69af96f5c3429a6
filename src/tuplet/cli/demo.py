"""The ``tuplet demo`` command."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuplet.errors import InputError


@dataclass(frozen=True)
class Demo:
    """Audit, compare, train and search the packaged emoji, and write one page about it; a stopped demo continues."""

    out: Path = Path("runs/demo")
    """Folder of the page, the trained models and the finished pieces."""
    fresh: bool = False
    """Start the folder anew: forget what an earlier demo left there."""


def demo(command: Demo) -> None:
    """Run the demo, print the verdict and say where the page is."""
    import numpy as np
    import torch

    from tuplet.catalog import SOURCES
    from tuplet.datasets.emoji import contents
    from tuplet.demo.page import tell, verdict
    from tuplet.demo.study import ask, measure
    from tuplet.evaluate._units import unit_ids
    from tuplet.io import fresh, locked, write_atomic
    from tuplet.report.progress import Progress

    out = command.out
    if out.exists() and not out.is_dir():
        raise InputError(f"out is {out}, which is a file; choose another --out")
    if out.exists() and any(p.name != ".lock" for p in out.iterdir()) and not (out / "demo.json").exists():
        raise InputError(f"out {out} holds something else than a demo; choose another --out")
    torch.set_num_threads(1)  # the numbers do not depend on how many cores there are
    began = time.monotonic()
    if command.fresh:
        fresh(out)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        write_atomic(out / "demo.json", b"{}")  # marks the folder as a demo's
        source = SOURCES["emoji"]().select(["noto", "fluent", "twemoji", "english", "french"])
        shown = contents()
        names = shown.names["english"]
        print("Two parts, about three minutes of one core together; a stopped demo continues.", file=sys.stderr)
        with Progress("1 of 2: audit, whether to align names and pictures") as progress:
            audit = ask(source, out / "audit", progress.advance)
        with Progress("2 of 2: train and measure four objectives, both starts, and three baselines") as progress:
            found = measure(source, names, out=out, report=progress.advance)
        concepts = np.asarray(unit_ids(source, "test"))
        said = verdict(found, [names[i] for i in source.split.test], concepts, audit)
        page = tell(found, source, shown, said, out / "report.html")
    print("\n".join(told(said)))
    print(f"{time.monotonic() - began:.0f} s; pictures and tables: {page}")


def told(said: Sequence[tuple[str, str]]) -> list[str]:
    """Write questions and answers for a terminal of 80 columns."""
    lines = []
    for question, answer in said:
        lines += [question, *textwrap.wrap(answer, 78, initial_indent="  ", subsequent_indent="  ")]
    return lines
