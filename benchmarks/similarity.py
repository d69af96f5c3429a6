"""Time and memory of similarity metrics at sizes where whole ``n x n`` matrices do not fit, and against those where they do.

    python benchmarks/similarity.py [--only textbook knn cka] [--n 100000] [--rows 1000000] [--d 256] [--threads 2]

Float32 rows that share a third of their variance, seed 0. Memory is the largest resident memory of the process, with
Python, torch and the rows, and what of it the call added; every size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tuplet.diagnose.similarity import Moments, cka, mutual_knn, similarity
from tuplet.suites.scaling import peak_memory


def spaces(n: int, d: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two spaces of one third common variance."""
    shared = torch.randn(n, d, generator=g)
    return tuple(shared.add(torch.randn(n, d, generator=g), alpha=2**0.5) for _ in range(2))


def whole_knn(a: Tensor, b: Tensor, k: int = 10) -> float:
    """Mutual-kNN as it is usually written: sorted ``n x n`` inner products and ``n x n`` masks."""
    masks = []
    for x in (a, b):
        x = torch.nn.functional.normalize(x, dim=1)
        index = (x @ x.mT).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :k]
        masks.append(torch.zeros(len(x), len(x)).scatter_(1, index, 1.0))
    return float((masks[0] * masks[1]).sum(dim=1).mean() / k)


def whole_cka(a: Tensor, b: Tensor) -> float:
    """Unbiased linear CKA as it is usually written."""
    n = len(a)
    kernels = [(x.double() @ x.double().mT).fill_diagonal_(0) for x in (a, b)]

    def hsic(p: Tensor, q: Tensor) -> Tensor:
        total = (p * q).sum() + p.sum() * q.sum() / ((n - 1) * (n - 2)) - 2 * (p @ q).sum() / (n - 2)
        return total / (n * (n - 3))

    return float(hsic(*kernels) / (hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])).sqrt())


def resident() -> float:
    """Largest resident memory of this process, GiB."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def measured(name: str, work: Callable[[], object]) -> None:
    found: list[object] = []
    start = time.process_time()
    extra = peak_memory(lambda: found.append(work()))
    seconds = time.process_time() - start
    said = f"{float(found[0]):.4f}" if not isinstance(found[0], str) else found[0]
    print(f"| {name} | {said} | {seconds:.1f} | {(extra or float('nan')) / 1024:.2f} | {resident():.2f} |", flush=True)


def textbook(n: int, d: int) -> None:
    a, b = spaces(n, d, torch.Generator().manual_seed(0))
    forms = {
        "mutual-kNN, n x n": lambda: whole_knn(a, b),
        "mutual_knn": lambda: mutual_knn(a, b, shuffles=0),
        "unbiased linear CKA, n x n": lambda: whole_cka(a, b),
        "cka": lambda: cka(a, b),
        "similarity, six metrics": lambda: similarity(a, b, shuffles=0)["mutual_knn"],
        "similarity, six metrics, 100 shuffles": lambda: similarity(a, b)["mutual_knn"],
    }
    for name, form in forms.items():
        measured(f"{name}; n = {n:,}, d = {d}", form)


def knn(n: int, d: int) -> None:
    a, b = spaces(n, d, torch.Generator().manual_seed(0))

    def products() -> float:
        return sum(float((rows @ x.mT)[0, 0]) for x in (a, b) for rows in x.split(1000))

    measured(f"both matrix products alone; n = {n:,}, d = {d}", products)
    measured(f"mutual_knn, 2,000 queries; n = {n:,}, d = {d}", lambda: mutual_knn(a, b, queries=2000, shuffles=0))
    measured(f"mutual_knn, 100 shuffles; n = {n:,}, d = {d}", lambda: mutual_knn(a, b))


def stream(n: int, d: int) -> None:
    g, seen, block = torch.Generator().manual_seed(0), Moments(), 10_000

    def work() -> float:
        for _ in range(n // block):
            seen.update(*spaces(block, d, g))
        return float(seen.cka())

    measured(f"Moments, rows drawn on the way; n = {n:,}, d = {d}", work)
    measured(f"svcca of the same stream; n = {n:,}, d = {d}", lambda: float(seen.svcca()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["textbook", "knn", "cka"])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        {"textbook": textbook, "knn": knn, "cka": stream}[args.child[0]](int(args.child[1]), args.d)
        return
    print(f"torch {torch.__version__}, {platform.machine()}, {args.threads} threads\n", flush=True)
    print("| what | value | CPU seconds | GiB more | GiB in all |\n| --- | --- | --- | --- | --- |", flush=True)
    for name, sizes in {"textbook": (4_000,), "knn": (args.n,), "cka": (args.rows,)}.items():
        for n in sizes if name in args.only else ():
            options = ["--d", str(args.d), "--threads", str(args.threads), "--child", name, str(n)]
            subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
