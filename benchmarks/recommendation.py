"""How often the recommendation of `tuplet audit` is right, on generated structures that it was not tuned on.

    python benchmarks/recommendation.py [--cases 36] [--steps 300] [--out runs/recommendation]

Each case draws a structure of one of three kinds, in turn: *mixed* (how many label bits are shared, unique, synergistic, label
noise, misread bits, nuisance, noise and kind of view), *crowded* (mostly unique bits beside many bits that both views show
and the label does not depend on, low noise: what alignment crowds out), and *task*, the synthetic task of "To Align or Not to
Align" with 0 to 8 shared features, other seeds, and fewer rows. `audit`, with its 100 permutations, sees training and
validation rows; its pilot has ``--steps``. Then a training of 1,200 steps with other seeds measures on test rows what each
strength really does. Printed are

- the share of right signs. *helps* is right if the recommended strength gains on test rows; *hurts* if strength 1 loses and no
  strength gains a point; *no difference* if no strength gains a point and strengths up to 1 lose less than one; *not enough
  data* is never right, and the share is also given without such cases;
- the regret: accuracy at the best strength measured less that at the recommended one, in points, mean over encoders. The best
  strength is chosen by the same test rows, so the regret of a perfect choice is above zero too: those of one strength for all
  cases stand beside it, and of following the sign of the pilot's largest mean without any curve.

The rule was tuned on the family "tuning" (up to three label bits, vectors) and is scored on "scored".
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuplet.audit import audit, pilot
from tuplet.io.files import write_atomic
from tuplet.simulators import blocks, redundancy
from tuplet.train import TrainConfig

SWEEP = (0.0, 0.3, 1.0, 3.0)
CONFIG = TrainConfig(batch_size=64, lr=3e-3)
LONG = 1200
TEST = 1500
KINDS = ("mixed", "crowded", "task")


def draw(seed: int, family: str) -> tuple[str, dict[str, Any]]:
    """A structure: its kind, and options of the loader."""
    tuning = family == "tuning"
    rng = np.random.default_rng([seed, 0 if tuning else 1])
    kind = KINDS[seed % len(KINDS)]
    if kind == "task":
        rows = int(rng.choice([1500, 3000, 6000]))
        seeds = {k: int(rng.integers(10, 1000)) for k in ("features_seed", "weights_seed", "seed")}
        return kind, {
            "shared": int(rng.choice([0, 2, 4, 6, 8])),
            "step": int(rng.integers(0, 7)),
            "rows": rows,
            **seeds,
        }
    bits = int(rng.integers(1, 4 if tuning else 5))
    shares = [0.7, 0.7, 0.7, 0.4] if kind == "mixed" else [0.2, 1.0, 1.0, 0.2]
    counts = rng.multinomial(bits, rng.dirichlet(shares)).tolist()
    train = int(rng.choice([400, 800, 1600] if tuning else [300, 600, 1200, 2400]))
    rows = train + train // 2 + TEST
    views = ["vector"] if tuning else ["vector", "sequence"] if kind == "crowded" else ["vector"] * 5 + ["sequence"]
    crowd = {
        "common": int(rng.integers(6, 15)),
        "private": int(rng.integers(0, 4)),
        "noise": float(rng.uniform(0.05, 0.4)),
    }
    loose = {
        "common": int(rng.integers(0, 4)),
        "private": int(rng.integers(1, 16)),
        "noise": float(rng.uniform(0.1, 1.2)),
    }
    wrong = 0.35 if kind == "mixed" else 0.1
    return kind, {
        **dict(zip(("redundancy", "unique1", "unique2", "synergy"), counts, strict=True)),
        "flip": float(rng.choice([0.0, rng.uniform(0, wrong)])),
        "misread": tuple(float(x) for x in rng.choice([0.0, 1.0]) * rng.uniform(0, wrong / 2, 2)),
        **(loose if kind == "mixed" else crowd),
        "views": tuple(str(v) for v in rng.choice(views, 2)),
        "depth": int(rng.integers(1, 4)),
        "rows": rows,
        "fractions": (train / rows, train / 2 / rows, TEST / rows),
        "seed": seed,
        "view_seed": seed,
    }


def case(seed: int, family: str, steps: int) -> dict[str, Any]:
    """Audit one structure, then measure what each strength does in a longer training."""
    kind, options = draw(seed, family)
    source = redundancy.load(**options) if kind == "task" else blocks.load(**options)
    began = time.process_time()
    found = audit(source, target="label", config=CONFIG, steps=steps, bootstrap=10).pairs[0]
    asked = time.process_time() - began
    measured = pilot(source, ("x1", "x2"), strengths=SWEEP, seeds=(10, 11), steps=LONG, config=CONFIG, part="test")
    return {
        "seed": seed,
        "kind": kind,
        "options": options,
        "verdict": found.advice.verdict,
        "strength": found.advice.strength,
        "pilot": asdict(found.pilot),
        "null": {k: found.pid.null[k]["p"] for k in ("information1", "information2")} if found.pid.null else None,
        "synergy": bool(found.pid.significant and found.pid.significant["synergy"]),
        "gain": measured.gain,
        "error": np.sqrt(np.diag(measured.covariance)).tolist(),
        "scores": measured.scores,
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
        "unpaired": False,  # rows of these cases do belong together
    }[record["verdict"]]
    return bool(right), float(gain.max() - at(record["strength"]))


def score(records: Sequence[dict[str, Any]]) -> None:
    """Print shares of right signs and regrets, beside those of trivial rules."""
    marks, regrets = (np.array(v) for v in zip(*map(judged, records), strict=True))
    told = np.array([r["verdict"] != "unclear" for r in records])
    gains = np.array([r["gain"] for r in records])
    boot = np.random.default_rng(0).integers(0, len(records), (2000, len(records)))
    low, high = np.quantile(marks[boot].mean(axis=1), [0.025, 0.975])
    spread = f"95 % of resampled cases {100 * low:.0f} to {100 * high:.0f}"
    print(f"right: {marks.sum()} of {len(marks)} ({100 * marks.mean():.0f} %, {spread})")
    print(f"right where it told: {marks[told].sum()} of {told.sum()}")
    print(f"regret: mean {regrets.mean():.2f} points, standard deviation {regrets.std():.2f}, largest {regrets.max():.1f}")
    best = gains.max(axis=1)
    print("of one strength for all, or of the pilot's best mean: regret (largest)")
    naive = np.array([g[int(np.argmax(r["pilot"]["gain"]))] for r, g in zip(records, gains, strict=True)])
    rules = {**{f"always {s:g}": g for s, g in zip(SWEEP, gains.T, strict=True)}, "pilot's best mean": naive}
    for name, gained in rules.items():
        print(f"  {name}: {(best - gained).mean():.2f} ({(best - gained).max():.1f})")
    print(
        f"alignment gains a point somewhere in {(best >= 1).sum()} cases, loses one at strength 1 or 3 in "
        f"{(gains[:, 2:].min(axis=1) <= -1).sum()}"
    )
    for kind in KINDS:
        here = np.array([r["kind"] == kind for r in records])
        if here.any():
            print(f"  {kind}: {marks[here].sum()} of {here.sum()} right, regret {regrets[here].mean():.2f}")
    print(f"median CPU time of an audit: {np.median([r['seconds'] for r in records]):.0f} s")


def main() -> None:
    """Run what is missing, then print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=36)
    parser.add_argument("--first", type=int, default=0, help="where to begin, so that several processes may share the work")
    parser.add_argument("--steps", type=int, default=300, help="of the pilots")
    parser.add_argument("--family", choices=("scored", "tuning"), default="scored")
    parser.add_argument("--out", type=Path, default=Path("runs/recommendation"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = []
    for seed in range(arguments.first, arguments.cases):
        file = arguments.out / f"{arguments.family}-{arguments.steps}" / f"{seed}.json"
        if not file.exists():
            write_atomic(file, json.dumps(case(seed, arguments.family, arguments.steps)).encode())
        record = json.loads(file.read_text())
        records.append(record)
        right, regret = judged(record)
        o, gains = record["options"], " ".join(f"{g:+.1f}" for g in record["gain"][1:])
        blocks_of = [str(o[k]) for k in ("redundancy", "unique1", "unique2", "synergy", "shared") if k in o]
        print(
            f"{seed:3d} {record['kind']:7s} {' '.join(blocks_of):7s} {o['rows']:5d} rows: {record['verdict']} "
            f"{record['strength']:g}; measured {gains}; {'right' if right else 'WRONG'}, regret {regret:.1f}",
            flush=True,
        )
    score(records)


if __name__ == "__main__":
    main()
