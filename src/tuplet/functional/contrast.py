"""Noise-contrastive cross-entropy with streamed partition functions: O(B * block) memory, recomputed in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tuplet.functional.derivative import first_order
from tuplet.types import in_range

Logits = Callable[[slice, slice], Tensor]
"""Logits of a slice of the queries against a slice of the candidates, ``(b, n)``."""

Keep = Callable[[slice, slice], Tensor]
"""Bool mask of the same shape: which candidates may enter a query's denominator (its own always may)."""

EMPTY = -1e30  # far below any logit
"""Stands for log 0: finite, so that a row without any candidate has a gradient of 0 and not NaN."""


class Sums(NamedTuple):
    """Per query: the log-sum-exp of its logits, and their plain sum and number."""

    lse: Tensor
    total: Tensor
    size: Tensor


def contrast(
    logits: Logits,
    positive: Float[Tensor, " N"],
    *,
    rows: slice,
    keep: Keep | None = None,
    valid: Bool[Tensor, " N"] | None = None,
    both: bool = True,
    include_positive: bool = True,
    label_smoothing: float = 0.0,
    block_size: int | None = None,
) -> Float[Tensor, ""]:
    r"""InfoNCE between ``N`` queries and ``N`` candidates where query ``i`` belongs to candidate ``i``.

    .. math::
        L_i = \log \sum_{j \in K_i} e^{l_{ij}} - (1 - \epsilon)\, l_{ii} - \epsilon\, \mathrm{mean}_{j \in K_i} l_{ij}

    averaged over the valid queries; with ``both``, averaged with the same loss of candidates against queries.

    Args:
        logits: function of two slices giving the ``(b, n)`` logits of those queries and candidates.
        positive: ``(N,)`` logits of the matching pairs; they replace the diagonal of ``logits``.
        rows: the slice of queries (and candidates) that this process owns.
        keep: mask of the pairs that may be contrasted; None for all.
        valid: ``(N,)`` rows that take part; None for all. ``keep`` must agree with it.
        both: also contrast candidates with queries and average, as CLIP does.
        include_positive: whether the matching pair is part of the denominator.
        label_smoothing: :math:`\epsilon` in [0, 1).
        block_size: number of queries per block, whose logits are recomputed in backward; None for one block that is
            kept.

    Returns:
        Scalar. Its mean over processes is the loss of all rows: the local sum is divided by the global number of valid
        rows per process. Queries without any negative count for nothing when the positive is excluded.

    Raises:
        InputError: if ``label_smoothing`` or ``block_size`` is out of range.

    Source:
        van den Oord et al. (2018), CLIP (Radford et al., 2021); without the positive: OVA-IB, equation 9.

    Example:
        >>> s = torch.eye(3)
        >>> contrast(lambda q, c: s[q, c], s.diagonal(), rows=slice(0, 3))
        tensor(0.5514)
    """
    in_range("label_smoothing", label_smoothing, 0, 1)
    if block_size is not None:
        in_range("block_size", block_size, 1)
    n = int(positive.shape[0])
    everything = slice(0, n)

    def block(queries: slice, candidates: slice, dims: tuple[int, ...]) -> tuple[Sums, ...]:
        values = logits(queries, candidates)
        own = slice(max(queries.start, candidates.start), min(queries.stop, candidates.stop))
        own_values, offset = cut(positive, own).to(values.dtype), queries.start - candidates.start
        kept = None if keep is None else keep(queries, candidates)
        if kept is None and label_smoothing and not include_positive:
            kept = torch.ones_like(values, dtype=torch.bool)
        if not include_positive:
            own_values = torch.full_like(own_values, EMPTY)
        if kept is not None:
            kept.diagonal(offset)[: len(own_values)] = include_positive
        reduced = Partitions.apply(values, own_values, kept, offset, dims, label_smoothing > 0)
        sizes = []
        for d in dims:
            size = values.new_full((values.shape[1 - d],), values.shape[d]) if kept is None else kept.sum(d)
            if kept is None and not include_positive:
                first = queries.start if d == 1 else candidates.start
                size[own.start - first : own.stop - first] -= 1
            sizes.append(size)
        return tuple(Sums(*parts) for parts in zip(reduced[: len(dims)], reduced[len(dims) :], sizes, strict=True))

    def stream(queries: slice, candidates: slice, dims: tuple[int, ...]) -> tuple[Sums, ...]:
        if block_size is None or block_size >= queries.stop - queries.start:
            return block(queries, candidates, dims)
        parts = [
            checkpoint(block, slice(i, min(i + block_size, queries.stop)), candidates, dims, use_reentrant=False)
            for i in range(queries.start, queries.stop, block_size)
        ]
        return tuple(_joined(some, dim) for dim, some in zip(dims, zip(*parts, strict=True), strict=True))

    if both and rows == everything:
        directions = stream(rows, everything, (1, 0))
    else:
        directions = stream(rows, everything, (1,)) + (stream(everything, rows, (0,)) if both else ())
    world = n / (rows.stop - rows.start)
    own_positive, losses = cut(positive, rows), []
    for sums in directions:
        per_row = sums.lse - (1 - label_smoothing) * own_positive
        if label_smoothing:
            per_row = per_row - label_smoothing * sums.total / sums.size.clamp_min(1)
        if valid is None and keep is None and (include_positive or n > 1):
            losses.append(per_row.mean())
            continue
        counted = torch.ones_like(positive, dtype=torch.bool) if valid is None else valid
        local = counted[rows] if include_positive else counted[rows] & (sums.size > 0)
        total = counted.sum() if include_positive else _with_negative(counted, keep, everything)
        losses.append(torch.where(local, per_row, 0.0).sum() * world / total.clamp_min(1))
    return losses[0] if len(losses) == 1 else (losses[0] + losses[1]) / 2


