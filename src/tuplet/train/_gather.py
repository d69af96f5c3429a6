"""One differentiable gather: local embeddings of every process to the embeddings of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch import distributed as dist

from tuplet.types import Embeddings


def gather(emb: Embeddings) -> Embeddings:
    """Gather equal shares of rows from all processes."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return emb
    size, rank = len(emb), dist.get_rank()
    return replace(
        emb,
        z=_gather_all(emb.z),
        h=_gather_all(emb.h),
        present=_gather_all(emb.present),
        index=_gathered(emb.index),
        group=None if emb.group is None else _gathered(emb.group),
        target=_gather_all(emb.target),
        aux=_gather_all(emb.aux),
        rows=slice(rank * size, (rank + 1) * size),
    )


class _AllGather(torch.autograd.Function):
    """Concatenate along dim 0; backward sums the gradients of all processes and keeps the own share."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]


def _gathered(local: Tensor) -> Tensor:
    return cast(Tensor, _AllGather.apply(local))


def _gather_all(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gather tensors that agree in shape and dtype in one go, the others one by one."""
    names = sorted(tensors)
    alike = {(tensors[k].shape, tensors[k].dtype) for k in names}
    if len(alike) == 1:
        together = _gathered(torch.stack([tensors[k] for k in names], dim=1))
        return {k: together[:, i] for i, k in enumerate(names)}
    return {k: _gathered(tensors[k]) for k in names}
