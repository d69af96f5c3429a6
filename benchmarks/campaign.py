"""The reliability campaign: kills, damaged inputs, full disks, other writers, dead workers, bombs and soaks, in one command.

    python -m benchmarks.campaign [--kills 100] [--inputs 1000000] [--faults 10] [--soak 600] [--workers 2] [--only kill ...]
        [--out DIR]

Run it from the clone. Every trial has a number, its seed; what is done is kept in ``--out``, so that a stopped campaign
continues, and a larger one adds to it. The end prints the figures; any trial that broke a promise is listed, exit code 1.
A trial of a command ends well if the command ends right or in one line, and if, continued, it ends with the digits of a run
that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import _campaign_commands as commands
from benchmarks import _campaign_inputs as inputs
from benchmarks import _campaign_machines as machines
from tests.starter import STARTER

PARTS = ("kill", "full disk", "read-only", "damage", "two writers", "clock", "worker", "rank", "bomb", "soak", "input")
SLICE = 10.0
"""Seconds that one kind of input has before the next one."""


class Book:
    """What was tried, a line each, in a file that a stopped campaign goes on with."""

    def __init__(self, out: Path) -> None:
        self.file = out / "trials.jsonl"
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.trials: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.done = {(t["part"], t["what"], t["seed"]) for t in self.trials}

    def trial(self, part: str, what: str, seed: int, run: Callable[[random.Random], str]) -> None:
        """Run a trial unless it is done; ``run`` returns how it ended, with BROKEN first if a promise was."""
        if (part, what, seed) not in self.done:
            began = time.monotonic()
            ended = run(random.Random(f"{part} {what} {seed}"))
            self.note(part=part, what=what, seed=seed, ended=ended, seconds=round(time.monotonic() - began, 1))

    def note(self, **trial: Any) -> None:
        """Keep a line."""
        self.trials.append(trial)
        with self.file.open("a") as file:
            print(json.dumps(trial), file=file)
        print(*trial.values(), file=sys.stderr, flush=True)

    def figures(self) -> tuple[str, list[str]]:
        """Return a table of what was tried and how it ended, and what broke a promise."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        numbers: Counter[tuple[str, str]] = Counter()
        broken = []
        for t in self.trials:
            key = (t["part"], t["what"] if t["part"] != "input" else t["what"].partition(" ")[0].partition(".")[0])
            word = t["ended"].partition(":")[0]
            counts[key][word] += t.get("count", 1)
            numbers[key] += t.get("count", 1)
            if word == "BROKEN":
                broken.append(f"{t['part']}, {t['what']}, {t['seed']}: {t['ended']}")
        rows = ["| part | what | trials | how they ended |", "| --- | --- | ---: | --- |"]
        for key in sorted(counts, key=lambda k: (PARTS.index(k[0]), k[1])):
            how = ", ".join(f"{n:,} {word}" if len(counts[key]) > 1 else word for word, n in counts[key].most_common())
            rows.append(f"| {key[0]} | {key[1]} | {numbers[key]:,} | {how} |")
        return "\n".join(rows), broken


def fuzz(book: Book, out: Path, total: int, workers: int) -> None:
    """Read damaged inputs of every kind in turn, the same time for each and some side by side, until so many were read."""
    whole, names = out / "whole", list(inputs.kinds(out / "whole"))
    turns = Counter(t["what"] for t in book.trials if t["part"] == "input" and t["seed"] == -1)

    def read(name: str) -> None:
        if (left := total - sum(t["count"] for t in book.trials if t["part"] == "input")) <= 0:
            return
        folder, most = out / "inputs" / name.replace(" ", "_"), min(left, -(-total // len(names)))
        count, faults = inputs.slice_of(STARTER, name, whole, folder, most, min(SLICE, 0.3 + total / 2000))
        for fault in faults:
            ended = f"BROKEN: {fault['file']}: {' '.join(fault['what'].split())[-300:]}"
            book.note(part="input", what=name, seed=fault["number"], ended=ended, count=1)
        book.note(part="input", what=name, seed=-1, ended="right or one line", count=count - len(faults))

    with ThreadPoolExecutor(workers) as pool:
        while total > sum(t["count"] for t in book.trials if t["part"] == "input"):
            list(pool.map(read, sorted(names, key=lambda name: turns[name])))
            turns.update(names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs, spread over the commands")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="damaged inputs, spread over readers and records")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="kinds of inputs that are read side by side")
    parser.add_argument("--faults", type=int, default=10, help="trials of every other fault and command")
    parser.add_argument("--soak", type=int, default=600, help="seconds of training, and of searches by the service")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("runs/campaign"))
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.pop("TUPLET_DEBUG", None)
    os.environ["TUPLET_CACHE"] = str(out / "cache")
    STARTER.set_forkserver_preload(["tests.preload", "tuplet.cli.commands", inputs.__name__, commands.__name__])
    book = Book(out)
    site = commands.Site(out)
    site.prepare()
    asked = [p for p in PARTS if p in args.only]
    share = -(-args.kills // len(commands.WORDS))
    for part in asked:
        trials = {"kill": share}.get(part, args.faults)
        if part in commands.TRIALS:
            for what in commands.WORDS:
                for seed in range(trials):
                    book.trial(part, what, seed, lambda rng, part=part, what=what: commands.TRIALS[part](site, what, rng))
        for what, run in machines.trials(part, site, args.soak):
            for seed in range(1 if part in ("bomb", "soak") else trials):
                book.trial(part, what, seed, run)
    if "input" in asked:
        fuzz(book, out, args.inputs, args.workers)
    shutil.rmtree(out / "work", ignore_errors=True)
    table, broken = book.figures()
    print(f"torch {torch.__version__}, numpy {np.__version__}, {os.cpu_count()} cores\n\n{table}")
    print("\n".join(["", "Broken:", *broken] if broken else ["", "No promise was broken."]))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
