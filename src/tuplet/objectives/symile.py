"""Symile: contrast by the multilinear inner product of a whole tuple (Saporta et al., NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor

from tuplet.functional._blocks import EMPTY, BlockSize, Keep, Partitions, cut, in_blocks
from tuplet.functional._derivative import first_order
from tuplet.functional.scores import multilinear
from tuplet.objectives._contrastive import Contrastive
from tuplet.objectives._patterns import COUNTED, POSITION
from tuplet.objectives.compose import row_mean, rows_with, weighted_mean
from tuplet.objectives.temperature import Tau, at
from tuplet.types import Embeddings, InputError, Traits, one_of

CHUNK = 2**22  # largest number of entries of one block of ``n_squared`` scores or products


class Symile(Contrastive):
    r"""InfoNCE on the multilinear inner product, averaged over every modality as anchor.

    .. math:: s = \sum_d z^1_d z^2_d \cdots z^M_d, \qquad L = \mathrm{mean}_m\; \mathrm{CE}(s_m / \tau)

    Args:
        negatives: ``"n"`` gives every row B - 1 negatives, tuples of the other modalities whose rows are shuffled
            independently; ``"n_squared"`` takes all ``B^(M-1)`` tuples.
        tau: temperature, > 0; 0.07 (a scale of 14.3). The authors leave it to the user. A number, a `Temperature`, or, for
            ``"n"``, a dict per anchor.
        weights: per modality as the anchor, relative.
        scale: ``"none"``, or ``"dimension"`` to multiply scores by ``D^((M-1)/2)``, as products of unit vectors shrink.
        rows_as: ``"unit"`` scales rows to length 1; ``"given"`` takes them as they are (the authors' real-data models end in a
            LayerNorm, which keeps products from vanishing).
        generator: source of the permutations of ``"n"``; torch's global one when left out. Processes must be seeded alike.
        permutations: int64 ``(M, M - 1, B)`` to use instead: ``[m, k]`` shuffles the ``k``-th other modality for anchor
            ``m``, in sorted order.
        block_size: as in `Pairwise`, for ``"n"``.

    Raises:
        InputError: for permutations of another shape, unknown weights, a dict of ``tau`` beside ``"n_squared"``, or fewer
            than two modalities.

    Notes:
        When to use: where a modality is only predictable from several others together, by a product of their features.
        The score is not agreement: identical unit vectors score ``sum z^M``, near 0, and flipping the sign of one
        modality flips it. With M = 2 the score is the cosine and this is `Pairwise` (shuffling one partner in a pair
        would put true matches among the negatives).
        Missing modalities: a row contributes the product over the modalities it has (two or more; two are contrasted as in
        `Pairwise`), beside the rows that have them too, shuffled among themselves. A tuple all of whose rows share the anchor's
        group is not a negative. Cost: ``"n"`` M products of B x D x B; ``"n_squared"`` ``M B^M D`` in blocks.

    Source:
        Saporta et al. (2024), Contrasting with Symile.

    Example:
        >>> e = torch.eye(4)
        >>> emb = Embeddings.of({"a": e, "b": e, "c": e})
        >>> round(float(Symile(negatives="n_squared", tau=1.0)(emb).total), 4)  # log(15 + e) - 1
        1.8746
    """

    traits = Traits(missing="patterns", cost="M B^2 D (n), M B^M D (n_squared)")
    inner = True

    def __init__(
        self,
        *,
        negatives: Literal["n", "n_squared"] = "n",
        tau: Tau = 0.07,
        weights: Mapping[str, float] | None = None,
        scale: Literal["none", "dimension"] = "none",
        rows_as: Literal["unit", "given"] = "unit",
        generator: torch.Generator | None = None,
        permutations: Tensor | None = None,
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__(tau=tau, weights=weights, block_size=block_size)
        one_of("negatives", negatives, ("n", "n_squared"))
        one_of("scale", scale, ("none", "dimension"))
        one_of("rows_as", rows_as, ("unit", "given"))
        self.negatives = negatives
        if negatives == "n_squared" and isinstance(tau, Mapping):
            raise InputError("tau is a dict, which negatives='n_squared' cannot use: all anchors share one table of scores")
        self.traits = replace(self.traits, symmetric=self.even)
        self.scale, self.unit_rows = scale, rows_as == "unit"
        self.generator, self.permutations = generator, permutations

    def check(self, emb: Embeddings) -> None:
        """Refuse unknown weights, and permutations of another shape."""
        super().check(emb)
        m, size = len(emb.z), len(emb)
        given = None if self.negatives != "n" or m == 2 else self.permutations
        if given is not None and given.shape != (m, m - 1, size):
            raise InputError(
                f"permutations has shape {tuple(given.shape)}, expected {(m, m - 1, size)}: one per anchor and other modality"
            )

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        names, valid = emb.modalities, rows_with(emb, emb.modalities)
        if len(names) == 2:
            return {"contrast": self._pair(emb, *names, valid)}
        z = [emb.z[k] for k in names]
        if self.negatives == "n":
            shuffles = self._shuffles(emb, valid)
            losses = [self._linear(emb, z, m, shuffles[m], valid, self._factor(z, k)) for m, k in enumerate(names)]
        else:
            losses = self._every_tuple(emb, z, valid, self._factor(z, *names))
        return {"contrast": weighted_mean(losses, self._shares(names))}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the multilinear inner product of every query with every candidate, ``(Nq, Nc)``."""
        queries, others = self._sides(query, candidates)
        return multilinear(reduce(torch.mul, queries), others)

    def vectors(self, side: dict[str, Tensor]) -> Tensor:
        """Return the product of the members, ``(N, 1, D)``."""
        return reduce(torch.mul, [self._ready(side[k]) for k in sorted(side)])[:, None]

    def _factor(self, z: list[Tensor], *names: str) -> float | Tensor:
        scale = float(z[0].shape[1]) ** ((len(z) - 1) / 2) if self.scale == "dimension" else 1.0
        return scale / at(self.tau, *names)

    def _linear(
        self, emb: Embeddings, z: list[Tensor], m: int, shuffles: Tensor, valid: Tensor | None, factor: float | Tensor
    ) -> Tensor:
        """Contrast anchor ``m`` with one shuffled tuple per column."""
        others = z[:m] + z[m + 1 :]
        products = reduce(torch.mul, [_Shuffled.apply(o, p) for o, p in zip(others, shuffles, strict=True)]) * factor
        keep: Keep | None = None
        if valid is not None or emb.group is not None:

            def keep(queries: slice, candidates: slice) -> Tensor:
                live = torch.ones_like(emb.index, dtype=torch.bool) if valid is None else valid
                mask = live[queries, None] & torch.stack([live[p[candidates]] for p in shuffles]).all(dim=0)
                if emb.group is not None:
                    same = [emb.group[queries, None] == emb.group[p[candidates]] for p in shuffles]
                    mask = mask & ~reduce(torch.logical_and, same)
                return mask

        positive = reduce(torch.mul, z).sum(dim=1) * factor
        return self._info_nce(emb, lambda q, c: cut(z[m], q) @ cut(products, c).mT, positive, valid, both=False, keep=keep)

    def _shuffles(self, emb: Embeddings, valid: Tensor | None) -> Tensor:
        """Return a permutation per anchor and other modality, ``(M, M - 1, B)``; valid rows stay among themselves."""
        m, size, position = len(emb.z), len(emb), emb.aux.get(POSITION)
        device = emb.index.device
        if self.permutations is not None:
            whole = self.permutations.to(device)
            if position is None:
                return whole if valid is None else _among(whole[:m, : m - 1], valid)
            place = torch.full((whole.shape[-1],), -1, device=device)
            place[position] = torch.arange(size, device=device)
            inside = place[whole[:m, : m - 1]]
            return inside[inside >= 0].view(m, m - 1, size)[..., position.argsort().argsort()]
        where = self.generator.device if self.generator is not None else device
        keys = torch.rand((m, m - 1, size), generator=self.generator, device=where).to(device)
        if position is not None:
            order = position.argsort()
            return order[keys.argsort(dim=-1)][..., order.argsort()]
        if valid is None:
            return keys.argsort(dim=-1)
        return _among(keys.argsort(dim=-1), valid)

    def _every_tuple(self, emb: Embeddings, z: list[Tensor], valid: Tensor | None, factor: float | Tensor) -> list[Tensor]:
        """Contrast every anchor with every combination of rows of the others, in recomputed blocks of the first's rows."""
        m, n = len(z), len(emb)

        def block(rows: slice) -> tuple[Tensor, ...]:
            """All scores of some rows of the first modality, one dimension per modality, reduced for every anchor."""
            scores = z[0][rows]
            for other in z[1:-1]:
                scores = scores.unsqueeze(-2) * other
            scores = scores @ z[-1].mT * factor
            if valid is not None or emb.group is not None:
                scores = torch.where(self._allowed(emb, m, rows, valid), scores, EMPTY)
            inner, last, *_ = Partitions.apply(scores.reshape(-1, n), None, None, 0, (1, 0), False)
            inner = inner.reshape(scores.shape[:-1])
            return (*(inner.logsumexp(dim=[d for d in range(m - 1) if d != a]) for a in range(m - 1)), last)

        step = max(1, CHUNK // (n ** (m - 2) * max(n, z[0].shape[1])))
        lses, *more = in_blocks(block, slice(0, n), step)
        if more:
            first, *others = zip(lses, *more, strict=True)
            lses = (torch.cat(first), *(torch.stack(parts).logsumexp(dim=0) for parts in others))
        positive = reduce(torch.mul, z).sum(dim=1) * factor
        return [row_mean(lse - positive, valid, emb.rows, emb.aux.get(COUNTED)) for lse in lses]

    def _allowed(self, emb: Embeddings, m: int, part: slice, valid: Tensor | None) -> Tensor:
        """Mask the tuples of valid rows that are the positive or do not lie in one group."""
        rows = torch.arange(len(emb), device=emb.index.device)

        def axis(values: Tensor, d: int) -> Tensor:
            return (values[part] if d == 0 else values).reshape([-1 if i == d else 1 for i in range(m)])

        allowed = torch.ones([1] * m, dtype=torch.bool, device=rows.device)
        if valid is not None:
            allowed = reduce(torch.logical_and, [axis(valid, d) for d in range(m)])
        if emb.group is not None:
            same = reduce(torch.logical_and, [axis(emb.group, d) == axis(emb.group, 0) for d in range(1, m)])
            own = reduce(torch.logical_and, [axis(rows, d) == axis(rows, 0) for d in range(1, m)])
            allowed = allowed & (~same | own)
        return allowed


def _among(orders: Tensor, valid: Tensor) -> Tensor:
    """Let the valid rows of ``(.., B)`` permutations change places among themselves only, in the order they had."""
    places = (~valid).long().argsort(stable=True).expand(orders.shape)
    taken = orders.gather(-1, (~valid[orders]).long().argsort(dim=-1, stable=True))
    return torch.empty_like(orders).scatter_(-1, places, taken)


class _Shuffled(torch.autograd.Function):
    """Rows in another order; backward puts them back, where indexing would slowly add them up."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return z.index_select(0, order)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return grad.index_select(0, order.argsort()), None
