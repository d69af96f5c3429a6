"""What all objectives share, and their sums: ``OneVsAll(beta=1.0) + 0.1 * Bottleneck()``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tuplet.functional._rough import Rough
from tuplet.functional.rows import unit
from tuplet.functional.scores import cosine
from tuplet.objectives._patterns import over_patterns, restricted, without_gaps
from tuplet.objectives.schedule import Schedule
from tuplet.objectives.temperature import PerModality
from tuplet.types import Embeddings, InputError, Loss, Traits

Score = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]

Weights = Mapping[str, float] | Mapping[tuple[str, str], float]
"""Weights per modality, or per pair of modalities; 1 for those that are not listed."""


class Objective(nn.Module, ABC):
    """A training objective: ``Embeddings -> Loss``.

    A subclass sets ``traits`` and writes `terms` and ``score`` (None for an objective that cannot score). Calling it
    checks the number of modalities and rows, brings half precision up to float32, scales rows to unit length, switches
    autocast off and, with ``traits.missing == "patterns"``, calls `terms` once per pattern of presence (`over_patterns`).

    Raises:
        InputError: if the number of modalities is outside ``traits.modalities`` or there are fewer than two rows.

    Example:
        >>> from tuplet.objectives import Pairwise
        >>> emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)})
        >>> sorted((Pairwise() + 0.5 * Pairwise(tau=1.0))(emb).terms)
        ['pairwise.contrast', 'pairwise2.contrast']
    """

    traits = Traits()
    unit_rows = True
    score: Score | None
    """``score(query, candidates) -> (Nq, Nc)`` over two disjoint sets of modalities, ``{name: (N, D)}`` each; higher is a
    better match. None for an objective that has no score of its own."""
    inner = False
    """Whether ``score`` is the inner product of the single vectors that `vectors` gives for either side."""

    def check(self, emb: Embeddings) -> None:
        """Refuse embeddings that this objective cannot use; the number of modalities is checked already."""

    def extra(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return terms that all rows share whatever their pattern; none by default."""
        return {}

    def advance(self, progress: float) -> None:
        """Be told how much of the run is done, a share in [0, 1]; for scheduled weights."""

    @abstractmethod
    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, as scalars that sum to it; rows of ``emb.z`` are ready for use."""

    def forward(self, emb: Embeddings) -> Loss:
        """Return the loss of the rows this process owns."""
        terms = self.split(emb)
        first, *more = terms.values()
        total = torch.stack([first, *more]).sum() if more else first
        return Loss(total, {k: v.detach() for k, v in terms.items()})

    def split(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the terms of the loss, to be differentiated apart."""
        low, high = self.traits.modalities
        name, m = type(self).__name__, len(emb.z)
        if m < low or (high is not None and m > high):
            bound = f"{low}" if high == low else f"{low} or more" if high is None else f"{low} to {high}"
            raise InputError(f"z has {m} modalities ({', '.join(emb.modalities)}), {name} needs {bound}")
        if self.traits.rowwise and len(emb) < 2:
            raise InputError(
                f"z has {len(emb)} row, {name} needs at least 2 to contrast; raise batch_size or drop the last incomplete batch"
            )
        first = next(iter(emb.z.values()))
        ready = replace(emb, z={k: self._ready(emb.z[k]) for k in emb.modalities}).known(complete=emb.complete)
        for part in self.children():
            if isinstance(part, PerModality):
                part.check(emb.modalities)
        self.check(ready)
        with torch.autocast("cpu" if first.is_meta else first.device.type, enabled=False):
            terms = over_patterns(ready, self.terms) if self.traits.missing == "patterns" else self.terms(ready)
            return terms | self.extra(ready)

    def __add__(self, other: Objective) -> Sum:
        """Add another objective."""
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum(*_parts(self), *_parts(other))

    def __mul__(self, weight: float | Schedule) -> Sum:
        """Scale the objective, by a number or by a weight that changes while training."""
        parts = _parts(self)
        if isinstance(weight, Schedule):
            if any(isinstance(w, Schedule) for w, _ in parts):
                return Sum((weight, self))
            return Sum(*((weight * w, part) for w, part in parts if not isinstance(w, Schedule)))
        return Sum(*((w * weight, part) for w, part in parts))

    __rmul__ = __mul__

    def vectors(self, side: dict[str, Tensor]) -> Tensor:
        """Return what an index stores of each row of a side, ``(N, k, D)``: one vector, or ``k`` near which candidates lie."""
        if self.inner:
            return (reduce(torch.add, [_direction(side[k]) for k in sorted(side)]) / len(side))[:, None]
        return torch.stack([self._ready(side[k]) for k in sorted(side)], dim=1)

    def bounds(self, rough: Rough) -> Tensor | None:
        """Return what ``score`` of single vectors with tuples can be at most, ``(B, N)``; None: nothing is known."""
        return None

    def _ready(self, z: Tensor) -> Tensor:
        z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        return unit(z) if self.unit_rows else z

    def _mean_cosine(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        queries, others = self._sides(query, candidates)
        return torch.stack([cosine(q, others) for q in queries]).mean(dim=0)

    def _sides(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Check the two sides of a retrieval and make them ready, in sorted order."""
        for argument, side in (("query", query), ("candidates", candidates)):
            if not side:
                raise InputError(f"{argument} is empty; give at least one {{modality: (N, D) tensor}}")
        if both := sorted(set(query) & set(candidates)):
            raise InputError(f"query and candidates share {both}; a modality can be on one side only")
        return [self._ready(query[k]) for k in sorted(query)], [self._ready(candidates[k]) for k in sorted(candidates)]


class Sum(Objective):
    r"""A weighted sum of objectives, :math:`\sum_k w_k L_k`.

    Args:
        parts: ``(weight, objective)`` pairs; an objective may be any function from `Embeddings` to `Loss`, a weight a number
            or a `Schedule`. Written as ``a + 0.1 * b`` when both are `Objective`.

    Notes:
        ``score`` is that of the first part that has one, or None. Terms are named ``part.term``.

    Source:
        Elementary.

    Example:
        >>> from tuplet.objectives import Pairwise
        >>> emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)})
        >>> half = Sum((0.5, Pairwise()))
        >>> bool(half(emb).total == 0.5 * Pairwise()(emb).total)
        True
    """

    traits = Traits(modalities=(1, None), rowwise=False, cost="sum of its parts")

    def __init__(self, *parts: tuple[float | Schedule, Callable[[Embeddings], Loss]]) -> None:
        super().__init__()
        self.parts = tuple(part for _, part in parts)
        self.weights = tuple(weight if isinstance(weight, Schedule) else float(weight) for weight, _ in parts)
        self._progress = 0.0
        known = [part.traits for part in self.parts if isinstance(part, Objective)]
        needs = {need for traits in known for need in traits.needs}
        least = max((traits.modalities[0] for traits in known), default=1)
        most = min((traits.modalities[1] for traits in known if traits.modalities[1] is not None), default=None)
        self.traits = replace(self.traits, modalities=(least, most), needs=tuple(sorted(needs)))
        self.modules_of_parts = nn.ModuleList(part for part in self.parts if isinstance(part, nn.Module))
        names: list[str] = []
        for part in self.parts:
            stem = (part.__name__ if hasattr(part, "__name__") else type(part).__name__).lower()
            free = (stem if k == 1 else f"{stem}{k}" for k in range(1, len(self.parts) + 2))
            names.append(next(name for name in free if name not in names))
        self.names = tuple(names)
        scoring = next((part for part in self.parts if getattr(part, "score", None) is not None), None)
        self.score = getattr(scoring, "score", None)
        if isinstance(scoring, Objective):
            self.inner = scoring.inner
            self.vectors, self.bounds = scoring.vectors, scoring.bounds  # type: ignore[method-assign]

    def advance(self, progress: float) -> None:
        """Set scheduled weights to a share of the run."""
        self._progress = progress
        for part in self.parts:
            if isinstance(part, Objective):
                part.advance(progress)

    def forward(self, emb: Embeddings) -> Loss:
        """Return the weighted sum; every part prepares its own embeddings."""
        losses = [part(emb) for part in self.parts]
        weighted = list(zip(self.names, self._now(), losses, strict=True))
        return Loss(
            torch.stack([weight * loss.total for _, weight, loss in weighted]).sum(),
            {f"{name}.{k}": weight * v for name, weight, loss in weighted for k, v in loss.terms.items()},
        )

    def split(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the weighted terms of every part; a plain function is one term."""
        found: dict[str, Tensor] = {}
        for name, weight, part in zip(self.names, self._now(), self.parts, strict=True):
            terms = part.split(emb) if isinstance(part, Objective) else {"total": part(emb).total}
            found |= {f"{name}.{k}": weight * v for k, v in terms.items()}
        return found

    terms = split

    def _now(self) -> list[float]:
        return [w(self._progress) if isinstance(w, Schedule) else w for w in self.weights]


