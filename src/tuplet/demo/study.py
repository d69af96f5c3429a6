"""Train or build each method on training rows, choose on validation rows, measure on test rows; finished pieces are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.audit import Audit, audit
from tuplet.data import Source
from tuplet.evaluate import Result, embed, evaluate, evaluate_inputs, linear_baseline, mean_cosine
from tuplet.evaluate._search import search
from tuplet.evaluate.evaluation import retrieval_results
from tuplet.evaluate.retrieval import Score
from tuplet.io import Between, read_state, write_atomic
from tuplet.model import AlignmentModel
from tuplet.objectives import Cone, Gram, Objective, OneVsAll, Pairwise
from tuplet.train import TrainConfig, fit
from tuplet.train._checkpoint import describe

METHODS = {
    "pairwise": "Pairwise",
    "gram": "GRAM",
    "ova_ib": "OVA-IB",
    "cone": "Cone (ours)",
    "scratch": "Pairwise from scratch",
    "linear": "Linear closed form",
    "random": "Random encoders",
    "inputs": "Plain inputs",
}
"""Method -> what the page calls it."""
TRAINED: dict[str, Callable[[], Objective]] = {
    "pairwise": Pairwise,
    "gram": Gram,
    "ova_ib": OneVsAll,
    "cone": Cone,
    "scratch": Pairwise,
}
"""Method -> its objective at default settings; encoders begin as the linear closed form, but for ``"scratch"``."""
SEEDS = (0, 1)
QUERY, INTO = "english", ("noto", "twemoji")
STARTED = TrainConfig(epochs=8, lr=5e-4, start="gcca")
SCRATCH = TrainConfig(epochs=20, lr=1e-3)
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
    "whole": [float],
}


@dataclass(frozen=True)
class Found:
    """What was measured of one method with one seed."""

    numbers: dict[str, float]  # of test rows; "validation" is what `whole` averages, on validation rows
    ranks: NDArray[np.int64]  # (rows,) of the right picture for each English name, 1 is first, by the own score; may be empty
    cosine_ranks: NDArray[np.int64]  # likewise by mean cosine
    top: NDArray[np.int64]  # (rows, 10) for each name, the test rows found first
    whole: NDArray[np.float64]  # per concept, how often each modality finds the others among the first ten, and the reverse


def ask(source: Source, out: Path, report: Callable[[int, int, str], None]) -> Audit:
    """Audit English names and Noto's pictures, with few and short pilot trainings."""
    return audit(
        source.select(["english", "noto"]),
        target="group",
        pairs=[("english", "noto")],
        strengths=(0.3,),
        seeds=(0, 1),
        steps=60,
        permutations=20,
        bootstrap=10,
        out=out,
        report=report,
    )


def measure(
    source: Source,
    names: Sequence[str],
    *,
    out: Path,
    epochs: int | None = None,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> dict[str, list[Found]]:
    """Measure all methods."""
    begun = cache(partial(_begun, source))
    cells = [(m, s) for m in METHODS for s in (SEEDS if m in TRAINED or m == "random" else SEEDS[:1])]
    found: dict[str, list[Found]] = {m: [] for m in METHODS}
    made = {m: f"{describe(TRAINED[m]())} {_config(m, epochs).fixed()}" if m in TRAINED else "" for m in METHODS}
    for done, (method, seed) in enumerate(cells):
        report(done, len(cells), f"{METHODS[method]}, seed {seed}")
        file = out / "records" / f"{method}-{seed}.json"
        key = f"{source.fingerprint} {made[method]}"
        state = read_state(file, SCHEMA) if file.exists() else {}
        if state.get("data") != key:
            state = {"schema": 1, "data": key, **_measured(method, seed, source, names, out, epochs, begun)}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps(state).encode())
        ranks, by_cosine, top = (np.array(state[k], dtype=np.int64) for k in ("ranks", "cosine_ranks", "top"))
        found[method].append(Found(state["numbers"], ranks, by_cosine, top, np.array(state["whole"], dtype=np.float64)))
    report(len(cells), len(cells), "done")
    return found


def _config(method: str, epochs: int | None) -> TrainConfig:
    config = SCRATCH if method == "scratch" else STARTED
    return config if epochs is None else replace(config, epochs=epochs)


def _begun(source: Source, seed: int) -> AlignmentModel:
    """Build what all objectives start from with one seed: the closed form is computed once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AlignmentModel.for_source(source, start="gcca")


def _measured(
    method: str,
    seed: int,
    source: Source,
    names: Sequence[str],
    out: Path,
    epochs: int | None,
    begun: Callable[[int], AlignmentModel],
) -> dict[str, object]:
    whole = (tuple(source.modalities),)
    if method == "inputs":
        results = evaluate_inputs(source, target="group", which=whole)
        return {"numbers": _numbers(results), "ranks": [], "cosine_ranks": [], "top": [], "whole": []}
    objective = TRAINED.get(method, Cone)()  # what is not trained is searched by the cone, the best score that needs none
    if method == "linear":
        model = linear_baseline(source)
    elif method not in TRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AlignmentModel.for_source(source)
    else:
        config = _config(method, epochs)
        config = replace(config, seed=seed, out=out / "models" / f"{method}-{seed}-{config.epochs}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the gradient of")  # a comparison shows what comes of it
            base = None if method == "scratch" else deepcopy(begun(seed))
            run = fit(base, objective, train=source.train, val=source.val, config=config)
        if run.stopped:
            raise KeyboardInterrupt
        model = run.model
    results = evaluate(model, objective, source, target="group", which=whole)
    own: Score = objective.score  # type: ignore[assignment]  # all of them have one

    def scores(part: str, score: Score) -> NDArray[np.float64]:
        typed = {QUERY: [names[i] for i in getattr(source.split, part)]}
        return search(model, source, typed, embed(model, getattr(source, part)), INTO, score=score).numpy()

    by_own, by_cosine = scores("test", own), scores("test", mean_cosine)
    order = np.argsort(-by_own, axis=1, kind="stable")
    validation = _whole(retrieval_results(embed(model, source.val), {"own": own}))
    return {
        "numbers": {**_numbers(results), "validation": validation.value},
        "ranks": _ranks(by_own).tolist(),
        "cosine_ranks": _ranks(by_cosine).tolist(),
        "top": order[:, :10].tolist(),
        "whole": list(_whole(results).items),
    }


def _whole(results: Sequence[Result]) -> Result:
    """Pick the retrieval of each modality from all others and back."""
    return next(r for r in results if (r.metric, r.detail) == (f"retrieval/own/R@{FIRST}", "mean"))


def chosen(found: dict[str, list[Found]]) -> str:
    """Name the method whose `Found.whole` is best on validation rows, averaged over seeds; the first among equals."""
    return max(TRAINED, key=lambda m: np.mean([run.numbers["validation"] for run in found[m]]))


def _numbers(results: Sequence[Result]) -> dict[str, float]:
    return {KEPT[r.metric]: float(r.value) for r in results if r.metric in KEPT and r.detail in ("", "mean")}


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank row i's own picture in row i; an equal score counts as better, so that a constant score is last."""
    right = np.diag(scores)[:, None]
    return np.asarray((scores >= right).sum(axis=1), dtype=np.int64)
