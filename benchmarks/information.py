"""Exact decompositions: time against the textbook programs, the crossover of the solvers, and large tables.

    python benchmarks/information.py [--only pid similarity null] [--repeats 3] [--parts peers solvers batch large]

``similarity`` and ``null`` run the scripts of those names beside this one; pid and similarity when left out.

Times are processor seconds of one thread, medians over repeats and tables that take turns in one process, so that a busy
machine counts little. Memory is the largest resident memory beyond that before the solve, each in a process of its own.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cvxpy as cp
import numpy as np
import torch
from torch import Tensor

from tuplet.information import components, union_information
from tuplet.suites.scaling import peak_memory

BIT = math.log(2)
KINDS = ("flat", "sparse", "structured")


def table(kind: str, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Flat Dirichlet; Dirichlet 0.05, two thirds of its cells emptied; log-linear posteriors of both sources."""
    rng = np.random.default_rng(seed)
    cells = math.prod(shape)
    if kind == "structured":
        n, p, y = shape
        logits = 2 * rng.normal(size=(n, 1, y)) + 2 * rng.normal(size=(1, p, y)) + 0.5 * rng.normal(size=shape)
        posterior = torch.from_numpy(logits).softmax(-1)
        return posterior * torch.from_numpy(rng.dirichlet(np.full(n * p, 2.0))).view(n, p, 1)
    out = rng.dirichlet(np.full(cells, 1.0 if kind == "flat" else 0.05))
    if kind == "sparse":
        out[out < np.quantile(out, 2 / 3)] = 0
    return torch.from_numpy(out / out.sum()).view(shape)


def entropy(p: Tensor) -> float:
    y = p.sum((0, 1))
    return float(-torch.xlogy(y, y).sum())


def program(p: Tensor, form: str) -> float:
    """The convex program through cvxpy and Clarabel, marginals as sums of scalars, of slices, or of whole axes; bits."""
    x = p.numpy()
    n, m, y = x.shape
    q = [cp.Variable((n, m), nonneg=True) for _ in range(y)]
    if form == "axes":
        constraints = [cp.sum(q[k], axis=1) == x[..., k].sum(1) for k in range(y)]
        constraints += [cp.sum(q[k], axis=0) == x[..., k].sum(0) for k in range(y)]
    elif form == "slices":
        constraints = [cp.sum(q[k][i, :]) == x[i, :, k].sum() for k in range(y) for i in range(n)]
        constraints += [cp.sum(q[k][:, j]) == x[:, j, k].sum() for k in range(y) for j in range(m)]
    else:
        constraints = [cp.sum([q[k][i, j] for j in range(m)]) == x[i, :, k].sum() for k in range(y) for i in range(n)]
        constraints += [cp.sum([q[k][i, j] for i in range(n)]) == x[:, j, k].sum() for k in range(y) for j in range(m)]
    objective = cp.sum(cp.rel_entr(cp.vstack(q), cp.vstack([cp.sum(q)] * y)))
    cp.Problem(cp.Minimize(objective), constraints).solve(solver="CLARABEL")
    found = torch.from_numpy(np.stack([v.value for v in q], axis=-1)).clamp_min(0)
    total = found.sum(-1)
    return (float(torch.xlogy(found, found).sum() - torch.xlogy(total, total).sum()) + entropy(p)) / BIT


def ours(p: Tensor, solver: str, gap: float) -> tuple[float, float, int]:
    """Union information, its certified gap (bits), and the rounds."""
    found = union_information(p.sum(1)[None], p.sum(0)[None], gap=gap * BIT, solver=solver)
    return float(found.upper) / BIT, float(found.upper - found.lower) / BIT, int(found.rounds)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    out = work()
    return time.process_time() - start, out


def peers(repeats: int) -> None:
    print("\n**32 x 64 x 4: processor seconds, and distance of the value from the certified one (bits)**\n")
    forms: dict[str, Callable[[Tensor], object]] = {
        "program, scalars": lambda p: program(p, "scalars"),
        "program, slices": lambda p: program(p, "slices"),
        "program, axes": lambda p: program(p, "axes"),
        "`conic`": lambda p: ours(p, "conic", 1e-6),
        "`interior`": lambda p: ours(p, "interior", 1e-6),
    }
    print(
        "| table | "
        + " | ".join(forms)
        + " | scalars / `interior` | slices / `interior` | certified gap |\n|"
        + " --- |" * (len(forms) + 4)
    )
    for kind in KINDS:
        times: dict[str, list[float]] = {k: [] for k in forms}
        off = dict.fromkeys(forms, 0.0)
        gap = 0.0
        for seed in range(repeats):
            p = table(kind, (32, 64, 4), seed)
            best = ours(p, "interior", 1e-8)[0]
            for name, form in forms.items():
                seconds, out = timed(lambda form=form, p=p: form(p))
                times[name].append(seconds)
                off[name] = max(off[name], abs((out if isinstance(out, float) else out[0]) - best))
                gap = max(gap, out[1]) if name == "`interior`" else gap
        middle = {k: statistics.median(v) for k, v in times.items()}
        cells = [f"{middle[k]:.3f} ({off[k]:.0e})" for k in forms]
        scalars, slices = (middle[f"program, {k}"] / middle["`interior`"] for k in ("scalars", "slices"))
        print(f"| {kind} | " + " | ".join(cells) + f" | {scalars:.0f} | {slices:.0f} | {gap:.0e} |", flush=True)


