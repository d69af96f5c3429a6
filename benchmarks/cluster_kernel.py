"""Time of the cluster kernel against the authors' Python program (``pip install tck``), interleaved, one process.

    python benchmarks/cluster_kernel.py [--repeats 3] [--draws 2]

Fits the same number of mixtures on the same windows of the same segments and attributes at most, and takes the training
kernel. Prints the median and the range of the repeats, the ratio of medians, and how many windows have their nearest
neighbour in their own class.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from tck.GMM_MAP_EM import GMM_MAP_EM
from torch import Tensor

from tuplet.functional.cluster_kernel import ClusterKernel


def waves(n: int, t: int, v: int, *, missing: float) -> tuple[Tensor, Tensor]:
    """Two classes of noisy sines that differ in frequency, in random phase."""
    g = torch.Generator().manual_seed(0)
    label = torch.arange(n) % 2
    time_axis = torch.linspace(0, 6.28, t, dtype=torch.float64)[None, :, None]
    phase = 0.6 * torch.rand(n, 1, v, generator=g, dtype=torch.float64)
    x = ((1 + 0.5 * label[:, None, None]) * time_axis + phase).sin()
    x = x + 2.0 * torch.randn(n, t, v, generator=g, dtype=torch.float64)
    return x.masked_fill(torch.rand(n, t, v, generator=g) < missing, torch.nan), label


def authors(x: Tensor, components: int, draws: int) -> Tensor:
    """The authors' mixtures, one after the other instead of in a pool of processes, and their kernel, with diagonal 1."""
    data = x.numpy()
    n, t, v = data.shape
    limits = {"minN": 0.8, "minT": 6, "maxT": min(t * 4 // 5, 25), "minV": min(2, v), "maxV": min(-(-v * 9 // 10), 15)}
    missing = bool(np.isnan(data).any())
    np.random.seed(0)
    total = np.zeros((n, n))
    for c in range(2, components + 1):
        for _ in range(draws):
            q = GMM_MAP_EM(data, C=c, I=20, missing=missing, **limits)[0]
            q = q / np.linalg.norm(q, axis=1, keepdims=True)
            total += q @ q.T
    return torch.from_numpy(total / (draws * (components - 1)))


def neighbours(kernel: Tensor, label: Tensor) -> float:
    """Share of windows whose nearest other window is of their class."""
    if not bool(torch.isfinite(kernel).all()):
        return float("nan")
    nearest = kernel.clone().fill_diagonal_(-torch.inf).argmax(dim=1)
    return float((label[nearest] == label).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {args.threads} threads, {args.repeats} repeats")
    warnings.simplefilter("ignore")  # means of empty slices in the authors' program
    for n, t, v, c, missing in (
        (90, 50, 3, 10, 0.0),
        (90, 50, 3, 10, 0.5),
        (400, 50, 3, 20, 0.0),
        (400, 50, 12, 20, 0.5),
    ):
        x, label = waves(n, t, v, missing=missing)
        mixtures = args.draws * (c - 1)
        print(f"\nN = {n}, T = {t}, V = {v}, {100 * missing:.0f} % missing, {mixtures} mixtures of 2 to {c} components")
        forms: dict[str, Callable[[], Tensor]] = {
            "ClusterKernel": lambda x=x, c=c: ClusterKernel(components=c, draws=args.draws).fit(x)(x),
            "tck": lambda x=x, c=c: authors(x, c, args.draws),
        }
        seen: dict[str, list[float]] = {name: [] for name in forms}
        found = {}
        for _ in range(args.repeats):
            for name, form in forms.items():
                start = time.perf_counter()
                found[name] = form()
                seen[name].append(time.perf_counter() - start)
        first = sorted(seen["ClusterKernel"])[args.repeats // 2]
        for name, times in seen.items():
            times.sort()
            median = times[args.repeats // 2]
            print(
                f"  {name:<16} {median:8.3f} s   [{times[0]:.3f} .. {times[-1]:.3f}]   x {median / first:.2f}"
                f"   nearest neighbour right: {neighbours(found[name], label):.2f}"
            )


if __name__ == "__main__":
    main()
