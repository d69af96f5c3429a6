"""What `tuplet.cost` predicts of a step over what is measured: ``python benchmarks/cost.py [--threads 1] [--memory]``.

Forward and backward of every published objective on embeddings that are ready. Times are medians of processor time over the
number of threads, the rates measured anew before each; memory is that of a process of its own beyond what it had before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import torch

from tuplet import Embeddings, cost
from tuplet.objectives import Objective
from tuplet.objectives.costs import _rates
from tuplet.objectives.published import PUBLISHED
from tuplet.suites.scaling import peak_memory

SIZES = ((3, 64, 64), (3, 256, 256), (3, 1024, 256), (5, 256, 128), (5, 1024, 256))
LARGE = (3, 4096, 256)
SLOW = ("symile_n_squared",)
"""All tuples of a batch: minutes a step."""


def built(name: str, m: int, d: int) -> Objective:
    return PUBLISHED[name].built(tuple(f"m{k}" for k in range(m)), d, settings=PUBLISHED[name].paper)


def embeddings(m: int, b: int, d: int) -> Embeddings:
    g = torch.Generator().manual_seed(0)
    common = torch.randn(b, d, generator=g)
    z = {f"m{k}": torch.nn.functional.normalize(common + torch.randn(b, d, generator=g)) for k in range(m)}
    leaves = {k: v.requires_grad_() for k, v in z.items()}
    return Embeddings.of(leaves, aux={f"{kind}.{k}": v for kind in ("input", "view0", "view1") for k, v in leaves.items()})


def seconds(objective: Objective, m: int, b: int, d: int, repeats: int) -> float:
    emb, times = embeddings(m, b, d), []
    for _ in range(repeats):
        for v in emb.z.values():
            v.grad = None
        began = time.process_time()
        objective(emb).total.backward()
        times.append((time.process_time() - began) / torch.get_num_threads())
    return sorted(times)[repeats // 2]


def memory(name: str) -> None:
    """Print MiB that one step takes in this process."""
    m, b, d = LARGE
    objective, emb = built(name, m, d), embeddings(m, b, d)
    objective(embeddings(m, 64, d)).total.backward()
    print(peak_memory(lambda: objective(emb).total.backward()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="memory in place of time")
    parser.add_argument("--only", nargs="*", default=[k for k in PUBLISHED if k not in SLOW], choices=sorted(PUBLISHED))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        memory(args.one)
        return
    if args.memory:
        m, b, d = LARGE
        print(f"| M = {m}, B = {b}, D = {d} | predicted | measured | ratio |\n| --- | ---: | ---: | ---: |")
        for name in args.only:
            told = cost(built(name, m, d), modalities=m, batch=b, dim=d).memory / 2**20 - m * b * d * 4 / 2**20
            command = [sys.executable, __file__, "--one", name, "--threads", str(args.threads)]
            seen = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(f"| {name} | {told:.0f} MiB | {seen:.0f} MiB | {told / seen:.2f} |", flush=True)
        return
    print(f"| objective | {' | '.join(f'{m}, {b}, {d}' for m, b, d in SIZES)} |\n| --- |{' ---: |' * len(SIZES)}")
    for name in args.only:
        cells = []
        for m, b, d in SIZES:
            if PUBLISHED[name].sizes and m not in (PUBLISHED[name].sizes or ()):
                cells.append("")
                continue
            objective = built(name, m, d)
            seen = seconds(objective, m, b, d, args.repeats)
            _rates.cache_clear()
            told = cost(objective, modalities=m, batch=b, dim=d).seconds
            cells.append(f"{told / seen:.2f} ({1e3 * seen:.1f} ms)")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