def solvers(repeats: int) -> None:
    print("\n**Solvers by size and gap: processor seconds (rounds; certified gap where it missed the one asked for)**\n")
    print("| shape | table | gap | `interior` | `conic` | `projection` |\n| --- | --- | ---: | ---: | ---: | ---: |")
    shapes = [(4, 4, 2), (10, 10, 4), (20, 20, 2), (32, 64, 4), (100, 100, 4)]
    for shape in shapes:
        for kind in KINDS:
            for gap in (1e-4, 1e-6):
                row = []
                for solver in ("interior", "conic", "projection"):
                    if solver == "conic" and math.prod(shape) > 10_000:
                        row.append("-")
                        continue
                    runs = [
                        timed(lambda s=seed, k=kind, v=solver, h=shape, g=gap: ours(table(k, h, s), v, g))
                        for seed in range(repeats)
                    ]
                    seconds = statistics.median(t for t, _ in runs)
                    reached = max(out[1] for _, out in runs)
                    rounds = round(statistics.median(out[2] for _, out in runs))
                    row.append(f"{seconds:.3f} ({rounds}" + (f"; {reached:.0e})" if reached > 1.01 * gap else ")"))
                shown = " x ".join(map(str, shape))
                print(f"| {shown} | {kind} | {gap:.0e} | " + " | ".join(row) + " |", flush=True)


def batch(repeats: int) -> None:
    print("\n**1,000 tables of 20 x 20 x 2 at once, counts of n independent samples (a permutation null)**\n")
    print("| n | gap (bits) | processor s, ms per table | tables that missed the gap |\n|" + " ---: |" * 4)
    for n in (138, 690, 10_000):
        for gap in (1e-3, 1e-6):
            times = []
            for seed in range(repeats):
                counts = np.random.default_rng(seed).multinomial(n, np.full(800, 1 / 800), size=1000)
                many = torch.from_numpy(counts.reshape(1000, 20, 20, 2)).double()
                seconds, found = timed(lambda many=many, gap=gap: components(many, gap=gap))
                times.append(seconds)
            seconds = statistics.median(times)
            missed = int((found.gap > 1.01 * gap).sum())
            print(f"| {n:,} | {gap:.0e} | {seconds:.2f} | {missed} |", flush=True)


def large() -> None:
    print("\n**200 x 200 x 10 to a certified 1e-4 bits, each in a process of its own**\n", flush=True)
    print("| table | solver | processor s | wall s | extra peak | rounds | certified gap |\n|" + " --- |" * 7, flush=True)
    for kind in KINDS:
        for solver in ("interior", "projection"):
            subprocess.run([sys.executable, __file__, "--one", kind, solver], check=True)


def one(kind: str, solver: str) -> None:
    p = table(kind, (200, 200, 10), 0)
    ours(table(kind, (20, 20, 10), 0), solver, 1e-3)
    kept: list[tuple[float, float, int]] = []
    start, wall = time.process_time(), time.perf_counter()
    extra = peak_memory(lambda: kept.append(ours(p, solver, 1e-4)))
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    peak = "-" if extra is None else f"{extra:.0f} MiB"
    _, gap, rounds = kept[0]
    print(f"| {kind} | `{solver}` | {seconds:.1f} | {wall:.1f} | {peak} | {rounds} | {gap:.0e} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["pid", "similarity"], choices=["pid", "similarity", "null"])
    parser.add_argument("--parts", nargs="*", default=["peers", "solvers", "batch", "large"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # cvxpy on accuracy
    if args.one:
        one(*args.one)
        return
    if "pid" in args.only:
        print(f"torch {torch.__version__}, cvxpy {cp.__version__}, {platform.machine()}, 1 thread, {args.repeats} repeats")
        parts = {"peers": peers, "solvers": solvers, "batch": batch, "large": lambda repeats: large()}
        for name in (part for part in parts if part in args.parts):
            parts[name](args.repeats)
    for name in ("similarity", "null"):
        if name in args.only:
            subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=True)


if __name__ == "__main__":
    main()
