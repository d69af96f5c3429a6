"""Noise-contrastive cross-entropy with streamed partition functions: O(B * block) memory, recomputed in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

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

    Source:
        van den Oord et al. (2018), CLIP (Radford et al., 2021); without the positive: OVA-IB, equation 9.

    Example:
        >>> s = torch.eye(3)
        >>> contrast(lambda q, c: s[q, c], s.diagonal(), rows=slice(0, 3))
        tensor(0.5514)
    """
    n = int(positive.shape[0])
    everything = slice(0, n)

    def block(queries: slice, candidates: slice) -> tuple[Sums, Sums]:
        values = logits(queries, candidates)
        if keep is not None:
            values = torch.where(keep(queries, candidates), values, EMPTY)
        both_here = slice(max(queries.start, candidates.start), min(queries.stop, candidates.stop))
        if both_here.start < both_here.stop:
            own = positive[both_here] if include_positive else torch.full_like(positive[both_here], EMPTY)
            values = torch.diagonal_scatter(values, own.to(values.dtype), offset=queries.start - candidates.start)
        if both:
            lses: tuple[Tensor, Tensor] = LogPartitions.apply(values)
        else:
            lses = values.logsumexp(1), positive.new_zeros(values.shape[1])
        plain = keep is None and include_positive
        return _sums(values, 1, lses[0], plain, label_smoothing), _sums(values, 0, lses[1], plain, label_smoothing)

    def stream(queries: slice, candidates: slice) -> tuple[Sums, Sums]:
        if block_size is None or block_size >= queries.stop - queries.start:
            return block(queries, candidates)
        parts = [
            checkpoint(block, slice(i, min(i + block_size, queries.stop)), candidates, use_reentrant=False)
            for i in range(queries.start, queries.stop, block_size)
        ]
        return (
            Sums(*(torch.cat(x) for x in zip(*(p[0] for p in parts), strict=True))),
            Sums(
                torch.stack([p[1].lse for p in parts]).logsumexp(0),
                sum((p[1].total for p in parts[1:]), parts[0][1].total),
                sum((p[1].size for p in parts[1:]), parts[0][1].size),
            ),
        )

    forward, backward = stream(rows, everything)
    if both and rows != everything:
        _, backward = stream(everything, rows)
    directions = (forward, backward) if both else (forward,)
    world = n / (rows.stop - rows.start)
    losses = []
    for sums in directions:
        counted = torch.ones_like(positive, dtype=torch.bool) if valid is None else valid
        per_row = sums.lse - (1 - label_smoothing) * positive[rows]
        if label_smoothing:
            per_row = per_row - label_smoothing * sums.total / sums.size.clamp_min(1)
        local = counted[rows] if include_positive else counted[rows] & (sums.size > 0)
        total = counted.sum() if include_positive else _with_negative(counted, keep, everything)
        losses.append(torch.where(local, per_row, 0.0).sum() * world / total.clamp_min(1))
    return torch.stack(losses).mean()


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


class LogPartitions(torch.autograd.Function):
    """Log-sum-exp of a matrix over its columns and over its rows.

    In place in backward, where fresh memory costs more than arithmetic.

    Example:
        >>> LogPartitions.apply(torch.zeros(1, 3))
        (tensor([1.0986]), tensor([0., 0., 0.]))
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-sum-exp per row and per column."""
        over_columns, over_rows = values.logsumexp(1), values.logsumexp(0)
        ctx.save_for_backward(values, over_columns, over_rows)
        return over_columns, over_rows

    @staticmethod
    def backward(ctx: Any, grad_columns: Tensor, grad_rows: Tensor) -> Tensor:
        """Weigh the two softmaxes."""
        values, over_columns, over_rows = ctx.saved_tensors
        grad: Tensor = (values - over_columns[:, None]).exp_().mul_(grad_columns[:, None])
        return grad.add_((values - over_rows).exp_().mul_(grad_rows))


def _sums(values: Tensor, dim: int, lse: Tensor, plain: bool, label_smoothing: float) -> Sums:
    """Complete one direction of a block; the plain sum is only needed for label smoothing."""
    if plain:
        return Sums(lse, values.sum(dim) if label_smoothing else lse, torch.full_like(lse, values.shape[dim]))
    kept = values > EMPTY / 2
    return Sums(lse, torch.where(kept, values, 0.0).sum(dim) if label_smoothing else lse, kept.sum(dim))


def _with_negative(counted: Tensor, keep: Keep | None, everything: slice) -> Tensor:
    """Count, over all processes, the rows that take part and have a negative."""
    if keep is None:
        return counted.sum() * (counted.sum() > 1)
    has_negative = keep(everything, everything).fill_diagonal_(False).any(dim=1)
    return (counted & has_negative).sum()
