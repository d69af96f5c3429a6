"""How often the recommendation of `tuplet audit` is right, on generated structures that it was not tuned on.

    python benchmarks/recommendation.py [--cases 24] [--out runs/recommendation]

Each case draws a structure: how many label bits are shared, unique and synergistic, label noise, misread bits, common and
private nuisance, noise of the view, kind of view, number of rows. `audit` sees its training and validation rows; then a longer
sweep with other seeds measures, on 3,000 test rows, what each strength really does. Printed are

- the share of right signs. *helps* is right if the recommended strength gains on test rows; *hurts* if strength 1 loses and no
  strength gains a point; *no difference* if no strength gains a point and strengths up to 1 lose less than one; *not enough
  data* is never right, and the share is also given without such cases;
- the regret: accuracy at the best strength of the sweep less that at the recommended one, in points, mean over encoders. The
  best strength is chosen by the same test rows, so the regret of a perfect choice is above zero too: that of choosing strength
  0 always, and of the best single strength for all cases, stand beside it.

The rule was tuned on the family "tuning" (up to three label bits, vectors), and is scored on "scored": other seeds, other block
sizes, other numbers of rows, sequences beside vectors. Both trainings have 300 steps of 64 rows.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuplet.audit import audit, pilot
from tuplet.data.sources import blocks
from tuplet.train import TrainConfig
from tuplet.train.files import write_atomic

SWEEP = (0.0, 0.3, 1.0, 2.0, 3.0)
CONFIG = TrainConfig(batch_size=64, lr=3e-3)
TEST = 3000


def draw(seed: int, family: str) -> dict[str, Any]:
    """A structure: options of `blocks.load`."""
    tuning = family == "tuning"
    rng = np.random.default_rng([seed, 0 if tuning else 1])
    bits = rng.integers(1, 4 if tuning else 5)
    counts = rng.multinomial(bits, rng.dirichlet([0.7, 0.7, 0.7, 0.4])).tolist()
    train = int(rng.choice([400, 800, 1600] if tuning else [300, 600, 1200, 2400]))
    rows = train + train // 2 + TEST
    views = ["vector"] if tuning else ["vector"] * 5 + ["sequence"]
    return {
        **dict(zip(("redundancy", "unique1", "unique2", "synergy"), counts, strict=True)),
        "flip": float(rng.choice([0.0, rng.uniform(0, 0.35)])),
        "misread": tuple(float(x) for x in rng.choice([0.0, 1.0]) * rng.uniform(0, 0.2, 2)),
        "common": int(rng.integers(0, 4)),
        "private": int(rng.integers(1, 16)),
        "views": tuple(str(v) for v in rng.choice(views, 2)),
        "depth": int(rng.integers(1, 4)),
        "noise": float(rng.uniform(0.1, 1.2)),
        "rows": rows,
        "fractions": (train / rows, train / 2 / rows, TEST / rows),
        "seed": seed,
        "view_seed": seed,
    }


def case(seed: int, family: str) -> dict[str, Any]:
    """Audit one structure, then measure what each strength does."""
    options = draw(seed, family)
    source = blocks.load(**options)
    began = time.process_time()
    found = audit(source, target="label", config=CONFIG, permutations=20, bootstrap=10).pairs[0]
    asked = time.process_time() - began
    swept = pilot(source, ("x1", "x2"), strengths=SWEEP, seeds=(10, 11, 12), config=CONFIG, part="test")
    return {
        "seed": seed,
        "options": options,
        "pid": blocks.Blocks(*(options[k] for k in ("redundancy", "unique1", "unique2", "synergy"))).pid,
        "verdict": found.advice.verdict,
        "strength": found.advice.strength,
        "pilot": {"gain": found.pilot.gain, "covariance": found.pilot.covariance, "strengths": found.pilot.strengths},
        "gain": swept.gain,
        "error": np.sqrt(np.diag(swept.covariance)).tolist(),
        "seconds": asked,
    }


def judged(record: dict[str, Any]) -> tuple[bool, float]:
    """Whether the verdict was right, and the regret of the strength in points."""
    gain = np.array(record["gain"])

    def at(strength: float) -> float:
        return float(np.interp(strength, SWEEP, gain))

    worst = min(at(s) for s in SWEEP if s <= 1)
    right = {
        "helps": at(record["strength"]) > 0,
        "hurts": at(1.0) < 0 and gain.max() < 1,
        "no difference": gain.max() < 1 and worst > -1,
        "unclear": False,
    }[record["verdict"]]
    return bool(right), float(gain.max() - at(record["strength"]))


def main() -> None:
    """Run what is missing, then print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument(
        "--first", type=int, default=0, help="where to begin, so that several processes may share the work"
    )
    parser.add_argument("--family", choices=("scored", "tuning"), default="scored")
    parser.add_argument("--out", type=Path, default=Path("runs/recommendation"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = []
    for seed in range(arguments.first, arguments.cases):
        file = arguments.out / arguments.family / f"{seed}.json"
        if not file.exists():
            write_atomic(file, json.dumps(case(seed, arguments.family)).encode())
        record = json.loads(file.read_text())
        records.append(record)
        right, regret = judged(record)
        o, gains = record["options"], " ".join(f"{g:+.1f}" for g in record["gain"][1:])
        said = f"{record['verdict']} {record['strength']:g}; measured {gains}"
        print(
            f"{seed:3d} R {o['redundancy']} U {o['unique1']} {o['unique2']} S {o['synergy']}, {o['rows'] - TEST} rows: "
            f"{said}; {'right' if right else 'WRONG'}, regret {regret:.1f}",
            flush=True,
        )
    marks, regrets = (np.array(v) for v in zip(*map(judged, records), strict=True))
    told = np.array([r["verdict"] != "unclear" for r in records])
    gains = np.array([r["gain"] for r in records])
    boot = np.random.default_rng(0).integers(0, len(records), (2000, len(records)))
    low, high = np.quantile(marks[boot].mean(axis=1), [0.025, 0.975])
    spread = f"95 % of resampled cases {100 * low:.0f} to {100 * high:.0f}"
    print(f"right: {marks.sum()} of {len(marks)} ({100 * marks.mean():.0f} %, {spread})")
    print(f"right where it told: {marks[told].sum()} of {told.sum()}")
    print(
        f"regret: mean {regrets.mean():.2f} points, standard deviation {regrets.std():.2f}, largest {regrets.max():.1f}"
    )
    best = gains.max(axis=1)
    fixed = [f"{s:g}: {(best - g).mean():.2f}" for s, g in zip(SWEEP, gains.T, strict=True)]
    print(f"regret of one strength for all: {', '.join(fixed)}")
    print(f"median CPU time of an audit: {np.median([r['seconds'] for r in records]):.0f} s")


if __name__ == "__main__":
    main()
