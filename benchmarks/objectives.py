"""Time and memory of the objectives: against their textbook forms, one InfoNCE, blocks, and an installed peer.

    python benchmarks/objectives.py [--only small products determinants infonce cone blocks symile] [--repeats 15] [--threads 2]
        [--large] [--device cuda] [--compile]

Forward and backward, float32, unit rows. Times are medians [range] of repeats that take turns in one process, and ratios
of medians. Memory is measured in a process of its own: its largest resident memory beyond that before the pass. ``--device
cuda`` and ``--compile`` are for ``--only products``.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tuplet import Embeddings
from tuplet.functional._blocks import reuse_memory
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise, SigmoidPairwise, Symile, Triangle, UniAlign
from tuplet.suites.scaling import peak_memory

Form = Callable[[dict[str, Tensor]], Tensor]
KINDS = (Pairwise, SigmoidPairwise, Symile, Gram, Triangle, OneVsAll, Cone, UniAlign)
BLOCKED = {"Gram": Gram, "Cone": Cone, "OneVsAll": OneVsAll, "Symile": Symile, "Pairwise": Pairwise}


def determinant_volume(q: Tensor, rest: list[Tensor]) -> Tensor:
    """Gram entries from matrix products as the authors' program has them, (B, B, M, M), and determinants."""
    n, m = q.shape[0], len(rest) + 1
    rows = [[(q * q).sum(1)[:, None].expand(n, n), *[q @ c.mT for c in rest]]]
    for i, c in enumerate(rest):
        rows.append([rows[0][i + 1], *[(c * d).sum(1)[None].expand(n, n) for d in rest]])
    gram = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    assert gram.shape == (n, n, m, m)
    return torch.det(gram).abs().clamp_min(1e-12).sqrt()


def textbook_gram(z: dict[str, Tensor]) -> Tensor:
    q, *rest = z.values()
    v = -determinant_volume(q, rest) / 0.07
    target = torch.arange(len(v))
    smooth = {"label_smoothing": 0.1}
    return (F.cross_entropy(v, target, **smooth) + F.cross_entropy(v.mT, target, **smooth)) / 2


def textbook_one_vs_all(z: dict[str, Tensor]) -> Tensor:
    """Score^2 = 1 - volume^2 / det of the tuple, every score from a determinant."""
    losses, apart = [], []
    for k, q in z.items():
        rest = [c for name, c in z.items() if name != k]
        tuples = torch.stack(rest, dim=1)
        inside = 1 - determinant_volume(q, rest) ** 2 / torch.det(tuples @ tuples.mT)
        s = inside.clamp_min(1e-12).sqrt() / 0.01
        others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
        losses.append((others.logsumexp(1) - s.diagonal()).mean())
        apart.append((q - torch.stack(rest).mean(0)).square().sum(1).mean())
    return torch.stack(losses).mean() + torch.stack(apart).mean()


def plain_pairwise(z: dict[str, Tensor]) -> Tensor:
    """CLIP over all pairs, as one writes it."""
    z = {k: F.normalize(v, dim=1) for k, v in z.items()}
    target, losses = torch.arange(len(next(iter(z.values())))), []
    for a, b in combinations(z, 2):
        s = z[a] @ z[b].mT / 0.07
        losses.append((F.cross_entropy(s, target) + F.cross_entropy(s.mT, target)) / 2)
    return torch.stack(losses).mean()


def plain_sigmoid(z: dict[str, Tensor]) -> Tensor:
    """SigLIP over all pairs, as one writes it."""
    z = {k: F.normalize(v, dim=1) for k, v in z.items()}
    sign, losses = 2 * torch.eye(len(next(iter(z.values())))) - 1, []
    for a, b in combinations(z, 2):
        losses.append(-F.logsigmoid(sign * (z[a] @ z[b].mT * 10 - 10)).sum(1).mean())
    return torch.stack(losses).mean()


def plain_symile(z: dict[str, Tensor]) -> Tensor:
    """Symile for three modalities with every pair of rows as a negative, as one writes it."""
    a, b, c = (F.normalize(v, dim=1) for v in z.values())
    target, losses = torch.arange(len(a)), []
    for x, y, w in ((a, b, c), (b, a, c), (c, a, b)):
        n = len(x)
        shuffled = y[torch.randperm(n)] * w  # one shuffle per anchor
        s = x @ shuffled.mT / 0.07
        s = torch.where(torch.eye(n, dtype=torch.bool), (x * y * w).sum(1)[:, None] / 0.07, s)
        losses.append(F.cross_entropy(s, target))
    return torch.stack(losses).mean()


def published_symile(z: dict[str, Tensor]) -> Tensor:
    """The PyPI package symile: (B, B) logits per anchor from shuffled rows."""
    from symile import Symile as Published

    return Published()(list(z.values()), torch.tensor(1 / 0.07))


