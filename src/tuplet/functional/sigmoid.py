"""Sigmoid contrast: every pair of rows is a yes-or-no question of its own, without a partition function."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tuplet.functional._blocks import BlockSize, Logits, Positives, cut, in_blocks, pair_mask, size_of_block
from tuplet.types import one_of


def sigmoid_contrast(
    logits: Logits,
    positive: Float[Tensor, " N"],
    *,
    rows: slice,
    valid: Bool[Tensor, " N"] | None = None,
    group: Int[Tensor, " N"] | None = None,
    positives: Positives = "own",
    block_size: BlockSize = "auto",
) -> Float[Tensor, ""]:
    r"""Binary cross-entropy of every query with every candidate, summed over candidates and averaged over queries.

    .. math:: L = \frac1N \sum_i \sum_j \log \big( 1 + e^{-y_{ij} l_{ij}} \big), \qquad y_{ij} = \pm 1

    Args:
        logits, positive, rows, valid, group, block_size: as in `contrast`.
        positives: ``"own"`` leaves other pairs of one group out; ``"group"`` makes them positives.

    Returns:
        Scalar. Its mean over processes is the loss of all rows.

    Source:
        Zhai et al. (2023), SigLIP, algorithm 1.

    Example:
        >>> s = torch.zeros(3, 3)
        >>> sigmoid_contrast(lambda q, c: s[q, c], s.diagonal(), rows=slice(0, 3))  # 3 log 2
        tensor(2.0794)
    """
    one_of("positives", positives, ("own", "group"))
    n = int(positive.shape[0])
    everything, step = slice(0, n), size_of_block(block_size, n, gpu=positive.is_cuda)
    keep = pair_mask(valid, group if positives == "own" else None)
    alike = pair_mask(valid, group, same=True) if positives == "group" and group is not None else None

    def block(queries: slice) -> Tensor:
        values = logits(queries, everything)
        if alike is not None:
            values = torch.where(alike(queries, everything), -values, values)
        losses: Tensor = _Softplus.apply(values.diagonal_scatter(-cut(positive, queries), queries.start))
        if keep is not None:
            kept = keep(queries, everything)
            kept.diagonal(queries.start)[:] = True if valid is None else valid[queries]
            losses = torch.where(kept, losses, 0.0)
        return losses.sum(dim=1)

    per_row = torch.cat(in_blocks(block, rows, step))
    if valid is None:
        return per_row.mean()
    world = n / (rows.stop - rows.start)
    return cast(Tensor, per_row.sum() * world / valid.sum().clamp_min(1))


class _Softplus(torch.autograd.Function):
    r""":math:`\log(1 + e^v)`, without ``log1p``, which on a CPU takes far longer than a logarithm."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        if values.is_cuda and not torch.compiler.is_compiling():  # where it is one kernel
            return torch.nn.functional.softplus(values)
        part = values.abs().neg_().exp_()
        whole = part + 1
        lost = part.sub_(whole - 1).div_(whole)  # what the sum has rounded off
        return whole.log_().add_(lost).add_(values.relu())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.sigmoid(*ctx.saved_tensors) * grad
