"""Numbers that moving code must not change: every entry of the suites, a sweep, an audit, every source.

``python -m tests.test_frozen`` writes the numbers anew; do that only for a change that the CHANGELOG argues.
"""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tuplet import AlignmentModel, TrainConfig
from tuplet.audit import audit
from tuplet.catalog import SOURCES
from tuplet.data import from_arrays
from tuplet.evaluate import mlp_probe
from tuplet.information import _posteriors
from tuplet.study.runner import run_suite
from tuplet.study.suite import Budget, Suite, Task
from tuplet.suites.entries import baselines, objectives
from tuplet.suites.sweep import Sweep, run_sweep

FROZEN = Path(__file__).parent / "reference" / "frozen.json"
QUICK = {
    "tap": {"episodes": 60, "instances": 1, "size": 8},
    "push": {"episodes": 6},
    "arm": {"episodes": 4, "size": 8},
    "peg": {"episodes": 4, "size": 8},
    "touch": {"contacts": 96, "size": 16, "calibration": "approximate"},
}
ELSEWHERE = {
    "/source/push/force": 776.36930,
    "/source/push/pose": 1237.62841,
    "/source/push/target position": -0.90529652,
    "/source/tap/audio": 12189.4364,
}
"""What an AMD EPYC makes of simulated contacts, which amplify how a processor rounds."""
BUDGET = Budget(dim=8, hidden=8, batch_size=30, epochs=2, trials=2)


def source():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(150, 3))
    views = {k: hidden @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(150, 5)) for k in "abc"}
    return from_arrays(views, targets={"label": (hidden[:, 0] > 0).astype(int)}, name="frozen")


def suite():
    task = Task("frozen", "Three views", source, ("a", "b", "c"), "label", 2, BUDGET)
    entries = tuple(replace(e, trials=()) for e in (*baselines(), *objectives()))
    return Suite("frozen", "tests.test_frozen:suite", (task,), entries, baseline="pairwise", about="Frozen.")


def records(found):
    shown = [r for r in found if r.detail in ("", "mean", "a", "b") or r.metric.startswith("score")]
    return {f"{r.entry} {r.seed} {r.metric} {r.detail}": r.value for r in shown}


def of_source(name):
    data = SOURCES[name](**QUICK.get(name, {}))
    batch = data.train[:7]
    h = AlignmentModel.for_source(data, dim=4, start="random")(batch).z  # made without a word about its modalities
    assert {k: v.shape[1] for k, v in h.items()} == dict.fromkeys(data.modalities, 4), name
    sums = {k: float(torch.as_tensor(v).double().abs().sum()) for k, v in batch.inputs.items() if torch.is_tensor(v)}
    sums |= {f"target {k}": float(v.double().sum()) for k, v in batch.target.items()}
    return {"rows": len(data.train), "val": len(data.val), "test": len(data.test)} | sums


def numbers(value, path=""):
    if isinstance(value, dict):
        return {k: v for name, x in value.items() for k, v in numbers(x, f"{path}/{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, x in enumerate(value) for k, v in numbers(x, f"{path}/{i}").items()}
    return {path: float(value)} if isinstance(value, int | float) else {}


@patch.dict(mlp_probe.__kwdefaults__, epochs=4)
@patch.object(_posteriors, "STEPS", 20)
def measure(folder):
    """Name -> number of everything that is frozen; networks that measure learn for a moment."""
    sweep = Sweep(("a", "b"), strengths=(1.0,), seeds=2, config=TrainConfig(epochs=2, batch_size=30))
    tiny = {"seeds": (0, 1), "strengths": (1.0,), "steps": 4, "permutations": 20, "bootstrap": 20, "folds": 1}
    found = {
        "suite": records(run_suite(suite(), out=folder / "suite", seeds=1, workers=1)),
        "sweep": records(run_sweep(source(), sweep, out=folder / "sweep")),
        "audit": asdict(audit(source(), out=folder / "audit", **tiny)) | {"seconds": 0},
        "source": {name: of_source(name) for name in SOURCES},
    }
    return {k: v for k, v in numbers(found).items() if math.isfinite(v)}


@pytest.mark.whole
def test_no_number_has_moved(tmp_path):
    kept, now = json.loads(FROZEN.read_text()), measure(tmp_path)
    assert set(kept) <= set(now)  # a new metric moves nothing

    def same(k, v):
        return any(math.isclose(x, now[k], rel_tol=1e-4, abs_tol=1e-5) for x in (v, ELSEWHERE.get(k, v)))

    moved = {k: (v, now[k]) for k, v in kept.items() if not same(k, v)}
    assert not moved, moved


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        FROZEN.write_text(json.dumps({k: float(f"{v:.7g}") for k, v in measure(Path(folder)).items()}, indent=0))
