"""Time and memory of exact search over a store, beside the matrix products alone: ``python benchmarks/store.py ROWS``."""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from tuplet import store
from tuplet.data import Table, write_table
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise, Symile

DIM, NAMES, QUERIES, BLOCK = 256, "abc", 256, 50_000


def blocks(rows: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for start in range(0, rows, BLOCK):
        z = rng.standard_normal((min(BLOCK, rows - start), DIM), dtype=np.float32)
        yield z / np.linalg.norm(z, axis=1, keepdims=True)


def products(file: Path, rows: int, query: torch.Tensor) -> None:
    """Read the vectors of two modalities in blocks and multiply them with the queries; nothing else."""
    for start in range(0, rows, 2**13):
        columns = Table.open(file).columns
        for name in NAMES[1:]:
            query @ torch.from_numpy(np.array(columns[f"z.{name}"][start : start + 2**13])).to(query.dtype).mT


def measured(call: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Seconds of a call, and its resident memory above what was there before, in MB."""
    page, seen, ended = resource.getpagesize(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * page)

    before = int(Path("/proc/self/statm").read_text().split()[1]) * page
    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    call(*arguments)
    seconds = time.perf_counter() - start
    ended.set()
    thread.join()
    return seconds, max(max(seen) - before, 0) / 1e6


def main(rows: int) -> None:
    torch.set_num_threads(1)
    scores: tuple[Objective, ...] = (Pairwise(), Symile(), OneVsAll(), Gram(), Cone())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "emb.safetensors")
        columns = {f"z.{k}": blocks(rows, i) for i, k in enumerate(NAMES)} | {"id": np.arange(rows)}
        write_table(file, columns | {f"present.{k}": np.ones(rows, np.bool_) for k in NAMES})
        print(f"{rows:,} items x {len(NAMES)} x {DIM}, {file.stat().st_size / 1e9:.1f} GB, one thread", flush=True)
        query = torch.from_numpy(next(blocks(QUERIES, 9)))
        for n in (1, QUERIES):
            single, double = (measured(products, file, rows, query[:n].to(d))[0] for d in (torch.float32, torch.float64))
            print(f"{n} queries: reading and products alone {single:.2f} s in float32, {double:.2f} s in float64", flush=True)
            for objective in scores:
                seconds, memory = measured(store.index(file, objective=objective).search, {"a": query[:n]}, 10)
                ratio = seconds / (single if objective.inner else double)
                print(
                    f"  {type(objective).__name__:10} {seconds:6.2f} s, {ratio:4.1f} x products, {memory:5.0f} MB", flush=True
                )


if __name__ == "__main__":
    main(int(sys.argv[1]))
