"""An evaluation on one screen: what a model gains over doing nothing, then the numbers side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from tuplet.evaluate._paired import Difference, paired_difference, told_apart
from tuplet.evaluate._pairing import ADVICE, near_chance
from tuplet.evaluate.evaluation import Result

WIDTH = 80
"""Characters of a line in a terminal."""
LINES = {
    "probe/linear": "linear probe, all modalities",
    "probe/linear/balanced": "linear probe, balanced accuracy",
    "probe/linear/auroc": "linear probe, AUROC",
    "probe/mlp": "MLP probe, all modalities",
    "probe/few_shot": "linear probe, few labels",
    "retrieval/own/R@1": "R@1, the objective's own score",
    "retrieval/own/mAP": "mAP, the objective's own score",
    "retrieval/cosine/R@1": "R@1, mean cosine",
    "retrieval/cosine/mAP": "mAP, mean cosine",
    "space/positive_cosine": "cosine of matches (-1 to 1)",
    "space/centroid_gap": "gap of centroids (0: none)",
    "space/effective_rank": "directions in use",
}
WORDS = {"inputs": "plain inputs", "random": "random encoders", "linear": "the linear closed form"}
"""Row of `tuplet.evaluate.baselines` -> what it is called in a sentence."""
MEASURES = {
    "retrieval/cosine/mAP": "retrieval by cosine (mAP)",
    "retrieval/own/mAP": "retrieval by its own score (mAP)",
    "probe/linear": "the linear probe",
    "probe/few_shot": "the linear probe with few labels",
}


LEGEND = {
    "inputs": "inputs: the data as they are",
    "random": "random: untrained encoders",
    "linear": "linear: regularised CCA in closed form",
    "retrieval/own/R@1": "own score: as the objective compares",
    "retrieval/cosine/R@1": "R@1: share of queries whose match is found first",
    "probe/linear/balanced": "balanced: mean accuracy of the classes",
    "probe/linear/auroc": "AUROC: area under the ROC curve, class against rest",
    "chance": "chance: by guessing",
    "space/centroid_gap": "gap: between the centres of modalities",
    "space/effective_rank": "directions in use: dimensions that the space fills",
}
"""Name of a row or a metric -> what it means, for the lines below the table."""


def summary(results: Sequence[Result], baselines: Mapping[str, Sequence[Result]] | None = None) -> str:
    """Say what a model gains, then list its numbers beside chance and beside what needs no training.

    Args:
        results: from `tuplet.evaluate.evaluate`.
        baselines: from `tuplet.evaluate.baselines`; rows without a number are printed as ``-``.

    Returns:
        With baselines, the first sentence says which of plain inputs, random encoders and the linear closed form the model
        beats, in what, or that nothing is gained. Better and worse mean that a 95 % interval over test rows, paired, leaves 0
        out; one training knows nothing of other seeds. Then probes, the best and the worst single modality, retrieval averaged
        over its directions, and the shape of the space; and a warning when retrieval is near chance.
        Lines have at most 80 characters, unless a name is longer.

    Example:
        >>> print(summary([Result("probe/linear", 0.9, chance=0.5, pool=40)]))
                                            model  chance   pool
        linear probe, all modalities        0.900   0.500     40
    """
    rows = {"model": results, **(baselines or {})}
    lines: list[str] = _gains(results, baselines) if baselines else []
    lines.append(f"{'':<33}{''.join(f'{k:>8}' for k in rows)}{'chance':>8}{'pool':>7}")

    def add(words: str, r: Result) -> None:
        same = [next((o for o in other if (o.metric, o.detail) == (r.metric, r.detail)), None) for other in rows.values()]
        numbers = "".join(f"{'-':>8}" if o is None else f"{o.value:>8.3f}" for o in same)
        chance = "" if r.chance is None else f"{r.chance:.3f}"
        words = words if len(words) <= 33 else f"{words[:32]}…"
        lines.append(f"{words:<33}{numbers}{chance:>8}{r.pool or '':>7}".rstrip())

    for metric, words in LINES.items():
        for r in results:
            if r.metric == metric and r.detail in ("", "mean"):
                add(words if r.higher or not metric.startswith("probe") else f"{words}, error", r)
        if metric == "probe/few_shot":
            single = sorted(
                (r for r in results if r.metric == "subset" and "+" not in r.detail),
                key=lambda r: r.value if r.higher else -r.value,
            )
            for r, which in zip(single[-1:] + single[:1] if len(single) > 1 else [], ("best", "worst"), strict=False):
                add(f"{which} modality alone: {r.detail}", r)
    there = {*rows, *(r.metric for r in results), *("chance" for r in results if r.chance is not None)}
    if len(shown := [words for name, words in LEGEND.items() if name in there]) > 1:
        lines += wrapped(f"{'; '.join(shown)}.")
    near = [near_chance(row) for row in (results, (baselines or {}).get("linear", ())) if _one(row, "retrieval/cosine/mAP")]
    if near and all(near):  # where the closed form finds pairs, rows do belong together
        lines += wrapped(f"Retrieval is near chance. {ADVICE}")
    return "\n".join(lines)


def wrapped(text: str, *, bullet: str = "") -> list[str]:
    """Break a sentence into lines for a terminal."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False, break_on_hyphens=False
    )


