"""Logits and kernels of many rows, block by block: masks of pairs, sizes of blocks, and their partition functions."""

from __future__ import annotations

import ctypes
import sys
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

BLOCK, BLOCK_OF_GPU = 2**23, 2**25  # largest number of logits of one block of ``block_size="auto"``

LARGE = 512  # rows from which, on a CPU, a pass over logits costs more than a look at them
REACH = 60.0  # how far below the highest logit, in float32, a match still is well apart from 0

BlockSize = int | Literal["auto"] | None
Positives = Literal["own", "group"]
T = TypeVar("T")


def size_of_block(block_size: BlockSize, candidates: int, *, gpu: bool = False) -> int | None:
    """Turn a ``block_size`` into a number of queries per block; None for one block. A GPU's may be larger."""
    if block_size is None:
        return None
    if isinstance(block_size, str):
        one_of("block_size", block_size, ("auto",))
        return max(1, (BLOCK_OF_GPU if gpu else BLOCK) // candidates)
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
    def forward(ctx: Any, values: Tensor, positive: Tensor, dims: tuple[int, ...], smoothing: float) -> Tensor:
        """Average over rows and dimensions, with ``positive`` in place of the diagonal of ``values``."""
        ctx.dims, ctx.top, ctx.even = dims, _shift(values, positive), smoothing / len(values)
        if (top := ctx.top) is not None:  # one exponential serves both; the rest beside a match keeps small losses exact
            shares, own = (values - top).exp_(), (positive - top).exp_()
            shares.diagonal().zero_()
            beside = values.flatten()[1:].view(len(values) - 1, -1)[:, :-1].mean() if smoothing else 0.0  # without the diagonal
            rest = [shares.sum(d) for d in dims]
            ctx.save_for_backward(shares, own, *rest)
            loss = reduce(torch.add, [torch.log1p(r / own) for r in rest]).mean() / len(dims)
        else:
            whole = values.diagonal_scatter(positive)
            beside = (len(values) * whole.mean() - positive.mean()) / (len(values) - 1) if smoothing else 0.0
            logs = [torch.log_softmax(whole, d) for d in dims]
            ctx.save_for_backward(*logs)
            loss = reduce(torch.add, [log.diagonal() for log in logs]).mean() / -len(dims)
        if smoothing:
            loss = loss + smoothing * (1 - 1 / len(values)) * (positive.mean() - beside)
        return loss

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Weigh the softmaxes, less one for each match."""
        first, *more = ctx.saved_tensors
        if ctx.top is not None:
            own, *rest = more
            each = grad / (len(rest) * len(own))
            over = first * reduce(torch.add, [(each / (r + own)).unsqueeze(d) for r, d in zip(rest, ctx.dims, strict=True)])
            over_own = -each * reduce(torch.add, [r / (r + own) for r in rest])
        else:
            each = grad / ((1 + len(more)) * len(first))
            over = reduce(torch.Tensor.add_, [log.exp() for log in more], first.exp()).mul_(each)
            over_own = over.diagonal() - (1 + len(more)) * each
        if ctx.even:
            even = grad * ctx.even / len(first)
            over, over_own = over.sub_(even), over_own + (len(first) - 1) * even
        over.diagonal().zero_()
        return over, over_own, None, None


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


def _shift(values: Tensor, positive: Tensor) -> Tensor | None:
    """Return what may be taken off all logits of a large table; None where no number serves, or a GPU would have to wait."""
    exact = values.dtype in (torch.float32, torch.float64) and values.is_cpu and not torch.compiler.is_compiling()
    if len(values) < LARGE or not exact:
        return None
    top = torch.maximum(values.max(), positive.max())
    return top if bool(top - positive.min() < REACH) else None


def reuse_memory() -> None:
    """Let glibc keep 256 MB of freed memory at hand, for blocks of up to 32 MB: fresh pages cost more than a pass."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, 1 << 25), libc.mallopt(-1, 1 << 28)