def cut(tensor: Float[Tensor, "N ..."], rows: slice) -> Float[Tensor, "n ..."]:
    """Take a slice of the rows, or the tensor itself when that is all of them.

    Args:
        tensor: ``(N, ...)``.
        rows: a slice with a start and a stop.

    Returns:
        ``(n, ...)``. The gradient of a slice is a copy into zeros, which taking everything need not cost.

    Source:
        Elementary.

    Example:
        >>> cut(torch.arange(3), slice(1, 3))
        tensor([1, 2])
    """
    return tensor if rows.stop - rows.start == len(tensor) else tensor[rows]


def pair_mask(valid: Bool[Tensor, " N"] | None, group: Int[Tensor, " N"] | None) -> Keep | None:
    """Build the mask of pairs of valid rows that do not share a group.

    Args:
        valid: ``(N,)`` rows that take part; None for all.
        group: ``(N,)`` ids; rows with an equal id are not negatives of each other. None for no groups.

    Returns:
        A function of two slices giving ``(b, n)`` bool, or None when every pair may be contrasted.

    Source:
        Elementary.

    Example:
        >>> pair_mask(None, torch.tensor([0, 0, 1]))(slice(0, 1), slice(0, 3))
        tensor([[False, False,  True]])
    """
    if valid is None and group is None:
        return None

    def keep(queries: slice, candidates: slice) -> Tensor:
        parts = []
        if valid is not None:
            parts.append(valid[queries, None] & valid[None, candidates])
        if group is not None:
            parts.append(group[queries, None] != group[None, candidates])
        return parts[0] if len(parts) == 1 else parts[0] & parts[1]

    return keep


class Partitions(torch.autograd.Function):
    r"""Log-sum-exp (and sum) of the logits per query (dim 1), per candidate (dim 0), or both.

    One pass over fresh memory per direction, because on ``(B, N)`` tensors memory costs more than arithmetic. Returns
    the log-sum-exps of ``dims``, then the sums (zeros unless asked for).

    Example:
        >>> Partitions.apply(torch.zeros(1, 3), None, None, 0, (1, 0), False)[:2]
        (tensor([1.0986]), tensor([0., 0., 0.]))
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        diagonal: Tensor | None,
        kept: Tensor | None,
        offset: int,
        dims: tuple[int, ...],
        totals: bool,
    ) -> tuple[Tensor, ...]:
        """Reduce ``values`` where ``kept``, with ``diagonal`` in place of its own."""
        values = values.clone()
        if diagonal is not None and diagonal.numel():
            values.diagonal(offset).copy_(diagonal)
        ctx.offset, ctx.dims, ctx.totals = offset, dims, totals
        ctx.has_diagonal = diagonal is not None and diagonal.numel() > 0
        sums = [
            (values if kept is None else torch.where(kept, values, 0.0)).sum(d)
            if totals
            else values.new_zeros(values.shape[1 - d])
            for d in dims
        ]
        if kept is not None:
            values.masked_fill_(~kept, EMPTY)
        lses, saved = [], []
        for i, d in enumerate(dims):
            top = values.amax(d, keepdim=True)
            shares = (values.sub_(top) if i == len(dims) - 1 else values - top).exp_()
            partition = shares.sum(d)
            lses.append(top.squeeze(d) + partition.log())
            saved += [shares, partition]
        ctx.save_for_backward(kept, *saved)
        return (*lses, *sums)

    @staticmethod
    @first_order
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the softmaxes."""
        kept, *saved = ctx.saved_tensors
        count = len(ctx.dims)
        grad: Tensor | None = None
        for i, d in enumerate(ctx.dims):
            shares, partition = saved[2 * i : 2 * i + 2]
            weight = (grads[i] / partition).unsqueeze(d)
            grad = shares * weight if grad is None else grad.addcmul_(shares, weight)
        assert grad is not None
        if ctx.totals:
            plain = [g.unsqueeze(d) for g, d in zip(grads[count:], ctx.dims, strict=True)]
            if kept is None:
                for g in plain:
                    grad.add_(g)
            else:
                for g in plain:
                    grad.add_(g * kept)
        if not ctx.has_diagonal:
            return grad, None, None, None, None, None
        own = grad.diagonal(ctx.offset).clone()
        grad.diagonal(ctx.offset).zero_()
        return grad, own, None, None, None, None


def _joined(parts: tuple[Sums, ...], dim: int) -> Sums:
    """Join the sums of blocks of queries: queries are laid end to end, candidates' sums are added."""
    lse, total, size = zip(*parts, strict=True)
    if dim == 1:
        return Sums(torch.cat(lse), torch.cat(total), torch.cat(size))
    return Sums(torch.stack(lse).logsumexp(0), torch.stack(total).sum(0), torch.stack(size).sum(0))


def _with_negative(counted: Tensor, keep: Keep | None, everything: slice) -> Tensor:
    """Count, over all processes, the rows that take part and have a negative."""
    if keep is None:
        return counted.sum() * (counted.sum() > 1)
    has_negative = keep(everything, everything).fill_diagonal_(False).any(dim=1)
    return (counted & has_negative).sum()
