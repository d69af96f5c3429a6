"""An evaluation in a dozen lines."""

from __future__ import annotations

from collections.abc import Sequence

from tuplet.evaluate.evaluation import Result

LINES = {
    "probe/linear": "linear probe on all modalities",
    "probe/mlp": "MLP probe on all modalities",
    "probe/few_shot": "linear probe, 3 labels per class",
    "retrieval/own/R@1": "match ranks first, by the objective's own score",
    "retrieval/own/mAP": "mean average precision, by its own score",
    "retrieval/cosine/R@1": "match ranks first, by mean cosine",
    "retrieval/cosine/mAP": "mean average precision, by mean cosine",
    "space/positive_cosine": "mean cosine of matching embeddings (-1 to 1)",
    "space/centroid_gap": "distance between the modalities' centroids (0: none)",
    "space/effective_rank": "directions the embeddings use (mean over modalities)",
}


def summary(results: Sequence[Result]) -> str:
    """Put an evaluation into a few lines of text, each beside its chance level.

    Args:
        results: from `tuplet.evaluate.evaluate`.

    Returns:
        The probes on all modalities, the best and the worst single modality, retrieval averaged over its directions and
        the shape of the space; and a warning when nothing is found above chance.

    Example:
        >>> print(summary([Result("probe/linear", 0.9, chance=0.5, pool=40)]))
                                                                 value  chance   pool
        linear probe on all modalities                           0.900   0.500     40
    """
    lines = [f"{'':<54} {'value':>7} {'chance':>7} {'pool':>6}"]

    def add(words: str, r: Result) -> None:
        chance = "" if r.chance is None else f"{r.chance:.3f}"
        lines.append(f"{words:<54} {r.value:>7.3f} {chance:>7} {r.pool or '':>6}".rstrip())

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
                add(f"{which} single modality, linear probe: {r.detail}", r)
    found = [r for r in results if r.metric.endswith("/mAP") and r.detail == "mean" and r.chance is not None]
    if found and all(r.value < 1.5 * (r.chance or 0.0) for r in found):
        lines.append(
            "Retrieval is near chance. Does row i mean the same thing in every array? If it does, train longer or raise tau."
        )
    return "\n".join(lines)
