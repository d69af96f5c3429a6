"""The cone and the closed-form start against the other objectives: equal training, tuned on validation rows, several seeds.

``python benchmarks/cone.py --out runs/cone --tasks digits3 emoji`` runs what is missing (one JSON file per training) and prints
the tables of docs/claims.md, section Cone. ``--only-print`` prints what is there.

Every method gets the same encoders, epochs, batch size, early stopping and six settings of temperature and learning rate, of
which validation rows choose one (by the better of its mean reciprocal ranks, own score or cosine). Seeds 0, 1, 2, .. are then
trained with it and measured once on test rows: each modality is searched with all the others and the reverse.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.catalog import READERS, SOURCES
from tuplet.data import Source, from_arrays, hide
from tuplet.diagnose import conflict
from tuplet.evaluate import Result, embed, evaluate, linear_baseline
from tuplet.evaluate._paired import paired_difference
from tuplet.functional.rows import unit
from tuplet.io import write_atomic
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise, Temperature
from tuplet.types import Embeddings, Start

SETTINGS = ((0.05, 1e-3), (0.1, 1e-3), (0.3, 1e-3), (0.1, 3e-4), (0.1, 3e-3), (0.3, 3e-3))
"""Temperature and learning rate."""
METHODS: dict[str, Callable[[float], Objective]] = {
    "Pairwise": lambda tau: Pairwise(tau=tau),
    "Cone": lambda tau: Cone(tau=tau),
    "OVA-IB beta 0": lambda tau: OneVsAll(tau=tau, beta=0.0),
    "GRAM": lambda tau: Gram(tau=tau),
    "Cone beta 0.1": lambda tau: Cone(tau=tau, beta=0.1),
    "Cone + Pairwise": lambda tau: 0.5 * Cone(tau=tau) + 0.5 * Pairwise(tau=tau),
    "Cone, tau learned": lambda tau: Cone(tau=Temperature(tau)),
}
MAIN = ("Pairwise", "Cone")
CELLS: list[tuple[Start, str]] = [("gcca", m) for m in METHODS] + [("random", m) for m in MAIN]
EPOCHS, PATIENCE, TUNING = 20, 4, 100
OWN = "retrieval/own/"
SHOWN = {
    "retrieval/own/R@1": ("own R@1", 100, 1),
    "retrieval/cosine/R@1": ("cosine R@1", 100, 1),
    "retrieval/cone/R@1": ("cone R@1", 100, 1),
    "probe/linear": ("linear probe", 100, 1),
    "probe/few_shot": ("3-shot probe", 100, 1),
    "alone": ("one modality, probe", 100, 1),
    "never": ("never found", 100, 0),
    "conflict": ("conflict", 1, 2),
    "space/positive_cosine": ("cosine of matches", 1, 2),
    "space/centroid_gap": ("gap", 1, 2),
}
"""Metric -> column. Cone R@1: by the score of the cone, whatever was trained. One modality: the linear probe of each modality's
rows alone, mean. Never found: share of test rows that are among the ten nearest of no query, where a modality searches another,
mean over pairs. Conflict: chi, the share of the pull on an anchor that is lost because its matches do not point one way, mean
over anchors."""


class Record(NamedTuple):
    """What is kept of a model: metric -> value on test rows, and metric -> outcome per query."""

    values: dict[str, float]
    items: dict[str, Sequence[float]]


def views(count: int) -> Source:
    """Views of 6 shared and 6 own numbers through random two-layer networks, 1,500 rows."""
    rng = np.random.default_rng(count)
    shared = rng.normal(size=(1500, 6))
    x = {}
    for k in range(count):
        seen = np.concatenate([shared, rng.normal(size=(1500, 6))], axis=1)
        x[f"v{k}"] = np.tanh(seen @ rng.normal(size=(12, 48)) / 3) @ rng.normal(size=(48, 24)) / 7
        x[f"v{k}"] += 0.3 * rng.normal(size=x[f"v{k}"].shape)
    return from_arrays(x, targets={"quadrant": (shared[:, 0] > 0) * 2 + (shared[:, 1] > 0)})


def digits(*names: str) -> Source:
    """Views of handwritten digits."""
    return SOURCES["digits"]().select(names) if names else SOURCES["digits"]()


THREE = ("fourier", "karhunen", "zernike")
WEARABLE: Path = Path("seglearn-1.2.5-py3-none-any.whl")
TASKS: dict[str, tuple[Callable[[], Source], int]] = {
    "digits3": (lambda: digits(*THREE), 32),
    "emoji": (lambda: SOURCES["emoji"]().select(["english", "french", "noto", "fluent", "twemoji"]), 64),
    "digits6": (digits, 32),
    "views3": (lambda: views(3), 32),
    "views5": (lambda: views(5), 32),
    "views7": (lambda: views(7), 32),
    "digits3 missing 25 %": (lambda: hide(digits(*THREE), 0.25, seed=0), 32),
    "digits3 missing 50 %": (lambda: hide(digits(*THREE), 0.5, seed=0), 32),
    "digits3 missing 75 %": (lambda: hide(digits(*THREE), 0.75, seed=0), 32),
    "physiology": (SOURCES["physiology"], 32),
    "tap": (SOURCES["tap"], 32),
    "push": (SOURCES["push"], 32),
    "peg": (SOURCES["peg"], 32),
    "wearable": (lambda: READERS["wearable"].load(WEARABLE), 32),
}
"""Name -> source and width. Physiology, tap (vision, audio, touch), push and peg are simulated; wearable is the wheel of
seglearn in the working folder (``pip download --no-deps seglearn==1.2.5``)."""


def target_of(source: Source) -> str | None:
    """Name the first class target."""
    return next((k for k, t in source.targets.items() if t.kind == "class"), None)


def unseen(emb: Embeddings) -> float:
    """Measure the share of rows that are among the ten nearest of no query."""
    shares = []
    for a, b in permutations(emb.z, 2):
        held = emb.present[a] & emb.present[b]
        found = (unit(emb.z[a][held]) @ unit(emb.z[b][held]).T).topk(min(10, int(held.sum())), dim=1).indices
        shares.append(1 - len(set(found.flatten().tolist())) / int(held.sum()))
    return float(np.mean(shares))


def measured(model: AlignmentModel, objective: Objective | None, source: Source) -> Record:
    """Keep the numbers that are shown, and the outcome of every query where all directions have the same queries."""
    names, target = tuple(source.modalities), target_of(source)
    results = evaluate(model, objective, source, target=target, which=(*((name,) for name in names), names))
    scored = results if isinstance(objective, Cone) else evaluate(model, Cone(), source, target=target, which=(names,))
    results += [replace(r, metric=r.metric.replace("own", "cone")) for r in scored if r.metric.startswith(OWN)]
    found = {r.metric: r for r in results if r.metric in SHOWN and r.detail in ("", "mean")}
    values = {k: r.value for k, r in found.items()}
    if alone := [r.value for r in results if r.metric == "subset" and r.detail in names]:
        values["alone"] = float(np.mean(alone))
    emb = embed(model, source.test)
    values["never"] = unseen(emb)
    values["conflict"] = float(np.mean([conflict(emb, anchor=name).summary()["chi"] for name in names]))
    return Record(values, {k: r.items for k, r in found.items() if k.startswith("retr")})


def mrr(results: list[Result]) -> float:
    """Take the better of the mean reciprocal ranks by own score and by cosine."""
    return max(r.value for r in results if r.metric.endswith("/MRR") and r.detail == "mean")


def train(
    source: Source, dim: int, start: Start, method: str, tau: float, lr: float, seed: int
) -> tuple[AlignmentModel, Objective]:
    """Train one model."""
    torch.manual_seed(seed)
    model = AlignmentModel.for_source(source, dim=dim, start=start)
    objective = METHODS[method](tau)
    config = TrainConfig(epochs=EPOCHS, batch_size=120, lr=lr, seed=seed, keep="best", patience=PATIENCE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the gradient of")
        fit(model, objective, train=source.train, val=source.val, config=config)
    return model, objective


def path(folder: Path, *parts: object) -> Path:
    """Name the file of a piece."""
    return folder / ("-".join(str(p) for p in parts).replace(" ", "_").replace("%", "pc") + ".json")


def piece(file: Path, work: Callable[[], object]) -> Any:
    """Read a finished piece, or do it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(work()).encode())
        print("  done", file.name, flush=True)
    return json.loads(file.read_text())


