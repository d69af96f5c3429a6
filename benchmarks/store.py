"""Time and memory of exact search over a store, beside the matrix products alone: ``python benchmarks/store.py ROWS``.

With faiss installed, it then builds graphs of 20,000 items, whose vectors are one random vector and noise per modality, and
measures what a search in two stages finds.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tuplet import Embeddings, store
from tuplet.data import Table, write_table
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise, Symile

DIM, NAMES, QUERIES, BLOCK, NEAR = 256, "abc", 100, 50_000, 20_000


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


def two_stages(scores: tuple[Objective, ...]) -> None:
    """Measure which share of the exact first 10 a search through a graph finds, and what a graph costs."""
    with tempfile.TemporaryDirectory() as folder:
        shared, *own = (torch.from_numpy(np.concatenate(list(blocks(NEAR, seed)))) for seed in range(1 + len(NAMES)))
        near = {k: F.normalize(shared + 0.7 * z, dim=1) for k, z in zip(NAMES, own, strict=True)}
        file = store.write(Path(folder, "near.safetensors"), Embeddings.of(near))
        for objective in scores:
            start = time.perf_counter()
            made = store.index(file, "faiss", objective=objective)
            share, seconds = made.recall(("a",), 10), time.perf_counter() - start
            print(
                f"  {type(objective).__name__:10} recall@10 {share:.0%}, {seconds:.0f} s for the graph and 32 queries",
                flush=True,
            )


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
    if find_spec("faiss"):
        print(f"two stages, {NEAR:,} items x {len(NAMES)} x {DIM}")
        two_stages(scores)


if __name__ == "__main__":
    main(int(sys.argv[1]))
