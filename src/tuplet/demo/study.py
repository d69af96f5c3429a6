"""Train or build each method on training rows, choose on validation rows, measure on test rows; finished pieces are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.data import Source
from tuplet.evaluate import Result, embed, evaluate, evaluate_inputs, linear_baseline, mean_cosine
from tuplet.evaluate.retrieve import Score
from tuplet.evaluate.search import search
from tuplet.io import Between, read_state, write_atomic
from tuplet.model import AlignmentModel
from tuplet.objectives import Gram, Objective, OneVsAll, Pairwise
from tuplet.train import TrainConfig, fit
from tuplet.train.checkpoint import describe

METHODS = {
    "pairwise": "Pairwise",
    "gram": "GRAM",
    "ova_ib": "OVA-IB",
    "linear": "Linear closed form",
    "random": "Random encoders",
    "inputs": "Plain inputs",
}
"""Method -> what the page calls it."""
TRAINED: dict[str, Callable[[], Objective]] = {"pairwise": Pairwise, "gram": Gram, "ova_ib": OneVsAll}
SEEDS = (0, 1)
QUERY, INTO = "english", ("noto", "twemoji")
EPOCHS = 20
SHOWN = 7
"""Pictures shown per search."""
FIRST = 10
"""A picture counts as found if it is among the first ten."""
KEPT = {
    "probe/linear": "linear",
    "probe/few_shot": "few",
    "retrieval/own/R@10": "own",
    "retrieval/cosine/R@10": "cosine",
    "space/positive_cosine": "positive",
}
SCHEMA = {
    "schema": Between(int, 1, 1),
    "data": str,
    "numbers": {...: float},
    "ranks": [int],
    "cosine_ranks": [int],
    "top": [[int]],
}


@dataclass(frozen=True)
class Found:
    """What was measured of one method with one seed.

    Attributes:
        numbers: short name -> value on test rows; ``validation`` is the share of validation names found among the first ten.
        ranks: of the right picture for each test row's English name, 1 is first, by the method's own score; may be empty.
        cosine_ranks: likewise by mean cosine.
        top: for each test row's name, the positions of the test rows found first.
    """

    numbers: dict[str, float]
    ranks: NDArray[np.int64]
    cosine_ranks: NDArray[np.int64]
    top: NDArray[np.int64]


def measure(
    source: Source,
    names: Sequence[str],
    *,
    out: Path,
    epochs: int = EPOCHS,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> dict[str, list[Found]]:
    """Measure all methods.

    Args:
        source: with the modalities ``english``, ``noto`` and ``twemoji``, and the target ``group``.
        names: what is typed for each row of the source.
        out: folder that keeps finished pieces and trained models.
        epochs: of every training.
        report: called with pieces done, pieces in all, and what was done.

    Returns:
        Method -> one `Found` per seed; methods without random numbers have one.

    Example:
        >>> list(METHODS)[:2], SEEDS
        (['pairwise', 'gram'], (0, 1))
    """
    cells = [(m, s) for m in METHODS for s in (SEEDS if m in TRAINED or m == "random" else SEEDS[:1])]
    found: dict[str, list[Found]] = {m: [] for m in METHODS}
    made = {m: describe(TRAINED[m]()) if m in TRAINED else "" for m in METHODS}
    for done, (method, seed) in enumerate(cells):
        report(done, len(cells), f"{METHODS[method]}, seed {seed}")
        file = out / "records" / f"{method}-{seed}.json"
        key = f"{source.fingerprint} {epochs} {made[method]}"
        state = read_state(file, SCHEMA) if file.exists() else {}
        if state.get("data") != key:
            state = {"schema": 1, "data": key, **_measured(method, seed, source, names, out, epochs)}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps(state).encode())
        arrays = (np.array(state[k], dtype=np.int64) for k in ("ranks", "cosine_ranks", "top"))
        found[method].append(Found(state["numbers"], *arrays))
    report(len(cells), len(cells), "done")
    return found


def _measured(
    method: str, seed: int, source: Source, names: Sequence[str], out: Path, epochs: int
) -> dict[str, object]:
    whole = (tuple(source.modalities),)
    if method == "inputs":
        results = evaluate_inputs(source, target="group", which=whole)
        return {"numbers": _numbers(results), "ranks": [], "cosine_ranks": [], "top": []}
    objective = TRAINED[method]() if method in TRAINED else None
    if method == "linear":
        model = linear_baseline(source)
    elif objective is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AlignmentModel.for_source(source)
    else:
        config = TrainConfig(epochs=epochs, seed=seed, out=out / "models" / f"{method}-{seed}-{epochs}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the gradient of")  # a comparison shows what comes of it
            model = fit(None, objective, train=source.train, val=source.val, config=config).model
    results = evaluate(model, objective, source, target="group", which=whole)
    own = getattr(objective, "score", None) or mean_cosine

    def scores(part: str, score: Score) -> NDArray[np.float64]:
        typed = {QUERY: [names[i] for i in getattr(source.split, part)]}
        return search(model, source, typed, embed(model, getattr(source, part)), INTO, score=score).numpy()

    by_own, by_cosine = scores("test", own), scores("test", mean_cosine)
    order = np.argsort(-by_own, axis=1, kind="stable")
    validation = float((_ranks(scores("val", own)) <= FIRST).mean())
    return {
        "numbers": {**_numbers(results), "validation": validation},
        "ranks": _ranks(by_own).tolist(),
        "cosine_ranks": _ranks(by_cosine).tolist(),
        "top": order[:, :10].tolist(),
    }


def chosen(found: dict[str, list[Found]]) -> str:
    """Name the objective that finds most on validation rows, averaged over seeds; the first among equals.

    Args:
        found: from `measure`.

    Returns:
        The method.

    Example:
        >>> none = np.zeros(0, np.int64)
        >>> chosen({m: [Found({"validation": v}, none, none, none)] for m, v in zip(TRAINED, (0.1, 0.3, 0.2))})
        'gram'
    """
    return max(TRAINED, key=lambda m: np.mean([run.numbers["validation"] for run in found[m]]))


def _numbers(results: Sequence[Result]) -> dict[str, float]:
    return {KEPT[r.metric]: float(r.value) for r in results if r.metric in KEPT and r.detail in ("", "mean")}


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank row i's own picture in row i; an equal score counts as better, so that a constant score is last."""
    right = np.diag(scores)[:, None]
    return np.asarray((scores >= right).sum(axis=1), dtype=np.int64)
