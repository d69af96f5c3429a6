"""How often the clustered decomposition finds parts that are not there, and parts that are.

`python benchmarks/null.py` draws independent data (with --power, structures with one known part), clusters and counts
them, and prints the share of draws in which each part is called significant. Published results decompose MUStARD from 690 rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from tuplet.information import PID, clustered
from tuplet.information.pid import PARTS

Rows = NDArray[np.float64]


def independent(rng: np.random.Generator, n: int) -> tuple[Rows, Rows, NDArray[np.int64]]:
    x1, x2 = rng.standard_normal((2, n, 10))
    return x1, x2, rng.integers(0, 2, n)


def structured(part: str, rng: np.random.Generator, n: int) -> tuple[Rows, Rows, NDArray[np.int64]]:
    """Ten noisy features, two of which show a bit; 10 % of labels are flipped: 0.53 bits, all in one part."""
    a, b = rng.integers(0, 2, (2, n))
    y = {"redundancy": a, "unique1": a, "unique2": b, "synergy": a ^ b}[part] ^ (rng.random(n) < 0.1)
    if part == "redundancy":
        b = a
    x1, x2 = rng.standard_normal((2, n, 10))
    x1[:, :2] += 4 * a[:, None]
    x2[:, :2] += 4 * b[:, None]
    return x1, x2, y


def judged(x1: Rows, x2: Rows, y: NDArray[np.int64], permutations: int, clusters: int | None) -> PID:
    """Clusters of the first half, counts of the second; intervals only where nulls leave something to decide."""
    half = len(y) // 2
    rows, fit = (x1[half:], x2[half:], y[half:]), (x1[:half], x2[:half])
    found = clustered(*rows, fit=fit, clusters=clusters, permutations=permutations, bootstrap=0)
    if found.null and min(found.null[k]["p_holm"] for k in PARTS) <= 0.05:
        return clustered(*rows, fit=fit, clusters=clusters, permutations=permutations, bootstrap=permutations)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--clusters", type=int, default=20, help="0: the default of `clustered`")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[138, 414, 690, 10_000], help="rows counted; clusters have as many"
    )
    parser.add_argument("--power", action="store_true", help="structures with 0.53 bits in one part instead")
    args = parser.parse_args()
    print(f"{args.draws} draws, {args.clusters or 'default'} clusters, {args.permutations} permutations; share of draws called")
    print("| data | rows counted | any wrong part | R | U1 | U2 | S | raw S, bits | corrected S | processor seconds per draw |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for n in args.rows:
        for part in PARTS if args.power else ("independent",):
            rng, start = np.random.default_rng(n), time.process_time()
            called, raw, best = [], [], []
            for _ in range(args.draws):
                data = structured(part, rng, 2 * n) if args.power else independent(rng, 2 * n)
                found = judged(*data, args.permutations, args.clusters or None)
                called.append([bool(found.significant and found.significant[k]) for k in PARTS])
                raw.append(found.null["synergy"]["raw"] if found.null else np.nan)
                best.append(found.synergy)
            table = np.array(called)
            wrong = table[:, [k != part for k in PARTS]].any(1).mean()
            rates = " | ".join(f"{v:.3f}" for v in table.mean(0))
            seconds = (time.process_time() - start) / args.draws
            print(
                f"| {part} | {n} | {wrong:.3f} | {rates} | {np.mean(raw):.3f} | {np.mean(best):.3f} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