def interleaved(forms: dict[str, Form], z: dict[str, Tensor], repeats: int) -> None:
    """Time the forms in turn, so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for repeat in range(repeats + 2):
        for name, form in forms.items():
            leaves = {k: v.clone().requires_grad_() for k, v in z.items()}
            start = time.perf_counter()
            form(leaves).backward()
            if repeat > 1:  # the first two rounds warm up
                times[name].append(time.perf_counter() - start)
    first = sorted(times[next(iter(times))])[repeats // 2]
    for name, seen in times.items():
        seen.sort()
        median, low, high = (1e3 * t for t in (seen[len(seen) // 2], seen[0], seen[-1]))
        print(f"| {name} | {median:.1f} ms [{low:.1f}, {high:.1f}] | {median / 1e3 / first:.2f} |", flush=True)


def tuples(m: int, b: int, d: int, *, shared: float = 1.0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(0)
    common = shared * torch.randn(b, d, generator=g)
    return {f"m{k}": F.normalize(common + torch.randn(b, d, generator=g), dim=1) for k in range(m)}


def of(objective: Objective) -> Form:
    return lambda z: objective(Embeddings.of(z).known(complete=True)).total


def small(repeats: int) -> None:
    """Compare the least processor times of many calls on embeddings that are ready, in turn."""
    print("\n**Small batches, M = 3, D = 64: least processor time over that of plain PyTorch**\n")
    print("| objective | B = 64 | B = 120 | B = 256 |\n| --- | ---: | ---: | ---: |")
    for objective, plain in (
        (Pairwise(), plain_pairwise),
        (SigmoidPairwise(), plain_sigmoid),
        (Symile(), plain_symile),
        (Gram(), textbook_gram),
        (OneVsAll(), textbook_one_vs_all),
    ):
        cells = []
        for b in (64, 120, 256):
            z, least = tuples(3, b, 64), [1e9, 1e9]
            for _ in range(20 * repeats):
                for i in range(2):
                    leaves = {k: v.clone().requires_grad_() for k, v in z.items()}
                    emb = Embeddings.of(leaves)
                    start = time.process_time()
                    (objective(emb).total if i else plain(leaves)).backward()
                    least[i] = min(least[i], time.process_time() - start)
            cells.append(f"{least[1] / least[0]:.2f} ({1e3 * least[1]:.1f} ms)")
        print(f"| {type(objective).__name__} | {' | '.join(cells)} |", flush=True)


class Recorded(TorchDispatchMode):
    """Notes every matrix product that is computed, to compute the same ones again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, list[Tensor], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket.__name__.rstrip("_") in ("mm", "bmm", "addmm", "baddbmm", "mv", "dot"):
            self.calls.append((func, [a.detach() for a in args], {k: v for k, v in kwargs.items() if k != "out"}))
        return func(*args, **kwargs)

    def again(self) -> None:
        """Compute the products once more."""
        for func, args, kwargs in self.calls:
            func(*args, **kwargs)


def products(repeats: int, kinds: list[str], device: str, compiled: bool) -> None:
    """Compare the least time of a pass with that of the matrix products in it, computed alone; memory as in `fit`."""
    reuse_memory()
    gpu = device != "cpu"
    sizes = ((3, 1024), (3, 2048), (3, 8192), (5, 1024)) if gpu else ((3, 1024), (3, 2048), (5, 1024))
    print(f"\n**Least {'' if gpu else 'processor '}time over that of its own matrix products, D = 256**\n")
    print(f"| objective | {' | '.join(f'M = {m}, B = {b}' for m, b in sizes)} |\n| --- |{' ---: |' * len(sizes)}")

    def clock() -> float:
        if not gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    for kind in (k for k in KINDS if k.__name__ in kinds):
        cells = []
        for m, b in sizes:
            if kind is Triangle and m != 3:
                cells.append("")
                continue
            objective, z, least = kind().to(device), {k: v.to(device) for k, v in tuples(m, b, 256).items()}, [1e9, 1e9]
            with Recorded() as seen, torch.enable_grad():
                of(objective)({k: v.clone().requires_grad_() for k, v in z.items()}).backward()
            torch.compiler.reset()
            form = of(torch.compile(objective) if compiled else objective)
            first = 0.0
            for repeat in range(repeats + 2):
                leaves = {k: v.clone().requires_grad_() for k, v in z.items()}
                began = time.perf_counter()
                for i, run in enumerate((seen.again, lambda form=form, leaves=leaves: form(leaves).backward())):
                    start = clock()
                    run()
                    if repeat >= 2:  # the first two compile and warm up
                        least[i] = min(least[i], clock() - start)
                first = first or time.perf_counter() - began
            after = f", first {first:.0f} s" if compiled else ""
            cells.append(f"{least[1] / least[0]:.2f} ({1e3 * least[1]:.{1 if gpu else 0}f} ms{after})")
        print(f"| {kind.__name__} | {' | '.join(cells)} |", flush=True)