def tuned(source: Source, dim: int, start: Start, method: str) -> list[float]:
    """Score every setting on validation rows."""
    found = []
    for tau, lr in SETTINGS:
        model, objective = train(source, dim, start, method, tau, lr, TUNING)
        found.append(
            mrr(evaluate(model, objective, source, target=target_of(source), part="val", which=(tuple(source.modalities),)))
        )
    return found


def run(task: str, folder: Path, seeds: int, wanted: list[str], fixed: tuple[float, float] | None) -> None:
    """Run a task's missing pieces."""
    load, dim = TASKS[task]
    source = load()

    def alone() -> Record:
        return measured(linear_baseline(source, dim=dim), None, source)

    def final(start: Start, method: str, seed: int, setting: tuple[float, float]) -> Record:
        model, objective = train(source, dim, start, method, *setting, seed)
        return measured(model, objective, source)

    piece(path(folder, task, "linear"), alone)
    for start, method in CELLS:
        if method in wanted:
            setting = fixed
            if setting is None:
                scores = piece(path(folder, task, start, method, "tuning"), partial(tuned, source, dim, start, method))
                setting = SETTINGS[int(np.argmax(scores))]
            for seed in range(seeds):
                piece(path(folder, task, start, method, seed), partial(final, start, method, seed, setting))


