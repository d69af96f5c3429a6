"""Gromov-Wasserstein consensus and distances against POT's, interleaved in one process.

    python benchmarks/transport.py [--sizes 64 128 256] [--repeats 3] [--draws 10] [--noise 0.3] [--threads 1]

Three RBF kernels of noisy views of the same points, float64. Exact: a consensus of the three and its three distances;
POT gets its defaults, and once more the mean kernel to start from (at most 100 turns, as it can take minutes). Entropic:
the two distances of the first kernel from the others, with the same epsilon, tolerance, start and largest number of
steps for both; POT's inner solver has its own largest number (1000 sweeps), and both plans' errors are shown. Prints
medians, ranges and ratios of medians, and how many draws ended lower.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable

import numpy as np
import ot
import torch
from torch import Tensor

from tuplet.functional.gromov import gromov_barycenter, gromov_wasserstein
from tuplet.functional.kernels import rbf

M = 3


def kernels(n: int, seed: int, noise: float) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 8, generator=g, dtype=torch.float64)
    return torch.stack([rbf(shared + noise * torch.randn(n, 8, generator=g, dtype=torch.float64)) for _ in range(M)])


def ours(K: Tensor) -> float:
    found = gromov_barycenter(K)
    return float(gromov_wasserstein(found.kernel, K, start=found.plans).value.mean())


def pot(K: Tensor, *, init: np.ndarray | None = None) -> float:
    n, p = K.shape[1], ot.unif(K.shape[1])
    C = ot.gromov.gromov_barycenters(
        n,
        [k.numpy() for k in K],
        [p] * M,
        p,
        [1 / M] * M,
        "square_loss",
        init_C=init,
        random_state=0,
        max_iter=1000 if init is None else 100,
    )
    return float(np.mean([ot.gromov.gromov_wasserstein2(C, k.numpy(), p, p, "square_loss") for k in K]))


def quality(K: Tensor, plans: list[np.ndarray], epsilon: float) -> tuple[float, float]:
    """Mean entropic objective, and largest error of a plan's masses."""
    n, values, errors = K.shape[1], [], []
    for k, T in zip(K[1:].numpy(), plans, strict=True):
        x = K[0].numpy()
        p, q = T.sum(1), T.sum(0)
        value = p @ x**2 @ p + q @ k**2 @ q - 2 * np.sum((x @ T @ k) * T)
        values.append(value + epsilon * np.sum(T * np.log(np.maximum(T * n * n, 1e-300))))
        errors.append(max(np.abs(p - 1 / n).sum(), np.abs(q - 1 / n).sum()))
    return float(np.mean(values)), max(errors)


def entropic_ours(K: Tensor, epsilon: float, tol: float, steps: int) -> list[np.ndarray]:
    found = gromov_wasserstein(K[0], K[1:], coupling="entropic", start="product", epsilon=epsilon, iterations=steps, tol=tol)
    return list(found.plan.numpy())


def entropic_pot(K: Tensor, epsilon: float, tol: float, steps: int) -> list[np.ndarray]:
    p = ot.unif(K.shape[1])
    return [
        ot.gromov.entropic_gromov_wasserstein(
            K[0].numpy(), k.numpy(), p, p, "square_loss", epsilon=epsilon, max_iter=steps, tol=tol
        )
        for k in K[1:]
    ]


def interleaved(forms: dict[str, Callable[[Tensor], object]], draws: list[Tensor]) -> dict[str, list[object]]:
    """Time the forms in turn on every draw, so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    results: dict[str, list[object]] = {name: [] for name in forms}
    for form in forms.values():
        form(draws[0][:, :16, :16])  # warm up on something small
    for K in draws:
        for name, form in forms.items():
            start = time.perf_counter()
            results[name].append(form(K))
            times[name].append(time.perf_counter() - start)
    first = float(np.median(times[next(iter(times))]))
    for name, seen in times.items():
        median, low, high = 1e3 * np.median(seen), 1e3 * min(seen), 1e3 * max(seen)
        print(f"  {name:<32} {median:10.1f} ms   [{low:.1f} .. {high:.1f}]   x {median / 1e3 / first:.1f}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=3, help="entropic draws; POT takes long")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--noise", type=float, default=0.3, help="of the views, against points of variance 1")
    parser.add_argument("--epsilon", type=float, default=0.002)
    parser.add_argument("--steps", type=int, default=100, help="entropic steps for both")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # POT says when its inner solver stops early; the errors below show it
    print(f"torch {torch.__version__}, POT {ot.__version__}, {platform.machine()}, {args.threads} threads")
    for n in args.sizes:
        print(f"\nN = {n}, M = {M}, noise {args.noise}: consensus and {M} distances, {args.draws} draws")
        draws = [kernels(n, seed, args.noise) for seed in range(args.draws)]
        forms = {"tuplet": ours, "POT": pot, "POT from the mean kernel": lambda K: pot(K, init=K.mean(0).numpy())}
        results = interleaved(forms, draws)
        for name in list(results)[1:]:
            lower = sum(a < b for a, b in zip(results["tuplet"], results[name], strict=True))
            print(f"  mean distance {np.mean(results['tuplet']):.5f}, {name} {np.mean(results[name]):.5f}; lower in {lower}")
        print(f"  entropic distances, epsilon {args.epsilon}, tol 1e-9, at most {args.steps} steps, {args.repeats} draws")
        eps, steps = args.epsilon, args.steps
        entropic = interleaved(
            {
                "tuplet": lambda K, e=eps, s=steps: entropic_ours(K, e, 1e-9, s),
                "POT": lambda K, e=eps, s=steps: entropic_pot(K, e, 1e-9, s),
            },
            draws[: args.repeats],
        )
        for name, plans in entropic.items():
            seen = [quality(K, p, eps) for K, p in zip(draws, plans, strict=False)]
            print(f"  {name}: objective {np.mean([v for v, _ in seen]):.7f}, error of the masses {max(e for _, e in seen):.0e}")


if __name__ == "__main__":
    main()
