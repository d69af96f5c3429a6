"""What all objectives share, and their sums: ``OneVsAll(beta=1.0) + 0.1 * Bottleneck()``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from tuplet.functional.scores import unit
from tuplet.types import Embeddings, InputError, Loss, Traits

Score = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]


class Objective(nn.Module, ABC):
    """A training objective: ``Embeddings -> Loss``.

    A subclass sets ``traits`` and writes `terms` and ``score`` (None for an objective that cannot score). Calling it
    checks the number of modalities and rows, brings half precision up to float32, scales rows to unit length and
    switches autocast off.

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

    @abstractmethod
    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, as scalars that sum to it; rows of ``emb.z`` are ready for use."""

    def forward(self, emb: Embeddings) -> Loss:
        """Return the loss of the rows this process owns."""
        low, high = self.traits.modalities
        name, m = type(self).__name__, len(emb.z)
        if m < low or (high is not None and m > high):
            bound = f"{low}" if high == low else f"{low} or more" if high is None else f"{low} to {high}"
            raise InputError(f"z has {m} modalities ({', '.join(emb.modalities)}), {name} needs {bound}")
        if self.traits.rowwise and len(emb) < 2:
            raise InputError(
                f"z has {len(emb)} row, {name} needs at least 2 to contrast; raise batch_size or drop the last "
                f"incomplete batch"
            )
        first = next(iter(emb.z.values()))
        ready = replace(emb, z={k: self._ready(emb.z[k]) for k in emb.modalities})
        with torch.autocast(first.device.type, enabled=False):
            terms = self.terms(ready)
        return Loss(torch.stack(list(terms.values())).sum(), {k: v.detach() for k, v in terms.items()})

    def __add__(self, other: Objective) -> Sum:
        """Add another objective."""
        return Sum(*_parts(self), *_parts(other))

    def __mul__(self, weight: float) -> Sum:
        """Scale the objective."""
        return Sum(*((weight * w, part) for w, part in _parts(self)))

    __rmul__ = __mul__

    def _ready(self, z: Tensor) -> Tensor:
        z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        return unit(z) if self.unit_rows else z

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
        parts: ``(weight, objective)`` pairs; an objective may be any function from `Embeddings` to `Loss`. Written as
            ``a + 0.1 * b`` when both are `Objective`.

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

    def __init__(self, *parts: tuple[float, Callable[[Embeddings], Loss]]) -> None:
        super().__init__()
        self.parts = tuple(part for _, part in parts)
        self.weights = tuple(float(weight) for weight, _ in parts)
        self.modules_of_parts = nn.ModuleList(part for part in self.parts if isinstance(part, nn.Module))
        names: list[str] = []
        for part in self.parts:
            stem = (part.__name__ if hasattr(part, "__name__") else type(part).__name__).lower()
            count = sum(n.rstrip("0123456789") == stem for n in names)
            names.append(stem if count == 0 else f"{stem}{count + 1}")
        self.names = tuple(names)
        self.score = next((s for part in self.parts if (s := getattr(part, "score", None)) is not None), None)

    def forward(self, emb: Embeddings) -> Loss:
        """Return the weighted sum; every part prepares its own embeddings."""
        losses = [part(emb) for part in self.parts]
        weighted = list(zip(self.names, self.weights, losses, strict=True))
        return Loss(
            torch.stack([weight * loss.total for _, weight, loss in weighted]).sum(),
            {f"{name}.{k}": weight * v for name, weight, loss in weighted for k, v in loss.terms.items()},
        )

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the terms of every part."""
        return self.forward(emb).terms


def rows_with(emb: Embeddings, names: Sequence[str]) -> Tensor | None:
    """Find the rows in which all the named modalities are present.

    Args:
        emb: the embeddings.
        names: modalities.

    Returns:
        Bool ``(B,)``, or None when that is every row, which spares the masks.

    Source:
        Elementary.

    Example:
        >>> z = torch.eye(2)
        >>> rows_with(Embeddings.of({"a": z, "b": z}, present={"b": torch.tensor([True, False])}), ["a", "b"])
        tensor([ True, False])
    """
    mask = torch.stack([emb.present[k] for k in names]).all(dim=0)
    return None if not torch.compiler.is_compiling() and bool(mask.all()) else mask


def row_mean(per_row: Tensor, valid: Tensor | None, rows: slice) -> Tensor:
    """Average per-row values over the valid rows, as this process's share of the global mean.

    Args:
        per_row: ``(B,)`` values of all rows.
        valid: bool ``(B,)``; None for all.
        rows: the slice of rows this process owns.

    Returns:
        Scalar whose mean over processes is the mean over all valid rows; 0 when there is none.

    Source:
        Elementary.

    Example:
        >>> row_mean(torch.tensor([1.0, 5.0]), torch.tensor([True, False]), slice(0, 2))
        tensor(1.)
    """
    if valid is None:
        return per_row[rows].mean()
    world = per_row.shape[0] / (rows.stop - rows.start)
    total: Tensor = torch.where(valid, per_row, 0.0)[rows].sum() * world / valid.sum().clamp_min(1)
    return total


def _parts(objective: Objective) -> list[tuple[float, Callable[[Embeddings], Loss]]]:
    if isinstance(objective, Sum):
        return list(zip(objective.weights, objective.parts, strict=True))
    return [(1.0, objective)]