def gained(runs: list[Record], linear: Record, score: str) -> str:
    """Compare with the closed form by the same score: over seeds and queries, or over seeds alone."""
    key = f"retrieval/{score}/R@1"
    if not all(key in r.values for r in runs):
        return ""
    if len(runs) == 1:
        return f"{100 * (runs[0].values[key] - linear.values[key]):+.1f}, one seed"
    base = linear.items[key]
    if base and all(r.items[key] for r in runs):
        d = paired_difference([r.items[key] for r in runs], [base] * len(runs))
        return f"{100 * d.mean:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
    d = paired_difference([r.values[key] for r in runs], [linear.values[key]] * len(runs))
    return f"{100 * d.mean:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}] over seeds"


def show(task: str, folder: Path, fixed: tuple[float, float] | None) -> None:
    """Print a task's table: mean and standard deviation over seeds; the difference to the closed form with its interval."""
    if not (file := path(folder, task, "linear")).exists():
        return
    linear = Record(*json.loads(file.read_text()))
    print(f"\n### {task}\n")
    labels = [label for label, _, _ in SHOWN.values()]
    print(f"| start | objective | {' | '.join(labels)} | tau, lr | cosine R@1 over closed form | cone R@1 over closed form |")
    print("| --- | --- |" + " ---: |" * (len(SHOWN) + 3))
    flat = [f"{linear.values[k] * s:.{d}f}" if k in linear.values else "" for k, (_, s, d) in SHOWN.items()]
    print(f"| closed form alone | | {' | '.join(flat)} | | | |")
    for start, method in CELLS:
        files = [f for seed in range(50) if (f := path(folder, task, start, method, seed)).exists()]
        if not files:
            continue
        runs = [Record(*json.loads(f.read_text())) for f in files]
        cells = []
        for key, (_, scale, digits_) in SHOWN.items():
            values = [r.values[key] * scale for r in runs if key in r.values]
            spread = f" ± {np.std(values, ddof=1):.{digits_}f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.{digits_}f}{spread}" if values else "")
        scores = path(folder, task, start, method, "tuning")
        tau, lr = SETTINGS[int(np.argmax(json.loads(scores.read_text())))] if scores.exists() else fixed or (nan, nan)
        cells += [f"{tau:g}, {lr:g}", gained(runs, linear, "cosine"), gained(runs, linear, "cone")]
        print(f"| {'closed form' if start == 'gcca' else 'random'} | {method} | {' | '.join(cells)} |")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/cone"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--setting", nargs=2, type=float, help="temperature and learning rate, instead of tuning")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only-print", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    fixed = None if args.setting is None else (args.setting[0], args.setting[1])
    for task in args.tasks:
        if not args.only_print:
            run(task, args.out, args.seeds, args.methods, fixed)
        show(task, args.out, fixed)


if __name__ == "__main__":
    main()
