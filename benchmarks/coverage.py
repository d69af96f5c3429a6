"""How often intervals of the decomposition hold the truth: discrete sources whose decomposition is known exactly.

    python benchmarks/coverage.py [--draws 200] [--rows 300 1200 3000] [--estimators posteriors counted batch]

``posteriors`` gives `tuplet.information.from_posteriors` the true posteriors, so that only the sampling error of the rows is
asked about; ``counted`` counts the states; ``batch`` fits logistic models to one-hot states; ``copula`` takes exponentials of
normal samples. Draw i has seed i. Per case: the exact parts in bits, and the share of draws whose 95 % interval holds each, and
how often a part that is zero was called. An interval ends at zero, and so holds a part that is zero more often than it says.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.information import PID, batch, counted, discrete, from_posteriors, gaussian_copula, gaussian_covariance
from tuplet.information.pid import PARTS

Table = NDArray[np.float64]


def flips(e1: float, e2: float, same: bool = False) -> Table:
    """A fair bit, and two copies of it that are flipped with these probabilities: independently, or the same copy twice."""
    p = np.zeros((2, 2, 2))
    for y in range(2):
        for a in range(2):
            for b in range(2):
                pa, pb = (1 - e if v == y else e for v, e in ((a, e1), (b, e2)))
                p[a, b, y] = 0.5 * (pa * (a == b) if same else pa * pb)
    return p


def jointly(rule: str, e: float) -> Table:
    """A target that two fair bits decide, flipped with probability e; or the pair of them, each flipped."""
    p = np.zeros((2, 2, 4 if rule == "pair" else 2))
    for a in range(2):
        for b in range(2):
            if rule == "pair":
                for y in range(4):
                    p[a, b, y] = 0.25 * (1 - e if y // 2 == a else e) * (1 - e if y % 2 == b else e)
            else:
                right = a ^ b if rule == "xor" else a & b
                p[a, b, right], p[a, b, 1 - right] = 0.25 * (1 - e), 0.25 * e
    return p


CASES = {
    "independent": np.full((2, 2, 2), 1 / 8),
    "the same copy twice": flips(0.1, 0.1, same=True),
    "two copies, equally good": flips(0.1, 0.1),
    "two copies, equally weak": flips(0.3, 0.3),
    "two copies, nearly equal": flips(0.1, 0.12),
    "two copies, one better": flips(0.1, 0.2),
    "only the first": flips(0.1, 0.5),
    "a bit in each": jointly("pair", 0.1),
    "exclusive or": jointly("xor", 0.1),
    "and": jointly("and", 0.05),
}


NORMAL = {  # correlations of target and first, target and second, first and second
    "independent": (0.0, 0.0, 0.0),
    "two copies, equally good": (0.7, 0.7, 0.49),
    "two copies, nearly equal": (0.7, 0.65, 0.455),
    "two copies, one better": (0.8, 0.4, 0.32),
    "only the first": (0.7, 0.0, 0.0),
    "a number in each": (0.6, 0.6, 0.0),
}
NORMAL_CASES = {k: np.array([[1, a, b], [a, 1, c], [b, c, 1]]) for k, (a, b, c) in NORMAL.items()}


def estimate(estimator: str, table: Table, n: int, seed: int) -> PID:
    rng = np.random.default_rng(seed)
    if estimator == "copula":
        y, a, b = np.exp(rng.multivariate_normal(np.zeros(3), table, size=n)).T
        return gaussian_copula(a, b, y, seed=seed)
    a, b, y = np.unravel_index(rng.choice(table.size, n, p=table.ravel() / table.sum()), table.shape)
    if estimator == "counted":
        return counted(a, b, y, permutations=100, bootstrap=200, seed=seed)
    if estimator == "batch":
        return batch(np.eye(2)[a], np.eye(2)[b], y, model="logistic", folds=3, bootstrap=60, seed=seed)
    first, second = table.sum(1), table.sum(0)
    given = [t / np.maximum(t.sum(-1, keepdims=True), 1e-12) for t in (first, second, table)]
    return from_posteriors(given[0][a], given[1][b], given[2][a, b], y, bootstrap=60, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="*", default=[300, 1200, 3000])
    parser.add_argument("--estimators", nargs="*", default=["posteriors"], choices=["posteriors", "counted", "batch", "copula"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{args.draws} draws, seeds 0 to {args.draws - 1}; share of 95 % intervals that hold the truth: R, U1, U2, S")
    for estimator in args.estimators:
        sizes = " | ".join(f"n = {n:,}" for n in args.rows)
        print(f"\n| `{estimator}` | R, U1, U2, S, bits | {sizes} | called, true 0 |")
        print("| --- | --- |" + " --- |" * (len(args.rows) + 1))
        parts_held: list[float] = []
        normal = estimator == "copula"
        for name, table in (NORMAL_CASES if normal else CASES).items():
            truth = gaussian_covariance(table, sizes=(1, 1, 1)) if normal else discrete(table)
            cells, wrong, asked = [], 0, 0
            for n in args.rows:
                found = [estimate(estimator, table, n, seed) for seed in range(args.draws)]
                held = [
                    np.mean([p.interval[k][0] - 1e-6 <= getattr(truth, k) <= p.interval[k][1] + 1e-6 for p in found])
                    for k in PARTS
                ]
                zero = [k for k in PARTS if getattr(truth, k) < 1e-6]
                parts_held += [h for k, h in zip(PARTS, held, strict=True) if k not in zero]
                wrong += sum(p.significant[k] for p in found for k in zero)
                asked += len(zero) * len(found)
                cells.append(" ".join(f"{h:.2f}" for h in held))
            parts = ", ".join(f"{max(getattr(truth, k), 0):.2f}" for k in PARTS)
            print(f"| {name} | {parts} | " + " | ".join(cells) + f" | {wrong} of {asked} |", flush=True)
        print(f"\nParts that are not zero: {np.mean(parts_held):.3f} on average, {min(parts_held):.2f} at least.")


if __name__ == "__main__":
    main()