class Among(Objective):
    r"""An objective that sees only the named modalities."""

    traits = Traits(modalities=(2, None), symmetric=False, rowwise=False)
    score = None

    def __init__(self, modalities: Sequence[str], objective: Callable[[Embeddings], Loss]) -> None:
        super().__init__()
        self.modalities = tuple(sorted(set(modalities)))
        self.objective = objective
        self.__name__ = "+".join(self.modalities)  # of its terms in a sum
        known = objective.traits if isinstance(objective, Objective) else Traits()
        self.traits = replace(self.traits, missing=known.missing, needs=known.needs, cost=known.cost)

    def advance(self, progress: float) -> None:
        """Pass on how much of the run is done."""
        if isinstance(self.objective, Objective):
            self.objective.advance(progress)

    def forward(self, emb: Embeddings) -> Loss:
        """Return the loss among the named modalities."""
        return self.objective(self._cut(emb))

    def split(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the terms among the named modalities."""
        inner, cut = self.objective, self._cut(emb)
        return inner.split(cut) if isinstance(inner, Objective) else {"total": inner(cut).total}

    terms = split

    def _cut(self, emb: Embeddings) -> Embeddings:
        if unknown := sorted(set(self.modalities) - set(emb.modalities)):
            raise InputError(f"modalities names {unknown}, which z does not have; z has {list(emb.modalities)}")
        return restricted(emb, self.modalities)


def rows_with(emb: Embeddings, names: Sequence[str]) -> Tensor | None:
    """Find the rows in which all the named modalities are present; None for all."""
    if without_gaps(emb):
        return None
    mask = torch.stack([emb.present[k] for k in names]).all(dim=0)
    return None if not torch.compiler.is_compiling() and bool(mask.all()) else mask


def row_mean(per_row: Tensor, valid: Tensor | None, rows: slice, counted: Tensor | None = None) -> Tensor:
    """Average per-row values over the valid rows, as this process's share of the global mean."""
    if valid is None:
        return per_row[rows].mean()
    world = per_row.shape[0] / (rows.stop - rows.start)
    kept = torch.where(valid if counted is None else counted, per_row, 0.0)[rows]
    return cast(Tensor, kept.sum() * world / valid.sum().clamp_min(1))


def weight_of(weights: Weights | None, *names: str) -> float:
    """Look up the weight of a modality or of a pair of modalities."""
    listed: dict[object, float] = dict(weights or {})  # type: ignore[arg-type]
    for key in (names, names[::-1]):
        if len(names) > 1 and key in listed:
            return float(listed[key])
    return math.prod([float(listed.get(name, 1.0)) for name in names])


def weighted_mean(losses: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Average losses by weight."""
    return torch.stack([w * x for w, x in zip(weights, losses, strict=True)]).sum(dim=0) / (sum(weights) or 1.0)


def check_weights(weights: Weights | None, emb: Embeddings, *, of: Literal["anchors", "pairs"]) -> None:
    """Refuse weights of modalities that the embeddings do not have, and weights that are all 0."""
    if weights is None:
        return
    for key in weights:
        for name in (key,) if isinstance(key, str) else key:
            if name not in emb.z:
                raise InputError(f"weights names {name!r}, which z does not have; z has {list(emb.modalities)}")
    weighed = combinations(emb.modalities, 2 if of == "pairs" else 1)
    if not any(weight_of(weights, *names) for names in weighed):
        raise InputError(f"weights is {dict(weights)}, which leaves nothing to train; raise one above 0")


def check_width(modalities: int, dim: int, why: str) -> None:
    """Refuse embeddings with fewer dimensions than modalities, where spans and volumes say nothing."""
    if dim < modalities:
        raise InputError(f"z has D = {dim} for {modalities} modalities; {why}")


def _direction(z: Tensor) -> Tensor:
    """Scale rows to unit length, fast where no square underflows; rows of that length stay as they are, as in `unit`."""
    length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    if bool(((length - 1).abs() <= 1e-6).all()):
        return z
    return z / length if bool(((length > 1e-12) & (length < 1e12)).all()) else unit(z)


def _parts(objective: Objective) -> list[tuple[float | Schedule, Callable[[Embeddings], Loss]]]:
    if isinstance(objective, Sum):
        return list(zip(objective.weights, objective.parts, strict=True))
    return [(1.0, objective)]
