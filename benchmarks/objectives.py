"""Time and memory of the objectives against their textbook forms, interleaved in one process.

    python benchmarks/objectives.py [--repeats 7] [--threads 2]

Forward and backward, float32, unit rows. Prints the median and the range of the repeats, and the ratio of medians.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tuplet import Embeddings
from tuplet.objectives import Gram, OneVsAll, Pairwise, Symile


def determinant_volume(q: Tensor, rest: list[Tensor]) -> Tensor:
    """The textbook form: one Gram matrix per query and candidate, (B, B, M, M), and its determinant."""
    n = q.shape[0]
    vectors = torch.stack([q[:, None].expand(n, n, -1), *[c[None].expand(n, n, -1) for c in rest]], dim=2)
    return torch.det(vectors @ vectors.mT).abs().clamp_min(1e-12).sqrt()


def determinant_volume_lean(q: Tensor, rest: list[Tensor]) -> Tensor:
    """The same without the (B, B, M, D) tensor: Gram entries from matrix products, as the authors' program does."""
    n, m = q.shape[0], len(rest) + 1
    rows = [[(q * q).sum(1)[:, None].expand(n, n), *[q @ c.mT for c in rest]]]
    for i, c in enumerate(rest):
        rows.append([rows[0][i + 1], *[(c * d).sum(1)[None].expand(n, n) for d in rest]])
    gram = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    assert gram.shape == (n, n, m, m)
    return torch.det(gram).abs().clamp_min(1e-12).sqrt()


def textbook_gram(z: dict[str, Tensor], volume: Callable[[Tensor, list[Tensor]], Tensor]) -> Tensor:
    q, *rest = z.values()
    v = -volume(q, rest) / 0.07
    target = torch.arange(len(v))
    smooth = {"label_smoothing": 0.1}
    return (F.cross_entropy(v, target, **smooth) + F.cross_entropy(v.mT, target, **smooth)) / 2


def textbook_one_vs_all(z: dict[str, Tensor], volume: Callable[[Tensor, list[Tensor]], Tensor]) -> Tensor:
    """Score^2 = 1 - volume^2 / det of the tuple, every score from a determinant."""
    losses, apart = [], []
    for k, q in z.items():
        rest = [c for name, c in z.items() if name != k]
        tuples = torch.stack(rest, dim=1)
        inside = 1 - volume(q, rest) ** 2 / torch.det(tuples @ tuples.mT)
        s = inside.clamp_min(1e-12).sqrt() / 0.01
        others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
        losses.append((others.logsumexp(1) - s.diagonal()).mean())
        apart.append((q - torch.stack(rest).mean(0)).square().sum(1).mean())
    return torch.stack(losses).mean() + torch.stack(apart).mean()


def interleaved(forms: dict[str, Callable[[dict[str, Tensor]], Tensor]], z: dict[str, Tensor], repeats: int) -> None:
    """Time the forms in turn, so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for repeat in range(repeats + 1):
        for name, form in forms.items():
            leaves = {k: v.clone().requires_grad_() for k, v in z.items()}
            start = time.perf_counter()
            form(leaves).backward()
            if repeat:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    first = sorted(times[next(iter(times))])[repeats // 2]
    for name, seen in times.items():
        seen.sort()
        median = seen[len(seen) // 2]
        low, high = 1e3 * seen[0], 1e3 * seen[-1]
        print(f"  {name:<44} {1e3 * median:9.1f} ms   [{low:.1f} .. {high:.1f}]   x {median / first:.2f}")


def tuples(m: int, b: int, d: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(0)
    shared = torch.randn(b, d, generator=g)
    return {f"m{k}": F.normalize(shared + torch.randn(b, d, generator=g), dim=1) for k in range(m)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {args.threads} threads, {args.repeats} repeats")
    for m, b, d in ((3, 1024, 512), (3, 256, 512), (5, 1024, 256)):
        z = tuples(m, b, d)
        print(f"\nM = {m}, B = {b}, D = {d}: forward + backward, median [range], ratio to the first line")
        gram, ova = Gram(), OneVsAll()
        forms = {
            "Gram": lambda z, f=gram: f(Embeddings.of(z)).total,
            "Gram, (B, B, M, M) determinants": lambda z: textbook_gram(z, determinant_volume_lean),
        }
        interleaved(forms, z, args.repeats)
        if m == 3:
            forms.pop("Gram, (B, B, M, M) determinants")
            forms["Gram, from (B, B, M, D) vectors"] = lambda z: textbook_gram(z, determinant_volume)
            interleaved(forms, z, 1 if b > 256 else args.repeats)
        forms = {
            "OneVsAll": lambda z, f=ova: f(Embeddings.of(z)).total,
            "OneVsAll, (B, B, M, M) determinants": lambda z: textbook_one_vs_all(z, determinant_volume_lean),
        }
        interleaved(forms, z, args.repeats)
        forms = {
            "one symmetric InfoNCE (two modalities)": lambda z, f=Pairwise(pairs=[("m0", "m1")]): (
                f(Embeddings.of(z)).total
            ),
            "Pairwise": lambda z, f=Pairwise(): f(Embeddings.of(z)).total,
            "Symile": lambda z, f=Symile(): f(Embeddings.of(z)).total,
            "Gram": lambda z, f=gram: f(Embeddings.of(z)).total,
            "OneVsAll": lambda z, f=ova: f(Embeddings.of(z)).total,
        }
        interleaved(forms, z, args.repeats)


if __name__ == "__main__":
    main()
