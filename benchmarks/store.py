"""Time and memory of exact search over a store, beside the matrix products alone: ``python benchmarks/store.py ROWS``.

With faiss installed, it then makes codes of 20,000 items (or of a second number), whose vectors are
one random vector and noise per modality, and measures what a search in two stages finds.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from tuplet import store
from tuplet.data import Table, write_table
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise, Symile, Triangle
from tuplet.store._folder import write_index

DIM, NAMES, QUERIES, BLOCK = 256, "abc", 100, 50_000


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


def near(rows: int, name: str) -> Iterator[np.ndarray]:
    """Yield the vectors of a modality, one random vector of the item and noise of its own, a block at a time."""
    for shared, own in zip(blocks(rows, 0), blocks(rows, 1 + NAMES.index(name)), strict=True):
        mixed = shared + 0.7 * own
        yield mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def two_stages(names: tuple[str, ...], rows: int) -> None:
    """Measure what a search through codes finds of the exact first 10 and of the truth, and what it and the codes cost."""
    import_module("faiss").omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        file, coded = Path(folder, "near.safetensors"), Path(folder, "coded")
        columns = {f"z.{k}": near(rows, k) for k in NAMES} | {"id": np.arange(rows)}
        write_table(file, columns | {f"present.{k}": np.ones(rows, np.bool_) for k in NAMES})
        own = np.linspace(0, rows - 1, QUERIES).astype(np.int64)
        query = {"a": torch.from_numpy(np.array(Table.open(file).columns["z.a"][own]))}
        for name in names:
            start = time.perf_counter()
            write_index(file, coded, backend="faiss", objective=name, sides=[("b", "c")], force=True)
            built, size = time.perf_counter() - start, sum(f.stat().st_size for f in coded.glob("*.faiss"))
            print(f"  {name}: codes in {built:.0f} s, {size / 1e9:.2f} GB", flush=True)
            made = {"exact": store.index(coded, "exact"), "two stages": store.index(coded)}
            share, seconds = made["two stages"].recall(("a",), 10), {}  # reads the codes
            for way, one in made.items():
                seconds[way] = [measured(one.search, {"a": query["a"][:n]}, 10)[0] for n in (1, QUERIES)]
                found = float((one.search(query, 10).rows == own[:, None]).any(axis=1).mean())
                single, many = seconds[way]
                print(f"    {way}: 1 query {single:.4f} s, {QUERIES} {many:.2f} s, truth in the first 10 {found:.1%}")
            ratios = [f"{e / t:.0f}" for e, t in zip(*seconds.values(), strict=True)]
            print(f"    {share:.1%} of the exact first 10; {' and '.join(ratios)} times as fast", flush=True)


def main(rows: int, coded_rows: int) -> None:
    torch.set_num_threads(1)
    scores: tuple[Objective, ...] = (Pairwise(), Symile(), OneVsAll(), Gram(), Cone(), Triangle())
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
        print(f"two stages, {coded_rows:,} items x {len(NAMES)} x {DIM}")
        two_stages(
            ("pairwise", "symile", "one_vs_all", "gram", "cone") if coded_rows < 100_000 else ("pairwise", "cone"), coded_rows
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