def title(what: str, m: int, b: int, d: int) -> None:
    print(f"\n**{what}, M = {m}, B = {b}, D = {d}**\n\n| form | time | to the first |\n| --- | ---: | ---: |")


def memory(name: str, m: int, b: int, d: int, block: str) -> None:
    """Run one pass in this process and print seconds and MiB."""
    objective = published_symile if name == "published" else None
    if objective is None:
        size = int(block) if block.isdigit() else {"auto": "auto", "none": None}[block]
        objective = of(BLOCKED[name](block_size=size))
    z = {k: v.requires_grad_() for k, v in tuples(m, b, d).items()}
    for v in z.values():
        v.grad = torch.zeros_like(v)
    objective({k: v[:64] for k, v in z.items()}).backward()
    start = time.perf_counter()
    extra = peak_memory(lambda: objective(z).backward())
    peak = "-" if extra is None else f"{extra:.0f} MiB"
    print(f"{time.perf_counter() - start:.1f} s | {peak}")


def blocks(sizes: list[tuple[str, int, int, int, str]], threads: int, rounds: int) -> None:
    print("\n**Blocks, one process per pass**\n\n| objective | block_size | pass | time | extra peak |")
    print("| --- | --- | ---: | ---: | ---: |")
    for number in range(rounds):
        for name, m, b, d, block in sizes:
            command = [
                sys.executable,
                __file__,
                "--threads",
                str(threads),
                "--pass",
                name,
                str(m),
                str(b),
                str(d),
                block,
            ]
            seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"| {name}, M = {m}, B = {b}, D = {d} | {block} | {number + 1} | {seen} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("small", "products", "determinants", "infonce", "cone", "blocks", "symile")
    parser.add_argument("--only", nargs="*", default=parts, choices=parts)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", action="store_true", help="also one pass at B = 32768, some minutes")
    parser.add_argument("--kinds", nargs="*", default=[k.__name__ for k in KINDS], help="objectives of products")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--pass", nargs=5, dest="single", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.compiler.config.force_disable_caches = True  # a first pass compiles, whoever did so before
    if args.single:
        name, m, b, d, block = args.single
        memory(name, int(m), int(b), int(d), block)
        return
    print(f"torch {torch.__version__}, {platform.machine()}, {args.threads} threads, {args.repeats} repeats")
    if "small" in args.only:
        small(args.repeats)
    if "products" in args.only:
        products(args.repeats, args.kinds, args.device, args.compile)
    if "determinants" in args.only:
        for m, b, d in ((3, 1024, 256), (5, 1024, 256), (3, 1024, 512), (3, 256, 512)):
            z = tuples(m, b, d)
            title("Volumes against determinants", m, b, d)
            interleaved({"Gram": of(Gram()), "Gram, (B, B, M, M) determinants": textbook_gram}, z, args.repeats)
            forms = {"OneVsAll": of(OneVsAll()), "OneVsAll, (B, B, M, M) determinants": textbook_one_vs_all}
            interleaved(forms, z, args.repeats)
    if "infonce" in args.only:
        for m, b, d in ((3, 1024, 256), (5, 1024, 256), (3, 1024, 512)):
            title("Against one symmetric InfoNCE of two modalities", m, b, d)
            forms = {"one InfoNCE": of(Pairwise(pairs=[("m0", "m1")]))}
            forms |= {
                k: of(v()) for k, v in (("Pairwise", Pairwise), ("Gram", Gram), ("Symile", Symile), ("OneVsAll", OneVsAll))
            }
            interleaved(forms, tuples(m, b, d), args.repeats)
    if "cone" in args.only:
        for members, shared in (("independent", 0.0), ("correlated (cosine 0.5)", 1.0)):
            for m in (3, 6):
                title(f"The cone, {members} members", m, 1024, 256)
                forms = {"Pairwise": of(Pairwise()), "OneVsAll": of(OneVsAll()), "Cone": of(Cone())}
                interleaved(forms, tuples(m, 1024, 256, shared=shared), args.repeats)
    if "symile" in args.only:
        for m, b, d in ((3, 1024, 256), (3, 2048, 256), (5, 1024, 256)):
            title("Symile against the PyPI package symile", m, b, d)
            interleaved({"Symile": of(Symile()), "PyPI symile": published_symile}, tuples(m, b, d), args.repeats)
        blocks([(name, 3, 4096, 256, "auto") for name in ("Symile", "published")], args.threads, 2)
    if "blocks" in args.only:
        sizes = [("Gram", 3, 8192, 512, "auto"), ("Gram", 3, 8192, 512, "none")]
        sizes += [(name, 3, 8192, 512, "auto") for name in ("OneVsAll", "Symile", "Pairwise")]
        blocks(sizes, args.threads, 3)
        if args.large:
            blocks([("Gram", 3, 32768, 512, "auto")], args.threads, 1)


if __name__ == "__main__":
    main()
