"""How fast the physics sources are made, and what is in them.

    python benchmarks/simulate.py [--workers 2] [--push 1000] [--peg 24] [--sizes 64 128] [--seed 0]

Prints a Markdown table: episodes, rows, wall seconds, processor seconds of all processes together, rows a wall second, the
size of the file, and the shares that a scene promises (rows with contact, trajectories with an insertion). The time to
start the processes is included.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from tuplet.data import Table
from tuplet.simulators.episodes import Scene, episode_table
from tuplet.simulators.peg import Peg
from tuplet.simulators.push import Push


def cpu() -> float:
    """Processor seconds of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def measure(scene: Scene, *, label: str, episodes: int, seed: int, workers: int, folder: Path) -> None:
    start, spent = time.perf_counter(), cpu()
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers, out=folder / "measured.safetensors")
    seconds, spent = time.perf_counter() - start, cpu() - spent
    table = Table.open(file)
    group = table.columns["group"]
    if "inserted" in table.columns:
        inserted = np.unique(group[np.asarray(table.columns["inserted"])])
        contact = np.mean(table.columns["target.contact"])
        promise = f"contact {contact:.0%} of rows, inserted {len(inserted) / episodes:.0%} of trajectories"
    else:
        contact = np.asarray(table.columns["contact"])
        promise = f"contact {np.mean(contact > 0):.0%} of windows, {contact.mean():.0%} of steps"
    size = file.stat().st_size / 2**20
    speed = f"{seconds:.1f} | {spent:.1f} | {len(table) / seconds:.0f}"
    print(f"| {label} | {episodes} | {len(table)} | {speed} | {size:.0f} | {promise} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--push", type=int, default=1000)
    parser.add_argument("--peg", type=int, default=24)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {asked.workers} processes\n")
    print("| scene | episodes | rows | s | CPU s | rows / s | MiB | content |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        common = {"seed": asked.seed, "workers": asked.workers, "folder": Path(folder)}
        if asked.push:
            measure(Push(), label="push, 32 px", episodes=asked.push, **common)
        for size in asked.sizes if asked.peg else ():
            measure(Peg(size=size), label=f"peg, {size} px", episodes=asked.peg, **common)


if __name__ == "__main__":
    main()
