"""What a space is good for, whoever trained it: search in every direction, gap, hubs, sign, spread, copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuplet.diagnose import Hubs, centroid_gap, effective_rank, modality_auc, positive_cosine, relative_gap, uniformity
from tuplet.diagnose.hubness import counted, occurrences
from tuplet.evaluate._verdict import notes, share, verdict
from tuplet.evaluate.retrieval import Retrieval, Score, mean_cosine, retrieve
from tuplet.frames import frame, html
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError, in_range

Side = tuple[str, ...]
BLOCK = 512
"""Queries, and rows, that are looked at at a time."""
SPREAD = 2000
"""Rows that uniformity compares with each other, at most."""
LIST = 10
"""Places in which a candidate counts as found, for hubs."""


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """What `inspect` found.

    Attributes:
        items: modality -> number of items that have it.
        alone: modality -> items that no other modality has.
        complete: number of items that have all modalities.
        pool: number of items that were searched, the same in every direction where enough items have all modalities.
        copies: modality -> vectors that equal another item's in the same modality.
        zeros: modality -> vectors of zeros, which have no direction.
        directions: (query modalities, candidate modalities) -> `Retrieval`.
        hubs: (query modality, candidate modality) -> `Hubs` among the first 10 places.
        pairs: (modality, modality) -> ``cosine`` (mean of matches), ``cosine_others`` (mean of all that do not match),
            ``cosine_5%`` (a low quantile of matches), ``negative`` (share of matches below 0), ``centroid_gap``,
            ``relative_gap`` (RMG), ``separable`` (a linear classifier's area under the ROC curve on rows that it has not seen)
            and ``foscttm`` (see `foscttm`; only for one match per item).
        spread: modality -> ``effective_rank``, ``uniformity`` and ``width``.
        relevance: what counted as a match.
        centred: ``R@10`` of the worst direction once each modality's mean vector is subtracted; None for another score than the
            cosine.
    """

    items: dict[str, int]
    alone: dict[str, int]
    complete: int
    pool: int
    copies: dict[str, int]
    zeros: dict[str, int]
    directions: dict[tuple[Side, Side], Retrieval]
    hubs: dict[tuple[str, str], Hubs]
    pairs: dict[tuple[str, str], dict[str, float]]
    spread: dict[str, dict[str, float]]
    relevance: str = "instance"
    centred: float | None = None

    @property
    def worst(self) -> tuple[Side, Side]:
        """Return the direction between single modalities with the lowest ``R@10``."""
        return min((d for d in self.directions if len(d[0]) == 1), key=lambda d: self.directions[d].values["R@10"])

    def rows(self) -> list[dict[str, Any]]:
        """Return the numbers of every direction of search."""
        return [{"query": "+".join(q), "candidates": c[0], **r.values, "pool": r.pool} for (q, c), r in self.directions.items()]

    def to_frame(self) -> Any:
        """Return a pandas frame, a row per direction of search."""
        return frame(self.rows())

    def __repr__(self) -> str:
        return f"Inspection({self.verdict})"

    def _repr_html_(self) -> str:
        return html(self.verdict, self.rows())

    @property
    def verdict(self) -> str:
        """Say whether the space is usable for search across its modalities, and which direction is worst."""
        return verdict({(q[0], c[0]): r for (q, c), r in self.directions.items() if len(q) == 1})

    @property
    def notes(self) -> list[str]:
        """Say what is wrong with the space, each with what to do about it."""
        before = self.directions[self.worst].values["R@10"]
        clear = self.centred is not None and abs(self.centred - before) > 0.02
        gain = f", which takes the worst direction from {share(before)} to {share(self.centred or 0.0)}" if clear else ""
        return list(notes(self.copies, self.zeros, self.hubs, self.pairs, self.spread, gain))


def inspect(
    emb: Embeddings, *, score: Score = mean_cosine, relevance: str = "instance", pool: int = 5000, seed: int = 0
) -> Inspection:
    """Measure a space of embeddings without knowing who trained it.

    Args:
        emb: embeddings; ``tuplet.store.read`` and ``Embeddings.of`` make some.
        score: as in `retrieve`.
        relevance: what a match is, as in `retrieve`: ``"instance"``, ``"group"`` or the name of a class target.
        pool: items to search among, at most; that many are drawn at random.
        seed: of the draw.

    Returns:
        The `Inspection`. Retrieval runs from every modality to every other, and, where there are three or more, from every
        set of the others (more than four modalities: from all the others) to each. The pool are items that have all modalities;
        where fewer than 50 do, those that have two or more, and each direction has its own.

    Raises:
        InputError: if fewer than two modalities have a vector, values are not finite, or no item has two modalities.

    Notes:
        Copies and zeros are counted over all rows, everything else over the pool, a block of rows at a time.

    Example:
        >>> x = torch.nn.functional.normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), dim=1)
        >>> found = inspect(Embeddings.of({"image": x, "text": x}))
        >>> found.verdict.split(":")[0], round(found.pairs["image", "text"]["centroid_gap"], 2)
        ('Usable for search', 0.0)
    """
    in_range("pool", pool, 2)
    names = [k for k in emb.modalities if bool(emb.present[k].any())]
    if len(names) < 2:
        raise InputError(f"only {names} of {list(emb.modalities)} have a vector; give two modalities or more")
    here = torch.stack([emb.present[k] for k in names])
    complete = int(here.all(dim=0).sum())
    rows = (here.all(dim=0) if complete >= 50 else here.sum(dim=0) >= 2).nonzero()[:, 0].cpu()
    if not len(rows):
        raise InputError(f"no item has two of {names}; check that the same thing has the same id in each")
    if len(rows) > pool:
        drawn = np.random.default_rng(seed).choice(len(rows), size=pool, replace=False)
        rows = rows[torch.from_numpy(np.sort(drawn))]
    looked = {k: _looked(k, emb.z[k], emb.present[k]) for k in names}
    some = Embeddings.of(
        {k: emb.z[k].detach()[rows] for k in names},
        present={k: emb.present[k][rows] for k in names},
        group=None if emb.group is None else emb.group[rows],
        target={k: v[rows] for k, v in emb.target.items()},
    )
    directions = {d: retrieve(some, *d, score=score, relevance=relevance) for d in _directions(some)}
    found = Inspection(
        items={k: int(emb.present[k].sum()) for k in names},
        alone={k: int((emb.present[k] & (here.sum(dim=0) == 1)).sum()) for k in names},
        complete=complete,
        pool=len(rows),
        copies={k: v[0] for k, v in looked.items()},
        zeros={k: v[1] for k, v in looked.items()},
        directions=directions,
        hubs={(q[0], c[0]): _hubs(some, q[0], c[0], score) for q, c in directions if len(q) == 1},
        pairs={
            (a, b): _pair(some, a, b) | _closer(directions, a, b, relevance)
            for a, b in combinations(names, 2)
            if ((a,), (b,)) in directions
        },
        spread={k: _spread(some.z[k][some.present[k]]) for k in names},
        relevance=relevance,
    )
    if score is not mean_cosine:
        return found
    after = retrieve(_centred(some), *found.worst, relevance=relevance)
    return replace(found, centred=after.values["R@10"])


def foscttm(emb: Embeddings, a: str, b: str, *, score: Score | None = None) -> float:
    r"""Measure the share of items that are closer to an item than its own match (FOSCTTM); 0 is perfect, 0.5 is chance.

    .. math:: \frac{1}{2n(n-1)} \sum_i |\{j : d(a_i, b_j) < d(a_i, b_i)\}| + |\{j : d(a_j, b_i) < d(a_i, b_i)\}|

    Args:
        emb: embeddings.
        a, b: two modalities; rows that have both are compared.
        score: as in `retrieve`; the Euclidean distance, as published, when left out.

    Returns:
        Mean over both directions, in [0, 1]; items as far as the match count one half.

    Raises:
        InputError: if a modality is unknown or fewer than two rows have both.

    Source:
        Liu et al. (2019), Jointly embedding multiple single-cell omics measurements.

    Example:
        >>> foscttm(Embeddings.of({"rna": torch.eye(3), "atac": torch.eye(3)}), "rna", "atac")
        0.0
    """
    near = _euclidean if score is None else score
    both: dict[tuple[Side, Side], Retrieval] = {
        ((q,), (c,)): retrieve(emb, (q,), (c,), score=near) for q, c in ((a, b), (b, a))
    }
    if both[(a,), (b,)].pool < 2:
        raise InputError(f"{both[(a,), (b,)].pool} row has both {a} and {b}, expected at least 2")
    return _closer(both, a, b, "instance")["foscttm"]


def _euclidean(query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
    (x,), (y,) = query.values(), candidates.values()
    return -torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _closer(directions: dict[tuple[Side, Side], Retrieval], a: str, b: str, relevance: str) -> dict[str, float]:
    """Turn ranks into the share of items before the match."""
    both = [directions[(q,), (c,)] for q, c in ((a, b), (b, a))]
    if relevance != "instance" or both[0].pool < 2:
        return {}
    return {"foscttm": float(np.mean([(r.values["MnR"] - 1) / (r.pool - 1) for r in both]))}


def _directions(emb: Embeddings) -> Iterator[tuple[Side, Side]]:
    """List single directions, then sets of the others to each, of which a row has all."""
    names = emb.modalities
    wanted: list[tuple[Side, Side]] = [((q,), (c,)) for q, c in permutations(names, 2)]
    for name in names if len(names) > 2 else ():
        others = [k for k in names if k != name]
        sizes = range(2, len(names)) if len(names) <= 4 else [len(others)]
        wanted += [(some, (name,)) for size in sizes for some in combinations(others, size)]
    for q, c in wanted:
        if bool(torch.stack([emb.present[k] for k in (*q, *c)]).all(dim=0).any()):
            yield q, c


def _looked(name: str, z: Tensor, here: Tensor) -> tuple[int, int]:
    """Count copies and zeros among all vectors of a modality, and refuse what is not finite."""
    marks, zeros, bad = [], 0, 0
    for start in range(0, len(z), BLOCK):
        rows = z[start : start + BLOCK].detach()[here[start : start + BLOCK]].float().cpu()
        bad += int((~torch.isfinite(rows).all(dim=1)).sum())
        zeros += int((~rows.any(dim=1)).sum())
        marks.append(np.array([hash(row.tobytes()) for row in rows.numpy()], np.int64))
    if bad:
        raise InputError(f"{bad} vectors of {name!r} have NaN or infinite values; leave those items out")
    all_of = np.concatenate(marks)
    return len(all_of) - len(np.unique(all_of)), zeros


def _hubs(emb: Embeddings, query: str, candidate: str, score: Score) -> Hubs:
    """Count in how many queries' first places every candidate is, some queries at a time."""
    rows = (emb.present[query] & emb.present[candidate]).nonzero()[:, 0]
    times, k = torch.zeros(len(rows), dtype=torch.float64), min(LIST, len(rows))
    right = {candidate: emb.z[candidate][rows].double()}
    for start in range(0, len(rows), BLOCK):
        scores = score({query: emb.z[query][rows[start : start + BLOCK]].double()}, right).detach()
        times += occurrences(scores, k).cpu()
    return counted(times, k, len(rows))


