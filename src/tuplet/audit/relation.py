"""What an audit can say without a target: are two modalities related at all, and what does a linear map retrieve?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from tuplet.data import Source
from tuplet.data.splits import Split, folds_of
from tuplet.diagnose.score import shuffles_of
from tuplet.diagnose.similarity import Score, cka, mutual_knn
from tuplet.evaluate.linear import linear_baseline
from tuplet.evaluate.retrieval import retrieve
from tuplet.functional.rows import unit
from tuplet.report import Answers, Grid, Section, Text, write_page
from tuplet.report.words import cut
from tuplet.train._fits import FEW, check_rows, rows_with
from tuplet.train._rows import groups, some
from tuplet.types import Embeddings, InputError

LEVEL = 0.05
"""Of unrelated pairs, at most this share is called related."""
NEEDS = "To say whether alignment helps a task, an audit needs a target: add an array 'label', or name one with --target."
HEAD = ("pair", "related?", "p", "top 1", "chance", "CKA (null)", "kNN (null)")
LEGEND = (
    "p: smallest of three tests against shuffled rows, times three. Top 1: validation rows whose counterpart a linear map "
    "(CCA) puts first. CKA, kNN: likeness of raw inputs (97.5 % quantile of shuffled rows)."
)


@dataclass(frozen=True, slots=True)
class Relation:
    """Whether two modalities are related, without a target.

    Attributes:
        pair: the two modalities.
        rows: validation rows that were compared; one per group if the source has groups.
        word: ``"yes"``, ``"not found"``, or ``"unknown"`` (not found, and too few rows to expect it).
        p: smallest p-value of three tests against shuffled rows (linear map, CKA, neighbours), times three.
        recall: share of rows whose counterpart a linear map (CCA) ranks first among all ``rows``, mean of both directions.
        interval: 95 % interval of ``recall`` (Wilson).
        chance: recall of a random order.
        scores: CKA and neighbours in common of the raw inputs, with shuffled pairs.
    """

    pair: tuple[str, str]
    rows: int
    word: str
    p: float
    recall: float
    interval: tuple[float, float]
    chance: float
    scores: Mapping[str, Score]


def related(
    source: Source, *, pairs: Sequence[tuple[str, str]] | None = None, shuffles: int = 199, seed: int = 0
) -> tuple[Relation, ...]:
    r"""Ask whether the modalities of a source are related at all: are true pairs of rows more alike than shuffled ones?

    .. math:: p = \min\big(1,\, 3 \min_t p_t\big), \qquad p_t = \frac{1 + \#\{s : T_t(s) \ge T_t\}}{1 + S}

    Args:
        source: paired data; no target is needed. Training rows fit a linear map, a quarter of them chooses its ridge,
            validation rows are compared. No test row is read.
        pairs: pairs of modalities; all pairs if left out.
        shuffles: number of shuffled orders of one side. 59 or more, or no pair can be called related.
        seed: seed of the orders.

    Returns:
        A `Relation` per pair.

    Raises:
        InputError: for an unknown pair, fewer than 59 shuffles, too few rows, or a modality that does not vary.

    Notes:
        Rows must be independent of each other, or carry a group: neighbouring windows of one recording look related by time.

    Source:
        Permutation tests with Bonferroni's correction; CCA as in `tuplet.evaluate.linear_baseline`.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = np.random.default_rng(0).normal(size=(300, 3))
        >>> (found,) = related(from_arrays({"a": x, "b": x[:, ::-1].copy()}))
        >>> found.word, found.recall
        ('yes', 1.0)
    """
    names = sorted(source.modalities)
    wanted = list(combinations(names, 2)) if pairs is None else [(min(p), max(p)) for p in pairs]
    for pair in wanted:
        if len(set(pair)) != 2 or set(pair) - set(names):
            raise InputError(f"pairs has {pair}, expected two different names of {names}")
    if 3 / (1 + shuffles) > LEVEL:
        raise InputError(f"shuffles is {shuffles}, expected {int(3 / LEVEL) - 1} or more; fewer cannot show a relation")
    present = rows_with(source, ("train", "val"))
    for pair in wanted:
        check_rows(present, pair)
    return tuple(_related(source.select(pair), pair, shuffles, seed) for pair in dict.fromkeys(wanted))


@torch.no_grad()
def _related(source: Source, pair: tuple[str, str], shuffles: int, seed: int) -> Relation:
    a, b = pair
    model = linear_baseline(_apart(source)).eval()
    batch = some(source.val)
    rows = (batch.present[a] & batch.present[b]).nonzero()[:, 0]
    ids = groups(source, batch)
    if ids is not None:  # rows of one group are no independent draws: one of each
        rows = rows[torch.as_tensor(np.unique(ids[rows].numpy(), return_index=True)[1])]
    n = len(rows)
    if n < 4:
        raise InputError(
            f"validation rows of {a!r} and {b!r} come from {n} groups, expected 4 or more; give about 20 groups in all, "
            "or leave the group out if rows are independent of each other"
        )
    emb = model(batch)
    emb = Embeddings.of({k: unit(emb.z[k][rows].double()) for k in pair})
    x, y = (batch.inputs[k][rows].flatten(1) for k in pair)
    match = shuffles_of(
        float((emb.z[a] * emb.z[b]).sum()),
        lambda order: float((emb.z[a] * emb.z[b][order]).sum()),
        n=n,
        shuffles=shuffles,
        seed=seed,
        device=x.device,
    )
    scores = {
        "cka": cka(x, y, shuffles=shuffles, seed=seed),
        "mutual_knn": mutual_knn(x, y, k=min(10, n - 1), shuffles=shuffles, seed=seed),
    }
    nulls = [match, *(s.null for s in scores.values())]
    p = min(1.0, 3 * min(null.p for null in nulls if null is not None))
    ways = [retrieve(emb, (one,), (other,)).values["R@1"] for one, other in (pair, pair[::-1])]
    recall = sum(ways) / 2
    word = "yes" if p <= LEVEL else "not found" if n >= FEW else "unknown"
    return Relation(pair, n, word, p, recall, _wilson(recall, n), 1 / n, scores)


def _apart(source: Source) -> Source:
    """Let training rows alone fit a map and choose its ridge: three quarters, and one; groups stay whole."""
    train = source.split.train
    units = train if source.group is None else source.group.numpy()[train]
    chooses = folds_of(np.unique(units, return_inverse=True)[1].astype(np.int64), None, 4) == 3
    return replace(source, split=Split(train[~chooses], train[chooses], source.split.val))


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle, half = (share + z**2 / (2 * n)), z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return max(0.0, (middle - half) / (1 + z**2 / n)), min(1.0, (middle + half) / (1 + z**2 / n))


def relation_answer(found: Sequence[Relation]) -> str:
    """Answer in one line which modalities are related."""
    if not found:
        return "No pair was asked about."
    if len(found) > 1:
        said = [f"{sum(r.word == 'yes' for r in found)} of {len(found)} pairs are related."]
        for word in ("yes", "not found", "unknown"):
            names = [" + ".join(r.pair) for r in found if r.word == word]
            if names:
                said.append(f"{word.capitalize()}: {', '.join(names) if len(names) <= 4 else f'{len(names)} pairs'}.")
        return " ".join(said)
    (r,) = found
    a, b = r.pair
    if r.word == "yes":
        low, high = (100 * v for v in r.interval)
        return (
            f"{a} and {b} are related: true pairs of {r.rows} validation rows are more alike than shuffled ones "
            f"(p = {r.p:.2g}). "
            f"Aligned by a linear map, the right row is ranked first for {100 * r.recall:.0f} % (95 % interval {low:.0f} to "
            f"{high:.0f} %; chance {100 * r.chance:.1f} %): this a trained alignment has to beat.{_alike(r)}"
        )
    few = f" {r.rows} are few: a verdict needs {FEW}." if r.word == "unknown" else ""
    return (
        f"No relation of {a} and {b} was found: true pairs of {r.rows} validation rows are no more alike than shuffled ones "
        f"(p = {r.p:.2g}).{few} Check first that row i of both is the same thing."
    )


def _alike(r: Relation) -> str:
    """Say how similar the two are without alignment."""
    known = [
        f"{'CKA' if k == 'cka' else 'share of common neighbours'} {s.value:.2f} (shuffled rows: up to {s.null.high:.2f})"
        for k, s in r.scores.items()
        if s.null is not None
    ]
    return f" Unaligned: {', '.join(known)}." if known else ""


def relation_table(found: Sequence[Relation], *, longest: int = 60) -> list[tuple[str, ...]]:
    """Write the pairs as lines of a table."""

    def beside(score: Score) -> str:
        return "-" if score.null is None else f"{score.value:.2f} ({score.null.high:.2f})"

    return [
        HEAD,
        *(
            (
                " + ".join(cut(k, longest) for k in r.pair),
                r.word,
                f"{r.p:.2g}",
                f"{100 * r.recall:.0f} %",
                f"{100 * r.chance:.1f} %",
                *(beside(s) for s in r.scores.values()),
            )
            for r in found
        ),
    ]


def relation_report(source: Source, found: Sequence[Relation], out: str | Path) -> Path:
    """Write report.html."""
    head, *lines = relation_table(found)
    asked = Answers({"Are they related?": relation_answer(found), "Does alignment help?": NEEDS})
    rows = f"{len(source.train)} training and {len(source.val)} validation rows, no target; no test row is read."
    return write_page(
        Path(out) / "report.html",
        title=f"{source.name}: are the modalities related?",
        sections=[Section("", [Text(rows), asked]), Section("Pairs", [Grid(head, lines, words=2, note=LEGEND)])],
    )
