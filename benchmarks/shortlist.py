"""Candidates by single members, then the exact score: what a shortlist misses, and what it costs.

    python benchmarks/shortlist.py [--seeds 2] [--only recall cost]

Recall: rows of digits (six views) and emoji (five modalities), embedded by the linear closed form and by three epochs of the
cone from that start. Every modality is the query once, all the others are the candidates.
Cost: 10,000 random tuples. One thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import torch

from tuplet import AlignmentModel, Embeddings, TrainConfig, fit
from tuplet.catalog import SOURCES
from tuplet.data import Source
from tuplet.evaluate import embed, linear_baseline, mean_cosine, rerank
from tuplet.functional.rows import unit
from tuplet.objectives import Cone

EMOJI = ("english", "french", "noto", "fluent", "twemoji")
SIZES = (1, 3, 10, 30, 100)


def whole(model: AlignmentModel, source: Source) -> Embeddings:
    """Embed all rows of a source, those of training among them, so that the pool is as large as the data allow."""
    parts = [embed(model, rows) for rows in (source.train, source.val, source.test)]
    z = {k: torch.cat([p.z[k] for p in parts]) for k in parts[0].z}
    return Embeddings.of(z, present={k: torch.cat([p.present[k] for p in parts]) for k in z})


def spaces(seeds: int) -> Iterator[tuple[str, Embeddings]]:
    sources = {"digits, six views": (SOURCES["digits"](), 32), "emoji": (SOURCES["emoji"]().select(list(EMOJI)), 64)}
    for name, (source, dim) in sources.items():
        yield f"{name}, linear closed form", whole(linear_baseline(source, dim=dim), source)
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = AlignmentModel.for_source(source, dim=dim, start="gcca")
            config = TrainConfig(epochs=3, batch_size=120, lr=1e-3, seed=seed)
            run = fit(model, Cone(tau=0.1), train=source.train, config=config)
            yield f"{name}, cone, 3 epochs, seed {seed}", whole(run.model, source)


def recall(seeds: int) -> None:
    """Score all pairs once; a shortlist is a mask over them, as `rerank` has it."""
    print("| space | pool | n | scored | top 1 kept | top 10 kept | own R@1 | own R@10 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, emb in spaces(seeds):
        rows = torch.stack([emb.present[k] for k in emb.modalities]).all(dim=0)
        z = {k: emb.z[k][rows].double() for k in emb.modalities}
        pool = int(rows.sum())
        numbers: dict[int, list[list[float]]] = {n: [] for n in (*SIZES, pool)}
        for q in z:
            rest = {k: v for k, v in z.items() if k != q}
            scores = Cone().score({q: z[q]}, rest)
            cosines = [unit(z[q]) @ unit(c).mT for c in rest.values()]
            best, own = scores.topk(10, dim=1).indices, scores.diagonal()
            for n, found in numbers.items():
                listed = torch.zeros_like(scores, dtype=torch.bool)
                for c in cosines:
                    listed.scatter_(1, c.topk(n, dim=1).indices, True)
                seen = scores.masked_fill(~listed, -torch.inf)
                kept = listed.gather(1, best)  # the best of all are the best of the shortlist that has them
                rank = (seen > own[:, None]).sum(dim=1)
                hit = [(listed.diagonal() & (rank < k)) for k in (1, 10)]
                means = [x.double().mean() for x in (kept[:, :1], kept, *hit)]
                found.append([float(listed.sum(dim=1).double().mean()), *(100 * float(x) for x in means)])
        for n, found in numbers.items():
            scored, *shares = (statistics.mean(column) for column in zip(*found, strict=True))
            cells = " | ".join(f"{x:.1f}" for x in shares)
            print(f"| {name} | {pool} | {n if n < pool else 'all'} | {scored:.0f} | {cells} |", flush=True)


def cost(pool: int, dim: int) -> None:
    g = torch.Generator().manual_seed(0)
    for m in (3, 6):
        shared = torch.randn(pool, dim, generator=g)
        z = {f"m{k}": unit(shared + torch.randn(pool, dim, generator=g)).double() for k in range(m)}
        rest = {k: v for k, v in z.items() if k != "m0"}
        seconds = {}
        for name, score in (("cone over all", Cone().score), ("mean cosine over all", mean_cosine)):
            start = time.perf_counter()
            for first in range(0, 1000, 250):
                score({"m0": z["m0"][first : first + 250]}, rest)
            seconds[name] = time.perf_counter() - start
        start = time.perf_counter()
        rerank(Embeddings.of(z), ("m0",), tuple(rest), score=Cone().score, shortlist=30)
        seconds["shortlist of 30 per member"] = (time.perf_counter() - start) * 1000 / pool
        told = ", ".join(f"{name} {taken:.2f}" for name, taken in seconds.items())
        print(f"M = {m}, pool {pool}, D = {dim}, seconds per 1,000 queries: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=("recall", "cost"), choices=("recall", "cost"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if "recall" in args.only:
        recall(args.seeds)
    if "cost" in args.only:
        cost(10_000, 64)


if __name__ == "__main__":
    main()