def _gains(results: Sequence[Result], baselines: Mapping[str, Sequence[Result]]) -> list[str]:
    """Compare the model with every baseline in every measure; the answer first, the evidence below."""
    losses, evidence = [], []
    widths: list[float] = []
    wins: dict[tuple[str, ...], list[str]] = {}
    said_of: dict[str, tuple[float, ...]] = {}
    for metric, words in MEASURES.items():
        ours = _one(results, metric)
        theirs = {WORDS.get(k, k): _one(rows, metric.replace("own", "cosine")) for k, rows in baselines.items()}
        known = {k: v for k, v in theirs.items() if v is not None}
        if ours is None or not known or (metric == "retrieval/own/mAP" and ours.items == said_of.get("retrieval/cosine/mAP")):
            continue
        said_of[metric] = ours.items
        apart = {k: _apart(ours, v) for k, v in known.items()}
        signs = {k: told_apart(d, higher=ours.higher) for k, d in apart.items()}
        widths += [(d.high - d.low) / 2 for k, d in apart.items() if d is not None and not signs[k]]
        if all(sign > 0 for sign in signs.values()):
            wins.setdefault(tuple(known), []).append(words)
        if better := [f"{k} ({v.value:.3f} against {ours.value:.3f})" for k, v in known.items() if signs[k] < 0]:
            losses.append(f"Better than the model in {words}: {listed(better)}.")
        groups = {1: "better than", 0: "not told apart from", -1: "worse than"}
        said = [
            f"{how} {listed(names)}"
            for sign, how in groups.items()
            if (names := [f"{k} ({v.value:.3f})" for k, v in known.items() if signs[k] == sign])
        ]
        units = f" (judged over {len(ours.items)} groups of rows)" if len(ours.items) < ours.pool else ""
        lacking = [k for k in theirs if k not in known]
        said += [f"{listed(lacking)} cannot be compared"] if lacking else []
        evidence += wrapped(f"{words}: {ours.value:.3f}, {'; '.join(said)}{units}", bullet="- ")
    if not evidence:
        return ["No baseline could be compared with this model.", ""]
    if (least := max(widths, default=0.0)) > 0:
        number = len(_counted(results).items)
        units = "test rows" if number >= _counted(results).pool else "groups of test rows"
        few = f"only gaps above about {least:.2f}" if least < 1 else "no two of them: they are too few"
        evidence += wrapped(f"not told apart: {number} {units} separate {few}", bullet="- ")
    first = f"The model beats {'; and '.join(f'{listed(names)} in {listed(words)}' for names, words in wins.items())}."
    if not wins:
        every = listed([WORDS.get(k, k) for k in baselines])
        first = f"Nothing is gained for certain: in no measure is the model better than all of {every}."
    return [*wrapped(" ".join([first, *losses])), *evidence, ""]


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _one(results: Sequence[Result], metric: str) -> Result | None:
    return next((r for r in results if r.metric == metric and r.detail in ("", "mean")), None)


def _counted(results: Sequence[Result]) -> Result:
    """Return the first result that is compared."""
    return next(r for metric in MEASURES if (r := _one(results, metric)) is not None and r.items)


def _apart(ours: Result, theirs: Result) -> Difference | None:
    """Compare two results of the same test rows or groups; None where nothing can be paired."""
    if not ours.items or len(ours.items) != len(theirs.items):
        return None
    return paired_difference(np.array(ours.items), np.array(theirs.items))
