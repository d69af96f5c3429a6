"""Noise-contrastive cross-entropy with streamed partition functions: O(B * block) memory, recomputed in backward."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tuplet.functional._blocks import (
    EMPTY,
    LARGE,
    BlockSize,
    Keep,
    Logits,
    Partitions,
    Positives,
    Whole,
    cut,
    in_blocks,
    pair_mask,
    size_of_block,
)
from tuplet.types import in_range, one_of


def contrast(
    logits: Logits,
    positive: Float[Tensor, " N"],
    *,
    rows: slice,
    valid: Bool[Tensor, " N"] | None = None,
    counted: Bool[Tensor, " N"] | None = None,
    group: Int[Tensor, " N"] | None = None,
    positives: Positives = "own",
    keep: Keep | None = None,
    both: bool = True,
    include_positive: bool = True,
    label_smoothing: float = 0.0,
    block_size: BlockSize = "auto",
) -> Float[Tensor, ""]:
    r"""InfoNCE between ``N`` queries and ``N`` candidates where query ``i`` belongs to candidate ``i``.

    .. math::
        L_i = \log \sum_{j \in K_i} e^{l_{ij}} - (1 - \epsilon)\, \mathrm{mean}_{j \in P_i} l_{ij}
            - \epsilon\, \mathrm{mean}_{j \in K_i} l_{ij}

    averaged over the valid queries; with ``both``, averaged with the same loss of candidates against queries.

    Args:
        logits: function of two slices giving the ``(b, n)`` logits of those queries and candidates.
        positive: ``(N,)`` logits of the matching pairs; they replace the diagonal of ``logits``.
        rows: the slice of queries (and candidates) that this process owns.
        valid: ``(N,)`` rows that take part; None for all.
        counted: ``(N,)`` valid rows whose losses are summed, over the number of all valid rows; None for all of these.
        group: ``(N,)`` ids; None for no groups.
        positives: ``"own"``: :math:`P_i = \{i\}`, and other rows of the group are left out of :math:`K_i`. ``"group"``:
            :math:`P_i` is the group, in :math:`K_i` too unless positives are excluded.
        keep: mask of the pairs that may be contrasted, instead of the one that ``valid`` and ``group`` give.
        both: also contrast candidates with queries and average, as CLIP does.
        include_positive: whether matching pairs are part of the denominator.
        label_smoothing: :math:`\epsilon` in [0, 1).
        block_size: queries per block, recomputed in backward; None for one block that is kept; ``"auto"`` for blocks of at
            most 2896 x 2896 logits, on a GPU 5792 x 5792.

    Returns:
        Scalar; its mean over processes is the loss of all rows. Queries without any negative count for nothing when the
        positive is excluded.

    Source:
        van den Oord et al. (2018), CLIP (Radford et al., 2021); without the positive: OVA-IB, equation 9; several
        positives: Khosla et al. (2020), equation 2.

    Example:
        >>> s = torch.eye(3)
        >>> contrast(lambda q, c: s[q, c], s.diagonal(), rows=slice(0, 3))
        tensor(0.5514)
    """
    in_range("label_smoothing", label_smoothing, 0, 1)
    one_of("positives", positives, ("own", "group"))
    n = len(positive)
    size, everything = size_of_block(block_size, n, gpu=positive.is_cuda), slice(0, n)
    alike = pair_mask(valid, group, same=True) if positives == "group" and group is not None else None
    plain = keep is None and valid is None and group is None and counted is None and include_positive
    plain &= not label_smoothing or n >= LARGE  # one pass over many logits
    if plain and rows == everything and (size is None or size >= n):
        return cast(Tensor, Whole.apply(logits(rows, everything), positive, (1, 0) if both else (1,), label_smoothing))
    given = keep is not None
    if keep is None:
        keep = pair_mask(valid, None if alike is not None and include_positive else group)
    table = _Table(logits, positive, keep, alike, given, include_positive, label_smoothing > 0)

    def stream(queries: slice, candidates: slice, dims: tuple[int, ...]) -> tuple[_Sums, ...]:
        parts = in_blocks(lambda part: table.reduced(part, candidates, dims), queries, size)
        return parts[0] if len(parts) == 1 else tuple(map(_joined, zip(*parts, strict=True), dims))

    if both and rows == everything:
        directions = stream(rows, everything, (1, 0))
    else:
        directions = stream(rows, everything, (1,)) + (stream(everything, rows, (0,)) if both else ())
    world = n / (rows.stop - rows.start)
    own_positive, losses = cut(positive, rows), []
    for sums in directions:
        pull = own_positive if alike is None else (own_positive + sums.matched) / (1 + sums.matches)
        per_row = sums.lse - ((1 - label_smoothing) * pull if label_smoothing else pull)
        if label_smoothing:
            per_row = per_row - label_smoothing * sums.total / sums.size.clamp_min(1)
        if valid is None and keep is None and counted is None and (include_positive or n > 1):
            losses.append(per_row.mean())
            continue
        everyone = torch.ones_like(positive, dtype=torch.bool) if valid is None else valid
        local = (everyone if counted is None else counted)[rows]
        local = local if include_positive else local & (sums.size > 0)
        total = everyone.sum() if include_positive else _with_negative(everyone, group)
        losses.append(torch.where(local, per_row, 0.0).sum() * world / total.clamp_min(1))
    return losses[0] if len(losses) == 1 else (losses[0] + losses[1]) / 2


class _Sums(NamedTuple):
    """Per query: the log-sum-exp of its logits, their plain sum and number, those of its further positives; None: not asked."""

    lse: Tensor
    total: Any = None
    size: Any = None
    matched: Any = None
    matches: Any = None


class _Table(NamedTuple):
    """The table of all logits, of which blocks are computed: masks of negatives and of further positives, and options."""

    logits: Logits
    positive: Tensor
    keep: Keep | None
    alike: Keep | None
    given: bool  # whether the caller gave the mask of negatives
    include_positive: bool
    smoothed: bool

    def reduced(self, queries: slice, candidates: slice, dims: tuple[int, ...]) -> tuple[_Sums, ...]:
        """Sum one block along some dimensions: over candidates (1), over queries (0)."""
        values = self.logits(queries, candidates)
        own = slice(max(queries.start, candidates.start), min(queries.stop, candidates.stop))
        own_values, offset = cut(self.positive, own).to(values.dtype), queries.start - candidates.start
        kept = None if self.keep is None else self.keep(queries, candidates)
        if kept is None and self.smoothed and not self.include_positive:
            kept = torch.ones_like(values, dtype=torch.bool)
        if not self.include_positive:
            own_values = torch.full_like(own_values, EMPTY)
        if kept is not None:
            kept.diagonal(offset)[: len(own_values)] = self.include_positive
        found = Partitions.apply(values, own_values, kept, offset, dims, self.smoothed)
        further = None if self.alike is None else self.alike(queries, candidates)
        if further is not None:
            if self.given and kept is not None:
                further = further & kept
            further.diagonal(offset)[: len(own_values)] = False
        out = []
        for i, d in enumerate(dims):
            sums = _Sums(found[i], found[len(dims) + i] if self.smoothed else None)
            if self.smoothed or not self.include_positive:
                size = values.new_full(sums.lse.shape, values.shape[d]) if kept is None else kept.sum(d)
                if kept is None and not self.include_positive:
                    first = queries.start if d == 1 else candidates.start
                    size[own.start - first : own.stop - first] -= 1
                sums = sums._replace(size=size)
            if further is not None:
                matched, matches = torch.where(further, values, 0.0).sum(d), further.sum(d).to(values.dtype)
                sums = sums._replace(matched=matched, matches=matches)
            out.append(sums)
        return tuple(out)


def _joined(parts: tuple[_Sums, ...], dim: int) -> _Sums:
    """Join the sums of blocks of queries: queries are laid end to end, candidates' sums are added."""
    lse, *others = zip(*parts, strict=True)
    if dim == 1:
        return _Sums(torch.cat(lse), *(None if some[0] is None else torch.cat(some) for some in others))
    return _Sums(torch.stack(lse).logsumexp(0), *(None if s[0] is None else torch.stack(s).sum(0) for s in others))


def _with_negative(valid: Tensor, group: Tensor | None) -> Tensor:
    """Count, over all processes, the rows that take part and have a negative."""
    if group is None:
        return valid.sum() * (valid.sum() > 1)
    apart = torch.where(valid, group, torch.iinfo(group.dtype).max)
    in_order = apart.sort().values
    sizes = torch.searchsorted(in_order, apart, right=True) - torch.searchsorted(in_order, apart)
    return (valid & (sizes < valid.sum())).sum()
