"""How alignment, uniformity, the gap and the conflict develop in training, for every objective and M = 2 to 8 modalities.

``python benchmarks/panels.py [--seeds 3] [--out panels.html]`` trains on made views: each is a linear map of 8 shared numbers
and 4 of its own, with noise. It prints the end of each training on test rows, and draws the course over epochs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.data import Source, from_arrays
from tuplet.diagnose import modality_auc, panel
from tuplet.evaluate import embed, mean_cosine, retrieve
from tuplet.objectives import build
from tuplet.report import Section, write_page
from tuplet.report.ink import COLOURS, curve, figure_of, legend, svg

NAMES = ("pairwise", "cmc", "mv_infonce", "mv_dhel", "symile", "gram", "one_vs_all", "cone", "uni_align")
KEYS = ("alignment", "uniformity", "centroid_gap", "zeta_negatives")
HEAD = ("R@1 %", "alignment", "uniformity", "gap", "conflict", "AUC")
SIZES = range(2, 9)


def made(m: int, seed: int, n: int = 1500) -> Source:
    """Make M views of shared numbers."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 8))
    views = {}
    for k in range(m):
        own = rng.normal(size=(n, 4))
        views[f"m{k}"] = shared @ rng.normal(size=(8, 16)) + own @ rng.normal(size=(4, 16)) + rng.normal(size=(n, 16))
    return from_arrays(views)


def trained(name: str, m: int, seed: int, epochs: int) -> tuple[np.ndarray, list[float]]:
    """Train once; return the course ``(epochs, keys)`` and the numbers of the end."""
    source = made(m, seed)
    torch.manual_seed(seed)
    model = AlignmentModel.mlp({k: v.shape for k, v in source.modalities.items()}, dim=32)
    objective = build(name, tuple(source.modalities), 32)
    run = fit(model, objective, train=source.train, config=TrainConfig(epochs=epochs, batch_size=128, lr=3e-3, seed=seed))
    course = np.array([[entry[f"space/{k}"] for k in KEYS] for entry in run.history])
    emb = embed(run.model, source.test)
    found = panel(emb)
    hits = [retrieve(emb, a, b, score=mean_cosine, relevance="instance").values["R@1"] for a in emb.z for b in emb.z if a != b]
    return course, [100 * float(np.mean(hits)), *(found[k] for k in KEYS), float(modality_auc(emb))]


def main() -> None:
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--out", type=Path, default=Path("panels.html"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    figure, axes = figure_of(len(KEYS), len(args.sizes), (2.0 * len(args.sizes), 1.7 * len(KEYS)))
    grid = np.array(axes, dtype=object).reshape(len(KEYS), len(args.sizes))
    print("| objective | M |", " | ".join(HEAD), "|")
    print("| --- " * (2 + len(HEAD)) + "|")
    for colour, name in zip((*COLOURS, *COLOURS), NAMES, strict=False):
        for j, m in enumerate(args.sizes if name in args.only else ()):
            courses, ends = zip(*(trained(name, m, s, args.epochs) for s in range(args.seeds)), strict=True)
            mean, spread = np.mean(ends, axis=0), np.std(ends, axis=0)
            cells = " | ".join(f"{a:.2f} ± {b:.2f}" for a, b in zip(mean, spread, strict=True))
            print(f"| {name} | {m} | {cells} |", flush=True)
            for i, k in enumerate(KEYS):
                each = np.array(courses)[:, :, i]
                band = (each.min(axis=0), each.max(axis=0))
                curve(grid[i, j], range(1, args.epochs + 1), each.mean(axis=0), band, colour=colour, style="-", label=name)
                grid[i, j].set(title=f"M = {m}" if i == 0 else "", ylabel=k if j == 0 else "")
    legend(figure, grid[0, 0], columns=5)
    note = "Mean and range over seeds, of the last batch of each epoch. Made data."
    write_page(args.out, title="Spaces in training", sections=[Section("Over epochs", [note, svg(figure, broad=True)])])
    print(f"page: {args.out}")


if __name__ == "__main__":
    main()
