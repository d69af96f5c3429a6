"""Three labels per class on digits: how the reading of a representation, and not only its training, decides the accuracy.

``python benchmarks/few_labels.py`` prints the table of docs/claims.md, section Cone.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.catalog import SOURCES
from tuplet.data import Source
from tuplet.evaluate import embed, linear_baseline
from tuplet.objectives import Cone, Objective, Pairwise
from tuplet.types import Start

STARTS: tuple[tuple[Start, str], ...] = (("gcca", "started"), ("random", "from scratch"))
SHOTS, DRAWS, SEEDS = 3, 20, 3
Array = NDArray[np.float64]


def accuracy(train: Array, y: Array, test: Array, y_test: Array, *, standardise: bool) -> float:
    """Fit logistic regression on three training rows per class, over 20 draws; in percent of the test rows."""
    scale = train.std(axis=0) + 1e-9 if standardise else train.std()
    train, test = (train - train.mean(axis=0)) / scale, (test - train.mean(axis=0)) / scale
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rows = np.concatenate([rng.choice(np.flatnonzero(y == c), SHOTS, replace=False) for c in np.unique(y)])
        found.append(LogisticRegression(max_iter=3000).fit(train[rows], y[rows]).score(test, y_test))
    return 100 * float(np.mean(found))


def read(model: AlignmentModel, source: Source) -> list[float]:
    """Read h standardised, h as it is, and the embedding z as it is, all modalities side by side."""
    parts = [embed(model, rows) for rows in (source.train, source.test)]
    y, y_test = (p.target["label"].numpy() for p in parts)
    found = []
    for name, standardise in (("h", True), ("h", False), ("z", False)):
        x, x_test = (np.concatenate([v.numpy() for _, v in sorted(getattr(p, name).items())], axis=1) for p in parts)
        found.append(accuracy(x.astype(float), y, x_test.astype(float), y_test, standardise=standardise))
    return found


def trained(source: Source, objective: Objective, start: Start, seed: int) -> AlignmentModel:
    """Train as the tables of retrieval do: 8 epochs from the closed form, 20 from scratch."""
    torch.manual_seed(seed)
    model = AlignmentModel.for_source(source, dim=32, start=start)
    epochs, lr = {"gcca": (8, 1e-3), "random": (20, 3e-3)}[start]
    return fit(model, objective, train=source.train, config=TrainConfig(epochs=epochs, batch_size=120, lr=lr, seed=seed)).model


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| views | model | h, standardised | h as it is | z as it is |")
    print("| --- | --- | ---: | ---: | ---: |")
    for views in (["fourier", "karhunen", "zernike"], sorted(SOURCES["digits"]().modalities)):
        source = SOURCES["digits"]().select(views)
        for dim in (8, 32):
            line = " | ".join(f"{v:.1f}" for v in read(linear_baseline(source, dim=dim), source))
            print(f"| {len(views)} | closed form, D = {dim} | {line} |")
        for start, label in STARTS:
            for make in (Pairwise, Cone):
                runs = np.array([read(trained(source, make(), start, s), source) for s in range(SEEDS)])
                cells = [f"{m:.1f} ± {d:.1f}" for m, d in zip(runs.mean(axis=0), runs.std(axis=0, ddof=1), strict=True)]
                print(f"| {len(views)} | {make.__name__}, {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
