"""Logits and kernels of many rows, block by block: masks of pairs, sizes of blocks, and their partition functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Literal, TypeVar

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

BLOCK = 2**23  # largest number of logits of one block of ``block_size="auto"``

LARGE = 512  # rows from which, on a CPU, a pass over logits costs more than to see whether one exponential serves both ways
REACH = 60.0  # distance of the highest logits of rows and columns that one shift keeps apart from 0 in float32

BlockSize = int | Literal["auto"] | None
Positives = Literal["own", "group"]
T = TypeVar("T")


def size_of_block(block_size: BlockSize, candidates: int) -> int | None:
    """Turn a ``block_size`` into a number of queries per block; None for one block."""
    if block_size is None:
        return None
    if isinstance(block_size, str):
        one_of("block_size", block_size, ("auto",))
        return max(1, BLOCK // candidates)
    if not isinstance(block_size, int) or isinstance(block_size, bool):
        raise InputError(f"block_size is {block_size!r}, expected 'auto', None or a whole number >= 1")
    in_range("block_size", block_size, 1)
    return block_size


def in_blocks(block: Callable[[slice], T], rows: slice, size: int | None) -> list[T]:
    """Evaluate a function of a slice of rows, part by part; several parts are recomputed in backward."""
    if size is None or size >= rows.stop - rows.start:
        return [block(rows)]
    starts = range(rows.start, rows.stop, size)
    return [checkpoint(block, slice(i, min(i + size, rows.stop)), use_reentrant=False) for i in starts]


def cut(tensor: Float[Tensor, "N ..."], rows: slice) -> Float[Tensor, "n ..."]:
    """Take a slice of the rows, or the tensor itself when that is all of them, which spares the gradient a copy."""
    return tensor if rows.stop - rows.start == len(tensor) else tensor[rows]


def pair_mask(valid: Bool[Tensor, " N"] | None, group: Int[Tensor, " N"] | None, *, same: bool = False) -> Keep | None:
    """Build the mask of pairs of valid rows that do not share a group, or with ``same`` that do; None where all may."""
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


class Whole(torch.autograd.Function):
    """InfoNCE of one block of logits, none of which is left out, as one node: of queries (dim 1), of candidates (dim 0)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, positive: Tensor, dims: tuple[int, ...]) -> Tensor:
        """Average over rows and dimensions, with ``positive`` in place of the diagonal of ``values``."""
        values = values.clone()
        values.diagonal().copy_(positive)
        logs = [torch.log_softmax(values, d) for d in dims]
        ctx.save_for_backward(*logs)
        return reduce(torch.add, [log.diagonal() for log in logs]).mean() / -len(dims)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Weigh the softmaxes, less one for each match."""
        first, *more = ctx.saved_tensors
        each = grad / ((1 + len(more)) * len(first))
        over = reduce(torch.Tensor.add_, [log.exp() for log in more], first.exp()).mul_(each)
        own = over.diagonal() - (1 + len(more)) * each
        over.diagonal().zero_()
        return over, own, None


class Partitions(torch.autograd.Function):
    """Log-sum-exp (and then, if asked for, sum) of logits per query (dim 1), per candidate (dim 0), or both."""

    # One pass over fresh memory per direction: on (B, N) tensors memory costs more than arithmetic.

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, diagonal: Tensor | None, kept: Tensor | None, offset: int, dims: tuple[int, ...], totals: bool
    ) -> tuple[Tensor, ...]:
        """Reduce ``values`` where ``kept``, with ``diagonal`` in place of its own."""
        values = values.clone()
        if diagonal is not None and diagonal.numel():
            values.diagonal(offset).copy_(diagonal)
        ctx.offset, ctx.dims, ctx.totals = offset, dims, totals
        ctx.has_diagonal = diagonal is not None and diagonal.numel() > 0
        sums = [(values if kept is None else torch.where(kept, values, 0.0)).sum(d) for d in dims if totals]
        if kept is not None:
            values.masked_fill_(~kept, EMPTY)
        tops = [values.amax(d, keepdim=True) for d in dims]
        if _near(tops, values):
            tops = [torch.maximum(*(top.max() for top in tops)).view(1, 1)] * 2
            shares = [values.sub_(tops[0]).exp_()]
        else:
            shares = [(values.sub_(top) if top is tops[-1] else values - top).exp_() for top in tops]
        partitions = [share.sum(d) for share, d in zip(shares * 2, dims, strict=False)]
        lses = [top.squeeze(d) + partition.log() for top, partition, d in zip(tops, partitions, dims, strict=True)]
        ctx.save_for_backward(kept, *shares, *partitions)
        return (*lses, *sums)

    @staticmethod
    @first_order
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the softmaxes."""
        kept, *saved = ctx.saved_tensors
        count = len(ctx.dims)
        shares, partitions = saved[:-count], saved[-count:]
        weights = [(g / p).unsqueeze(d) for g, p, d in zip(grads, partitions, ctx.dims, strict=False)]
        if len(shares) < count:  # one table serves both directions
            weights = [weights[0] + weights[1]]
        if ctx.totals:
            plain = [g.unsqueeze(d) for g, d in zip(grads[count:], ctx.dims, strict=True)]
            grad = plain[0].expand_as(shares[0]).clone() if count == 1 else plain[0] + plain[1]
            if kept is not None:
                grad.mul_(kept)
            grad.addcmul_(shares[0], weights[0])
        else:
            grad = shares[0] * weights[0]
        if len(shares) == 2:
            grad.addcmul_(shares[1], weights[1])
        if not ctx.has_diagonal:
            return grad, None, None, None, None, None
        own = grad.diagonal(ctx.offset).clone()
        grad.diagonal(ctx.offset).zero_()
        return grad, own, None, None, None, None


def _near(tops: list[Tensor], values: Tensor) -> bool:
    """Tell whether one shift serves the maxima of rows and columns: a look at numbers, for which a GPU would have to wait."""
    if len(tops) < 2 or values.numel() < LARGE**2 or not values.is_cpu or torch.compiler.is_compiling():
        return False
    return bool(torch.maximum(*(t.max() for t in tops)) - torch.minimum(*(t.min() for t in tops)) < REACH)


def reuse_memory() -> None:
    """Free a block of 31 MB: glibc then keeps so much at hand, and temporaries need no fresh pages each time."""
    torch.empty(31 << 20, dtype=torch.uint8)
