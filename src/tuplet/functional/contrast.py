"""Noise-contrastive cross-entropy with streamed partition functions: O(B * block) memory, recomputed in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tuplet.functional._derivative import first_order
from tuplet.types import InputError, in_range, one_of

Logits = Callable[[slice, slice], Tensor]
"""Logits of a slice of the queries against a slice of the candidates, ``(b, n)``."""

Keep = Callable[[slice, slice], Tensor]
"""Bool mask of the same shape: which candidates may enter a query's denominator (its own always may)."""

EMPTY = -1e30  # far below any logit
"""Stands for log 0: finite, so that a row without any candidate has a gradient of 0 and not NaN."""


BLOCK = 2**23
"""Largest number of logits of one block of ``block_size="auto"``."""

BlockSize = int | Literal["auto"] | None
Positives = Literal["own", "group"]


class Sums(NamedTuple):
    """Per query: the log-sum-exp of its logits, their plain sum and number, and those of its further positives."""

    lse: Tensor
    total: Tensor
    size: Tensor
    matched: Tensor
    matches: Tensor


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
        positives: what rows of one group are to each other. ``"own"``: nothing, :math:`P_i = \{i\}` and the others of the
            group are left out of :math:`K_i`. ``"group"``: positives too, :math:`P_i` is the group, in :math:`K_i` as well
            (unless positives are excluded).
        keep: mask of the pairs that may be contrasted, instead of the one that ``valid`` and ``group`` give.
        both: also contrast candidates with queries and average, as CLIP does.
        include_positive: whether matching pairs are part of the denominator.
        label_smoothing: :math:`\epsilon` in [0, 1).
        block_size: number of queries per block, whose logits are recomputed in backward; None for one block that is
            kept; ``"auto"`` for one block up to 2896 x 2896 logits and blocks of that many beyond.

    Returns:
        Scalar. Its mean over processes is the loss of all rows: the local sum is divided by the global number of valid
        rows per process. Queries without any negative count for nothing when the positive is excluded.

    Raises:
        InputError: if ``label_smoothing``, ``block_size`` or ``positives`` is out of range.

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
    n = int(positive.shape[0])
    block_size = size_of_block(block_size, n)
    everything = slice(0, n)
    alike = pair_mask(valid, group, same=True) if positives == "group" and group is not None else None
    given = keep is not None
    if keep is None:
        keep = pair_mask(valid, None if alike is not None and include_positive else group)

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
        further = None if alike is None else alike(queries, candidates)
        if further is not None:
            if given and kept is not None:
                further = further & kept
            further.diagonal(offset)[: len(own_values)] = False
        found = []
        for i, d in enumerate(dims):
            lse, total = reduced[i], reduced[len(dims) + i]
            size = values.new_full(lse.shape, values.shape[d]) if kept is None else kept.sum(d)
            if kept is None and not include_positive:
                first = queries.start if d == 1 else candidates.start
                size[own.start - first : own.stop - first] -= 1
            none = torch.zeros_like(lse)
            if further is None:
                found.append(Sums(lse, total, size, none, none))
            else:
                found.append(Sums(lse, total, size, torch.where(further, values, 0.0).sum(d), further.sum(d) + none))
        return tuple(found)

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
        pull = own_positive if alike is None else (own_positive + sums.matched) / (1 + sums.matches)
        per_row = sums.lse - (1 - label_smoothing) * pull
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


def size_of_block(block_size: BlockSize, candidates: int) -> int | None:
    """Turn a ``block_size`` into a number of queries per block.

    Args:
        block_size: a number, None for one block, or ``"auto"``.
        candidates: number of candidates.

    Returns:
        Queries per block; None for one block.

    Raises:
        InputError: if it is another word or below 1.

    Source:
        Elementary.

    Example:
        >>> size_of_block("auto", 2048), size_of_block("auto", 8192), size_of_block(None, 8192)
        (4096, 1024, None)
    """
    if block_size is None:
        return None
    if isinstance(block_size, str):
        one_of("block_size", block_size, ("auto",))
        return max(1, BLOCK // candidates)
    if not isinstance(block_size, int) or isinstance(block_size, bool):
        raise InputError(f"block_size is {block_size!r}, expected 'auto', None or a whole number >= 1")
    in_range("block_size", block_size, 1)
    return block_size


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


def pair_mask(valid: Bool[Tensor, " N"] | None, group: Int[Tensor, " N"] | None, *, same: bool = False) -> Keep | None:
    """Build the mask of pairs of valid rows that do not share a group.

    Args:
        valid: ``(N,)`` rows that take part; None for all.
        group: ``(N,)`` ids; rows with an equal id are not negatives of each other. None for no groups.
        same: the pairs that do share one instead.

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
            parts.append((group[queries, None] == group[None, candidates]) == same)
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
        weights = [(grads[i] / saved[2 * i + 1]).unsqueeze(d) for i, d in enumerate(ctx.dims)]
        if ctx.totals:
            plain = [g.unsqueeze(d) for g, d in zip(grads[count:], ctx.dims, strict=True)]
            grad = plain[0].expand_as(saved[0]).clone() if count == 1 else plain[0] + plain[1]
            if kept is not None:
                grad.mul_(kept)
            grad.addcmul_(saved[0], weights[0])
        else:
            grad = saved[0] * weights[0]
        if count == 2:
            grad.addcmul_(saved[2], weights[1])
        if not ctx.has_diagonal:
            return grad, None, None, None, None, None
        own = grad.diagonal(ctx.offset).clone()
        grad.diagonal(ctx.offset).zero_()
        return grad, own, None, None, None, None


def _joined(parts: tuple[Sums, ...], dim: int) -> Sums:
    """Join the sums of blocks of queries: queries are laid end to end, candidates' sums are added."""
    lse, *others = zip(*parts, strict=True)
    if dim == 1:
        return Sums(torch.cat(lse), *(torch.cat(some) for some in others))
    return Sums(torch.stack(lse).logsumexp(0), *(torch.stack(some).sum(0) for some in others))


def _with_negative(valid: Tensor, group: Tensor | None) -> Tensor:
    """Count, over all processes, the rows that take part and have a negative."""
    if group is None:
        return valid.sum() * (valid.sum() > 1)
    apart = torch.where(valid, group, torch.iinfo(group.dtype).max)
    in_order = apart.sort().values
    sizes = torch.searchsorted(in_order, apart, right=True) - torch.searchsorted(in_order, apart)
    return (valid & (sizes < valid.sum())).sum()