def _pair(emb: Embeddings, a: str, b: str) -> dict[str, float]:
    """Describe how two modalities lie to each other, over the rows that have both."""
    both = emb.present[a] & emb.present[b]
    two = Embeddings.of({k: emb.z[k][both] for k in (a, b)})
    cosines = positive_cosine(two).double()
    return {
        "cosine": float(cosines.mean()),
        "cosine_others": _between(two, a, b),
        "cosine_5%": float(torch.quantile(cosines, 0.05)),
        "negative": float((cosines < 0).double().mean()),
        "centroid_gap": centroid_gap(two),
        "relative_gap": relative_gap(two),
        "separable": modality_auc(two) if len(two) >= 4 else float("nan"),
    }


def _between(emb: Embeddings, a: str, b: str) -> float:
    """Return the mean cosine of rows that are no match, from the sums of both sides."""
    x, y = (unit(emb.z[k].double()) for k in (a, b))
    n = len(x)
    return float((x.sum(dim=0) @ y.sum(dim=0) - (x * y).sum()) / max(n * (n - 1), 1))


def _centred(emb: Embeddings) -> Embeddings:
    """Subtract from every modality the mean of its unit vectors."""
    rows = {k: unit(emb.z[k].double()) for k in emb.modalities}
    return replace(emb, z={k: v - v[emb.present[k]].mean(dim=0) for k, v in rows.items()})


def _spread(z: Tensor) -> dict[str, float]:
    rows = unit(z.double())
    some = rows[:SPREAD]
    even = float(uniformity(some)) if len(some) > 1 else float("nan")
    return {"effective_rank": effective_rank(rows), "uniformity": even, "width": float(z.shape[1])}
